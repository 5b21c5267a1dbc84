//! A store whose machine stops, or whose disk fails, at every operation: what was acknowledged is there once, and the rest can be appended again.

use std::io::ErrorKind;
use std::path::Path;

use pugmark_store::simulated::{Failure, Loss};
use pugmark_store::{Entry, Options, Outcome, Result, SimulatedStorage};

use crate::common::{DIR, counts, disk, event, message_ids, open_with, simulated};

const BATCHES: u64 = 20;
const BATCH: u64 = 5;

/// Small enough that segments rotate, and often enough that the index is written between them.
fn options(storage: &SimulatedStorage) -> Options {
    Options { segment_max_bytes: 2_000, checkpoint_every: 25, ..simulated(storage, 1_700_000_000_000_000) }
}

fn batch(number: u64) -> Vec<Entry> {
    (0..BATCH).map(|at| event("e", &format!("u{}", (number * BATCH + at) % 13), &format!("{number}-{at}"))).collect()
}

/// Appends everything, and notes each batch that was acknowledged.
fn work(storage: &SimulatedStorage) -> Result<()> {
    let store = open_with(Path::new(DIR), options(storage))?;
    for number in 1..=BATCHES {
        let outcomes = store.append(batch(number))?;
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))), "{outcomes:?}");
        storage.mark(number);
    }
    store.close()
}

/// Opens what is found, compares it with what was acknowledged, and appends everything again.
fn check(found: &SimulatedStorage, acknowledged: u64, what: &str) {
    let store = open_with(Path::new(DIR), options(found)).unwrap_or_else(|e| panic!("{what}: {e}"));
    let ids = message_ids(&store);
    let held = ids.len() as u64 / BATCH;
    let expected = (1..=held).flat_map(|number| (0..BATCH).map(move |at| format!("{number}-{at}")));
    let expected: Vec<(u64, String)> = (1..).zip(expected).collect();
    assert_eq!(ids, expected, "{what}: whole batches, each once, in order");
    assert!(held >= acknowledged, "{what}: {acknowledged} batches were acknowledged, {held} are there");
    let events = |info: pugmark_store::SegmentInfo| info.span.map(|span| span.events);
    let known: Option<u64> = store.segments().unwrap_or_else(|e| panic!("{what}: {e}")).into_iter().map(events).sum();
    assert_eq!(known, Some(held * BATCH), "{what}: what is known of the segments");
    assert_eq!(counts(&store).values().sum::<u64>(), held * BATCH, "{what}: what the fold has seen");
    for number in 1..=BATCHES {
        let outcomes = store.append(batch(number)).unwrap_or_else(|e| panic!("{what}: {e}"));
        let right = |outcome: &Outcome| match outcome {
            Outcome::Duplicate => number <= held,
            Outcome::Accepted(_) => number > held,
            _ => false,
        };
        assert!(outcomes.iter().all(right), "{what}: batch {number} of {held}: {outcomes:?}");
    }
    assert_eq!(message_ids(&store).len() as u64, BATCHES * BATCH, "{what}");
    store.close().unwrap_or_else(|e| panic!("{what}: {e}"));
}

#[test]
fn what_was_acknowledged_is_there_once_after_a_stop_at_every_operation() {
    let storage = disk();
    let before = storage.operations();
    work(&storage).unwrap();
    let journal = storage.journal();
    let mut stops = 0;
    for (loss, seed) in [
        (Loss::Nothing, 0),
        (Loss::Everything, 0),
        (Loss::Prefix, 0),
        (Loss::Prefix, 1),
        (Loss::Random, 0),
        (Loss::Random, 1),
        (Loss::Random, 2),
    ] {
        for number in before..=journal.operations() {
            let step = journal.step(number).unwrap();
            let acknowledged = journal.marks_through(number).last().copied().unwrap_or(0);
            let found = journal.stop_after(number, loss, seed);
            check(&found, acknowledged, &format!("{loss:?} with seed {seed} after operation {number} ({step})"));
            stops += 1;
        }
    }
    assert!(stops > 1_000, "{stops}");
}

#[test]
fn what_was_acknowledged_is_there_once_after_a_failure_of_every_operation() {
    let whole = disk();
    let before = whole.operations();
    work(&whole).unwrap();
    let journal = whole.journal();
    for number in before + 1..=journal.operations() {
        for failure in [Failure::Error(ErrorKind::Other), Failure::Short(ErrorKind::StorageFull)] {
            let what = format!("{failure:?} of operation {number} ({})", journal.step(number).unwrap());
            let storage = disk();
            storage.fail_at(number, failure);
            // A file that could not be removed is one that the next open removes: not every failure is the caller's.
            drop(work(&storage));
            assert_eq!(storage.failures_to_come(), 0, "{what}");
            let acknowledged = storage.journal().marks_through(u64::MAX).last().copied().unwrap_or(0);
            for (loss, seed) in [(Loss::Everything, 0), (Loss::Random, 1)] {
                check(&storage.stopped(loss, seed), acknowledged, &format!("{what}, {loss:?}"));
            }
            // The kernel lives and shows pages that it will never write. The next process must not build on them: all that it acknowledged
            // survives when the power goes, too.
            let restarted = storage.stopped(Loss::Nothing, 0);
            check(&restarted, acknowledged, &format!("{what}, restarted"));
            check(
                &restarted.stopped(Loss::Everything, 0),
                BATCHES,
                &format!("{what}, restarted, then everything lost"),
            );
        }
    }
}
