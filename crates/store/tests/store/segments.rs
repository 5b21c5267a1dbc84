//! What is known of segments, reading by time, and what the store does to segments by itself.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pugmark_store::simulated::{Failure, OperationKind};
use pugmark_store::{
    Entry, ErrorKind, Event, ManualClock, Options, Record, Sequence, SimulatedStorage, Storage, Store, TimeRange,
    Timestamp,
};

use crate::common::{crash, message_ids, open_with, segments};

const HOUR: i64 = 3_600_000_000;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + hours * HOUR)
}

fn options() -> Options {
    Options {
        segment_max_bytes: 4_000,
        checkpoint_every: 100,
        background: false,
        clock: Arc::new(ManualClock::new(at(1_000))),
        ..Options::default()
    }
}

/// A batch of ten, an hour from one to the next; every fourth batch is of half a year earlier.
fn batch(number: i64) -> Vec<Entry> {
    let start = if number % 4 == 3 { number * 10 - 4_000 } else { number * 10 };
    let event = |nth: i64| {
        let event = Event::new("view", format!("u{}", nth % 5)).message_id(format!("{number}-{nth}"));
        event.at(at(start + nth)).property("where", "in the long grass by the river").into()
    };
    (0..10).map(event).collect()
}

fn fill(store: &Store, batches: std::ops::Range<i64>) {
    for number in batches {
        store.append(batch(number)).unwrap();
    }
}

/// What the segments hold, found by reading them all: last sequence, events, and when they happened.
fn found(store: &Store) -> Vec<(Sequence, u64, Option<TimeRange>)> {
    let starts: Vec<Sequence> = store.segments().unwrap().iter().map(|segment| segment.first).collect();
    let mut held: BTreeMap<Sequence, (Sequence, u64, Option<TimeRange>)> = BTreeMap::new();
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        let payload = frame.payload().unwrap();
        let first = frame.first_sequence();
        let segment = starts[starts.partition_point(|start| *start <= first) - 1];
        let held = held.entry(segment).or_insert((first, 0, None));
        held.0 = first.plus(payload.records.len() as u64 - 1);
        for record in &payload.records {
            let Record::Event(event) = record else { continue };
            let time = Timestamp::from_microsecond(payload.base_time + event.time);
            let range = held.2.get_or_insert(TimeRange { first: time, last: time });
            *range = TimeRange { first: range.first.min(time), last: range.last.max(time) };
            held.1 += 1;
        }
    }
    held.into_values().collect()
}

/// What the store says of them, where it knows.
fn known(store: &Store) -> Vec<Option<(Sequence, u64, Option<TimeRange>)>> {
    let segments = store.segments().unwrap();
    let spans = segments.iter().filter(|segment| segment.span.is_none_or(|span| span.last >= segment.first));
    spans.map(|segment| segment.span.map(|span| (span.last, span.events, span.happened))).collect()
}

#[track_caller]
fn assert_known(store: &Store) {
    assert_eq!(known(store), found(store).into_iter().map(Some).collect::<Vec<_>>());
}

#[test]
fn what_segments_hold_is_known_without_reading_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    fill(&store, 0..30);
    assert!(store.segments().unwrap().len() > 4);
    assert_known(&store);
    // As a killed process leaves it, the rest is replayed; closed and opened again, it is in the index.
    let killed = tempfile::tempdir().unwrap();
    crash(&store, killed.path());
    assert_known(&open_with(killed.path(), options()).unwrap());
    store.close().unwrap();
    for _ in 0..2 {
        let store = open_with(dir.path(), options()).unwrap();
        assert_known(&store);
        fill(&store, 30..33);
        store.close().unwrap();
    }
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    assert_known(&open_with(dir.path(), options()).unwrap());
}

#[test]
fn what_is_not_known_is_read_when_it_is_due() {
    use pugmark_store::redb::{Database, TableDefinition, TableHandle};
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    fill(&store, 0..30);
    store.close().unwrap();
    let index = Database::open(dir.path().join("index.redb")).unwrap();
    let txn = index.begin_write().unwrap();
    type Row = (u64, u64, (i64, i64), (i64, i64), bool);
    let table: TableDefinition<'_, u64, Row> = TableDefinition::new("store.segments");
    assert!(txn.delete_table(table).unwrap(), "{}", table.name());
    txn.commit().unwrap();
    drop(index);

    let store = open_with(dir.path(), options()).unwrap();
    assert!(known(&store).iter().all(Option::is_none));
    // Not known is not left out.
    assert_eq!(store.scan_time(at(-10_000), at(10_000)).unwrap().count(), 30);
    let sealed = store.segments().unwrap().iter().filter(|segment| segment.sealed).count();
    for _ in 0..sealed {
        assert!(store.maintain().unwrap());
    }
    assert_known(&store);
    store.compact().unwrap();
    assert_known(&store);
    assert!(!store.maintain().unwrap());
}

#[test]
fn a_scan_by_time_gives_the_batches_with_an_event_of_that_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    fill(&store, 0..40);
    for compacted in [false, true] {
        for (from, to) in [
            (0, 10),
            (9, 10),
            (10, 10),
            (10, 11),
            (-4_000, 0),
            (-3_970, -3_955),
            (395, 10_000),
            (500, 600),
            (-9_999, 9_999),
        ] {
            let scanned: Vec<u64> = store
                .scan_time(at(from), at(to))
                .unwrap()
                .map(|frame| frame.unwrap().first_sequence().number())
                .collect();
            let wanted = |frame: &pugmark_store::Frame| {
                let payload = frame.payload().unwrap();
                payload.records.iter().any(|record| match record {
                    Record::Event(event) => {
                        let time = Timestamp::from_microsecond(payload.base_time + event.time);
                        time >= at(from) && time < at(to)
                    }
                    _ => false,
                })
            };
            let expected: Vec<u64> = store
                .scan(Sequence::FIRST)
                .unwrap()
                .map(Result::unwrap)
                .filter(wanted)
                .map(|frame| frame.first_sequence().number())
                .collect();
            assert_eq!(scanned, expected, "from {from} to {to}, compacted: {compacted}");
        }
        store.compact().unwrap();
    }
}

#[test]
fn a_scan_by_time_reads_no_segment_of_another_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    fill(&store, 0..30);
    // A segment that cannot be read is noticed by whoever reads it.
    let infos = store.segments().unwrap();
    let within = |hours: i64| {
        let meets =
            |info: &pugmark_store::SegmentInfo| info.span.unwrap().happened.unwrap().meets(at(hours), at(hours + 1));
        infos.iter().position(meets).unwrap()
    };
    let (wanted, other) = (within(201), within(61));
    assert_ne!(wanted, other);
    std::fs::write(&segments(dir.path())[other], b"gone").unwrap();
    assert!(store.scan_time(at(201), at(202)).unwrap().all(|frame| frame.is_ok()));
    let error = store.scan_time(at(61), at(62)).unwrap().find_map(Result::err).unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn what_is_sealed_is_compressed_piece_by_piece() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    fill(&store, 0..30);
    let ids = message_ids(&store);
    let before = store.log_stats().unwrap();
    let compressed = |store: &Store| {
        let segments = store.segments().unwrap();
        segments.iter().filter(|segment| segment.sealed && segment.span.is_some_and(|span| span.compressed)).count()
    };
    for done in 0..before.segments - 1 {
        assert_eq!(compressed(&store), done);
        assert!(store.maintain().unwrap());
    }
    assert!(!store.maintain().unwrap());
    let after = store.log_stats().unwrap();
    assert_eq!(after.segments, before.segments);
    assert!(after.bytes * 2 < before.bytes, "{before:?} {after:?}");
    assert_eq!(message_ids(&store), ids);
    store.close().unwrap();
    // That it has been done is known, and found out again without the index: then only what zstd makes no smaller is looked at once more.
    let store = open_with(dir.path(), options()).unwrap();
    assert_eq!(compressed(&store), before.segments - 1);
    assert_eq!(message_ids(&store), ids);
    drop(store);
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    assert_eq!(compressed(&store), before.segments - 1);
    assert_known(&store);
}

/// Looks until it is so, for a minute at most.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..6_000 {
        if holds() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("not within a minute: {what}");
}

#[test]
fn a_store_compresses_by_itself_and_says_what_went_wrong() {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new("/s")).unwrap();
    let options = Options { storage: Arc::new(storage.clone()), background: true, ..options() };
    let store = open_with(Path::new("/s"), options).unwrap();
    // More than may wait: the thread does not wait for quiet.
    fill(&store, 0..40);
    let all_compressed = || {
        let segments = store.segments().unwrap();
        segments.iter().filter(|segment| segment.sealed).all(|segment| segment.span.unwrap().compressed)
    };
    eventually("compressed", all_compressed);
    assert_eq!(store.stats().unwrap().background_error, None);

    // One that waits, for less than the second that the thread waits too.
    let ids = message_ids(&store).len();
    let waits = |info: &pugmark_store::SegmentInfo| info.sealed && !info.span.unwrap().compressed;
    let sealed = (40..100).any(|number| {
        store.append(batch(number)).unwrap();
        store.segments().unwrap().iter().any(waits)
    });
    assert!(sealed);
    let first = store.segments().unwrap().iter().rfind(|segment| segment.sealed).unwrap().first;
    let name = format!("{:020}.log.tmp", first.number());
    storage.fail_on(OperationKind::Write, &name, 1, Failure::Error(std::io::ErrorKind::Other));
    eventually("seen", || store.stats().unwrap().background_error.is_some());
    let error = store.stats().unwrap().background_error.unwrap();
    assert!(error.contains(&name), "{error}");
    // Nothing else suffers, and it is made up for.
    store.append(batch(101)).unwrap();
    assert!(message_ids(&store).len() > ids);
    store.compact().unwrap();
    assert_eq!(store.stats().unwrap().background_error, None);
    assert!(all_compressed());
    store.close().unwrap();
}
