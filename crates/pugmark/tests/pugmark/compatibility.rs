//! Stores that earlier versions wrote answer as they did, and one that a newer version wrote is refused and left alone.
//!
//! `fixtures/v1` is the log of a store of format version 1, `fixtures/v1-expired` log and bases of one whose first events have expired. They are never
//! edited. `fixtures/v2` is that of version 2, with merges, splits and remarks. A new format version adds fixtures of its own, written by the functions here with
//! `PUGMARK_WRITE_FIXTURE` set to the folder.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark::arrow::util::pretty::pretty_format_batches;
use pugmark::{
    ErrorKind, Event, ManualClock, Note, Operation, Options, Outcome, Pugmark, Settle, StoreOptions, Timestamp, Value,
};

const MINUTE_US: i64 = 60_000_000;

fn options(minute: i64) -> Options {
    let now = Timestamp::from_microsecond(1_735_689_600_000_000 + minute * MINUTE_US);
    let store =
        StoreOptions { clock: Arc::new(ManualClock::new(now)), segment_max_bytes: 2_000, ..StoreOptions::default() };
    Options { store, ..Options::default() }
}

fn event(number: i64) -> Event {
    let name = ["view", "cart", "purchase"][usize::try_from(number % 3).unwrap()];
    Event::new(name, format!("u{}", number % 7))
        .message_id(format!("m{number}"))
        .at(Timestamp::from_microsecond(1_735_689_600_000_000 + number * MINUTE_US))
        .session(format!("s{}", number % 5))
        .property("whole", number)
        .property("part", 0.5 * f64::from(i32::try_from(number).unwrap()))
        .property("yes", number % 2 == 0)
        .property("text", format!("text {number} \"é\""))
        .property("huge", Value::Number("123456789012345678901234567890".to_owned()))
        .property("list", Value::Json("[1,\"a\"]".to_owned()))
}

/// Writes the store whose log is the fixture.
fn write(dir: &Path) {
    let db = Pugmark::open_with(dir, options(100)).unwrap();
    for first in (0..60).step_by(6) {
        db.track_many((first..first + 6).map(event).collect()).unwrap();
    }
    db.track(Event::new("keyed", "u1").key("order-1")).unwrap();
    db.identify("anon", "u1").unwrap();
    db.alias("other", "u2").unwrap();
    assert!(matches!(db.identify("anon", "u2").unwrap(), Outcome::Refused(..)));
    let conflict = |number: i64| {
        let Outcome::Conflict(Some(kept)) = db.track(event(number).property("more", true)).unwrap() else {
            panic!("it is kept aside")
        };
        kept
    };
    db.settle(conflict(8), Settle::Drop).unwrap();
    db.settle(conflict(9), Settle::Store { message_id: "m9-again".to_owned() }).unwrap();
    conflict(11);
    db.erase(&["u3"]).unwrap();
    db.blocking().unwrap().retract("whole >= 57").unwrap();
    db.close().unwrap();
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let name = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_dir(&path, &name);
        } else {
            std::fs::copy(&path, name).unwrap();
        }
    }
}

fn answer(db: &Pugmark, statement: &str) -> String {
    pretty_format_batches(&db.blocking().unwrap().sql(statement).unwrap()).unwrap().to_string()
}

fn check(db: &Pugmark) {
    let answer = |statement: &str| answer(db, statement);
    // 60 events of 7 people and 6 properties, without those of u3 (8 of the first 57) and the last three; one that was kept aside, one with a key.
    let totals = answer(
        "SELECT count(*) AS events, count(DISTINCT person) AS people, sum(whole) AS whole, sum(part) AS part, count(DISTINCT session_id) AS sessions, \
         min(list) AS list, min(prop('huge')) AS huge, max(text) AS text FROM events",
    );
    let expected = "\
+--------+--------+-------+-------+----------+---------+--------------------------------+------------+
| events | people | whole | part  | sessions | list    | huge                           | text       |
+--------+--------+-------+-------+----------+---------+--------------------------------+------------+
| 51     | 6      | 1385  | 692.5 | 5        | [1,\"a\"] | 123456789012345678901234567890 | text 9 \"é\" |
+--------+--------+-------+-------+----------+---------+--------------------------------+------------+";
    assert_eq!(totals, expected);
    let people = answer("SELECT name, distinct_ids, known, events FROM persons ORDER BY name");
    for row in ["| u1   | [\"u1\",\"anon\"]  | true  | 9  ", "| u2   | [\"u2\",\"other\"] | true  | 9  "] {
        assert!(people.contains(row), "{row} in\n{people}");
    }
    assert!(!people.contains("u3"), "{people}");
    let kept = db.quarantine().unwrap();
    assert_eq!(kept.iter().map(|kept| kept.event.message_id.as_deref()).collect::<Vec<_>>(), [Some("m11")]);
    // Stored, erased, stored from the quarantine, made of a key: taken. Retracted: free.
    let again =
        db.track_many(vec![event(8), event(3), event(9).message_id("m9-again").property("more", true)]).unwrap();
    assert_eq!(again, [Outcome::Duplicate, Outcome::Duplicate, Outcome::Duplicate]);
    assert!(matches!(db.track(Event::new("other", "u1").message_id("keyed:order-1")).unwrap(), Outcome::Conflict(_)));
    assert!(matches!(db.track(event(58)).unwrap(), Outcome::Accepted(_)));
}

#[test]
fn a_store_of_format_version_1_answers_as_it_did() {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&fixture("v1"), dir.path());
    let db = Pugmark::open_with(dir.path(), options(200)).unwrap();
    assert!(db.info().unwrap().sequence >= 60);
    check(&db);
    db.close().unwrap();
}

#[test]
fn what_is_written_today_answers_like_the_fixture() {
    if let Ok(to) = std::env::var("PUGMARK_WRITE_FIXTURE") {
        let dir = tempfile::tempdir().unwrap();
        write(dir.path());
        copy_dir(&dir.path().join("log"), &Path::new(&to).join("log"));
    }
    let dir = tempfile::tempdir().unwrap();
    write(dir.path());
    check(&Pugmark::open_with(dir.path(), options(200)).unwrap());
}

/// Writes the store whose log is the fixture of version 2.
fn write_2(dir: &Path) {
    write(dir);
    let db = Pugmark::open_with(dir, options(150)).unwrap();
    db.merge(["p1", "p2", "p3"], Note::by("support").because("one household")).unwrap();
    db.merge(["p5", "p6"], Note::default()).unwrap();
    let Outcome::Accepted(linked) = db.identify("p7", "p8").unwrap() else { panic!("they are linked") };
    assert!(matches!(db.split("p2", Note::by("support").because("they moved out")).unwrap(), Outcome::Accepted(_)));
    assert!(matches!(db.split_link(linked, Note::default()).unwrap(), Outcome::Accepted(_)));
    assert!(matches!(db.identify("p7", "p8").unwrap(), Outcome::Refused(..)));
    db.append(vec![Operation::identify("p7", "p8").forced().into()]).unwrap();
    db.close().unwrap();
}

fn check_2(db: &Pugmark) {
    let links = answer(
        db,
        "SELECT operation, id, other_id, by, why, standing, revoked_by, revoked_why FROM identities WHERE id LIKE 'p%' ORDER BY sequence, other_id",
    );
    let expected = "\
+-----------+----+----------+---------+---------------+----------+------------+----------------+
| operation | id | other_id | by      | why           | standing | revoked_by | revoked_why    |
+-----------+----+----------+---------+---------------+----------+------------+----------------+
| merge     | p1 | p2       | support | one household | false    | support    | they moved out |
| merge     | p1 | p3       | support | one household | false    | support    | they moved out |
| merge     | p5 | p6       |         |               | true     |            |                |
| identify  | p7 | p8       |         |               | false    |            |                |
| identify  | p7 | p8       |         |               | true     |            |                |
+-----------+----+----------+---------+---------------+----------+------------+----------------+";
    assert_eq!(links, expected);
    let refused = answer(db, "SELECT ids, reason FROM identity_refusals ORDER BY sequence");
    assert!(refused.contains("| [\"p7\",\"p8\"]   | kept_apart |"), "{refused}");
    let report = db.verify(false, |_| {}).unwrap();
    assert!(report.is_clean() && report.unchecked.is_empty(), "{report:?}");
    check(db);
}

#[test]
fn a_store_of_format_version_2_answers_as_it_did() {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&fixture("v2"), dir.path());
    let db = Pugmark::open_with(dir.path(), options(200)).unwrap();
    check_2(&db);
    db.close().unwrap();
}

#[test]
fn what_is_written_of_people_today_answers_like_the_fixture() {
    if let Ok(to) = std::env::var("PUGMARK_WRITE_FIXTURE") {
        let dir = tempfile::tempdir().unwrap();
        write_2(dir.path());
        copy_dir(&dir.path().join("log"), &Path::new(&to).join("log"));
    }
    let dir = tempfile::tempdir().unwrap();
    write_2(dir.path());
    check_2(&Pugmark::open_with(dir.path(), options(200)).unwrap());
}

fn minute(number: i64) -> Timestamp {
    Timestamp::from_microsecond(1_735_689_600_000_000 + number * MINUTE_US)
}

/// Writes the store whose log and bases are the fixture: links, a refusal, people erased before and after, and two expiries.
fn write_expired(dir: &Path) {
    let db = Pugmark::open_with(dir, options(100)).unwrap();
    for first in (0..60).step_by(6) {
        db.track_many((first..first + 6).map(event).collect()).unwrap();
        if first == 0 {
            db.track(Event::new("keyed", "u1").key("order-1").at(minute(1))).unwrap();
            db.identify("anon", "u1").unwrap();
            db.alias("other", "u2").unwrap();
            assert!(matches!(db.identify("anon", "u2").unwrap(), Outcome::Refused(..)));
            db.erase(&["u3"]).unwrap();
        }
    }
    assert!(db.expire(minute(15)).unwrap().segments_removed > 0);
    assert!(db.expire(minute(30)).unwrap().segments_removed > 0);
    db.erase(&["u4"]).unwrap();
    db.close().unwrap();
}

fn check_expired(db: &Pugmark) {
    // Those from minute 30 on, without u3, which came back as somebody new, and without u4 from before it was erased.
    let totals = "SELECT count(*) AS events, count(DISTINCT person) AS people, sum(whole) AS whole, min(timestamp) AS first FROM events";
    let expected = "\
+--------+--------+-------+----------------------+
| events | people | whole | first                |
+--------+--------+-------+----------------------+
| 26     | 6      | 1165  | 2025-01-01T00:30:00Z |
+--------+--------+-------+----------------------+";
    assert_eq!(answer(db, totals), expected);
    let people = answer(db, "SELECT name, distinct_ids, known FROM persons ORDER BY name");
    for row in ["| u1   | [\"u1\",\"anon\"]  | true ", "| u2   | [\"u2\",\"other\"] | true "] {
        assert!(people.contains(row), "{row} in\n{people}");
    }
    assert!(!people.contains("u4"), "{people}");
    // Every message id stays taken. Of u4, who was erased after some of it had expired, nothing says whether it is the same.
    let outcomes = db.track_many((0..60).map(event).collect()).unwrap();
    for (number, outcome) in outcomes.iter().enumerate() {
        let taken = *outcome == Outcome::Duplicate || number % 7 == 4 && *outcome == Outcome::Conflict(None);
        assert!(taken, "{number}: {outcome}");
    }
    let moved = |number: i64| event(number).at(minute(99));
    let outcomes = db.track_many(vec![moved(3), moved(7), moved(33)]).unwrap();
    assert!(matches!(outcomes[..], [Outcome::Duplicate, Outcome::Conflict(_), Outcome::Conflict(_)]), "{outcomes:?}");
    let keyed = Event::new("other", "u1").message_id("keyed:order-1").at(minute(98));
    assert!(matches!(db.track(keyed).unwrap(), Outcome::Conflict(_)));
    let early = Event::new("view", "u1").message_id("new").at(minute(29));
    assert!(matches!(db.track(early.clone()).unwrap(), Outcome::Rejected(_)));
    assert!(matches!(db.track(early.at(minute(30))).unwrap(), Outcome::Accepted(_)));
    let report = db.verify(false, |_| {}).unwrap();
    assert!(report.is_clean() && report.unchecked.is_empty(), "{report:?}");
}

#[test]
fn a_store_of_format_version_1_with_bases_answers_as_it_did() {
    assert_eq!(std::fs::read_dir(fixture("v1-expired").join("base")).unwrap().count(), 2);
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&fixture("v1-expired"), dir.path());
    let db = Pugmark::open_with(dir.path(), options(200)).unwrap();
    check_expired(&db);
    db.close().unwrap();
}

#[test]
fn what_is_written_and_expired_today_answers_like_the_fixture() {
    if let Ok(to) = std::env::var("PUGMARK_WRITE_FIXTURE") {
        let dir = tempfile::tempdir().unwrap();
        write_expired(dir.path());
        for folder in ["log", "base"] {
            copy_dir(&dir.path().join(folder), &Path::new(&format!("{to}-expired")).join(folder));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    write_expired(dir.path());
    check_expired(&Pugmark::open_with(dir.path(), options(200)).unwrap());
}

#[test]
fn a_segment_of_a_newer_version_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    copy_dir(&fixture("v1"), dir.path());
    let first = dir.path().join("log/00000000000000000001.log");
    let mut bytes = std::fs::read(&first).unwrap();
    bytes[8] = 3;
    let crc = crc32(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&first, &bytes).unwrap();
    let error = Pugmark::open_with(dir.path(), options(200)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    assert!(error.to_string().contains("00000000000000000001.log: format version 3"), "{error}");
    assert_eq!(std::fs::read(&first).unwrap(), bytes);
}

/// CRC-32 (IEEE), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 })
    })
}
