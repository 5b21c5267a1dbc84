//! Follows the log: what is there, then what comes.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::Result;
use crate::id::Sequence;
use crate::log::{Frame, LogDir, Scan};
use crate::queue::{lock, wait};
use crate::store::Store;

/// How far the log may be shown to those who follow it.
pub(crate) struct Feed {
    inner: Mutex<Shown>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy)]
struct Shown {
    /// Durable and published.
    through: Sequence,
    /// Nothing comes any more.
    closed: bool,
}

impl Feed {
    pub(crate) fn new(through: Sequence) -> Arc<Self> {
        Arc::new(Self { inner: Mutex::new(Shown { through, closed: false }), changed: Condvar::new() })
    }

    /// Everything up to `through` is durable and published.
    pub(crate) fn advance(&self, through: Sequence) {
        let mut shown = lock(&self.inner);
        if shown.through < through {
            shown.through = through;
            self.changed.notify_all();
        }
    }

    pub(crate) fn close(&self) {
        lock(&self.inner).closed = true;
        self.changed.notify_all();
    }

    /// Waits until there is something from `next` on or nothing comes any more, for `timeout` at most.
    fn wait_for(&self, next: Sequence, timeout: Option<Duration>) -> Shown {
        let shown = lock(&self.inner);
        let waits = |shown: &mut Shown| shown.through < next && !shown.closed;
        match timeout {
            Some(timeout) => {
                let waited = self.changed.wait_timeout_while(shown, timeout, waits);
                *waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => {
                let mut shown = shown;
                while waits(&mut shown) {
                    shown = wait(&self.changed, shown);
                }
                *shown
            }
        }
    }
}

/// What came of waiting for a batch.
#[derive(Debug)]
pub enum Received {
    /// The next batch.
    Frame(Frame),
    /// None within the time given.
    Nothing,
    /// The store was closed, and everything in it was given out: nothing comes any more.
    End,
}

/// The batches of a log in order: those that are there, then each one that is committed, until the store is closed.
///
/// A batch is given out once it is durable, also where its append was acknowledged before that, and a snapshot taken afterwards shows it. A subscription
/// holds nothing up: it reads from the files at its own pace. As an iterator it waits for ever.
pub struct Subscription {
    dir: LogDir,
    feed: Arc<Feed>,
    scan: Option<Scan>,
    /// The first sequence of the next batch, or one within it.
    next: Sequence,
    failed: bool,
}

impl Subscription {
    /// Waits for the next batch; `None` once the store was closed and everything was given out.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for a damaged frame, errors of the disk. Nothing is given out after an error.
    pub fn recv(&mut self) -> Result<Option<Frame>> {
        match self.receive(None)? {
            Received::Frame(frame) => Ok(Some(frame)),
            Received::Nothing | Received::End => Ok(None),
        }
    }

    /// Waits for the next batch, for `timeout` at most; with a timeout of nothing it takes what is there.
    ///
    /// # Errors
    /// As [`recv`](Self::recv).
    pub fn recv_timeout(&mut self, timeout: Duration) -> Result<Received> {
        self.receive(Some(timeout))
    }

    fn receive(&mut self, timeout: Option<Duration>) -> Result<Received> {
        if self.failed {
            return Ok(Received::End);
        }
        let received = self.try_receive(timeout);
        self.failed = received.is_err();
        received
    }

    fn try_receive(&mut self, timeout: Option<Duration>) -> Result<Received> {
        loop {
            if let Some(scan) = &mut self.scan
                && let Some(frame) = scan.next().transpose()?
            {
                self.next = scan.reached();
                return Ok(Received::Frame(frame));
            }
            let shown = self.feed.wait_for(self.next, timeout);
            if shown.through < self.next {
                return Ok(if shown.closed { Received::End } else { Received::Nothing });
            }
            match &mut self.scan {
                Some(scan) => scan.extend(shown.through)?,
                None => self.scan = Some(Scan::new(&self.dir, self.next, shown.through, None)?),
            }
        }
    }
}

impl Iterator for Subscription {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        self.recv().transpose()
    }
}

impl std::fmt::Debug for Subscription {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subscription").field("next", &self.next).finish_non_exhaustive()
    }
}

impl Store {
    /// Follows the log from the batch that holds `from`: what is there, then what is committed from now on.
    ///
    /// # Errors
    /// Errors of the disk.
    pub fn subscribe(&self, from: Sequence) -> Result<Subscription> {
        let next = from.max(Sequence::FIRST);
        let (dir, feed) = (self.shared.log_dir.clone(), Arc::clone(&self.shared.feed));
        let through = lock(&feed.inner).through;
        let state = lock(&self.shared.state);
        let scan = if next <= through {
            let near = state.index.position(next)?;
            // Opened under the lock: see `Store::scan`.
            Some(Scan::new(&dir, next, through, near)?)
        } else {
            None
        };
        Ok(Subscription { dir, feed, scan, next, failed: false })
    }
}
