//! What is due without anybody asking: segments whose content is not known are read, sealed ones compressed, and an expiry that was interrupted is finished.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::id::Sequence;
use crate::log::{Segment, survey};
use crate::queue::{lock, wait};
use crate::store::{Shared, Store};

/// So long nothing must have been committed before a segment is taken up.
const IDLE_AFTER: Duration = Duration::from_secs(1);
/// With more than these waiting, a segment is taken up all the same.
const WAITING_MAX: usize = 4;

/// How the thread `pugmark-maintain` is told what happens, and tells what happened to it.
#[derive(Default)]
pub(crate) struct Upkeep {
    /// Batches committed so far.
    commits: AtomicU64,
    stopped: AtomicBool,
    inner: Mutex<Inner>,
    changed: Condvar,
}

#[derive(Default)]
struct Inner {
    /// Whether a segment may have become due since the thread last looked.
    due: bool,
    /// The last error, until the work is done after all.
    failed: Option<Error>,
}

impl Upkeep {
    /// A batch was committed; `sealed` if it ended a segment.
    pub(crate) fn note_commit(&self, sealed: bool) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        if sealed {
            self.wake();
        }
    }

    fn wake(&self) {
        lock(&self.inner).due = true;
        self.changed.notify_all();
    }

    /// The thread comes to its end between two frames.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.wake();
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// What last went wrong beside the commits, and was not made up for.
    pub(crate) fn error(&self) -> Option<String> {
        lock(&self.inner).failed.as_ref().map(Error::to_string)
    }

    fn set_error(&self, error: Option<Error>) {
        lock(&self.inner).failed = error;
    }
}

/// A piece of work.
enum Piece {
    /// Go on with what is to expire.
    Expire,
    /// Find out what a segment holds.
    Survey(Segment),
    /// Compress a segment.
    Compress(Segment, Sequence),
}

impl Store {
    /// Does the next piece of the work that is due on sealed segments, here and now, and says whether there was one. With [`Options::background`](crate::Options::background)
    /// off, nobody else does.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) for a segment that is not whole, naming the place; errors of the disk and of the index. The segment is then as it was.
    pub fn maintain(&self) -> Result<bool> {
        self.shared.maintain(&|| true)
    }

    /// Does all the work that is due on sealed segments and returns when it is done: what is sealed is compressed then.
    ///
    /// # Errors
    /// As [`maintain`](Self::maintain).
    pub fn compact(&self) -> Result<()> {
        while self.maintain()? {}
        // Whatever had failed has been done.
        self.shared.upkeep.set_error(None);
        Ok(())
    }
}

impl Shared {
    /// Does the next piece of work; `go_on` is asked between frames.
    pub(crate) fn maintain(&self, go_on: &dyn Fn() -> bool) -> Result<bool> {
        let _alone = lock(&self.maintenance);
        let Some(piece) = self.due()?.into_iter().next() else { return Ok(false) };
        match piece {
            Piece::Expire => {
                self.finish_expiry(go_on)?;
            }
            Piece::Survey(segment) => {
                if let Some(span) = survey(&self.log_dir, &segment, go_on)? {
                    lock(&self.state).catalog.set(segment.first, span);
                }
            }
            Piece::Compress(segment, last) => {
                self.rewrite(&segment, last, None, go_on)?;
            }
        }
        Ok(true)
    }

    fn due(&self) -> Result<Vec<Piece>> {
        let sealed = self.sealed_segments()?;
        let state = lock(&self.state);
        let mut pieces: Vec<Piece> = sealed
            .into_iter()
            .filter_map(|(segment, last)| match state.catalog.whole(segment.first, last) {
                None => Some(Piece::Survey(segment)),
                Some(span) if !span.compressed => Some(Piece::Compress(segment, last)),
                Some(_) => None,
            })
            .collect();
        drop(state);
        if !self.hidden().expiring().is_empty() {
            pieces.push(Piece::Expire);
        }
        // What is to be read is soon done, and scans by time are the better for it.
        pieces.sort_by_key(|piece| matches!(piece, Piece::Compress(..)));
        Ok(pieces)
    }

    /// What the thread does until it is stopped.
    pub(crate) fn run_upkeep(&self) {
        let upkeep = &self.upkeep;
        while !upkeep.is_stopped() {
            let commits = upkeep.commits.load(Ordering::Relaxed);
            let waiting = match self.due() {
                Ok(pieces) => pieces.len(),
                Err(error) => {
                    upkeep.set_error(Some(error));
                    0
                }
            };
            let mut inner = lock(&upkeep.inner);
            if waiting == 0 {
                while !inner.due && !upkeep.is_stopped() {
                    inner = wait(&upkeep.changed, inner);
                }
                inner.due = false;
                continue;
            }
            if waiting <= WAITING_MAX && !upkeep.is_stopped() {
                // A commit within this time is looked for afterwards: it need not wake anybody.
                (inner, _) = upkeep.changed.wait_timeout(inner, IDLE_AFTER).unwrap_or_else(PoisonError::into_inner);
                inner.due = false;
                if upkeep.commits.load(Ordering::Relaxed) != commits {
                    continue;
                }
            }
            drop(inner);
            if let Err(error) = self.maintain(&|| !upkeep.is_stopped()) {
                upkeep.set_error(Some(error));
                // Not again before something has changed.
                let mut inner = lock(&upkeep.inner);
                while !inner.due && !upkeep.is_stopped() {
                    inner = wait(&upkeep.changed, inner);
                }
                inner.due = false;
            }
        }
    }
}
