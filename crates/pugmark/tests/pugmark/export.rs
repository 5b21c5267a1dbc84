//! What is written out and read in again gives the same answers, also where the log is no longer whole.

use std::io::Cursor;

use pugmark::arrow::util::pretty::pretty_format_batches;
use pugmark::{Declaration, Event, Export, Exported, Import, Options, ProfileUpdate, Pugmark, Source};

fn view(who: &str, day: u32, id: &str) -> Event {
    Event::new("view", who).message_id(id).at(format!("2025-01-{day:02}T00:00:00Z").parse().unwrap())
}

/// Who did what, by the ids of a person and not by its number.
fn answers(db: &Pugmark) -> String {
    let question = "SELECT message_id, distinct_id, first_value(distinct_id) OVER (PARTITION BY person ORDER BY sequence) AS person \
        FROM events ORDER BY message_id";
    pretty_format_batches(&db.blocking().unwrap().sql(question).unwrap()).unwrap().to_string()
}

fn exported(db: &Pugmark, export: Export) -> (Exported, Vec<u8>) {
    let mut out = Vec::new();
    (db.export(&export, &mut out, |_| {}).unwrap(), out)
}

fn import(db: &Pugmark, lines: Vec<u8>) {
    let source = Source::from_reader("export", Cursor::new(lines)).unwrap();
    db.import(&Import::default(), source, |_| {}, |reject| panic!("{reject:?}")).unwrap();
}

#[test]
fn links_that_outlived_expired_events_are_exported() {
    let (dir, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut options = Options::default();
    options.store.segment_max_bytes = 1_000;
    let db = Pugmark::open_with(dir.path(), options).unwrap();
    db.track(view("anon", 1, "first")).unwrap();
    db.identify("anon", "ann").unwrap();
    for n in 0..60 {
        db.track(view("bob", 2, &format!("old-{n}"))).unwrap();
    }
    db.track_many(vec![view("anon", 20, "a"), view("ann", 21, "b"), view("bob", 22, "c")]).unwrap();
    let expired = db.expire("2025-01-10T00:00:00Z".parse().unwrap()).unwrap();
    assert!(expired.segments_removed > 0, "{expired:?}");
    let (told, lines) = exported(&db, Export::default());
    assert_eq!((told.events, told.operations), (3, 1));
    let copy = Pugmark::open(copied.path()).unwrap();
    import(&copy, lines);
    assert_eq!(answers(&copy), answers(&db));
    assert_eq!(copy.info().unwrap().people, 2);
}

#[test]
fn exports_one_after_the_other_bring_what_one_would() {
    let (dir, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (db, copy) = (Pugmark::open(dir.path()).unwrap(), Pugmark::open(copied.path()).unwrap());
    let mut since = None;
    for round in 0..4 {
        db.track_many((1..6).map(|day| view(&format!("anon-{round}"), day, &format!("{round}-{day}"))).collect())
            .unwrap();
        db.identify(format!("anon-{round}"), format!("user-{}", round % 2)).unwrap();
        let (told, lines) = exported(&db, Export { since, ..Export::default() });
        assert_eq!((told.events, told.operations), (5, 1));
        since = Some(told.through);
        import(&copy, lines);
        assert_eq!(answers(&copy), answers(&db));
    }
    let (told, lines) = exported(&db, Export { since, ..Export::default() });
    assert!(told.events == 0 && lines.is_empty());
    let within = Export { since: Some(pugmark::Sequence::new(2)), ..Export::default() };
    assert_eq!(exported(&db, within).0.events, 18, "from the middle of a batch on");
}

/// Found by trying it: what is declared is a record of the log, and was of a kind that no export took.
#[test]
fn what_is_declared_holds_up_no_export() {
    let (dir, copied) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let db = Pugmark::open(dir.path()).unwrap();
    db.track(view("ann", 1, "first")).unwrap();
    db.declare(&Declaration::new("by plan", "*").dimension("plan")).unwrap();
    db.update_profile(ProfileUpdate::set("ann").with("plan", "pro")).unwrap();
    let (told, lines) = exported(&db, Export::default());
    assert_eq!((told.events, told.operations), (1, 1));
    let copy = Pugmark::open(copied.path()).unwrap();
    import(&copy, lines);
    assert_eq!(answers(&copy), answers(&db));
    let plans = |db: &Pugmark| {
        let rows = db.blocking().unwrap().sql("SELECT profile('plan'), profile_at('plan') FROM events").unwrap();
        pretty_format_batches(&rows).unwrap().to_string()
    };
    assert_eq!(plans(&copy), plans(&db));
}

#[test]
fn an_answer_that_looks_at_what_has_expired_says_where_the_history_begins() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    for (at, event) in
        [("2025-01-05T00:00:00Z", "view"), ("2025-02-05T00:00:00Z", "view"), ("2025-02-06T00:00:00Z", "buy")]
    {
        db.track(Event::new(event, "ann").at(at.parse().unwrap())).unwrap();
    }
    let ask = |question: &str| serde_json::to_value(db.blocking().unwrap().query_json(question).unwrap()).unwrap();
    let views = |from: &str, measure: &str| {
        ask(&format!(
            r#"{{"trend": {{"series": [{{"event": "view", "measure": "{measure}"}}], "range": {{"from": "{from}"}}}}}}"#
        ))
    };
    assert_eq!(views("2025-01-01", "count").get("history_from"), None);
    db.expire("2025-02-01T00:00:00Z".parse().unwrap()).unwrap();
    let begins = serde_json::json!("2025-02-01T00:00:00Z");
    assert_eq!(views("2025-01-01", "count")["history_from"], begins);
    assert_eq!(views("2025-02-02", "count").get("history_from"), None);
    assert_eq!(views("2025-02-02", "first_time")["history_from"], begins);
}
