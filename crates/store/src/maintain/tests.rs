//! Rewriting, on simulated files: every stop leaves the old segment or the new one.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::error::ErrorKind;
use crate::fold::Fold;
use crate::id::Sequence;
use crate::log::LogPosition;
use crate::prepare::Prepared;
use crate::queue::{Reply, Submission, lock};
use crate::record::{Payload, Record, Removal, RemovedMessage, Tombstone};
use crate::removal::{Hidden, remove};
use crate::runs::{CONTENT_GONE, Fingerprint};
use crate::simulated::{Failure, Image, Loss, OperationKind};
use crate::{
    AppendOptions, Entry, Error, Event, ManualClock, Options, Outcome, Result, SeededEntropy, Settle, SimulatedStorage,
    Storage, Store, Timestamp,
};

pub(super) const DIR: &str = "/store";
const BATCHES: u64 = 12;
const BATCH: u64 = 5;

/// Small enough that segments rotate, and often enough that the index is written between them.
pub(super) fn options(storage: &SimulatedStorage) -> Options {
    Options {
        storage: Arc::new(storage.clone()),
        clock: Arc::new(ManualClock::new(Timestamp::from_microsecond(1_700_000_000_000_000))),
        entropy: Arc::new(SeededEntropy::new(1)),
        segment_max_bytes: 800,
        checkpoint_every: 15,
        index_cache_bytes: 1 << 20,
        buffered_sync_after: Duration::from_secs(3_600),
        background: false,
        ..Options::default()
    }
}

pub(super) fn disk() -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new(DIR)).unwrap();
    storage.sync_dir(Path::new("/")).unwrap();
    storage
}

fn open(storage: &SimulatedStorage) -> Result<Store> {
    Store::open(Path::new(DIR), options(storage), Vec::<Box<dyn Fold>>::new())
}

/// Every third event is of somebody who is to be forgotten.
fn batch(number: u64) -> Vec<Entry> {
    let event = |at: u64| {
        let nth = number * BATCH + at;
        let who = if nth.is_multiple_of(3) { format!("secret{}", nth % 2) } else { format!("u{}", nth % 7) };
        let event = Event::new("view", who).message_id(format!("{number}-{at}")).property("n", 1);
        let event = event.property("path", "/home/of/the/brave/and/the/brave/and/the/brave");
        if nth.is_multiple_of(3) { event.property("hidden_name", "hidden value") } else { event }.into()
    };
    (0..BATCH).map(event).collect()
}

/// A store with a few sealed segments.
fn filled(storage: &SimulatedStorage) -> Result<Store> {
    let store = open(storage)?;
    for number in 1..=BATCHES {
        store.append(batch(number))?;
    }
    Ok(store)
}

/// Makes the events of the secret subjects tombstones, and forgets their ids.
fn forget(secrets: &[u32]) -> impl FnMut(Sequence, &mut Payload<'_>) -> Result<bool> + use<'_> {
    move |_, payload| {
        let mut changed = false;
        for new in &mut payload.subjects {
            if secrets.contains(&new.subject) && new.distinct_id.take().is_some() {
                changed = true;
            }
        }
        for record in &mut payload.records {
            let Record::Event(event) = record else { continue };
            if secrets.contains(&event.subject) {
                let fingerprint = *Fingerprint::of_message_id(&event.message_id).as_bytes();
                let message = Some(RemovedMessage { fingerprint, content: CONTENT_GONE });
                *record = Record::Tombstone(Tombstone { why: Removal::Erased, message });
                changed = true;
            }
        }
        Ok(changed)
    }
}

fn secrets(store: &Store) -> Vec<u32> {
    let subjects = store.snapshot().subjects().clone();
    let secret = |name| subjects.find(&Fingerprint::of(name)).unwrap().map(|subject| subject.number());
    ["secret0", "secret1"].into_iter().filter_map(secret).collect()
}

fn all() -> std::ops::RangeInclusive<Sequence> {
    Sequence::FIRST..=Sequence::new(u64::MAX)
}

/// Every sequence with what it holds: the message id of an event, `-` for a tombstone.
fn shape(store: &Store, from: u64) -> Vec<(u64, String)> {
    let mut found = Vec::new();
    for frame in store.scan(Sequence::new(from)).unwrap() {
        let frame = frame.unwrap();
        for (at, record) in (frame.first_sequence().number()..).zip(&frame.payload().unwrap().records) {
            let what = match record {
                Record::Event(event) => event.message_id.to_string(),
                _ => "-".to_owned(),
            };
            found.push((at, what));
        }
    }
    found
}

/// What is found after a stop: each segment is the old one or the new one, nothing is missing and everything is refused again. How many tombstones there are.
fn check(found: &SimulatedStorage, what: &str) -> usize {
    let store = open(found).unwrap_or_else(|e| panic!("{what}: {e}"));
    let shape = shape(&store, 1);
    let mut removed = 0;
    for (at, (sequence, id)) in shape.iter().enumerate() {
        let at = at as u64;
        assert_eq!(*sequence, at + 1, "{what}");
        if id == "-" {
            removed += 1;
        } else {
            assert_eq!(*id, format!("{}-{}", at / BATCH + 1, at % BATCH), "{what}");
        }
    }
    assert!(shape.len() as u64 >= BATCHES * BATCH, "{what}: {} records", shape.len());
    for from in (1..=BATCHES * BATCH).step_by(7) {
        let first = self::shape(&store, from).first().map(|(first, _)| *first);
        assert_eq!(first, Some((from - 1) / BATCH * BATCH + 1), "{what}: from {from}");
    }
    for number in 1..=BATCHES {
        let again = store.append(batch(number)).unwrap_or_else(|e| panic!("{what}: {e}"));
        for (at, outcome) in (0..).zip(&again) {
            // Who has no number any more cannot be told from somebody else who sends the same, until the whole log has been gone through.
            let refused = match outcome {
                Outcome::Duplicate => true,
                Outcome::Conflict(_) => removed > 0 && (number * BATCH + at).is_multiple_of(3),
                _ => false,
            };
            assert!(refused, "{what}: batch {number}: {again:?}");
        }
    }
    store.close().unwrap_or_else(|e| panic!("{what}: {e}"));
    removed
}

#[test]
fn what_is_removed_leaves_the_log_and_nothing_else_does() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let before = shape(&store, 1);
    store.shared.seal_active().unwrap();
    let secrets = secrets(&store);
    assert_eq!(secrets.len(), 2);
    let done = store.shared.rewrite_segments(all(), Some(&mut forget(&secrets)), &|| true).unwrap();
    assert!(done.segments > 3 && done.bytes_after < done.bytes_before, "{done:?}");
    let after = shape(&store, 1);
    for ((sequence, id), (same, was)) in after.iter().zip(&before) {
        assert_eq!(sequence, same);
        // Of the sequence, that of `batch`: its batches count from 1.
        let expected = if (sequence - 1 + BATCH).is_multiple_of(3) { "-" } else { was };
        assert_eq!(id, expected, "sequence {sequence}");
    }
    assert_eq!(after.len(), before.len());
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        let payload = frame.payload().unwrap();
        let text = format!("{payload:?}");
        assert!(!text.contains("secret") && !text.contains("hidden"), "{text}");
    }
    // Nothing is left to do, then.
    assert_eq!(store.shared.rewrite_segments(all(), Some(&mut forget(&secrets)), &|| true).unwrap().segments, 0);
    store.close().unwrap();
    assert!(storage.files(Image::Durable).iter().all(|(path, _)| !path.to_string_lossy().ends_with(".tmp")));
    assert_eq!(check(&storage, "closed"), 20);
}

#[test]
fn a_range_touches_the_segments_that_it_meets() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let sealed = store.shared.sealed_segments().unwrap();
    let (second, last) = &sealed[1];
    let bytes = |path: &Path| storage.read(path).unwrap();
    let before: Vec<Vec<u8>> = sealed.iter().map(|(segment, _)| bytes(&segment.path)).collect();
    let done = store.shared.rewrite_segments(*last..=*last, None, &|| true).unwrap();
    assert_eq!(done.segments, 1);
    for ((segment, _), before) in sealed.iter().zip(&before) {
        assert_eq!(bytes(&segment.path) != *before, segment.first == second.first, "{}", segment.path.display());
    }
}

#[test]
fn a_scan_goes_on_while_its_segment_is_rewritten() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let before = shape(&store, 1);
    let mut scan = store.scan(Sequence::FIRST).unwrap();
    let mut found = Vec::new();
    found.extend(scan.next());
    store.compact().unwrap();
    found.extend(scan);
    let records: usize = found.iter().map(|frame| frame.as_ref().unwrap().payload().unwrap().records.len()).sum();
    assert_eq!(records, before.len());
    assert_eq!(shape(&store, 1), before);
}

#[test]
fn places_of_the_old_file_are_forgotten_before_the_new_one_is_named() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    store.checkpoint().unwrap();
    let sealed = store.shared.sealed_segments().unwrap();
    let (segment, last) = &sealed[1];
    let stale = (segment.first.plus(BATCH), LogPosition { segment: segment.first, offset: segment.bytes / 2 });
    {
        let mut state = lock(&store.shared.state);
        let txn = state.index.begin_write().unwrap();
        crate::index::Index::note_positions(&txn, &[stale]).unwrap();
        crate::index::Index::commit(txn).unwrap();
        state.note_for_test(stale);
    }
    store.compact().unwrap();
    let place = |sequence: Sequence| lock(&store.shared.state).index.position(sequence).unwrap();
    assert!(place(*last).is_none_or(|(_, position)| position.segment != segment.first));
    store.checkpoint().unwrap();
    assert!(place(*last).is_none_or(|(_, position)| position.segment != segment.first));
    assert_eq!(shape(&store, stale.0.number()).first().map(|(first, _)| *first), Some(stale.0.number()));
}

#[test]
fn what_comes_to_be_kept_aside_while_a_removal_is_under_way_stays() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    // Under an id of the first batch.
    let other = |n: i64| Event::new("view", "u1").message_id("1-0").property("n", n).into();
    let keep = |n: i64| match store.append(vec![other(n)]).unwrap().pop() {
        Some(Outcome::Conflict(Some(sequence))) => sequence,
        outcome => panic!("{outcome:?}"),
    };
    let (waiting, settled) = (keep(2), keep(3));
    store.settle(settled, Settle::Drop).unwrap();
    let through = store.shared.seal_active().unwrap();
    let settled_later = keep(4);
    store.settle(settled_later, Settle::Drop).unwrap();
    let aside = lock(&store.shared.state).quarantine.aside(through);
    let later = keep(5);
    store.shared.seal_active().unwrap();
    let mut edit = |first, payload: &mut Payload<'_>| Ok(remove(&Hidden::default(), &aside, first, payload) > 0);
    store.shared.rewrite_segments(all(), Some(&mut edit), &|| true).unwrap();
    lock(&store.shared.state).forget_conflicts(&aside.settled).unwrap();
    let kept: Vec<Sequence> = store.quarantine().unwrap().map(|kept| kept.unwrap().sequence).collect();
    assert_eq!(kept, [waiting, later]);
    let report = store.verify(false, &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{report:?}");
    store.close().unwrap();
}

#[test]
fn what_is_kept_aside_and_in_flight_is_not_listed_and_goes_with_whom_it_is_of() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let options = &store.shared.options;
    let now = options.clock.now();
    let other = Event::new("view", "u1").message_id("1-0").property("value", "of-somebody").into();
    let prepared = Prepared::new(vec![other], now, now, options.entropy.as_ref());
    let (reply, _pending) = Reply::new();
    let submission = Submission { prepared, bytes: 0, names: 0, options: AppendOptions::default(), reply };
    // Written, and neither synced nor shown.
    let flight = lock(&store.shared.state).commit(vec![submission], options).map_err(|refused| refused.error).unwrap();
    assert_eq!(store.quarantine().unwrap().count(), 0);
    assert_eq!(store.stats().unwrap().quarantine.waiting, 1);
    let person = store.snapshot().subjects().resolve("u1").unwrap().unwrap();
    store.erase(&[person]).unwrap();
    drop(flight);
    assert_eq!(store.stats().unwrap().quarantine.waiting, 0);
    store.finish_removals().unwrap();
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        let text = format!("{:?}", frame.payload().unwrap());
        assert!(!text.contains("of-somebody"), "{text}");
    }
    store.close().unwrap();
}

#[test]
fn a_stop_at_every_operation_of_a_rewrite_leaves_the_old_or_the_new() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let before = storage.operations();
    store.compact().unwrap();
    storage.mark(1);
    store.shared.seal_active().unwrap();
    let secrets = secrets(&store);
    store.shared.rewrite_segments(all(), Some(&mut forget(&secrets)), &|| true).unwrap();
    storage.mark(2);
    store.close().unwrap();
    let journal = storage.journal();
    let (mut stops, mut part) = (0, 0);
    for (loss, seed) in
        [(Loss::Nothing, 0), (Loss::Everything, 0), (Loss::Prefix, 0), (Loss::Random, 0), (Loss::Random, 1)]
    {
        for number in before..=journal.operations() {
            let step = journal.step(number).unwrap();
            let done = journal.marks_through(number).contains(&2);
            let what = format!("{loss:?} with seed {seed} after operation {number} ({step})");
            let removed = check(&journal.stop_after(number, loss, seed), &what);
            assert!(!done || removed == 20, "{what}: {removed} removed");
            part += usize::from(removed > 0 && removed < 20);
            stops += 1;
        }
    }
    assert!(stops > 300 && part > 50, "{stops} stops, {part} of them in the middle");
}

#[test]
fn a_rewrite_that_fails_changes_nothing_and_can_be_repeated() {
    for (kind, path) in [
        (OperationKind::Write, ".log.tmp"),
        (OperationKind::SyncData, ".log.tmp"),
        (OperationKind::Rename, ".log"),
        (OperationKind::Create, ".log.tmp"),
    ] {
        let storage = disk();
        let store = filled(&storage).unwrap();
        let before = shape(&store, 1);
        storage.fail_on(kind, path, 2, Failure::Error(std::io::ErrorKind::Other));
        let error = store.compact().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Io, "{error}");
        assert!(error.to_string().contains(".log.tmp"), "{error}");
        assert_eq!(storage.failures_to_come(), 0);
        assert_eq!(shape(&store, 1), before);
        store.append(vec![Event::new("more", "u").message_id("more").into()]).unwrap();
        store.compact().unwrap();
        store.close().unwrap();
        check_more(&storage, before.len());
    }
}

fn check_more(storage: &SimulatedStorage, records: usize) {
    let store = open(storage).unwrap();
    assert_eq!(shape(&store, 1).len(), records + 1);
}

#[test]
fn a_directory_that_fails_to_sync_poisons() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    storage.fail_on(OperationKind::SyncDir, "log", 1, Failure::Error(std::io::ErrorKind::Other));
    store.compact().unwrap_err();
    let error = store.append(batch(99)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Poisoned, "{error}");
    drop(store);
    // Whichever of the two names the disk has.
    for loss in [Loss::Nothing, Loss::Everything] {
        check(&storage.stopped(loss, 0), &format!("{loss:?}"));
    }
}

#[test]
fn damage_is_named_and_nothing_is_swapped() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let sealed = store.shared.sealed_segments().unwrap();
    let (segment, _) = &sealed[2];
    for (what, at) in [("payload", 64 + 44 + 9), ("header", 64 + 9)] {
        storage.flip(&segment.path, at, 0x20).unwrap();
        let before = storage.read(&segment.path).unwrap();
        let error = store.compact().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
        assert!(error.to_string().contains(&format!("{}: frame at byte 64", segment.path.display())), "{error}");
        assert_eq!(storage.read(&segment.path).unwrap(), before, "{what}");
        storage.flip(&segment.path, at, 0x20).unwrap();
    }
    let whole = storage.read(&segment.path).unwrap();
    storage.truncate(&segment.path, whole.len() as u64 - 44).unwrap();
    let error = store.compact().unwrap_err();
    assert!(error.to_string().contains("ends without a closing frame"), "{error}");
}

#[test]
fn what_an_edit_does_wrong_is_refused() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let before = shape(&store, 1);
    let mut shorten = |_: Sequence, payload: &mut Payload<'_>| Ok(payload.records.pop().is_some());
    let error = store.shared.rewrite_segments(all(), Some(&mut shorten), &|| true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("batch of sequence 1 cannot be rewritten: 5 records became 4"), "{error}");
    let mut refuse = |_: Sequence, _: &mut Payload<'_>| Err(Error::new(ErrorKind::Busy, "not now"));
    let error = store.shared.rewrite_segments(all(), Some(&mut refuse), &|| true).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    assert_eq!(shape(&store, 1), before);
}

#[test]
fn a_rewrite_told_to_stop_leaves_no_file() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let asked = std::cell::Cell::new(0);
    let go_on = || {
        asked.set(asked.get() + 1);
        asked.get() < 3
    };
    let done = store.shared.rewrite_segments(all(), None, &go_on).unwrap();
    assert_eq!(done.segments, 0);
    assert!(storage.files(Image::Live).iter().all(|(path, _)| !path.to_string_lossy().ends_with(".tmp")));
}
