//! Fresh and consistent: a query sees every event acknowledged before it began, and one state from start to end, while
//! others write, link and flush.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use pugmark::{Entry, Event, Operation, Options, Pugmark, Timestamp};

/// 2025-01-01T00:00:00Z.
const START_US: i64 = 1_735_689_600_000_000;

fn totals(db: &Pugmark, query: &str) -> Vec<u64> {
    let answer = serde_json::to_value(db.blocking().unwrap().query_json(query).unwrap()).unwrap();
    answer["series"].as_array().unwrap().iter().map(|series| series["total"].as_u64().unwrap()).collect()
}

#[test]
fn a_query_sees_one_state_while_others_write_link_and_flush() {
    const PAIRS: u64 = 400;
    let dir = tempfile::tempdir().unwrap();
    let options = Options { flush_rows: 300, ..Options::default() };
    let db = Pugmark::open_with(dir.path(), options).unwrap();
    let acknowledged = AtomicU64::new(0);
    let writing = AtomicBool::new(true);
    // Each append brings one event `a` and one `b` of a pair of ids, and links the pair: whatever a query sees, it sees as
    // many of the one as of the other, from as many people.
    let both = r#"{"trend": {"series": [{"event": "a"}, {"event": "b"}, {"event": "a", "measure": "uniques"},
        {"event": ["a", "b"], "measure": "uniques"}], "range": {"from": "2025-01-01", "to": "2025-02-01"}}}"#;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for pair in 0..PAIRS {
                let (anonymous, user) = (format!("anon{pair}"), format!("user{pair}"));
                let at = Timestamp::from_microsecond(START_US + i64::try_from(pair).unwrap());
                let batch: Vec<Entry> = vec![
                    Event::new("a", anonymous.as_str()).at(at).into(),
                    Operation::identify(anonymous.clone(), user.clone()).into(),
                    Event::new("b", user).at(at).into(),
                ];
                db.append(batch).unwrap();
                acknowledged.store(pair + 1, Ordering::SeqCst);
            }
            writing.store(false, Ordering::SeqCst);
        });
        scope.spawn(|| {
            while writing.load(Ordering::SeqCst) {
                db.flush().unwrap();
            }
        });
        for _ in 0..2 {
            scope.spawn(|| {
                let mut rounds = 0;
                while writing.load(Ordering::SeqCst) || rounds == 0 {
                    let before = acknowledged.load(Ordering::SeqCst);
                    let seen = totals(&db, both);
                    assert!(seen[0] >= before, "{} seen, {before} acknowledged before the query began", seen[0]);
                    assert_eq!(seen, [seen[0]; 4], "as many a as b, as people with a, as people with either");
                    rounds += 1;
                }
            });
        }
    });
    assert_eq!(totals(&db, both), [PAIRS; 4]);
    db.close().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    assert_eq!(totals(&db, both), [PAIRS; 4]);
}
