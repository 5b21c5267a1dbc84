//! What waits for the committer, and what callers wait on.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, ErrorKind, Result};
use crate::event::Entry;
use crate::limits::{BATCH_MAX_BYTES, BATCH_MAX_NAMES};
use crate::options::{AppendOptions, WhenFull};
use crate::outcome::Outcome;
use crate::prepare::Prepared;

/// Locks a mutex whose holders keep their data whole at every step, so that a panic elsewhere does not spread.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn wait<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

/// Appends are joined to batches of at most so many records. Longer ones save few syncs and outgrow the processor's cache between one step and the next; shorter ones cost more
/// syncs than they save.
const JOINED_RECORDS: usize = 8_192;

/// One append under way.
pub(crate) struct Submission {
    pub(crate) prepared: Prepared,
    pub(crate) bytes: usize,
    pub(crate) names: usize,
    pub(crate) options: AppendOptions,
    pub(crate) reply: Reply,
}

/// The one who answers a submission. Nobody waits for ever: when this goes without an answer, because its thread is gone, that is
/// the answer.
pub(crate) struct Reply(Arc<Slot>);

impl Reply {
    pub(crate) fn new() -> (Self, Pending) {
        let slot = Arc::new(Slot::default());
        (Self(Arc::clone(&slot)), Pending { slot })
    }

    /// Answers; `spent` is given back to whoever waits, who has more time to free it than the committer.
    pub(crate) fn answer(&self, answer: Result<Vec<Outcome>>, spent: Vec<Entry>) {
        self.0.answer(|| (answer, spent));
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        let stopped = "the committer stopped before this append; open the store again";
        self.0.answer(|| (Err(Error::new(ErrorKind::Poisoned, stopped)), Vec::new()));
    }
}

/// Where the answer to a submission arrives.
#[derive(Default)]
struct Slot {
    answer: Mutex<Answer>,
    arrived: Condvar,
}

#[derive(Default)]
enum Answer {
    #[default]
    Awaited,
    AwaitedBy(Waker),
    Arrived(Result<Vec<Outcome>>, Vec<Entry>),
    Taken,
}

impl Answer {
    fn is_awaited(&self) -> bool {
        matches!(self, Self::Awaited | Self::AwaitedBy(_))
    }
}

impl Slot {
    /// Gives the answer; only the first one counts.
    fn answer(&self, answer: impl FnOnce() -> (Result<Vec<Outcome>>, Vec<Entry>)) {
        let mut slot = lock(&self.answer);
        if !slot.is_awaited() {
            return;
        }
        let (answer, spent) = answer();
        let before = std::mem::replace(&mut *slot, Answer::Arrived(answer, spent));
        drop(slot);
        match before {
            Answer::AwaitedBy(waker) => waker.wake(),
            _ => self.arrived.notify_all(),
        }
    }
}

/// An append under way: [`wait`](Pending::wait) for it, `await` it on any runtime, or drop it and let it finish by itself.
#[must_use = "an append is acknowledged when `wait` or `await` returns"]
pub struct Pending {
    slot: Arc<Slot>,
}

impl Pending {
    /// Waits until the entries are durable, as their [`Durability`](crate::Durability) has it, and visible, and says what became of each, in the order given.
    ///
    /// # Errors
    /// [`ErrorKind::Full`] or [`ErrorKind::Io`] when the write or the sync failed, [`ErrorKind::Poisoned`] when an earlier one did: what is on disk
    /// is then known only after the store is opened again.
    pub fn wait(self) -> Result<Vec<Outcome>> {
        let mut slot = lock(&self.slot.answer);
        while slot.is_awaited() {
            slot = wait(&self.slot.arrived, slot);
        }
        let arrived = std::mem::replace(&mut *slot, Answer::Taken);
        drop(slot);
        match arrived {
            Answer::Arrived(answer, _spent) => answer,
            _ => unreachable!("`wait` takes the one handle that there is"),
        }
    }
}

impl Future for Pending {
    type Output = Result<Vec<Outcome>>;

    /// As [`Pending::wait`], without a thread that waits.
    ///
    /// # Panics
    /// When polled again after it was ready.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut slot = lock(&self.slot.answer);
        if slot.is_awaited() {
            *slot = Answer::AwaitedBy(context.waker().clone());
            return Poll::Pending;
        }
        let arrived = std::mem::replace(&mut *slot, Answer::Taken);
        drop(slot);
        match arrived {
            Answer::Arrived(answer, _spent) => Poll::Ready(answer),
            _ => panic!("an append is polled no more once it is ready"),
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
    /// Appends that wait for room.
    blocked: usize,
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

    /// Adds a submission once there is room for it, or refuses it; one that is larger than the bound waits for an empty queue.
    pub(crate) fn push(&self, submission: Submission) -> Result<()> {
        let mut waiting = lock(&self.waiting);
        while !waiting.closed && waiting.bytes > 0 && waiting.bytes + submission.bytes > self.max_bytes {
            if submission.options.when_full == WhenFull::Refuse {
                let message = format!(
                    "{} bytes wait to be committed, and {} more would pass the limit of {}; try again later",
                    waiting.bytes, submission.bytes, self.max_bytes
                );
                return Err(Error::new(ErrorKind::Busy, message));
            }
            waiting.blocked += 1;
            waiting = wait(&self.drained, waiting);
            waiting.blocked -= 1;
        }
        if waiting.closed {
            return Err(Error::new(ErrorKind::Poisoned, "the store is closed"));
        }
        waiting.bytes += submission.bytes;
        waiting.submissions.push_back(submission);
        let first = waiting.submissions.len() == 1;
        // Whoever is woken wants the lock, and so do all the others who come now.
        drop(waiting);
        // Woken only when the committer may sleep: it takes all that it finds.
        if first {
            self.filled.notify_one();
        }
        Ok(())
    }

    /// Takes the next submissions that make one batch together: of one import, within the limits of one append and few enough. Waits for the first;
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
            records += next.prepared.records();
            bytes += next.bytes;
            names += next.names;
            let fits = records <= JOINED_RECORDS && bytes <= BATCH_MAX_BYTES && names <= BATCH_MAX_NAMES;
            if taken.first().is_some_and(|first| !fits || first.options.import != next.options.import) {
                break;
            }
            taken.extend(waiting.submissions.pop_front());
        }
        waiting.bytes -= taken.iter().map(|submission| submission.bytes).sum::<usize>();
        if waiting.blocked > 0 {
            self.drained.notify_all();
        }
        Some(taken)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        lock(&self.waiting).submissions.is_empty()
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
