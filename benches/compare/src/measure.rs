//! Timing, the same for everybody.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::cases::Case;
use crate::work::{Batch, Round};

/// A store that appends what was prepared for it.
pub trait Peer: Sync {
    /// Events in the shape that the peer takes.
    type Prepared: Send;

    /// Not timed.
    fn prepare(&self, batch: &Batch) -> Self::Prepared;

    /// Appends the events whose id is not stored yet, durably and as one, and says how many those were.
    fn append(&self, prepared: Self::Prepared) -> Result<usize>;
}

/// What one case took.
#[derive(Debug)]
pub struct Ran {
    pub events: usize,
    pub elapsed: Duration,
    pub calls: Vec<Duration>,
}

impl Ran {
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.elapsed.as_secs_f64()
    }
}

/// One writer, a call after another.
pub fn one_writer<P: Peer>(peer: &P, case: Case, round: &Round, limit: Duration) -> Result<Ran> {
    let (prepared, limit): (Vec<(P::Prepared, usize)>, _) = match case {
        Case::Batches => (prepare(peer, &round.new), Duration::MAX),
        Case::Duplicates => (prepare(peer, &round.again), Duration::MAX),
        Case::Single | Case::Threads => (prepare(peer, &round.single.singles().collect::<Vec<_>>()), limit),
    };
    let new = case != Case::Duplicates;
    let (mut events, mut calls) = (0, Vec::with_capacity(prepared.len()));
    let begun = Instant::now();
    for (batch, len) in prepared {
        let called = Instant::now();
        let stored = peer.append(batch)?;
        calls.push(called.elapsed());
        ensure!(stored == if new { len } else { 0 }, "{stored} of {len} events were new");
        events += len;
        if begun.elapsed() > limit {
            break;
        }
    }
    Ok(Ran { events, elapsed: begun.elapsed(), calls })
}

/// Single events of one writer for each thread's batch.
pub fn many_writers<P: Peer>(peer: &P, round: &Round, limit: Duration) -> Result<Ran> {
    let prepared: Vec<Vec<P::Prepared>> =
        round.by_thread.iter().map(|batch| batch.singles().map(|one| peer.prepare(&one)).collect()).collect();
    let begun = Instant::now();
    let work = |ones: Vec<P::Prepared>| -> Result<Vec<Duration>> {
        let mut calls = Vec::with_capacity(ones.len());
        for one in ones {
            let called = Instant::now();
            let stored = peer.append(one)?;
            calls.push(called.elapsed());
            ensure!(stored == 1, "a new event was not stored");
            if begun.elapsed() > limit {
                break;
            }
        }
        Ok(calls)
    };
    let calls = std::thread::scope(|scope| {
        let threads: Vec<_> = prepared.into_iter().map(|ones| scope.spawn(|| work(ones))).collect();
        let done = threads.into_iter().map(|thread| thread.join().expect("a writer does not panic"));
        done.collect::<Result<Vec<_>>>()
    })?;
    let calls: Vec<Duration> = calls.into_iter().flatten().collect();
    Ok(Ran { events: calls.len(), elapsed: begun.elapsed(), calls })
}

fn prepare<P: Peer>(peer: &P, batches: &[Batch]) -> Vec<(P::Prepared, usize)> {
    batches.iter().map(|batch| (peer.prepare(batch), batch.rows.len())).collect()
}

/// The rounds of one contender in one case.
#[derive(Debug, Default)]
pub struct Rounds {
    rates: Vec<f64>,
    calls: Vec<Duration>,
}

impl Rounds {
    /// Events a second: the median of the rounds.
    pub fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied().unwrap_or(f64::NAN)
    }

    /// The slowest and the fastest round.
    pub fn spread(&self) -> (f64, f64) {
        let most = self.rates.iter().copied().fold(f64::NAN, f64::max);
        (self.rates.iter().copied().fold(f64::NAN, f64::min), most)
    }

    /// Microseconds below which this share of all calls stayed.
    pub fn call_us(&self, share: f64) -> f64 {
        let mut calls = self.calls.clone();
        calls.sort_unstable();
        let at = (calls.len() as f64 * share) as usize;
        calls.get(at.min(calls.len().saturating_sub(1))).map_or(f64::NAN, |call| call.as_secs_f64() * 1e6)
    }

    pub fn calls(&self) -> usize {
        self.calls.len()
    }
}

/// All rounds, by case and contender.
#[derive(Debug, Default)]
pub struct Measured(BTreeMap<(Case, &'static str), Rounds>);

impl Measured {
    pub fn add(&mut self, name: &'static str, case: Case, ran: Ran) {
        let rounds = self.0.entry((case, name)).or_default();
        rounds.rates.push(ran.rate());
        rounds.calls.extend(ran.calls);
    }

    pub fn of(&self, name: &'static str, case: Case) -> Option<&Rounds> {
        self.0.get(&(case, name))
    }

    pub fn iter(&self) -> impl Iterator<Item = (Case, &'static str, &Rounds)> {
        self.0.iter().map(|((case, name), rounds)| (*case, *name, rounds))
    }
}
