//! Work in pieces, done by several threads.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::error::{Error, Result};

/// Tells the threads of a query that nobody waits for them any more.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

struct StopOnDrop(Stop);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.0.store(true, Ordering::Relaxed);
    }
}

/// Does work in pieces on a few threads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Work {
    threads: usize,
}

impl Work {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads }
    }

    pub(crate) fn threads(self) -> usize {
        self.threads
    }

    /// Calls `piece` with every number below `pieces`, each worker with a state of its own, and returns the states. `small` work is done here and now: it is
    /// over before a thread would have begun it.
    pub(crate) async fn each<S: Send + 'static>(
        self,
        pieces: usize,
        small: bool,
        make: impl Fn() -> S,
        piece: impl Fn(&mut S, usize) -> Result<()> + Send + Sync + 'static,
    ) -> Result<Vec<S>> {
        if small || pieces <= 1 || self.threads <= 1 {
            let mut state = make();
            for at in 0..pieces {
                piece(&mut state, at)?;
            }
            return Ok(vec![state]);
        }
        let stop = Stop::default();
        let on_drop = StopOnDrop(stop.clone());
        let shared = Arc::new((AtomicUsize::new(0), Mutex::new(None::<Error>), piece));
        let mut workers = JoinSet::new();
        for _ in 0..self.threads.min(pieces) {
            let (shared, stop, mut state) = (Arc::clone(&shared), stop.clone(), make());
            workers.spawn_blocking(move || {
                let (next, failure, piece) = &*shared;
                while !stop.is_set() {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    if at >= pieces {
                        break;
                    }
                    if let Err(error) = piece(&mut state, at) {
                        *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                        // The others need not go on.
                        next.store(pieces, Ordering::Relaxed);
                    }
                }
                state
            });
        }
        let mut states = Vec::with_capacity(self.threads);
        while let Some(done) = workers.join_next().await {
            states.push(crate::analysis::joined(done));
        }
        drop(on_drop);
        let failure = shared.1.lock().unwrap_or_else(PoisonError::into_inner).take();
        failure.map_or(Ok(states), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_piece_is_done_once_and_the_first_failure_ends_the_work() {
        for (threads, small) in [(1, false), (3, true), (3, false)] {
            let done = Work::new(threads).each(100, small, Vec::new, |seen: &mut Vec<usize>, at| {
                seen.push(at);
                Ok(())
            });
            let mut seen: Vec<usize> = done.await.expect("it is done").into_iter().flatten().collect();
            seen.sort_unstable();
            assert_eq!(seen, (0..100).collect::<Vec<_>>());
            let failed = Work::new(threads).each(
                100,
                small,
                || (),
                |(), at| match at {
                    7 => Err(Error::invalid("seven")),
                    _ => Ok(()),
                },
            );
            assert_eq!(failed.await.expect_err("seven fails").to_string(), "seven");
        }
    }
}
