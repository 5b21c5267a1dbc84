//! Events of an age go; their message ids, the people and everything newer stay.

use std::path::Path;

use pugmark_store::simulated::{Failure, Loss, OperationKind};
use pugmark_store::{
    Entry, ErrorKind, Event, Hidden, Options, Outcome, Record, Removal, Result, Sequence, SimulatedStorage, Store,
    Timestamp,
};

use crate::common::{DIR, disk, open_with, simulated};

const DAY: i64 = 86_400_000_000;
const BATCHES: i64 = 24;
const BATCH: i64 = 5;

fn day(number: i64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + number * DAY)
}

fn options(storage: &SimulatedStorage) -> Options {
    Options { segment_max_bytes: 1_200, checkpoint_every: 15, ..simulated(storage, day(1_000).as_microsecond()) }
}

fn open(storage: &SimulatedStorage) -> Result<Store> {
    open_with(Path::new(DIR), options(storage))
}

fn happened(batch: i64, nth: i64) -> Timestamp {
    // Some of the later batches hold mostly what is old.
    if (17..20).contains(&batch) && nth > 0 { day(batch - 14) } else { day(batch) }
}

fn event(batch: i64, nth: i64) -> Event {
    let event = Event::new("view", format!("u{}", (batch * BATCH + nth) % 17)).message_id(format!("{batch}-{nth}"));
    event.at(happened(batch, nth)).property("where", "in the long grass by the river")
}

fn batch(number: i64) -> Vec<Entry> {
    (0..BATCH).map(|nth| event(number, nth).into()).collect()
}

fn filled(storage: &SimulatedStorage) -> Result<Store> {
    let store = open(storage)?;
    for number in 1..=BATCHES {
        store.append(batch(number))?;
        // Another content under a taken id, of a time that goes early or late.
        if number % 4 == 2 {
            store.append(vec![event(number, 1).property("where", "another place").into()])?;
        }
    }
    Ok(store)
}

/// The message ids of what is kept aside.
fn aside(store: &Store) -> Vec<String> {
    let kept = store.quarantine().unwrap().map(|kept| kept.unwrap().event.message_id.unwrap());
    kept.collect()
}

/// The events of the log by sequence, and how many tombstones of expired ones there are.
fn events(store: &Store) -> (Vec<(u64, String)>, usize) {
    let (mut events, mut expired) = (Vec::new(), 0);
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        for (at, record) in (frame.first_sequence().number()..).zip(&frame.payload().unwrap().records) {
            match record {
                Record::Event(event) => events.push((at, event.message_id.to_string())),
                Record::Tombstone(tombstone) => expired += usize::from(tombstone.why == Removal::Expired),
                _ => {}
            }
        }
    }
    (events, expired)
}

/// What holds whatever has been removed: every message id is taken, every subject has its number, and what is newer is in the log.
fn check(store: &Store, before: Timestamp, what: &str) {
    let report = store.verify(false, &mut |_| {}).unwrap_or_else(|e| panic!("{what}: {e}"));
    assert!(report.is_clean(), "{what}: {report:?}");
    assert!(["subjects", "ids", "removal"].iter().all(|part| report.checked.iter().any(|checked| checked == part)));
    let (held, _) = events(store);
    let expected = (1..=BATCHES).flat_map(|number| (0..BATCH).map(move |nth| (number, nth)));
    for (number, nth) in expected {
        // Before it are the batches and what was kept aside of them.
        let sequence = (number - 1) * BATCH + (number + 1) / 4 + nth + 1;
        let entry = (sequence as u64, format!("{number}-{nth}"));
        assert!(held.contains(&entry) || happened(number, nth) < before, "{what}: {entry:?} is gone");
    }
    for number in 1..=BATCHES {
        let again = store.append(batch(number)).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(again, vec![Outcome::Duplicate; BATCH as usize], "{what}: batch {number}");
        let other = event(number, 1).property("where", "elsewhere");
        let outcome = store.append(vec![other.into()]).unwrap();
        assert!(matches!(outcome[..], [Outcome::Conflict(_)]), "{what}: batch {number}: {outcome:?}");
    }
    let snapshot = store.snapshot();
    assert_eq!(snapshot.subject_count(), 17, "{what}");
    let numbers: Vec<_> = (0..17).map(pugmark_store::SubjectId::new).collect();
    let names = snapshot.subjects().distinct_ids(&numbers).unwrap();
    // In the order of their first event.
    let expected: Vec<_> = (0..17).map(|nth| Some(format!("u{}", (BATCH + nth) % 17))).collect();
    assert_eq!(names, expected, "{what}");
}

fn firsts(store: &Store) -> Vec<u64> {
    store.segments().unwrap().iter().map(|segment| segment.first.number()).collect()
}

#[test]
fn what_has_expired_is_gone_and_its_ids_are_taken_also_after_a_rebuild() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let before = day(9);
    assert_eq!(store.snapshot().expired_before(), None);
    let segments = store.log_stats().unwrap().segments as u64;
    let expired = store.expire(before).unwrap();
    assert!(expired.segments_removed >= 2 && expired.segments_rewritten >= 1, "{expired:?}");
    assert_eq!(store.log_stats().unwrap().segments as u64, segments - expired.segments_removed);
    assert_eq!(store.snapshot().expired_before(), Some(before));
    assert!(store.snapshot().state::<Hidden>().unwrap().expiring().is_empty());
    let (held, tombstones) = events(&store);
    assert!(tombstones >= 4);
    // One of them was kept aside.
    assert_eq!(held.len() as u64, (BATCHES * BATCH) as u64 - (expired.records - 1));
    check(&store, before, "live");
    assert!(firsts(&store)[0] > 1);

    // What comes later of that time is too late.
    let late = |time| vec![Event::new("late", "u1").message_id("late").at(time).into()];
    let outcome = store.append(late(day(8))).unwrap();
    let [Outcome::Rejected(rejection)] = &outcome[..] else { panic!("{outcome:?}") };
    assert_eq!(rejection.field, "timestamp");
    assert!(rejection.reason.contains("have expired") && rejection.reason.contains(&before.to_string()), "{rejection}");
    assert!(matches!(store.append(late(before)).unwrap()[..], [Outcome::Accepted(_)]));
    let held = events(&store);
    store.close().unwrap();

    for lost in ["nothing", "index", "runs", "both"] {
        let copy = storage.stopped(Loss::Nothing, 0);
        for (path, _) in copy.files(pugmark_store::simulated::Image::Live) {
            let name = path.to_string_lossy().into_owned();
            if (lost != "runs" && lost != "nothing" && name.ends_with("index.redb"))
                || (lost != "index" && lost != "nothing" && name.ends_with(".run"))
            {
                copy.lose(&path).unwrap();
            }
        }
        let store = open(&copy).unwrap_or_else(|e| panic!("{lost}: {e}"));
        assert_eq!(events(&store), held, "{lost}");
        assert_eq!(store.snapshot().expired_before(), Some(before), "{lost}");
        check(&store, before, lost);
        assert!(matches!(
            store.append(vec![Event::new("late", "u").at(day(8)).into()]).unwrap()[..],
            [Outcome::Rejected(_)]
        ));
        // And once more, from there.
        let expired = store.expire(day(14)).unwrap();
        assert!(expired.segments_removed > 0, "{lost}: {expired:?}");
        check(&store, day(14), lost);
        store.close().unwrap();
        check(&open(&copy).unwrap(), day(14), lost);
    }
}

#[test]
fn a_base_that_is_missing_or_damaged_is_named() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    store.expire(day(5)).unwrap();
    store.expire(day(9)).unwrap();
    store.close().unwrap();
    let bases: Vec<_> = storage
        .files(pugmark_store::simulated::Image::Live)
        .into_iter()
        .map(|(path, _)| path)
        .filter(|path| path.extension().is_some_and(|extension| extension == "base"))
        .collect();
    assert_eq!(bases.len(), 2);
    for (lost, says) in [(&bases[0], "a base is missing"), (&bases[1], "a base or a segment is missing")] {
        let copy = storage.stopped(Loss::Nothing, 0);
        copy.lose(lost).unwrap();
        let error = open(&copy).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains(says), "{error}");
    }
    // The payload of the first section, which is read when the index is rebuilt.
    let copy = storage.stopped(Loss::Nothing, 0);
    copy.flip(&bases[0], 64 + 44 + 3, 1).unwrap();
    copy.lose(Path::new("/store/index.redb")).unwrap();
    let error = open(&copy).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(&format!("{}: frame at byte 64", bases[0].display())), "{error}");
}

#[test]
fn a_scan_goes_on_behind_what_expires_meanwhile() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let mut scan = store.scan(Sequence::FIRST).unwrap();
    let mut subscription = store.subscribe(Sequence::FIRST).unwrap();
    let first = scan.next().unwrap().unwrap();
    assert_eq!(subscription.recv().unwrap().unwrap().first_sequence(), first.first_sequence());
    store.expire(day(9)).unwrap();
    let begins = firsts(&store)[0];
    let last = store.snapshot().sequence();
    // The rest of the segment that it was in, then the log as it is now.
    let rest: Vec<u64> = scan.map(|frame| frame.unwrap().first_sequence().number()).collect();
    assert!(rest.contains(&begins) && rest.is_sorted(), "{rest:?}");
    let mut followed = Vec::new();
    while followed.last() != Some(&last) {
        let frame = subscription.recv().unwrap().unwrap();
        followed.push(frame.first_sequence().plus(frame.payload().unwrap().records.len() as u64 - 1));
    }
}

#[test]
fn a_conflict_of_what_has_expired_cannot_be_stored_any_more() {
    let storage = disk();
    let store = open(&storage).unwrap();
    let conflict = event(3, 0).property("where", "elsewhere");
    store.append(vec![event(3, 0).into(), conflict.into()]).unwrap();
    for number in 4..=BATCHES {
        store.append(batch(number)).unwrap();
    }
    let kept = store.quarantine().unwrap().next().unwrap().unwrap();
    store.expire(day(9)).unwrap();
    // It went with its segment.
    assert_eq!(store.quarantine().unwrap().count(), 0);
    let settle = pugmark_store::Settle::Store { message_id: "new".to_owned() };
    let error = store.settle(kept.sequence, settle).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    // The same once more is a conflict still, of which nothing is kept.
    let again = event(3, 0).property("where", "elsewhere");
    assert_eq!(store.append(vec![again.into()]).unwrap(), [Outcome::Conflict(None)]);
}

#[test]
fn a_stop_at_every_operation_of_an_expiry_loses_nothing_that_stays() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let before = storage.operations();
    store.expire(day(5)).unwrap();
    storage.mark(5);
    store.expire(day(9)).unwrap();
    storage.mark(9);
    store.close().unwrap();
    let journal = storage.journal();
    let mut stops = 0;
    for (loss, seed) in
        [(Loss::Nothing, 0), (Loss::Everything, 0), (Loss::Prefix, 0), (Loss::Random, 0), (Loss::Random, 1)]
    {
        for number in before..=journal.operations() {
            let step = journal.step(number).unwrap();
            let what = format!("{loss:?} with seed {seed} after operation {number} ({step})");
            let found = journal.stop_after(number, loss, seed);
            let store = open(&found).unwrap_or_else(|e| panic!("{what}: {e}"));
            let expired = store.snapshot().expired_before();
            for mark in journal.marks_through(number) {
                assert!(expired >= Some(day(*mark as i64)), "{what}: {expired:?}");
            }
            // What is kept aside has gone with the record, wherever the files are.
            let waiting: Vec<String> = (1..=BATCHES)
                .filter(|number| number % 4 == 2 && Some(happened(*number, 1)) >= expired)
                .map(|number| format!("{number}-1"))
                .collect();
            assert_eq!(aside(&store), waiting, "{what}");
            let report = store.verify(false, &mut |_| {}).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert!(report.is_clean(), "{what}: {report:?}");
            // What was begun is finished, by whoever keeps the store up.
            store.compact().unwrap_or_else(|e| panic!("{what}: {e}"));
            assert!(store.snapshot().state::<Hidden>().unwrap().expiring().is_empty(), "{what}");
            if let Some(expired) = expired {
                let front = store.segments().unwrap().remove(0);
                let newest = front.span.unwrap().happened.map(|range| range.last);
                assert!(newest.is_none_or(|newest| newest >= expired) || !front.sealed, "{what}: {front:?}");
            }
            check(&store, day(9), &what);
            store.close().unwrap_or_else(|e| panic!("{what}: {e}"));
            // The same from base and log alone.
            if stops % 7 == 0 {
                found.lose(Path::new("/store/index.redb")).unwrap();
                check(&open(&found).unwrap_or_else(|e| panic!("{what}: {e}")), day(9), &what);
            }
            stops += 1;
        }
    }
    assert!(stops > 300, "{stops}");
}

#[test]
fn a_failure_of_an_expiry_is_told_and_made_up_for() {
    for (kind, path) in [
        (OperationKind::Write, ".base.tmp"),
        (OperationKind::SyncData, ".base.tmp"),
        (OperationKind::Rename, ".base"),
        (OperationKind::Remove, ".log"),
        (OperationKind::Write, "80.log.tmp"),
    ] {
        let storage = disk();
        let store = filled(&storage).unwrap();
        storage.fail_on(kind, path, 1, Failure::Error(std::io::ErrorKind::Other));
        store.expire(day(9)).unwrap_err();
        assert_eq!(storage.failures_to_come(), 0, "{kind:?} {path}");
        check(&store, day(9), &format!("{kind:?} {path}"));
        drop(store);
        let store = open(&storage).unwrap();
        store.compact().unwrap();
        check(&store, day(9), &format!("{kind:?} {path}, opened again"));
        assert!(store.snapshot().state::<Hidden>().unwrap().expiring().is_empty());
    }
}

#[test]
fn a_name_that_is_on_no_disk_is_not_built_upon() {
    for (dir, occurrence) in [("/store", 1), ("base", 1), ("log", 1)] {
        let storage = disk();
        let store = filled(&storage).unwrap();
        storage.fail_on(OperationKind::SyncDir, dir, occurrence, Failure::Error(std::io::ErrorKind::Other));
        store.expire(day(9)).unwrap_err();
        assert_eq!(storage.failures_to_come(), 0, "{dir}");
        drop(store);
        let restarted = storage.stopped(Loss::Nothing, 0);
        let store = open(&restarted).unwrap();
        store.compact().unwrap();
        check(&store, day(9), &format!("{dir}, restarted"));
        drop(store);
        for (loss, seed) in [(Loss::Everything, 0), (Loss::Random, 1), (Loss::Random, 2)] {
            let what = format!("{dir}, restarted, then {loss:?} with seed {seed}");
            check(&open(&restarted.stopped(loss, seed)).unwrap_or_else(|e| panic!("{what}: {e}")), day(9), &what);
        }
    }
}

#[test]
fn a_backup_holds_what_outlived_its_segment() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    store.backup(Path::new("/copy")).unwrap();
    store.expire(day(5)).unwrap();
    store.expire(day(9)).unwrap();
    let report = store.backup(Path::new("/copy")).unwrap();
    assert!(report.removed >= 2, "{report:?}");
    let copy = open_with(Path::new("/copy"), options(&storage)).unwrap();
    assert_eq!(events(&copy), events(&store));
    assert_eq!(copy.snapshot().expired_before(), Some(day(9)));
    check(&copy, day(9), "the copy");
}

#[test]
fn a_backup_with_its_first_bases_is_durable_when_it_is_done() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    store.backup(Path::new("/copy")).unwrap();
    store.expire(day(9)).unwrap();
    store.backup(Path::new("/copy")).unwrap();
    let restarted = storage.stopped(Loss::Everything, 0);
    let copy = open_with(Path::new("/copy"), options(&restarted)).unwrap();
    assert_eq!(events(&copy), events(&store));
}

#[test]
fn an_erasure_reaches_what_outlived_its_segment() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    store.expire(day(9)).unwrap();
    // Of the first batch: no segment holds the id any more.
    let subject = pugmark_store::SubjectId::new(2);
    assert!(firsts(&store)[0] > 17);
    store.erase(&[subject]).unwrap();
    store.finish_removals().unwrap();
    store.close().unwrap();
    storage.lose(Path::new("/store/index.redb")).unwrap();
    let store = open(&storage).unwrap();
    let numbers: Vec<_> = (0..4).map(pugmark_store::SubjectId::new).collect();
    let names = store.snapshot().subjects().distinct_ids(&numbers).unwrap();
    let name = |id: &str| Some(id.to_owned());
    assert_eq!(names, [name("u5"), name("u6"), None, name("u8")]);
    // Its ids stay taken, those of the expired events too.
    assert!(matches!(
        store.append(vec![event(1, 2).into()]).unwrap()[..],
        [Outcome::Duplicate | Outcome::Conflict(None)]
    ));
    assert_eq!(store.append(vec![event(1, 1).into()]).unwrap(), [Outcome::Duplicate]);
}

#[test]
fn an_erasure_reaches_what_is_kept_aside_and_has_expired_in_a_segment_that_stays() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let sent = Event::new("view", "u-who-goes").message_id("twice").at(day(BATCHES));
    store.append(vec![sent.clone().into()]).unwrap();
    store.append(vec![sent.at(day(3)).into()]).unwrap();
    assert!(aside(&store).contains(&"twice".to_owned()));
    store.expire(day(9)).unwrap();
    assert!(!aside(&store).contains(&"twice".to_owned()));
    let numbers: Vec<_> = (0..18).map(pugmark_store::SubjectId::new).collect();
    let names = store.snapshot().subjects().distinct_ids(&numbers).unwrap();
    let who = numbers[names.iter().position(|name| name.as_deref() == Some("u-who-goes")).unwrap()];
    assert!(!storage.files_with(b"u-who-goes").is_empty());
    store.erase(&[who]).unwrap();
    store.finish_removals().unwrap();
    assert_eq!(storage.files_with(b"u-who-goes"), Vec::<std::path::PathBuf>::new());
    store.close().unwrap();
    storage.lose(Path::new("/store/index.redb")).unwrap();
    let store = open(&storage).unwrap();
    assert!(store.verify(false, &mut |_| {}).unwrap().is_clean());
}

#[test]
fn a_replay_gives_nothing_that_came_after_its_snapshot_though_a_base_has_it() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    store.expire(day(6)).unwrap();
    let snapshot = store.snapshot();
    store.expire(day(12)).unwrap();
    // So that the segment with the records of both expiries goes, too.
    for number in 1..=BATCHES {
        let late = |nth: i64| Event::new("late", "u1").message_id(format!("late-{number}-{nth}")).at(day(20)).into();
        store.append((0..BATCH).map(late).collect()).unwrap();
    }
    store.expire(day(30)).unwrap();
    let mut operations = Vec::new();
    let replayed = store.replay::<pugmark_store::Error>(&snapshot, Sequence::FIRST, |batch| {
        operations.push(batch.first_sequence);
        Ok(())
    });
    replayed.unwrap();
    assert!(
        !operations.is_empty() && operations.iter().all(|sequence| *sequence <= snapshot.sequence()),
        "{operations:?}"
    );
}

#[test]
fn what_has_not_happened_yet_does_not_expire() {
    let storage = disk();
    let store = filled(&storage).unwrap();
    let sequence = store.snapshot().sequence();
    let error = store.expire(Timestamp::from_microsecond(day(1_000).as_microsecond() + 1)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    assert_eq!((store.snapshot().sequence(), store.snapshot().expired_before()), (sequence, None));
    store.expire(day(1_000)).unwrap();
}
