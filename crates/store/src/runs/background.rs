//! A thread that writes and merges runs while commits go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::merge::{MergePlan, Merged, SpillPlan};
use crate::error::{Error, ErrorKind, Result};

/// Where the sets of one store have their merges run.
#[derive(Clone, Default)]
pub(crate) enum Merges {
    /// By whoever spills, before it goes on: what happens when is then the same in every run of a simulation.
    #[default]
    Inline,
    /// On the thread of a [`MergeThread`].
    Beside(Arc<MergeQueue>),
}

/// The thread, for as long as its store is open: dropping it stops what runs.
pub(crate) struct MergeThread {
    queue: Arc<MergeQueue>,
    thread: Option<JoinHandle<()>>,
}

impl MergeThread {
    /// # Errors
    /// Errors of the system.
    pub(crate) fn start() -> Result<Self> {
        let queue = Arc::new(MergeQueue::default());
        let thread = std::thread::Builder::new().name("pugmark-merge".to_owned()).spawn({
            let queue = Arc::clone(&queue);
            move || queue.run()
        });
        let thread = thread
            .map_err(|error| Error::with_source(ErrorKind::Io, format!("starting the merge thread: {error}"), error))?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// The way for sets to hand merges over.
    pub(crate) fn merges(&self) -> Merges {
        Merges::Beside(Arc::clone(&self.queue))
    }

    /// Gives up what runs and what waits, and returns once no file is written any more. Whoever waits for something is told that it was stopped.
    pub(crate) fn stop(&mut self) {
        self.queue.stop();
        if let Some(thread) = self.thread.take() {
            // A panic has reached whoever waited for the merge.
            let _ended = thread.join();
        }
    }
}

impl Drop for MergeThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What waits for the thread.
#[derive(Default)]
pub(crate) struct MergeQueue {
    waiting: Mutex<Vec<Job>>,
    wake: Condvar,
    stopped: AtomicBool,
}

struct Job {
    work: Work,
    answer: Answer,
}

enum Work {
    Spill(SpillPlan),
    Merge(MergePlan),
}

impl Job {
    /// The level of the run that it makes: the lower, the sooner.
    fn level(&self) -> u16 {
        match &self.work {
            Work::Spill(_) => 0,
            Work::Merge(plan) => u16::from(plan.level),
        }
    }
}

impl MergeQueue {
    fn waiting(&self) -> MutexGuard<'_, Vec<Job>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands a merge over.
    pub(super) fn merge(&self, plan: MergePlan) -> Arc<Ticket> {
        self.submit(Work::Merge(plan))
    }

    /// Hands a spill over. It goes before every merge.
    pub(super) fn spill(&self, plan: SpillPlan) -> Arc<Ticket> {
        self.submit(Work::Spill(plan))
    }

    fn submit(&self, work: Work) -> Arc<Ticket> {
        let ticket = Arc::new(Ticket::default());
        let mut waiting = self.waiting();
        let job = Job { work, answer: Answer(Arc::clone(&ticket)) };
        // Seen under the lock: what is pushed before is dropped by whoever stops the queue, what comes after by itself.
        if !self.is_stopped() {
            waiting.push(job);
        }
        drop(waiting);
        self.wake.notify_one();
        ticket
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    fn stop(&self) {
        let mut waiting = self.waiting();
        self.stopped.store(true, Ordering::Relaxed);
        let jobs = std::mem::take(&mut *waiting);
        drop(waiting);
        drop(jobs);
        self.wake.notify_all();
    }

    fn run(&self) {
        // A thread that ends, also by a panic, leaves nobody waiting.
        struct End<'a>(&'a MergeQueue);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.stop();
            }
        }
        let _end = End(self);
        loop {
            let mut waiting = self.waiting();
            let job = loop {
                if self.is_stopped() {
                    return;
                }
                match take_below(&mut waiting, u16::MAX) {
                    Some(job) => break job,
                    None => waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner),
                }
            };
            drop(waiting);
            self.work(job);
        }
    }

    fn work(&self, job: Job) {
        let level = job.level();
        let merged = match &job.work {
            Work::Spill(plan) => plan.write().map(Some),
            Work::Merge(plan) => plan.merge(&|| {
                // What is small does not wait for what is large: commits wait for room, and a lookup asks a filter for each small run.
                while !self.is_stopped() {
                    let Some(smaller) = take_below(&mut self.waiting(), level) else { return true };
                    self.work(smaller);
                }
                false
            }),
        };
        job.answer.give(merged);
    }
}

/// The job of the lowest level, if it is below `level`.
fn take_below(waiting: &mut Vec<Job>, level: u16) -> Option<Job> {
    let (place, lowest) = waiting.iter().enumerate().min_by_key(|(_, job)| job.level())?;
    if lowest.level() < level { Some(waiting.remove(place)) } else { None }
}

/// What became of a job, once it is known.
#[derive(Default)]
pub(super) struct Ticket {
    outcome: Mutex<Outcome>,
    changed: Condvar,
}

#[derive(Default)]
struct Outcome {
    ended: bool,
    /// Nothing in the answer: the job was stopped.
    answer: Option<Result<Option<Merged>>>,
}

impl Ticket {
    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer, if it is there; it is given once.
    pub(super) fn take(&self) -> Option<Result<Option<Merged>>> {
        self.outcome().answer.take()
    }

    /// Waits until the job has ended, and leaves the answer.
    pub(super) fn wait(&self) {
        let ended = self.changed.wait_while(self.outcome(), |outcome| !outcome.ended);
        drop(ended.unwrap_or_else(PoisonError::into_inner));
    }
}

/// Answers a ticket: that the job was stopped, if nothing else.
struct Answer(Arc<Ticket>);

impl Answer {
    fn give(&self, answer: Result<Option<Merged>>) {
        let mut outcome = self.0.outcome();
        if !outcome.ended {
            *outcome = Outcome { ended: true, answer: Some(answer) };
            self.0.changed.notify_all();
        }
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        let broken = || Error::new(ErrorKind::Poisoned, "writing runs stopped by a broken invariant");
        self.give(if std::thread::panicking() { Err(broken()) } else { Ok(None) });
    }
}
