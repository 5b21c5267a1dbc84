//! Batches between their write and their acknowledgement: while one is synced, the next is built.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::event::Entry;
use crate::id::Sequence;
use crate::log::ActiveFile;
use crate::outcome::Outcome;
use crate::queue::{Reply, lock, wait};
use crate::snapshot::Snapshot;

/// Batches that may be under way at once. More would not make a sync cheaper, and their snapshots take memory.
const IN_FLIGHT_MAX: usize = 8;

/// One append that is answered with its batch.
pub(crate) struct Landing {
    pub(crate) reply: Reply,
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) spent: Vec<Entry>,
}

/// A batch that is written and applied, and not acknowledged yet.
pub(crate) struct Flight {
    pub(crate) landings: Vec<Landing>,
    /// What readers see once it has landed.
    pub(crate) snapshot: Arc<Snapshot>,
    pub(crate) file: Arc<ActiveFile>,
    /// The last sequence that its answers speak of. A duplicate speaks of an entry that may be in flight too.
    pub(crate) through: Sequence,
    /// Whether its answers promise that this is durable.
    pub(crate) sync: bool,
}

impl Flight {
    pub(crate) fn sync(&self) -> Result<()> {
        if self.sync { self.file.sync(self.through) } else { Ok(()) }
    }

    pub(crate) fn answer(self, result: &Result<()>) {
        for landing in self.landings {
            let answer = match result {
                Ok(()) => Ok(landing.outcomes),
                Err(e) => Err(Error::new(e.kind(), e.to_string())),
            };
            landing.reply.answer(answer, landing.spent);
        }
    }
}

#[derive(Default)]
struct Inner {
    waiting: VecDeque<Flight>,
    /// Whether flights are landing now.
    landing: bool,
    /// What was acknowledged without a sync, and when the first of it was.
    unsynced: Option<(Arc<ActiveFile>, Sequence, Instant)>,
    closed: bool,
}

/// Work for the thread that syncs.
pub(crate) enum Due {
    /// Batches to be synced and acknowledged, in order.
    Land(Vec<Flight>),
    /// What was acknowledged from memory has waited long enough.
    Sync(Arc<ActiveFile>, Sequence),
}

/// Flights in order.
pub(crate) struct Flights {
    inner: Mutex<Inner>,
    changed: Condvar,
    buffered_sync_after: Duration,
}

impl Flights {
    pub(crate) fn new(buffered_sync_after: Duration) -> Self {
        Self { inner: Mutex::default(), changed: Condvar::new(), buffered_sync_after }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_idle(&self) -> bool {
        let inner = lock(&self.inner);
        inner.waiting.is_empty() && !inner.landing
    }

    /// Adds one, once there are few enough.
    pub(crate) fn push(&self, flight: Flight) {
        let mut inner = lock(&self.inner);
        while inner.waiting.len() >= IN_FLIGHT_MAX && !inner.closed {
            inner = wait(&self.changed, inner);
        }
        // Nobody will land it: its callers are told as it is dropped.
        if inner.closed {
            return;
        }
        inner.waiting.push_back(flight);
        self.changed.notify_all();
    }

    /// Sees to it that what was acknowledged without a sync gets one.
    pub(crate) fn note_unsynced(&self, file: &Arc<ActiveFile>, through: Sequence) {
        let mut inner = lock(&self.inner);
        #[expect(clippy::disallowed_methods, reason = "a bound on real time; nothing of it is stored")]
        let since = inner.unsynced.as_ref().map_or_else(Instant::now, |unsynced| unsynced.2);
        inner.unsynced = Some((Arc::clone(file), through, since));
        self.changed.notify_all();
    }

    /// Waits for work; `None` once closed and done. What was taken is under way until the next call.
    pub(crate) fn take(&self) -> Option<Due> {
        let mut inner = lock(&self.inner);
        inner.landing = false;
        self.changed.notify_all();
        loop {
            let left =
                inner.unsynced.as_ref().map(|unsynced| self.buffered_sync_after.saturating_sub(unsynced.2.elapsed()));
            if left.is_some_and(|left| left.is_zero())
                && let Some((file, through, _)) = inner.unsynced.take()
            {
                inner.landing = true;
                return Some(Due::Sync(file, through));
            }
            if !inner.waiting.is_empty() {
                inner.landing = true;
                let flights = inner.waiting.drain(..).collect();
                self.changed.notify_all();
                return Some(Due::Land(flights));
            }
            if inner.closed {
                return None;
            }
            inner = match left {
                None => wait(&self.changed, inner),
                Some(left) => self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
    }

    /// Drops what waits and what comes, whose callers are told.
    pub(crate) fn abandon(&self) {
        self.close();
        let left = std::mem::take(&mut lock(&self.inner).waiting);
        drop(left);
    }

    /// Nothing comes any more; what waits is still taken.
    pub(crate) fn close(&self) {
        lock(&self.inner).closed = true;
        self.changed.notify_all();
    }
}
