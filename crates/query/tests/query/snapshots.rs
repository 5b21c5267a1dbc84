//! One snapshot, whatever writers do meanwhile; and the newest event in the newest answer.

use std::sync::atomic::{AtomicBool, Ordering};

use pugmark_store::{Event, Timestamp};

use crate::common::{Db, at};

#[test]
fn an_event_that_is_acknowledged_is_in_the_next_answer() {
    let db = Db::new();
    for n in 1..=20 {
        db.track([Event::new("view", format!("u{n}")).at(at("2025-01-01"))]);
        assert_eq!(db.sql("SELECT count(*), count(DISTINCT person) FROM events"), [format!("{n}|{n}")]);
        if n % 5 == 0 {
            db.flush();
        }
    }
}

#[test]
fn a_query_sees_one_snapshot_while_writers_write_link_and_flush() {
    let db = Db::new();
    let written = AtomicBool::new(false);
    let mut queries = 0;
    std::thread::scope(|scope| {
        // Every batch holds a pair, so that a count that splits a batch is odd.
        scope.spawn(|| {
            for n in 0..150 {
                let when = Timestamp::from_microsecond(1_000_000 * n);
                db.track([
                    Event::new("a", format!("anon-{n}")).at(when),
                    Event::new("b", format!("user-{n}")).at(when),
                ]);
                db.identify(&format!("anon-{n}"), &format!("user-{n}"));
            }
            written.store(true, Ordering::Release);
        });
        scope.spawn(|| (0..10).for_each(|_| db.flush()));
        let count = |snapshot: &_, what: &str| -> u64 {
            let statement = format!("SELECT {what} FROM events");
            let rows = db.try_sql_at(snapshot, &statement).unwrap_or_else(|error| panic!("{error}"));
            rows[0].parse().expect("a number")
        };
        while !written.load(Ordering::Acquire) {
            let snapshot = db.snapshot();
            let events = count(&snapshot, "count(*)");
            let persons = count(&snapshot, "count(DISTINCT person)");
            assert_eq!(events % 2, 0);
            // All pairs are linked but the last, whose link may come after the snapshot.
            assert!(persons == events / 2 || persons == events / 2 + 1, "{persons} persons of {events} events");
            assert_eq!(count(&snapshot, "count(DISTINCT sequence)"), events);
            assert!(count(&snapshot, "coalesce(max(sequence), 0)") <= snapshot.sequence().number());
            assert_eq!(count(&snapshot, "count(*)"), events);
            queries += 5;
        }
    });
    assert!(queries > 0);
    assert_eq!(db.sql("SELECT count(*), count(DISTINCT person) FROM events"), ["300|150"]);
}
