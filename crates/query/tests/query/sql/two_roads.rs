//! SQL by the operators of this machine and by a plan of standard ones: the same rows, of few subjects and of counts of different people.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use pugmark_query::{Engine, EngineOptions, QuerySnapshot};
use pugmark_store::{Event, Timestamp, Value};

use crate::common::{Db, at};

const IDS: [&str; 6] = ["ann", "bob", "cid", "dan", "eve", "a visitor"];
const NAMES: [&str; 3] = ["buy", "view", "walk"];
const OF_FEW: [&str; 18] = [
    "SELECT sequence, person FROM events WHERE person IN (1, 2, 3, 4, 5)",
    "SELECT event, count(*) FROM events WHERE distinct_id = 'bob' OR distinct_id = 'cid' GROUP BY event ORDER BY 1 LIMIT 2",
    "SELECT timestamp, event, amount FROM events WHERE distinct_id = 'ann'",
    "SELECT * FROM events WHERE distinct_id IN ('bob', 'eve', 'nobody')",
    "SELECT sequence, distinct_id, person, note FROM events WHERE person = 0",
    "SELECT sequence FROM events WHERE subject = 2 OR subject = 3",
    "SELECT sequence, amount FROM events WHERE distinct_id = 'cid' AND event = 'view'",
    "SELECT sequence, amount FROM events WHERE event IN ('buy', 'walk') AND distinct_id = 'ann' AND amount > 3",
    "SELECT count(*), sum(amount) FROM events WHERE distinct_id = 'dan' AND person = 3",
    "SELECT sequence FROM events WHERE distinct_id = 'eve' AND timestamp >= '2025-01-02'",
    "SELECT count(*) FROM events WHERE distinct_id = 'nobody'",
    "SELECT sequence, note FROM events WHERE distinct_id IN ('ann', 'bob') ORDER BY timestamp, sequence LIMIT 5",
    "SELECT sequence, note FROM events WHERE person IN (0, 1, 2) ORDER BY timestamp DESC, sequence DESC LIMIT 7",
    "SELECT timestamp FROM events WHERE subject < 9 AND subject IN (0, 1, 4) ORDER BY timestamp DESC LIMIT 3",
    "SELECT note, amount FROM events WHERE distinct_id = 'ann' AND event <> 'buy' ORDER BY timestamp, sequence LIMIT 4",
    "SELECT sequence FROM events WHERE distinct_id = 'bob' ORDER BY timestamp DESC, sequence LIMIT 6",
    "SELECT note FROM events WHERE distinct_id IN ('ann', 'dan') ORDER BY timestamp DESC, sequence DESC LIMIT 3 OFFSET 2",
    "SELECT sum(n) FROM (SELECT sequence AS n FROM events WHERE distinct_id IN ('ann', 'eve') ORDER BY timestamp, n LIMIT 9) t",
];
/// Of these the rows come in their order.
const IN_ORDER: [&str; 3] = [
    "SELECT sequence, timestamp, note FROM events WHERE distinct_id IN ('ann', 'bob', 'cid') ORDER BY timestamp, sequence",
    "SELECT sequence, event FROM events WHERE distinct_id IN ('ann', 'bob') ORDER BY timestamp DESC, sequence DESC LIMIT 11",
    "SELECT sequence, row_number() OVER (ORDER BY timestamp, sequence) FROM events WHERE distinct_id = 'ann' ORDER BY 2",
];

const COUNTS: [&str; 14] = [
    "SELECT count(DISTINCT person) FROM events",
    "SELECT count(*), count(DISTINCT person) FROM events WHERE event = 'buy'",
    "SELECT event, count(DISTINCT person), count(1) AS n FROM events GROUP BY event",
    "SELECT note, count(DISTINCT subject) FROM events GROUP BY note",
    "SELECT e.event, e.note, count(DISTINCT e.person) AS people FROM events e WHERE e.amount > 2 GROUP BY e.event, e.note",
    "SELECT event, count(DISTINCT person) AS people FROM events WHERE event IN ('buy', 'view') AND note <> '1 2 3' \
        GROUP BY event HAVING count(DISTINCT person) > 1 ORDER BY people DESC, event LIMIT 1",
    "SELECT count(DISTINCT person) FROM events WHERE timestamp >= '2025-01-01T12:00:00Z' AND timestamp < '2025-01-03'",
    "SELECT count(DISTINCT person), count(*) FROM events WHERE timestamp BETWEEN '2025-01-02' AND '2025-01-02T20:00:00Z'",
    "SELECT max(people) FROM (SELECT note, count(DISTINCT person) people FROM events GROUP BY note) t",
    "SELECT count(DISTINCT person) FROM events WHERE event = 'nothing'",
    "SELECT event, count(DISTINCT person) FROM events WHERE event = 'nothing' GROUP BY event",
    "SELECT a.n, b.n FROM (SELECT count(DISTINCT person) n FROM events WHERE event = 'buy') a, \
        (SELECT count(DISTINCT person) n FROM events WHERE amount IS NULL) b",
    "SELECT event, (SELECT count(DISTINCT person) FROM events) AS all_people, count(DISTINCT person) FROM events GROUP BY event",
    "SELECT count(DISTINCT person) FROM events WHERE event = 'buy' OR amount = 3",
];
/// These stay as they are.
const OTHERS: [&str; 6] = [
    "SELECT count(DISTINCT person), count(DISTINCT subject) FROM events",
    "SELECT count(DISTINCT note), count(DISTINCT person) FROM events",
    "SELECT count(DISTINCT person) FILTER (WHERE event = 'buy') FROM events",
    "SELECT amount, count(DISTINCT person) FROM events GROUP BY amount",
    "SELECT count(DISTINCT person), sum(amount) FROM events",
    "SELECT count(DISTINCT person) FROM (SELECT * FROM events LIMIT 3) t WHERE person < 0",
];

/// Batches and whether a file is made after each, and who the visitor turns out to be.
type Told = (Vec<(Vec<Event>, bool)>, Vec<usize>);

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
fn both_roads_come_to_the_same() {
    let scans = Engine::new(EngineOptions { local_operators: false, ..EngineOptions::default() }).expect("an engine");
    // Nothing finds room: rows are read page by page.
    let forgets = EngineOptions { cache_bytes: 1_300, ..EngineOptions::default() };
    let forgets = Engine::new(forgets).expect("an engine");
    let batches = prop::collection::vec((prop::collection::vec(event(), 1..40), any::<bool>()), 1..4);
    let mut runner = TestRunner::new(Config { cases: 12, failure_persistence: None, ..Config::default() });
    let test = |((batches, links), earlier): (Told, prop::sample::Index)| {
        let db = Db::new();
        db.track([Event::new("view", "ann").at(at("2025-01-01")).property("amount", 1).property("note", "first")]);
        let mut snapshots = vec![db.snapshot()];
        for (events, flushes) in batches {
            db.track(events);
            if flushes {
                db.flush();
            }
            snapshots.push(db.snapshot());
        }
        for id in links {
            db.identify("a visitor", IDS[id]);
            snapshots.push(db.snapshot());
        }
        let snapshot = db.snapshot();
        let rows_of = |engine: &Engine, statement: &str| {
            let mut rows = db.try_sql_with(engine, &snapshot, statement).expect("it runs");
            rows.sort_unstable();
            rows
        };
        for (statement, is_counted) in COUNTS.map(|sql| (sql, true)).into_iter().chain(OTHERS.map(|sql| (sql, false))) {
            prop_assert_eq!(rows_of(&db.engine, statement), rows_of(&scans, statement), "{}", statement);
            let plan = rows_of(&db.engine, &format!("EXPLAIN {statement}")).join("\n");
            prop_assert_eq!(plan.contains("local_counts"), is_counted, "{}: {}", statement, plan);
        }
        for statement in OF_FEW {
            let rows = |engine: &Engine| rows_of(engine, statement);
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
        for statement in IN_ORDER {
            let rows = |engine: &Engine| db.try_sql_with(engine, &snapshot, statement).expect("it runs");
            for engine in [&db.engine, &forgets] {
                prop_assert_eq!(rows(engine), rows(&scans), "{}", statement);
            }
            let plan = rows_of(&db.engine, &format!("EXPLAIN {statement}")).join("\n");
            prop_assert!(plan.contains("order=") && !plan.contains("SortExec"), "{}", plan);
        }
        // As of a sequence everything is as it was when a snapshot was taken of it.
        let then = earlier.get(&snapshots);
        let as_of = QuerySnapshot::as_of(&db.store, then.sequence()).expect("it is there");
        for statement in COUNTS.iter().chain(&OTHERS).chain(&OF_FEW) {
            let rows_of = |engine: &Engine, snapshot: &QuerySnapshot| {
                let mut rows = db.try_sql_with(engine, snapshot, statement).expect("it runs");
                rows.sort_unstable();
                rows
            };
            let expected = rows_of(&scans, then);
            for (name, engine) in [("local", &db.engine), ("scan", &scans)] {
                let rows = rows_of(engine, &as_of);
                prop_assert_eq!(rows, expected.clone(), "{} as of {}, {}", statement, then.sequence(), name);
            }
        }
        Ok(())
    };
    let links = prop::collection::vec(0..IDS.len() - 1, 0..2);
    runner.run(&((batches, links), any::<prop::sample::Index>()), test).expect("the same rows");
}
