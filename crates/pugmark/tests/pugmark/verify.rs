//! A verification compares everything derived with the log, whatever the log holds, and finds what differs.

use std::path::Path;

use pugmark::{Declaration, Event, Outcome, ProfileUpdate, Pugmark, VerifyReport};
use pugmark_store::redb::{Database, ReadableTable as _, TableDefinition, WriteTransaction};

const PARTS: [&str; 11] = [
    "subjects",
    "ids",
    "quarantine",
    "removal",
    "registry",
    "identity",
    "profiles",
    "definitions",
    "columns",
    "positions",
    "segments",
];

fn verify(db: &Pugmark) -> VerifyReport {
    db.verify(false, |_| {}).unwrap()
}

fn is_clean(db: &Pugmark) {
    let report = verify(db);
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!((report.checked, report.unchecked), (PARTS.map(str::to_owned).to_vec(), vec![]));
}

fn event(n: u64) -> Event {
    let event = Event::new(format!("event-{}", n % 4), format!("u{}", n % 40))
        .message_id(format!("m{n}"))
        .session(format!("s{}", n / 9));
    match n % 5 {
        0 => event.property("size", i64::try_from(n).unwrap()).property("only-a-few", true),
        1 => event.property("size", "no number").property("page.url", "/"),
        2 => event.property("size", i64::MAX).property("sequence", "a column of every event"),
        3 => {
            Event { context: Some(r#"{"library":"x"}"#.to_owned()), ..event.property("twice", 1).property("twice", 2) }
        }
        _ => event,
    }
}

/// Files written before and after a column has widened, links, refusals, conflicts, and a tail.
fn fill(db: &Pugmark) {
    db.track_many((0..300).map(event).collect()).unwrap();
    db.flush().unwrap();
    for n in 0..10 {
        db.identify(format!("u{n}"), format!("known-{}", n / 2)).unwrap();
    }
    assert!(matches!(db.identify("u0", "known-3").unwrap(), Outcome::Refused(..)));
    db.alias("u20", "u21").unwrap();
    let profile =
        |n: u64| ProfileUpdate::append(format!("u{}", n % 40)).with("seen", n).with(format!("trait-{}", n % 3), 0.5);
    db.append((0..90).map(|n| profile(n).into()).collect()).unwrap();
    db.track(event(1_000).property("size", 0.5)).unwrap();
    db.track_many((300..600).map(event).collect()).unwrap();
    db.flush().unwrap();
    assert!(matches!(db.track(event(7).property("other", 1)).unwrap(), Outcome::Conflict(Some(_))));
    db.declare(&Declaration::new("sizes", "*").dimension("size").dimension("only-a-few").measure("size")).unwrap();
    db.compact().unwrap();
    db.track_many((600..650).map(event).collect()).unwrap();
}

fn change_index(dir: &Path, change: impl FnOnce(&WriteTransaction)) {
    let db = Database::open(dir.join("index.redb")).unwrap();
    let txn = db.begin_write().unwrap();
    change(&txn);
    txn.commit().unwrap();
}

fn is_found_and_repaired(part: &str, said: &str, change: impl FnOnce(&WriteTransaction)) {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    fill(&db);
    db.close().unwrap();
    change_index(dir.path(), change);
    let db = Pugmark::open(dir.path()).unwrap();
    let report = db.verify(true, |_| {}).unwrap();
    assert!(report.findings.iter().any(|f| f.part == part && f.message.contains(said)), "{:?}", report.findings);
    assert_eq!(report.to_rebuild, [part]);
    db.close().unwrap();
    is_clean(&Pugmark::open(dir.path()).unwrap());
}

#[test]
fn everything_is_compared_and_agrees_open_closed_and_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    is_clean(&db);
    fill(&db);
    is_clean(&db);
    db.close().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    is_clean(&db);
    db.close().unwrap();
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    is_clean(&Pugmark::open(dir.path()).unwrap());
}

#[test]
fn everything_agrees_after_people_are_erased_and_events_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    fill(&db);
    db.erase(&["u3", "known-4", "u30"]).unwrap();
    is_clean(&db);
    db.blocking().unwrap().retract("event = 'event-2'").unwrap();
    is_clean(&db);
    db.track_many((0..50).map(event).collect()).unwrap();
    is_clean(&db);
    db.close().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    is_clean(&db);
    db.close().unwrap();
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    is_clean(&Pugmark::open(dir.path()).unwrap());
}

#[test]
fn a_wrong_count_in_the_registry() {
    is_found_and_repaired("registry", "but the log says", |txn| {
        let events: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("registry.events");
        let mut table = txn.open_table(events).unwrap();
        let mut row = table.get(0).unwrap().unwrap().value().to_vec();
        // Its name, then its count.
        row["event-0".len() + 1] += 1;
        table.insert(0, row.as_slice()).unwrap();
    });
}

#[test]
fn a_link_that_nobody_made() {
    is_found_and_repaired("identity", "links but the log has", |txn| {
        let operations: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("identity.operations");
        let mut table = txn.open_table(operations).unwrap();
        let mut row = table.get(0).unwrap().unwrap().value().to_vec();
        // Sequence, from, to, and an instant, a code and a sequence that are 0.
        row.extend(640_u64.to_le_bytes());
        row.extend([30_u32, 31].map(u32::to_le_bytes).as_flattened());
        row.extend([0; 17]);
        table.insert(0, row.as_slice()).unwrap();
    });
}

#[test]
fn a_trait_that_nobody_changed() {
    is_found_and_repaired("profiles", "91 changes but the log has 90", |txn| {
        type Row = (u32, i64, u8, u32, u8, &'static [u8]);
        let changes: TableDefinition<'_, (u64, u32), Row> = TableDefinition::new("profiles.changes");
        txn.open_table(changes).unwrap().insert((640, 0), (3, 0, 4, 0, 1, [7; 8].as_slice())).unwrap();
    });
}

#[test]
fn a_definition_that_nobody_made() {
    is_found_and_repaired("definitions", "1 versions of the definition \"payers\" but the log has 0", |txn| {
        type Row = (i64, &'static str, &'static str, u32, Option<&'static str>);
        let versions: TableDefinition<'_, u64, Row> = TableDefinition::new("definitions.versions");
        txn.open_table(versions).unwrap().insert(640, (0, "segment", "payers", 1, Some("{}"))).unwrap();
    });
}

#[test]
fn a_columnar_file_that_the_catalog_has_forgotten() {
    is_found_and_repaired("columns", "are in no file", |txn| {
        let files: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("columns.files");
        txn.open_table(files).unwrap().remove(1).unwrap().unwrap();
    });
}
