//! What is declared is made for every file, goes with it, survives a restart, and never answers wrongly.

use std::fs;
use std::path::{Path, PathBuf};

use pugmark::{Declaration, ErrorKind, Event, Pugmark, Result, Timestamp};
use serde_json::Value;

const EVENTS: u64 = 9_000;

const BY_COUNTRY: &str = r#"{"trend": {"series": [{"event": "view"}, {"event": "view", "measure": "uniques"},
    {"event": "view", "measure": "sum", "property": "amount", "filter": "country = 'DE'"}], "interval": "day",
    "range": {"from": "2023-11-14", "to": "2023-11-20"}, "breakdown": [{"property": "country"}]}, "explain": true}"#;
const DAILY: &str = r#"{"trend": {"series": [{"event": "*", "measure": "uniques"}, {"event": "buy"}], "interval": "day",
    "range": {"from": "2023-11-14", "to": "2023-11-20"}}, "explain": true}"#;

fn event(n: u64) -> Event {
    Event::new(if n.is_multiple_of(3) { "view" } else { "buy" }, format!("u{}", n % 777))
        .message_id(format!("m-{n:08}"))
        .at(Timestamp::from_microsecond(
            1_700_000_000_000_000 + i64::try_from(n * 7_919 % 400_009).unwrap() * 1_000_000,
        ))
        .property("amount", i64::try_from(n * 31 % 1_009).unwrap())
        .property("country", ["DE", "FR", "JP", "BR"][usize::try_from(n / 3 % 4).unwrap()])
        .property("order", format!("o-{n}"))
}

fn track(db: &Pugmark, events: std::ops::Range<u64>) {
    db.track_many(events.map(event).collect()).unwrap();
    db.flush().unwrap();
}

fn by_country() -> Declaration {
    Declaration::new("countries", "view").dimension("country").measure("amount")
}

fn ask(db: &Pugmark, question: &str) -> Result<Value> {
    Ok(serde_json::to_value(db.blocking()?.query_json(question)?).unwrap())
}

fn plan(answer: &Value) -> &str {
    answer["explain"]["plan"].as_str().unwrap()
}

fn rollups(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("rollups")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn it_is_made_for_files_before_and_after_it_is_there_after_a_restart_and_goes_when_it_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    track(&db, 0..EVENTS / 2);
    let plain = ask(&db, BY_COUNTRY).unwrap();
    assert!(plan(&plain).contains("rows=1500,") && !plan(&plain).contains("declared"), "{plain}");
    db.declare(&by_country()).unwrap();
    db.compact().unwrap();
    let cut = ask(&db, BY_COUNTRY).unwrap();
    assert!(plan(&cut).contains("rows=0,") && plan(&cut).contains("declared=countries, cubes=1"), "{cut}");
    assert_eq!(cut["series"], plain["series"]);
    // What is in memory is answered from there.
    db.track_many((EVENTS / 2..EVENTS).map(event).collect()).unwrap();
    let with_tail = ask(&db, BY_COUNTRY).unwrap();
    assert!(plan(&with_tail).contains("rows=1500,") && plan(&with_tail).contains("cubes=1"), "{with_tail}");
    db.flush().unwrap();
    db.compact().unwrap();
    let all = ask(&db, BY_COUNTRY).unwrap();
    assert_eq!(all["series"], with_tail["series"]);
    let files = db.info().unwrap().columns.files;
    assert_eq!(rollups(dir.path()).len(), 2 * usize::try_from(files).unwrap());
    assert!(db.verify(false, |_| {}).unwrap().is_clean());

    // The same name stands for something else now.
    db.declare(&by_country().dimension("order")).unwrap();
    db.compact().unwrap();
    let many = ask(&db, BY_COUNTRY).unwrap();
    assert!(plan(&many).contains("rows=3000,") && plan(&many).contains("cubes=0"), "{many}");
    assert_eq!(many["series"], all["series"]);
    assert_eq!(rollups(dir.path()).len(), usize::try_from(files).unwrap(), "too many values make no file");
    assert!(db.verify(false, |_| {}).unwrap().is_clean());
    db.declare(&by_country()).unwrap();
    assert_eq!(db.declarations().unwrap(), [by_country()]);
    db.close().unwrap();

    for without_index in [false, true] {
        if without_index {
            fs::remove_file(dir.path().join("index.redb")).unwrap();
        }
        let db = Pugmark::open(dir.path()).unwrap();
        assert_eq!(db.declarations().unwrap(), [by_country()]);
        db.compact().unwrap();
        let again = ask(&db, BY_COUNTRY).unwrap();
        assert!(plan(&again).contains("rows=0,"), "{again}");
        assert_eq!(again["series"], all["series"]);
        db.close().unwrap();
    }
    let db = Pugmark::open(dir.path()).unwrap();
    db.undeclare("countries").unwrap();
    db.compact().unwrap();
    assert_eq!(rollups(dir.path()).len(), usize::try_from(db.info().unwrap().columns.files).unwrap());
    assert_eq!(ask(&db, BY_COUNTRY).unwrap()["series"], all["series"]);
    assert_eq!(db.undeclare("countries").unwrap_err().kind(), ErrorKind::Invalid);
}

/// The first and the last day are cut by the range, and nothing lies beyond it on either.
#[test]
fn it_tells_of_all_that_there_is_without_a_range() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    track(&db, 0..EVENTS);
    let mut question: Value = serde_json::from_str(BY_COUNTRY).unwrap();
    question["trend"].as_object_mut().unwrap().remove("range");
    let rows = ask(&db, &question.to_string()).unwrap();
    db.declare(&by_country()).unwrap();
    db.compact().unwrap();
    let cut = ask(&db, &question.to_string()).unwrap();
    assert!(plan(&cut).contains("rows=0,") && plan(&cut).contains("declared=countries, cubes=1"), "{cut}");
    assert_eq!((&cut["series"], &cut["range"], &cut["buckets"]), (&rows["series"], &rows["range"], &rows["buckets"]));
    // Somebody else's event on the last of its days, after its end.
    question["trend"]["range"] = serde_json::json!({ "to": "2023-11-17T12:00:00Z" });
    let part = ask(&db, &question.to_string()).unwrap();
    assert!(!plan(&part).contains("declared"), "{part}");
}

#[test]
fn what_contradicts_itself_is_refused_with_its_field() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    for (declaration, field) in [
        (Declaration::new("", "e").dimension("p"), "name"),
        (Declaration::new("x".repeat(249), "e").dimension("p"), "name"),
        (Declaration::new("x", "e"), "dimensions"),
        (Declaration::new("x", "").dimension("p"), "event"),
        (Declaration::new("x", "e").dimension("p").dimension("p"), "dimensions[1]"),
        (Declaration::new("x", "e").dimension("p").measure(" "), "measures[0]"),
        (Declaration::new("x", "e").dimension("a").dimension("b").dimension("c").dimension("d"), "dimensions"),
    ] {
        let error = db.declare(&declaration).unwrap_err();
        assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some(field)), "{error}");
    }
    for n in 0..32 {
        db.declare(&Declaration::new(format!("d{n}"), "e").dimension("p")).unwrap();
    }
    let error = db.declare(&Declaration::new("one more", "e").dimension("p")).unwrap_err();
    assert!(error.to_string().contains("32 declarations"), "{error}");
    db.declare(&Declaration::new("d7", "e").dimension("q")).unwrap();
    assert_eq!(db.declarations().unwrap().len(), 32);
}

/// Flips bytes of every rollup and cube: a question is answered rightly, or fails and names the file.
#[test]
fn no_flipped_byte_of_a_rollup_or_a_cube_makes_a_wrong_answer() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    track(&db, 0..EVENTS / 2);
    track(&db, EVENTS / 2..EVENTS);
    db.declare(&by_country()).unwrap();
    db.compact().unwrap();
    let answers = [BY_COUNTRY, DAILY].map(|question| ask(&db, question).unwrap()["series"].clone());
    db.close().unwrap();
    let mut noticed = 0;
    let mut flips = 0;
    for file in rollups(dir.path()) {
        let whole = fs::read(&file).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 6) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&file, &bytes).unwrap();
            flips += 1;
            // What was read is kept: each time by somebody who has not read it.
            let db = Pugmark::open(dir.path()).unwrap();
            let mut told = false;
            for (question, answer) in [BY_COUNTRY, DAILY].iter().zip(&answers) {
                match ask(&db, question) {
                    Ok(found) => assert_eq!(found["series"], *answer, "{}, byte {at}", file.display()),
                    Err(error) => {
                        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
                        assert!(error.to_string().contains(file.file_name().unwrap().to_str().unwrap()), "{error}");
                        told = true;
                    }
                }
            }
            noticed += u32::from(told);
            let report = db.verify(false, |_| {}).unwrap();
            assert!(!report.is_clean(), "{}, byte {at}", file.display());
            db.close().unwrap();
        }
        fs::write(&file, &whole).unwrap();
    }
    assert!(noticed > flips * 9 / 10, "{noticed} of {flips}");
    let db = Pugmark::open(dir.path()).unwrap();
    assert!(db.verify(false, |_| {}).unwrap().is_clean());
    db.close().unwrap();

    // One that is missing, cut or of something else is made again.
    for damage in [0, 1, 2] {
        for last in [false, true] {
            // The rollup comes before the cube, and both have other names each time.
            let files = rollups(dir.path());
            let file = if last { files.last() } else { files.first() }.unwrap();
            match damage {
                0 => fs::remove_file(file).unwrap(),
                1 => fs::write(file, &fs::read(file).unwrap()[..40]).unwrap(),
                _ => fs::write(file, b"").unwrap(),
            }
            let db = Pugmark::open(dir.path()).unwrap();
            db.compact().unwrap();
            for (question, answer) in [BY_COUNTRY, DAILY].iter().zip(&answers) {
                assert_eq!(ask(&db, question).unwrap()["series"], *answer);
            }
            assert!(db.verify(false, |_| {}).unwrap().is_clean());
            db.close().unwrap();
        }
    }
}
