//! A backup of a store that is written: it opens, verifies, and holds all that was acknowledged before it.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use pugmark_store::simulated::Loss;
use pugmark_store::{
    Disk, ErrorKind, ManualClock, Options, Outcome, SeededEntropy, SimulatedStorage, Storage, Store, Timestamp,
};

use crate::common::{counts, event, fill, flip, message_ids, open, open_with, segments};

fn small(dir: &Path) -> Store {
    open_with(dir, Options { segment_max_bytes: 2_000, ..Options::default() }).unwrap()
}

/// Opens a copy of the backup, as a restore does, and checks all of it.
fn restored(backup: &Path) -> Vec<(u64, String)> {
    let dir = tempfile::tempdir().unwrap();
    crate::common::copy_dir(backup, dir.path());
    let store = open(dir.path()).unwrap();
    let report = store.verify(false, &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{:?}", report.findings);
    let ids = message_ids(&store);
    assert_eq!(counts(&store).values().sum::<u64>(), ids.len() as u64);
    ids
}

#[test]
fn a_backup_is_the_store_and_the_next_one_copies_what_is_new() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let to = to.path().join("backup");
    let store = small(dir.path());
    for batch in 0..5 {
        fill(&store, &format!("{batch}-"), 40);
    }
    let first = store.backup(&to).unwrap();
    assert_eq!((first.through.number(), first.kept, first.removed), (200, 0, 0));
    assert_eq!(first.copied as usize, segments(dir.path()).len());
    assert_eq!(restored(&to), message_ids(&store));
    assert!(!to.join("index.redb").exists() && !to.join("runs").exists(), "what is derived is left out");

    let again = store.backup(&to).unwrap();
    assert_eq!((again.copied, again.kept), (0, first.copied), "nothing has changed");
    fill(&store, "more", 3);
    let next = store.backup(&to).unwrap();
    assert_eq!((next.copied, next.kept), (1, first.copied - 1), "only the segment that was written to");
    assert_eq!(restored(&to), message_ids(&store));
    // Rotated, closed and opened again: the sealed segments are as they were.
    fill(&store, "rest", 200);
    store.close().unwrap();
    let store = small(dir.path());
    fill(&store, "last", 1);
    let report = store.backup(&to).unwrap();
    assert!(report.kept >= first.copied - 1, "{report:?}");
    assert_eq!(restored(&to), message_ids(&store));
}

#[test]
fn a_backup_of_an_empty_store_opens() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path()).unwrap();
    store.backup(to.path()).unwrap();
    assert_eq!(restored(to.path()), []);
}

#[test]
fn a_backup_while_appends_go_on_holds_what_was_acknowledged_before_it() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = small(dir.path());
    let (done, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for batch in 0..u64::MAX {
                fill(&store, &format!("{batch}-"), 7);
                acknowledged.store((batch + 1) * 7, Ordering::Release);
                if done.load(Ordering::Acquire) {
                    break;
                }
            }
        });
        for _ in 0..12 {
            let before = acknowledged.load(Ordering::Acquire);
            let report = store.backup(to.path()).unwrap();
            let ids = restored(to.path());
            assert!(ids.len() as u64 >= before && ids.len() as u64 == report.through.number());
        }
        done.store(true, Ordering::Release);
    });
    store.backup(to.path()).unwrap();
    assert_eq!(restored(to.path()), message_ids(&store));
}

#[test]
fn another_store_and_something_else_are_not_overwritten() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(dir.path()).unwrap();
    fill(&store, "m", 10);
    let other = open(to.path()).unwrap();
    fill(&other, "other", 5);
    assert_eq!(store.backup(to.path()).unwrap_err().kind(), ErrorKind::Locked);
    other.close().unwrap();
    let refused = store.backup(to.path()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("another store"), "{refused}");
    assert_eq!(store.backup(dir.path()).unwrap_err().kind(), ErrorKind::Locked, "its own directory");
    let notes = tempfile::tempdir().unwrap();
    fs::write(notes.path().join("notes.txt"), b"mine").unwrap();
    assert_eq!(store.backup(notes.path()).unwrap_err().kind(), ErrorKind::Invalid);
    assert_eq!(message_ids(&open(to.path()).unwrap()).len(), 5);
}

#[test]
fn a_backup_that_was_opened_is_continued_unless_something_was_stored_in_it() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = small(dir.path());
    fill(&store, "m", 100);
    store.backup(to.path()).unwrap();
    open(to.path()).unwrap().close().unwrap();
    fill(&store, "n", 100);
    store.backup(to.path()).unwrap();
    assert_eq!(restored(to.path()), message_ids(&store));

    let opened = open(to.path()).unwrap();
    fill(&opened, "own", 1);
    opened.close().unwrap();
    fill(&store, "o", 100);
    let refused = store.backup(to.path()).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Invalid);
    assert!(refused.to_string().contains("sequence 201"), "{refused}");
    assert_eq!(message_ids(&open(to.path()).unwrap()).len(), 201, "it is as it was");
}

#[test]
fn damage_is_not_copied_and_a_damaged_copy_is_mended() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = small(dir.path());
    for batch in 0..5 {
        fill(&store, &format!("{batch}-"), 40);
    }
    store.backup(to.path()).unwrap();
    for damage in [20, 64 + 10] {
        flip(&segments(to.path())[1], damage);
        assert_eq!(store.backup(to.path()).unwrap().copied, 1);
        assert_eq!(restored(to.path()), message_ids(&store));
    }
    let fresh = tempfile::tempdir().unwrap();
    flip(&segments(dir.path())[1], 64 + 44 + 9);
    let error = store.backup(fresh.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let name = segments(dir.path())[1].file_name().unwrap().to_str().unwrap().to_owned();
    assert!(error.to_string().contains(&name), "{error}");
    let whole: usize = name.trim_end_matches(".log").parse::<usize>().unwrap() - 1;
    assert_eq!(restored(fresh.path()).len(), whole, "what was copied before the damage opens");
}

const DIR: &str = "/store";
const TO: &str = "/copies";

fn options(storage: &SimulatedStorage) -> Options {
    Options {
        storage: Arc::new(storage.clone()),
        clock: Arc::new(ManualClock::new(Timestamp::from_microsecond(1_700_000_000_000_000))),
        entropy: Arc::new(SeededEntropy::new(1)),
        segment_max_bytes: 1_500,
        index_cache_bytes: 1 << 20,
        buffered_sync_after: Duration::from_secs(3_600),
        ..Options::default()
    }
}

fn append(store: &Store, batches: std::ops::Range<u64>) {
    for number in batches {
        let entries = (0..5).map(|at| event("e", &format!("u{at}"), &format!("{number}-{at}"))).collect();
        let outcomes = store.append(entries).unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
    }
}

#[test]
fn a_backup_that_stops_at_any_operation_opens_or_is_completed_by_the_next() {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new(DIR)).unwrap();
    storage.sync_dir(Path::new("/")).unwrap();
    let to = Path::new(TO);
    let store = open_with(Path::new(DIR), options(&storage)).unwrap();
    append(&store, 0..8);
    let before = storage.operations();
    store.backup(to).unwrap();
    append(&store, 8..18);
    store.backup(to).unwrap();
    let through = storage.operations();
    let journal = storage.journal();
    let (mut opened, mut stops) = (0, 0);
    for (loss, seed) in
        [(Loss::Nothing, 0), (Loss::Everything, 0), (Loss::Prefix, 1), (Loss::Random, 2), (Loss::Random, 3)]
    {
        for number in before..=through {
            let what =
                format!("{loss:?} with seed {seed} after operation {number} ({})", journal.step(number).unwrap());
            let found = journal.stop_after(number, loss, seed);
            let source = open_with(Path::new(DIR), options(&found)).unwrap_or_else(|e| panic!("{what}: {e}"));
            let ids = message_ids(&source);
            // Opened as it is: what is there is the beginning of the log.
            let copy = journal.stop_after(number, loss, seed);
            if let Ok(backup) = open_with(to, Options { create: false, ..options(&copy) }) {
                let there = message_ids(&backup);
                assert!(ids.starts_with(&there), "{what}: {} of {}", there.len(), ids.len());
                opened += 1;
            }
            source.backup(to).unwrap_or_else(|e| panic!("{what}: {e}"));
            source.close().unwrap();
            let backup = open_with(to, options(&found)).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(message_ids(&backup), ids, "{what}");
            assert!(backup.verify(false, &mut |_| {}).unwrap().is_clean(), "{what}");
            stops += 1;
        }
    }
    assert!(stops > 200 && opened > stops / 2, "{opened} of {stops} opened as they were");
}

#[test]
fn what_a_backup_is_made_of_can_be_read_without_opening_it() {
    let (dir, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = small(dir.path());
    fill(&store, "m", 100);
    store.backup(to.path()).unwrap();
    let storage: Arc<dyn Storage> = Arc::new(Disk);
    let report = Store::verify_log(to.path(), &storage).unwrap();
    assert!(report.is_clean() && report.log.records == 100, "{:?}", report.findings);
}
