//! No statement takes more memory than the engine has, nor a thread for good.
#![allow(clippy::disallowed_methods, reason = "what takes its time is what is looked for")]

#[path = "query/common.rs"]
mod common;

use std::time::{Duration, Instant};

use common::{Db, at};
use pugmark_query::{Engine, EngineOptions, ErrorKind};
use pugmark_registry::RegistryOptions;
use pugmark_store::Event;

/// In the mode of tests everything takes its time, but not this much.
const QUICK: Duration = Duration::from_secs(60);
const MEMORY: usize = 64 << 20;

/// 3,000 events, two thirds of them in a file and the rest in the tail.
fn db() -> Db {
    let db =
        Db::with(EngineOptions { memory_bytes: MEMORY, threads: 2, ..EngineOptions::default() }, Default::default());
    let event = |number: usize| {
        let event = Event::new(["view", "cart"][number % 2], format!("d{}", number % 100)).at(at("2025-01-01"));
        let event = event.property("number", i64::try_from(number).expect("it is small"));
        if number.is_multiple_of(5) { event } else { event.property("text", format!("/page/{number}?a=b&a=é")) }
    };
    db.track((0..2_000).map(event));
    db.flush();
    db.track((2_000..3_000).map(event));
    db
}

/// The most bytes that the process has ever had in memory.
fn peak() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kb| kb << 10)
}

/// What `statement` is refused with, soon and without memory.
fn refused(db: &Db, statement: &str) -> (ErrorKind, String) {
    let (begun, before) = (Instant::now(), peak());
    let error = db.refused(statement);
    let (took, taken) = (begun.elapsed(), peak().zip(before).map_or(0, |(after, before)| after.saturating_sub(before)));
    assert!(took < QUICK, "{statement} took {took:?}");
    assert!(taken < 4 * MEMORY, "{statement} took {taken} bytes");
    (error.kind(), error.to_string())
}

/// A statement that says `step` of the column `a` of itself so many times, beginning with `first`, and then `last`.
fn doubled(first: &str, step: &str, times: usize, last: &str) -> String {
    let steps = (1..=times).map(|at| format!(", t{at} AS (SELECT {step} AS a FROM t{})", at - 1)).collect::<String>();
    format!("WITH t0 AS (SELECT {first} AS a, number FROM events){steps} SELECT {last} FROM t{times}")
}

/// The rows of a statement that has room once the tasks of one that was refused have ended: they are dropped where they run.
fn answered(db: &Db, statement: &str) -> Vec<String> {
    let begun = Instant::now();
    loop {
        match db.try_sql(statement) {
            Ok(rows) => return rows,
            Err(error) if begun.elapsed() > QUICK => panic!("{statement}: {error}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

#[test]
fn a_call_that_makes_much_of_little_is_refused() {
    let db = db();
    for call in [
        "repeat('x', 2000000000)",
        "repeat(event, 2000000000)",
        "repeat(event, number * 1000000)",
        "lpad('x', 2000000000)",
        "rpad(event, 2000000000, 'ab')",
        "replace(lpad('', 60000, 'a'), 'a', lpad('', 60000, 'b'))",
        "replace(lpad(event, 60000, 'a'), 'a', lpad(event, 60000, 'b'))",
        "regexp_replace(lpad('', 60000, 'a'), 'a', lpad('', 60000, 'b'), 'g')",
        "regexp_replace(lpad(event, 6000), '.*', lpad('', 60000, '$0'))",
        "array_repeat(1, 2000000000)",
        "array_repeat(event, 2000000000)",
        "array_resize([1], 2000000000)",
        "array_resize([number], 2000000000, number)",
        "array_to_string(range(1, 8000), lpad('', 60000))",
        "range(1, 2000000000)",
        "range(number, 9223372036854775807)",
        "generate_series(1, 2000000000)",
        "generate_series(timestamp, timestamp + interval '100 years', interval '1 millisecond')",
        "generate_series(timestamp, timestamp + interval '1 year', interval '1 month -30 days')",
        "array_replace_all(array_repeat(1, 8000), 1, 2) || array_repeat(event, 100000000)",
        "to_char(timestamp, repeat('%c', 30000)) || to_char(timestamp, repeat('%c', 30001))",
        "(WITH t AS (SELECT repeat('x', 2000000000) AS a) SELECT max(a) FROM t)",
    ] {
        let (kind, message) = refused(&db, &format!("SELECT {call} FROM events"));
        assert_eq!(kind, ErrorKind::Full, "{call}: {message}");
        let (kind, message) = refused(&db, &format!("SELECT count(*) FROM events WHERE CAST({call} AS VARCHAR) = 'x'"));
        assert_eq!(kind, ErrorKind::Full, "{call} in a condition: {message}");
    }
    let (kind, message) = refused(&db, "SELECT repeat('x', 2000000000)");
    assert_eq!(kind, ErrorKind::Full);
    assert!(message.contains("repeat would make up to 2000000016 bytes of one row, at most 8388608"), "{message}");
    let (_, message) = refused(&db, "SELECT repeat('x', 70000)");
    assert!(message.contains("repeat makes a constant of 70000 bytes, at most 65536"), "{message}");
    // Also where a table is told.
    let (kind, _) = refused(&db, "SELECT * FROM trend(repeat('x', 2000000000))");
    assert!(matches!(kind, ErrorKind::Full | ErrorKind::Invalid), "{kind}");
    let trend = r#"{"trend": {"series": [{"event": "view", "filter": "repeat(event, 2000000000) = 'x'"}]}}"#;
    assert_eq!(db.try_ask(trend).expect_err("it is refused").kind(), ErrorKind::Full);
}

#[test]
fn doubling_ends_at_the_bound() {
    let db = db();
    for (first, step) in [
        ("event", "a || a"),
        ("'x'", "a || a"),
        ("event", "concat(a, a)"),
        ("text", "concat_ws('-', a, a)"),
        ("event", "overlay(a placing a from 1 for 0)"),
        ("event", "replace(a, 'e', a)"),
        ("[number]", "array_concat(a, a)"),
        ("[event]", "a || a"),
        ("[1]", "array_concat(a, a)"),
        ("number", "make_array(a, a)"),
        ("number", "[a, a]"),
    ] {
        // Of a text this short there is room for eight thousand.
        if first != "'x'" {
            let (kind, message) = refused(&db, &doubled(first, step, 13, "a"));
            assert_eq!(kind, ErrorKind::Full, "{step}: {message}");
        }
        for statement in [
            doubled(first, step, 36, "a"),
            format!("{} WHERE CAST(a AS VARCHAR) <> ''", doubled(first, step, 36, "count(*)")),
        ] {
            let (kind, message) = refused(&db, &statement);
            assert_eq!(kind, ErrorKind::Invalid, "{step}: {message}");
            assert!(message.contains("parts of an expression, at most 50000"), "{message}");
        }
    }
    // What is named in a WITH is written out as often as it is used.
    for twice in [
        "SELECT a FROM t0 UNION ALL SELECT a FROM t0",
        "SELECT x.a FROM t0 x, t0 y",
        "SELECT (SELECT max(a) FROM t0) AS a FROM t0",
    ] {
        let tables = (1..40).map(|at| format!("t{at} AS ({})", twice.replace("t0", &format!("t{}", at - 1))));
        let tables = tables.collect::<Vec<_>>().join(", ");
        let (kind, message) =
            refused(&db, &format!("WITH t0 AS (SELECT number AS a FROM events), {tables} SELECT count(*) FROM t39"));
        assert_eq!(kind, ErrorKind::Invalid, "{twice}: {message}");
        assert!(message.contains("tables, at most 10000"), "{message}");
    }
    let chain = (1..300)
        .map(|at| format!("t{at} AS (SELECT a + 1 AS a FROM t{} WHERE a > 0)", at - 1))
        .collect::<Vec<_>>()
        .join(", ");
    let (kind, message) =
        refused(&db, &format!("WITH t0 AS (SELECT number AS a FROM events), {chain} SELECT max(a) FROM t299"));
    assert_eq!(kind, ErrorKind::Invalid, "{message}");
    let chain = (1..40)
        .map(|at| format!("t{at} AS (SELECT a + 1 AS a FROM t{} WHERE a >= 0)", at - 1))
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(
        db.sql(&format!("WITH t0 AS (SELECT number AS a FROM events), {chain} SELECT max(a) FROM t39")),
        ["3038"]
    );
    // A type that doubles: it is refused before there is a value of it.
    for step in
        ["struct(a, a)", "{'b': a, 'c': a}", "named_struct('b', a, 'c', a)", "arrays_zip([a], [a])", "map([a], [a])"]
    {
        let (kind, message) = refused(&db, &doubled("number", step, 40, "a"));
        assert_eq!(kind, ErrorKind::Invalid, "{step}: {message}");
    }
}

#[test]
fn many_results_at_once_take_no_more_than_the_engine_has() {
    let db = db();
    let columns = |of: &dyn Fn(usize) -> String| (0..200).map(of).collect::<Vec<_>>().join(", ");
    for columns in [
        columns(&|at| format!("lpad(event, {}) AS c{at}", 9_000 + at)),
        columns(&|at| format!("upper(lpad(event, {})) AS c{at}", 9_000 + at)),
        columns(&|at| format!("CASE WHEN number > 1 THEN lpad(event, {}) ELSE 'x' END AS c{at}", 9_000 + at)),
        columns(&|at| format!("CAST(lpad(event, {}) AS BYTEA) AS c{at}", 9_000 + at)),
        columns(&|at| format!("repeat('x', {}) AS c{at}", 30_000 + at)),
        format!("concat({})", columns(&|at| format!("lpad(event, {})", 9_000 + at))),
    ] {
        // Of rows that nobody gathers, too.
        let rows = db.block_on(async {
            let statement = format!("SELECT {columns} FROM events");
            db.engine.sql_stream(&db.snapshot(), &statement).await.expect("it is planned").next().await
        });
        assert_eq!(rows.expect_err("it is refused").kind(), ErrorKind::Full, "{columns}");
        let (kind, message) = refused(&db, &format!("SELECT {columns} FROM events"));
        assert_eq!(kind, ErrorKind::Full, "{columns}: {message}");
    }
    // What is in memory once is handed out in pieces that can be written out.
    let (constant, columns) = ("x".repeat(40_000), columns(&|at| format!("c AS c{at}")));
    db.block_on(async {
        let statement = format!("SELECT {columns} FROM events, (SELECT '{constant}' AS c) t LIMIT 20");
        let mut rows = db.engine.sql_stream(&db.snapshot(), &statement).await.expect("it is planned");
        let mut pieces = Vec::new();
        while let Some(batch) = rows.next().await.expect("it is found") {
            pieces.push(batch.num_rows());
        }
        assert_eq!(pieces.iter().sum::<usize>(), 20);
        assert!(pieces.iter().all(|rows| *rows <= 2), "{pieces:?}");
    });
    // All of it has been given back.
    for _ in 0..5 {
        assert_eq!(answered(&db, "SELECT sum(length(lpad(event, 5000))) FROM events"), ["15000000"]);
    }
}

#[test]
fn rows_of_an_answer_are_within_the_memory_of_the_engine() {
    let db = db();
    for _ in 0..3 {
        let (kind, message) = refused(&db, "SELECT lpad(event, 30000, text) FROM events");
        assert_eq!(kind, ErrorKind::Full, "{message}");
        assert_eq!(answered(&db, "SELECT lpad(event, 3000) FROM events").len(), 3_000);
    }
    let (kind, message) = refused(&db, "SELECT array_agg(number) OVER () AS a FROM events");
    assert_eq!(kind, ErrorKind::Full, "{message}");
    // As they are found there may be any number.
    let mut found = 0;
    db.block_on(async {
        let statement = "SELECT lpad(event, 3000, 'x') FROM events CROSS JOIN range(1, 20)";
        let mut rows = db.engine.sql_stream(&db.snapshot(), statement).await.expect("it is planned");
        while let Some(batch) = rows.next().await.expect("it is found") {
            found += batch.num_rows();
        }
    });
    assert_eq!(found, 57_000);
}

/// Where memory runs out DataFusion would read one side of some joins again, of which there were wrong answers and panics.
#[test]
fn an_answer_is_right_or_refused_however_little_memory_there_is() {
    let db = db();
    let wide = |letters: usize| format!("(SELECT number, text, event, lpad(event, {letters}) AS wide FROM events)");
    let (few, many) = (wide(3_000), wide(20_000));
    let grouped = format!("(SELECT number, max(wide) AS wide FROM {few} GROUP BY number)");
    let (less, equal) =
        ("a.number < b.number AND length(a.wide) > 3 AND b.number % 100 = 1", "a.number = b.number + 7");
    let mut statements = Vec::new();
    for kind in ["", "LEFT", "RIGHT", "FULL", "LEFT SEMI", "LEFT ANTI", "RIGHT SEMI", "RIGHT ANTI"] {
        for (a, b, on) in [(&few, &many, less), (&grouped, &few, less), (&few, &grouped, equal)] {
            statements.push(format!("SELECT count(*) FROM {a} a {kind} JOIN {b} b ON {on}"));
        }
    }
    for statement in [
        "SELECT count(*) FROM {few} a WHERE EXISTS (SELECT 1 FROM {few} b WHERE b.number % 100 = 1 AND a.number < b.number AND a.wide >= b.wide)",
        "SELECT a.number FROM {few} a WHERE a.number NOT IN (SELECT number + 1 FROM {few} b WHERE length(b.wide) > 3)",
        "SELECT number FROM {few} ORDER BY wide, number DESC",
        "SELECT wide, count(*), sum(number) FROM {few} GROUP BY wide",
        "SELECT number, max(wide) FROM {few} GROUP BY number",
        "SELECT text, count(DISTINCT wide), array_agg(number ORDER BY number DESC) FROM {few} GROUP BY text",
        "SELECT number, row_number() OVER (PARTITION BY event ORDER BY wide, number), count(wide) OVER (ORDER BY number ROWS 5 PRECEDING) FROM {few}",
        "SELECT DISTINCT wide, number % 10 FROM {few}",
        "SELECT wide, number FROM {few} UNION SELECT wide, number + 1 FROM {few}",
        "SELECT wide, number FROM {few} INTERSECT SELECT wide, number + 1 FROM {few}",
        "SELECT wide, number FROM {few} EXCEPT SELECT wide, number + 2 FROM {few}",
        "SELECT a.number, b.number FROM {few} a, {few} b WHERE a.number % 300 = 1 AND b.number % 500 = 1",
    ] {
        statements.push(statement.replace("{few}", &few));
    }
    let engine = |memory_bytes: usize| {
        Engine::new(EngineOptions { memory_bytes, threads: 2, ..EngineOptions::default() }).expect("an engine")
    };
    let ask = |engine: &Engine, statement: &str| {
        db.try_sql_with(engine, &db.snapshot(), statement).map(|mut rows| {
            rows.sort_unstable();
            rows
        })
    };
    let large = engine(4 << 30);
    let (mut found, mut refused) = (0, 0);
    for statement in statements {
        let right = ask(&large, &statement).expect("there is room");
        for memory in [4, 12, 24, 48] {
            match ask(&engine(memory << 20), &statement) {
                Ok(rows) => {
                    assert!(rows == right, "{statement} in {memory} MiB: {} rows for {}", rows.len(), right.len());
                    found += 1;
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Full, "{statement} in {memory} MiB: {error}");
                    refused += 1;
                }
            }
        }
    }
    assert!(found > 30 && refused > 30, "{found} found, {refused} refused");
}

/// What is read once may be in each step of a recursion.
#[test]
fn a_recursion_joins_what_it_finds_again_and_again() {
    let db = db();
    let steps = "WITH RECURSIVE t AS (SELECT 1 AS n, 1 AS at UNION ALL
        SELECT min(e.number), t.at + 1 FROM t JOIN events e ON e.number > t.n * 2 AND e.number < t.n * 3 + 2 WHERE t.at < 9 GROUP BY t.at) SELECT n FROM t";
    assert_eq!(answered(&db, steps), ["1", "3", "7", "15", "31", "63", "127", "255", "511"]);
}

#[test]
fn what_holds_a_thread_for_good_is_refused() {
    let db = db();
    for call in [
        "levenshtein(lpad('a', 60000, 'ab'), lpad('b', 60000, 'cd'))",
        "levenshtein(lpad(event, 5000), lpad(text, 5000))",
        "array_has_all(array_repeat(number, 20000), array_repeat(-number - 1, 20000))",
        "array_has_any(array_repeat(number, 20000), array_repeat(-number - 1, 20000))",
        "regexp_count(lpad(event, 1500000), '.*[^x]|x')",
        "regexp_instr(lpad(event, 1500000), '.*y|z')",
        "regexp_replace(lpad(event, 1500000), '.*[^x]|x', '', 'g')",
    ] {
        let (kind, message) = refused(&db, &format!("SELECT {call} FROM events"));
        assert_eq!(kind, ErrorKind::Full, "{call}: {message}");
    }
    // A series is made as its rows are asked for, and whoever stops asking ends it.
    let begun = Instant::now();
    assert_eq!(db.sql("SELECT * FROM generate_series(1, 9000000000000000000) LIMIT 2"), ["1", "2"]);
    db.block_on(async {
        let snapshot = db.snapshot();
        let endless = db.engine.sql(&snapshot, "SELECT count(*) FROM range(1, 9000000000000000000)");
        assert!(tokio::time::timeout(Duration::from_millis(300), endless).await.is_err());
    });
    assert!(begun.elapsed() < QUICK);
}

/// To plan such a statement would take years, with nothing in it that could be interrupted.
#[test]
fn what_a_plan_would_be_made_of_for_good_is_refused() {
    let db = db();
    let scalars = |depth: usize| {
        format!("SELECT count(*) FROM events WHERE number < {}9{}", "(SELECT ".repeat(depth), ")".repeat(depth))
    };
    let lists = |depth: usize| {
        let within = "event IN (SELECT event FROM events WHERE ";
        format!("SELECT count(*) FROM events WHERE {}number = 7{}", within.repeat(depth), ")".repeat(depth))
    };
    let correlated = |depth: usize| {
        let within: String = (0..depth)
            .map(|at| format!("EXISTS (SELECT 1 FROM events e{} WHERE e{}.number = e{at}.number AND ", at + 1, at + 1))
            .collect();
        format!("SELECT count(*) FROM events e0 WHERE {within} e{depth}.number < 9{}", ")".repeat(depth))
    };
    // Each table of a WITH has one within what it names.
    let named = |depth: usize| {
        let tables: Vec<String> =
            (1..=depth).map(|at| format!("t{at} AS (SELECT (SELECT max(a) FROM t{}) AS a)", at - 1)).collect();
        format!("WITH t0 AS (SELECT number AS a FROM events), {} SELECT count(*) FROM t{depth}", tables.join(", "))
    };
    let joins = |tables: usize| {
        let joined: String =
            (1..tables).map(|at| format!(" JOIN events e{at} ON e{at}.number = e{}.number", at - 1)).collect();
        format!("SELECT count(*) FROM events e0{joined} WHERE e0.number < 9")
    };
    let listed = |tables: usize| {
        let list: Vec<String> = (0..tables).map(|at| format!("events e{at}")).collect();
        let equal: Vec<String> = (1..tables).map(|at| format!("e{at}.number = e{}.number", at - 1)).collect();
        format!("SELECT count(*) FROM {} WHERE {} AND e0.number < 9", list.join(", "), equal.join(" AND "))
    };
    let nested = |tables: usize| {
        let joined: String = (2..tables).map(|at| format!(" JOIN events e{at} ON e{at}.number = e1.number")).collect();
        format!("SELECT count(*) FROM events e0 JOIN (events e1{joined}) ON e0.number = e1.number WHERE e0.number < 9")
    };
    let cube = |columns: usize| {
        let list: Vec<String> = (0..columns).map(|at| format!("number % {}", at + 1)).collect();
        format!(
            "SELECT count(*) FROM (SELECT count(*) FROM events WHERE number < 9 GROUP BY CUBE({})) t",
            list.join(", ")
        )
    };
    let rollups = |columns: usize| {
        let rollup = format!("ROLLUP({})", vec!["number"; columns].join(", "));
        format!("SELECT count(*) FROM (SELECT count(*) FROM events WHERE number < 9 GROUP BY {rollup}, {rollup}) t")
    };
    let beside_a_cube = |columns: usize| {
        let cube = format!("CUBE({})", vec!["number"; columns].join(", "));
        let beside = vec!["event"; columns * columns / 2].join(", ");
        format!("SELECT count(*) FROM (SELECT count(*) FROM events WHERE number < 9 GROUP BY {cube}, {beside}) t")
    };
    let piped = |times: usize| {
        let joins: String = (1..=times).map(|at| format!(" |> CROSS JOIN (VALUES (1)) e{at}")).collect();
        format!("SELECT number FROM events WHERE number = 1{joins}")
    };
    // A table of a WITH is planned whether it is named or not.
    let unused = |times: usize| {
        let tables: Vec<String> =
            (1..=times).map(|at| format!("t{at} AS (SELECT x.a FROM t{} x, t{} y)", at - 1, at - 1)).collect();
        format!("WITH t0 AS (SELECT number AS a FROM events), {} SELECT 1", tables.join(", "))
    };
    // Through each of the tables a condition is moved to what is evaluated.
    let deep = |times: usize| {
        let calls = format!("{}a{}", "abs(".repeat(50), ")".repeat(50));
        let tables: Vec<String> =
            (1..=times).map(|at| format!("t{at} AS (SELECT {calls} AS a FROM t{})", at - 1)).collect();
        format!(
            "WITH t0 AS (SELECT number AS a FROM events), {} SELECT count(*) FROM t{times} WHERE a > 0",
            tables.join(", ")
        )
    };
    for (statement, most, said) in [
        (&scalars as &dyn Fn(usize) -> String, 10, "subqueries inside each other, at most 10"),
        (&lists, 10, "subqueries inside each other, at most 10"),
        (&correlated, 10, "subqueries inside each other, at most 10"),
        (&named, 10, "subqueries inside each other, at most 10"),
        (&joins, 64, "tables, at most 64"),
        (&listed, 64, "tables, at most 64"),
        (&nested, 64, "tables, at most 64"),
        (&cube, 12, "columns in all of its groupings, at most 100000"),
        (&rollups, 36, "columns in all of its groupings, at most 100000"),
        (&beside_a_cube, 12, "columns in all of its groupings, at most 100000"),
        (&piped, 64, "pipe operators, at most 64"),
        (&unused, 11, "tables, at most 10000"),
        (&deep, 9, "parts of an expression inside each other, at most 475"),
    ] {
        let begun = Instant::now();
        for found in [most + 1, 4 * most] {
            let (kind, message) = refused(&db, &statement(found));
            assert_eq!(kind, ErrorKind::Invalid, "{message}");
            assert!(message.contains(said), "{message}");
        }
        assert_eq!(answered(&db, &statement(most / 2)).len(), 1);
        assert!(begun.elapsed() < QUICK, "{}", statement(most / 2));
    }
    // The columns of a table, handed on again and again.
    let handed = |columns: usize, times: usize| {
        let columns: Vec<String> = (0..columns).map(|at| format!("number AS c{at}")).collect();
        let first = format!("(SELECT {} FROM events) t", columns.join(", "));
        let table = (0..times).fold(first, |table, _| format!("(SELECT * FROM {table}) t"));
        format!("SELECT count(*) FROM {table}")
    };
    assert_eq!(answered(&db, &handed(100, 20)), ["3000"]);
}

/// On a thread of 2 MiB, which is what one of a test has.
#[test]
fn a_statement_may_be_nested_as_deep_as_is_allowed() {
    let db = db();
    let around = |times: usize, step: &str, first: &str| {
        (0..times).fold(first.to_owned(), |within, _| step.replace("{}", &within))
    };
    let named = |times: usize, step: &str| {
        let steps: Vec<String> =
            (1..=times).map(|at| format!("t{at} AS ({})", step.replace("{}", &format!("t{}", at - 1)))).collect();
        format!("WITH t0 AS (SELECT number AS a FROM events), {} SELECT count(*) FROM t{times}", steps.join(", "))
    };
    let unlike: String = (0..450).map(|at| format!(" OR text LIKE '%x{at}y'")).collect();
    for (statement, answer) in [
        (around(60, "SELECT * FROM ({})", "SELECT count(*) FROM events"), "3000"),
        (around(60, "SELECT max(a) AS a FROM ({})", "SELECT count(*) AS a FROM events"), "3000"),
        (format!("SELECT count(*) FROM {}", around(60, "(SELECT number + 1 AS number FROM {} t)", "events")), "3000"),
        (format!("SELECT {}", around(100, "({})", "1")), "1"),
        (format!("SELECT {}", around(50, "abs({})", "1")), "1"),
        (format!("SELECT {}", vec!["1"; 470].join(" + ")), "470"),
        (format!("SELECT max(number{}) FROM events", " + number".repeat(470)), "1412529"),
        (format!("SELECT count(*) FROM events WHERE event = ''{unlike}"), "0"),
        (named(190, "SELECT a FROM {} WHERE a >= 0"), "3000"),
        (named(190, "SELECT DISTINCT a FROM {}"), "3000"),
        (named(190, "SELECT a FROM {} ORDER BY a LIMIT 100000"), "3000"),
        (named(95, "SELECT a FROM {} UNION ALL SELECT 1 WHERE false"), "3000"),
    ] {
        assert_eq!(answered(&db, &statement), [answer], "{statement}");
    }
}

#[test]
fn types_that_are_long_whatever_is_in_them_are_refused() {
    let db = db();
    for call in [
        "CAST(NULL AS INT[2000000000])",
        "CAST(NULL AS INT[1000][1000][1000])",
        "arrow_cast(NULL, 'FixedSizeBinary(2000000000)')",
        "arrow_try_cast(event, 'FixedSizeBinary(2000000000)')",
        "arrow_cast([1], 'FixedSizeList(2000000000 x Int64)')",
        "approx_percentile_cont(number, 0.5, 10000000000000)",
        "approx_percentile_cont(number, 0.5, 10000000000000) OVER ()",
    ] {
        let (kind, message) = refused(&db, &format!("SELECT {call} FROM events"));
        assert_eq!(kind, ErrorKind::Invalid, "{call}: {message}");
    }
    assert_eq!(db.sql("SELECT arrow_cast(1, 'Int8'), CAST([1, 2, 3] AS INT[3])"), ["1|[1, 2, 3]"]);
    assert_eq!(db.sql("SELECT approx_percentile_cont(number, 0.5, 100) > 1000 FROM events"), ["true"]);
}

#[test]
fn ordinary_calls_answer_over_files_and_tail() {
    let db = db();
    let padded = "SELECT count(DISTINCT lpad(event, 3 - number)), max(rpad(event, number - 2998, text)) FROM events";
    assert_eq!(answered(&db, padded), ["4|c"], "of a length below 0 nothing is left");
    let padded = "SELECT max(lpad(event, -1, text)), max(rpad(event, -2, text)), count(lpad(event, -1, CAST(NULL AS VARCHAR))), lpad('x', -1, NULL) IS NULL FROM events";
    assert_eq!(answered(&db, padded), ["||0|true"]);
    assert_eq!(
        db.sql("SELECT repeat('ab', 3), lpad('7', 3, '0'), 'a' || 1, concat('a', NULL, 'b')"),
        ["ababab|007|a1|ab"]
    );
    let texts = "SELECT count(t), sum(length(t)), min(t) FROM (SELECT replace(text, 'a', 'bc') || ':' || event AS t FROM events) x";
    assert_eq!(db.sql(texts), ["2400|61512|/pbcge/1001?bc=b&bc=é:cart"]);
    let groups = "SELECT regexp_replace(text, '^/([a-z]+)/(\\d).*$', '\\2-\\1') AS g, count(*) FROM events GROUP BY g ORDER BY g NULLS FIRST LIMIT 3";
    assert_eq!(db.sql(groups), ["|600", "1-page|889", "2-page|889"]);
    let series =
        "SELECT n, count(*) FROM (SELECT unnest(range(1, number % 3 + 1)) AS n FROM events) x GROUP BY n ORDER BY n";
    assert_eq!(db.sql(series), ["1|2000", "2|1000"]);
    let batches =
        db.block_on(db.engine.sql(
            &db.snapshot(),
            "SELECT event || text, list_repeat(event, 2), length(event || 'x') FROM events LIMIT 1",
        ));
    let batches = batches.expect("it runs");
    let names: Vec<&str> = batches[0].schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(
        names,
        ["events.event || events.text", "list_repeat(events.event,Int64(2))", "length(events.event || Utf8(\"x\"))"]
    );
    let plain = Db::with(EngineOptions::default(), RegistryOptions::default());
    assert_eq!(plain.sql("SELECT count(*) FROM events WHERE event || 'x' = 'viewx'"), ["0"]);
}
