//! What waits for the committer, and what callers wait on.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::error::{Error, ErrorKind, Result};
use crate::event::Entry;
use crate::id::ImportId;
use crate::limits::{BATCH_MAX_BYTES, BATCH_MAX_NAMES, FRAME_MAX_RECORDS};
use crate::outcome::Outcome;

/// Locks a mutex whose holders keep their data whole at every step, so that a panic elsewhere does not spread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// One append under way.
pub(crate) struct Submission {
    pub(crate) entries: Vec<Entry>,
    pub(crate) bytes: usize,
    pub(crate) names: usize,
    pub(crate) import: Option<ImportId>,
    pub(crate) slot: Arc<Slot>,
}

impl Drop for Submission {
    /// Nobody waits for ever: a submission that was never answered, because its committer is gone, is answered here.
    fn drop(&mut self) {
        let stopped =
            || Err(Error::new(ErrorKind::Poisoned, "the committer stopped before this append; open the store again"));
        self.slot.answer_with(stopped);
    }
}

/// Where the answer to a submission arrives.
#[derive(Default)]
pub(crate) struct Slot {
    answer: Mutex<Answer>,
    arrived: Condvar,
}

#[derive(Default)]
enum Answer {
    #[default]
    Awaited,
    Arrived(Result<Vec<Outcome>>),
    Taken,
}

impl Slot {
    /// Gives the answer; only the first one counts.
    pub(crate) fn answer(&self, answer: Result<Vec<Outcome>>) {
        self.answer_with(|| answer);
    }

    fn answer_with(&self, answer: impl FnOnce() -> Result<Vec<Outcome>>) {
        let mut slot = lock(&self.answer);
        if matches!(*slot, Answer::Awaited) {
            *slot = Answer::Arrived(answer());
            self.arrived.notify_all();
        }
    }
}

/// An append under way: wait for it, or drop it and let it finish by itself.
#[must_use = "an append is acknowledged when `wait` returns"]
pub struct Pending {
    slot: Arc<Slot>,
}

impl Pending {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self { slot }
    }

    /// Waits until the entries are durable and visible, and says what became of each, in the order given.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] or [`ErrorKind::Io`] when the write or the sync failed, [`ErrorKind::Poisoned`] when an earlier one did: what is on disk
    /// is then known only after the store is opened again.
    pub fn wait(self) -> Result<Vec<Outcome>> {
        let mut slot = lock(&self.slot.answer);
        while matches!(*slot, Answer::Awaited) {
            slot = wait(&self.slot.arrived, slot);
        }
        match std::mem::replace(&mut *slot, Answer::Taken) {
            Answer::Arrived(answer) => answer,
            Answer::Awaited | Answer::Taken => unreachable!("`wait` takes the one handle that there is"),
        }
    }
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending")
    }
}

#[derive(Default)]
struct Waiting {
    submissions: VecDeque<Submission>,
    bytes: usize,
    closed: bool,
}

/// Submissions in order, bounded in bytes.
pub(crate) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    drained: Condvar,
    max_bytes: usize,
}

impl Queue {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self { waiting: Mutex::default(), filled: Condvar::new(), drained: Condvar::new(), max_bytes }
    }

    /// Adds a submission, once there is room for it; one that is larger than the bound waits for an empty queue.
    pub(crate) fn push(&self, submission: Submission) -> Result<()> {
        let mut waiting = lock(&self.waiting);
        while !waiting.closed && waiting.bytes > 0 && waiting.bytes + submission.bytes > self.max_bytes {
            waiting = wait(&self.drained, waiting);
        }
        if waiting.closed {
            return Err(Error::new(ErrorKind::Poisoned, "the store is closed"));
        }
        waiting.bytes += submission.bytes;
        waiting.submissions.push_back(submission);
        self.filled.notify_one();
        Ok(())
    }

    /// Takes the next submissions that fit one batch together: of one import, within the limits of one append. Waits for the first;
    /// `None` once the queue is closed and empty.
    pub(crate) fn take(&self) -> Option<Vec<Submission>> {
        let mut waiting = lock(&self.waiting);
        while waiting.submissions.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = wait(&self.filled, waiting);
        }
        let mut taken: Vec<Submission> = Vec::new();
        let (mut records, mut bytes, mut names) = (0, 0, 0);
        while let Some(next) = waiting.submissions.front() {
            records += next.entries.len();
            bytes += next.bytes;
            names += next.names;
            let fits = records <= FRAME_MAX_RECORDS && bytes <= BATCH_MAX_BYTES && names <= BATCH_MAX_NAMES;
            if taken.first().is_some_and(|first| !fits || first.import != next.import) {
                break;
            }
            taken.extend(waiting.submissions.pop_front());
        }
        waiting.bytes -= taken.iter().map(|submission| submission.bytes).sum::<usize>();
        self.drained.notify_all();
        Some(taken)
    }

    /// Refuses what comes from now on and drops what waits, whose callers are told.
    pub(crate) fn abandon(&self) {
        self.close();
        let left = std::mem::take(&mut lock(&self.waiting).submissions);
        drop(left);
    }

    /// Refuses what comes from now on; what waits is still taken.
    pub(crate) fn close(&self) {
        lock(&self.waiting).closed = true;
        self.filled.notify_all();
        self.drained.notify_all();
    }
}
