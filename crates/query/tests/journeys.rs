//! Rows of few subjects are found by the order of the files: the same rows as a scan finds.

mod common;

use common::{Db, at};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use pugmark_query::{Engine, EngineOptions};
use pugmark_store::{Event, Timestamp, Value};

const IDS: [&str; 6] = ["ann", "bob", "cid", "dan", "eve", "a visitor"];
const NAMES: [&str; 3] = ["buy", "view", "walk"];
const STATEMENTS: [&str; 9] = [
    "SELECT timestamp, event, amount FROM events WHERE distinct_id = 'ann'",
    "SELECT * FROM events WHERE distinct_id IN ('bob', 'eve', 'nobody')",
    "SELECT sequence, distinct_id, person, note FROM events WHERE person = 0",
    "SELECT sequence FROM events WHERE subject = 2 OR subject = 3",
    "SELECT sequence, amount FROM events WHERE distinct_id = 'cid' AND event = 'view'",
    "SELECT sequence, amount FROM events WHERE event IN ('buy', 'walk') AND distinct_id = 'ann' AND amount > 3",
    "SELECT count(*), sum(amount) FROM events WHERE distinct_id = 'dan' AND person = 3",
    "SELECT sequence FROM events WHERE distinct_id = 'eve' AND timestamp >= '2025-01-02'",
    "SELECT count(*) FROM events WHERE distinct_id = 'nobody'",
];

fn event() -> impl Strategy<Value = Event> {
    let amount = prop_oneof![
        Just(None),
        (0_i64..9).prop_map(|n| Some(Value::from(n))),
        (0_i64..9).prop_map(|n| Some(Value::from(n as f64 + 0.5))),
        Just(Some(Value::from("many"))),
    ];
    (0..NAMES.len(), 0..IDS.len(), 0_i64..60, amount).prop_map(|(name, id, hour, amount)| {
        let start = at("2025-01-01").as_microsecond();
        let at = Timestamp::from_microsecond(start + hour * 3_600_000_000);
        let event = Event::new(NAMES[name], IDS[id]).at(at).property("note", format!("{name} {id} {hour}"));
        match amount {
            Some(amount) => event.property("amount", amount),
            None => event,
        }
    })
}

#[test]
fn the_rows_of_few_subjects_are_those_of_a_scan() {
    let scans = Engine::new(EngineOptions { local_operators: false, ..EngineOptions::default() }).expect("an engine");
    // Nothing finds room: rows are read page by page.
    let forgets = EngineOptions { cache_bytes: 1_300, ..EngineOptions::default() };
    let forgets = Engine::new(forgets).expect("an engine");
    let batches = prop::collection::vec((prop::collection::vec(event(), 1..40), any::<bool>()), 1..4);
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let test = |(batches, links): (Vec<(Vec<Event>, bool)>, Vec<usize>)| {
        let db = Db::new();
        db.track([Event::new("view", "ann").at(at("2025-01-01")).property("amount", 1).property("note", "first")]);
        for (events, flushes) in batches {
            db.track(events);
            if flushes {
                db.flush();
            }
        }
        for id in links {
            db.identify("a visitor", IDS[id]);
        }
        let snapshot = db.snapshot();
        for statement in STATEMENTS {
            let rows = |engine: &Engine| {
                let mut rows = db.try_sql_with(engine, &snapshot, statement).expect("it runs");
                rows.sort_unstable();
                rows
            };
            let expected = rows(&scans);
            for (name, engine) in [("first", &db.engine), ("again", &db.engine), ("by page", &forgets)] {
                prop_assert_eq!(rows(engine), expected.clone(), "{}, {}", statement, name);
            }
            let explain = format!("EXPLAIN {statement}");
            let plan = db.try_sql_with(&db.engine, &snapshot, &explain).expect("it runs").join("\n");
            prop_assert!(plan.contains("SubjectsExec"), "{}", plan);
            let plan = db.try_sql_with(&scans, &snapshot, &explain).expect("it runs").join("\n");
            prop_assert!(!plan.contains("SubjectsExec"), "{}", plan);
        }
        Ok(())
    };
    runner.run(&(batches, prop::collection::vec(0..IDS.len() - 1, 0..2)), test).expect("the same rows");
}
