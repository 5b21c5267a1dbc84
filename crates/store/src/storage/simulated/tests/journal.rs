//! Stops that are replayed are those of a run that stopped there.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;
use crate::entropy::SplitMix64;
use crate::storage::simulated::{Failure, Image, Loss, OperationKind};

/// Does what the seed says until something fails: everything that changes a file system, with failing syncs among it.
fn work(storage: &SimulatedStorage, seed: u64, steps: u64) -> std::io::Result<()> {
    let mut row = SplitMix64::new(seed);
    let dir = |row: &mut SplitMix64| format!("/d{}", row.below(3));
    for step in 0..steps {
        let dir = dir(&mut row);
        storage.create_dir_all(Path::new(&dir))?;
        let path = PathBuf::from(format!("{dir}/f{}", row.below(4)));
        let file = storage.open(&path, OpenMode::WriteOrCreate)?;
        match row.below(10) {
            0..4 => file.write_all_at(&vec![step as u8 | 1; row.below(3_000) as usize], row.below(9_000))?,
            4 => file.set_len(row.below(9_000))?,
            5 | 6 => file.sync_data()?,
            7 => storage.rename(&path, &PathBuf::from(format!("{dir}/f{}", row.below(4))))?,
            8 => storage.remove(&path)?,
            _ => storage.sync_dir(Path::new(if row.chance(1, 2) { "/" } else { &dir }))?,
        }
        if row.chance(1, 3) {
            storage.mark(step);
        }
    }
    Ok(())
}

/// A file or directory with its bytes.
type Entry = (PathBuf, Vec<u8>);

fn both(storage: &SimulatedStorage) -> [Vec<Entry>; 2] {
    [Image::Live, Image::Durable].map(|image| storage.files(image))
}

#[test]
fn a_replayed_stop_is_the_run_that_stopped_there() {
    for seed in 0..4 {
        let ask = |storage: &SimulatedStorage| {
            storage.fail_on(OperationKind::SyncData, "f1", 1, Failure::Short(ErrorKind::Other));
            storage.fail_on(OperationKind::Write, "f2", 3, Failure::Short(ErrorKind::Other));
        };
        let run = |storage: &SimulatedStorage| {
            ask(storage);
            // What was made to fail ends a stretch of the work, not the work.
            (0..6).for_each(|stretch| drop(work(storage, seed * 100 + stretch, 25)));
        };
        let whole = SimulatedStorage::new();
        run(&whole);
        let journal = whole.journal();
        assert!(journal.operations() > 120, "{}", journal.operations());
        assert!((1..=journal.operations()).filter(|n| journal.step(*n).unwrap().failed()).count() >= 2);
        assert_eq!(both(&journal.stop_after(u64::MAX, Loss::Nothing, 0)), both(&whole));
        for number in 0..=journal.operations() {
            let stopped = SimulatedStorage::new();
            stopped.stop_at(number + 1);
            run(&stopped);
            assert_eq!(stopped.operations(), number);
            for loss in Loss::ALL {
                let replayed = journal.stop_after(number, loss, seed);
                assert_eq!(both(&replayed), both(&stopped.stopped(loss, seed)), "{loss:?} after {number}");
            }
        }
    }
}

#[test]
fn a_sweep_gives_the_same_in_any_order_and_changes_with_the_seed() {
    let storage = SimulatedStorage::new();
    work(&storage, 9, 200).unwrap();
    let journal = storage.journal();
    let at = |journal: &crate::storage::simulated::Journal, number| both(&journal.stop_after(number, Loss::Random, 5));
    let up: Vec<_> = (0..=journal.operations()).map(|number| at(&journal, number)).collect();
    let clone = journal.clone();
    let mut down: Vec<_> = (0..=journal.operations()).rev().map(|number| at(&clone, number)).collect();
    down.reverse();
    assert!(up == down);
    let last = journal.operations();
    let outcomes: BTreeSet<_> = (0..50).map(|seed| both(&journal.stop_after(last, Loss::Random, seed))).collect();
    assert!(outcomes.len() > 40, "{}", outcomes.len());
}

#[test]
fn what_is_found_after_a_loss_is_durable_and_another_run_begins_on_it() {
    let storage = SimulatedStorage::new();
    work(&storage, 3, 100).unwrap();
    for loss in [Loss::Everything, Loss::Prefix, Loss::Random] {
        let found = storage.stopped(loss, 1);
        let [live, durable] = both(&found);
        assert_eq!(live, durable);
        assert_eq!(found.operations(), 0);
        work(&found, 4, 100).unwrap();
        assert_eq!(both(&found.journal().stop_after(0, Loss::Nothing, 0)), [live, durable]);
        assert_eq!(both(&found.journal().stop_after(u64::MAX, Loss::Nothing, 0)), both(&found));
    }
}

#[test]
fn marks_are_those_made_before_the_next_operation() {
    let storage = SimulatedStorage::new();
    storage.mark(10);
    let file = open(&storage, "/a");
    storage.mark(11);
    storage.mark(7);
    file.sync_data().unwrap();
    file.sync_data().unwrap();
    storage.mark(12);
    let journal = storage.journal();
    storage.mark(13);
    let marks: Vec<&[u64]> = (0..5).map(|number| journal.marks_through(number)).collect();
    assert_eq!(marks, [&[10][..], &[10, 11, 7], &[10, 11, 7], &[10, 11, 7, 12], &[10, 11, 7, 12]]);
}

#[test]
fn a_journal_never_changes_and_says_what_was_done() {
    let storage = SimulatedStorage::new();
    let file = open(&storage, "/a");
    file.write_all_at(b"bytes", 3).unwrap();
    let journal = storage.journal();
    rename(&storage, "/a", "/b");
    file.set_len(4).unwrap();
    assert_eq!(journal.operations(), 2);
    let journal = storage.journal();
    let said: Vec<String> = (1..=4).map(|number| journal.step(number).unwrap().to_string()).collect();
    assert_eq!(said, ["create /a", "write /a: 5 bytes at 3", "rename /b from /a", "set length /a: 4 bytes"]);
    assert!(journal.step(0).is_none() && journal.step(5).is_none());
    assert_eq!((journal.step(2).unwrap().kind(), journal.step(2).unwrap().path()), (OperationKind::Write, "/a"));
}

#[test]
fn a_thousand_stops_of_two_megabytes_take_well_under_a_second() {
    let storage = SimulatedStorage::new();
    let file = named(&storage, "/log");
    for n in 0..1_000 {
        file.write_all_at(&[n as u8 | 1; 2_000], n * 2_000).unwrap();
        if n % 4 == 3 {
            file.sync_data().unwrap();
        }
    }
    let journal = storage.journal();
    for loss in Loss::ALL {
        #[expect(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
        let begun = Instant::now();
        for number in 0..=journal.operations() {
            let found = journal.stop_after(number, loss, 1);
            assert_eq!(found.operations(), 0);
        }
        let taken = begun.elapsed();
        assert!(taken < Duration::from_secs(1), "{loss:?}: {} stops in {taken:?}", journal.operations());
    }
}
