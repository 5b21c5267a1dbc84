//! SQL over a store: names, types, links, and what is refused.

use pugmark_query::{Engine, EngineOptions, ErrorKind, QuerySnapshot};
use pugmark_registry::RegistryOptions;
use pugmark_store::{Event, Sequence, Timestamp, Value};

use crate::common::{Db, at};

fn shop() -> Db {
    let db = Db::new();
    db.track([
        Event::new("view", "ann")
            .at(at("2025-01-01T10:00:00Z"))
            .property("page.url", "/a")
            .property("$browser", "Firefox")
            .property("userId", "A-1"),
        Event::new("view", "bob").at(at("2025-01-01T11:00:00Z")).property("page.url", "/b").property("userid", 7),
        Event::new("purchase", "ann").at(at("2025-01-02T10:00:00Z")).property("amount", 10).property("timestamp", "x"),
    ]);
    db.flush();
    db.track([
        Event::new("purchase", "bob").at(at("2025-01-03T10:00:00Z")).property("amount", 2.5),
        Event::new("refund", "cid").at(at("2025-01-04T10:00:00Z")).property("amount", "ten").message_id("m-1"),
    ]);
    db
}

#[test]
fn files_and_tail_are_one_table_and_columns_widen_across_them() {
    let db = shop();
    let rows = db.sql("SELECT sequence, event, distinct_id, amount FROM events ORDER BY sequence");
    assert_eq!(rows, ["1|view|ann|", "2|view|bob|", "3|purchase|ann|10.0", "4|purchase|bob|2.5", "5|refund|cid|"]);
    assert_eq!(db.sql("SELECT COUNT(*), sum(amount), count(DISTINCT person) FROM events"), ["5|12.5|3"]);
    assert_eq!(db.sql("SELECT event FROM events WHERE amount > 9.5 AND amount < 10.5"), ["purchase"]);
}

#[test]
fn select_star_has_the_columns_in_their_order() {
    let db = shop();
    let batches = db.block_on(db.engine.sql(&db.snapshot(), "SELECT * FROM events LIMIT 1")).expect("it runs");
    let names: Vec<&str> = batches[0].schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(
        names,
        [
            "sequence",
            "event",
            "timestamp",
            "distinct_id",
            "person",
            "subject",
            "received_at",
            "message_id",
            "session_id",
            "context",
            "page.url",
            "$browser",
            "userId",
            "userid",
            "amount",
            "p_timestamp",
            "overflow"
        ]
    );
}

#[test]
fn properties_go_by_the_names_of_their_senders() {
    let db = shop();
    assert_eq!(db.sql("SELECT distinct_id FROM events WHERE page.url = '/b'"), ["bob"]);
    assert_eq!(db.sql("SELECT e.page.url FROM events e WHERE e.$browser = 'Firefox'"), ["/a"]);
    assert_eq!(db.sql("SELECT events.page.url FROM events WHERE \"page.url\" = '/a'"), ["/a"]);
    assert_eq!(db.sql("SELECT userId FROM events WHERE userId = 'A-1'"), ["A-1"]);
    assert_eq!(db.sql("SELECT userid FROM events WHERE userid = 7"), ["7"]);
    assert_eq!(db.sql("SELECT p_timestamp FROM events WHERE p_timestamp IS NOT NULL"), ["x"]);
    assert_eq!(
        db.sql("SELECT page.url AS url, count(*) AS n FROM events WHERE event = 'view' GROUP BY page.url ORDER BY url"),
        ["/a|1", "/b|1"]
    );
    assert_eq!(
        db.sql("WITH v AS (SELECT page.url, event FROM events) SELECT v.page.url FROM v WHERE v.page.url = '/a'"),
        ["/a"]
    );
}

#[test]
fn prop_reads_values_of_whatever_type_as_text() {
    let db = Db::new();
    let values: [(&str, Value); 7] = [
        ("1", Value::from(7)),
        ("2", Value::from("seven")),
        ("3", Value::from(true)),
        ("4", Value::from(0.5)),
        ("5", Value::from(u64::MAX)),
        ("6", Value::Json(r#"["a",1]"#.to_owned())),
        ("7", Value::Number("123456789012345678901234567890".to_owned())),
    ];
    for (id, value) in values.clone() {
        db.track([Event::new("e", id).property("odd", value).property("o\"d'd", "q").property("x", 1)]);
    }
    db.track([Event::new("e", "8"), Event::new("e", "9").property("odd", 1).property("odd", "second")]);
    let expected = [
        "1|7.0",
        "2|seven",
        "3|true",
        "4|0.5",
        "5|18446744073709551615",
        "6|[\"a\",1]",
        "7|123456789012345678901234567890",
        "8|",
        "9|1.0",
    ];
    let query = "SELECT distinct_id, prop('odd') FROM events ORDER BY distinct_id";
    assert_eq!(db.sql(query), expected);
    db.flush();
    assert_eq!(db.sql(query), expected);
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE prop('o\"d''d') = 'q'"), ["7"]);
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE \"o\"\"d'd\" = 'q'"), ["7"]);
    assert_eq!(db.sql("SELECT count(prop('no such')) FROM events"), ["0"]);
    assert_eq!(db.refused("SELECT prop(event) FROM events").position(), Some(7));
}

#[test]
fn a_property_without_a_column_is_read_from_the_overflow_under_its_name() {
    let db = Db::with(EngineOptions::default(), RegistryOptions { columns_max: 1 });
    db.track([
        Event::new("e", "1").property("a", "x").property("page.url", "/a"),
        Event::new("e", "2").property("page.url", 5),
    ]);
    assert_eq!(db.sql("SELECT distinct_id FROM events WHERE page.url = '/a'"), ["1"]);
    assert_eq!(db.sql("SELECT page.url FROM events ORDER BY sequence"), ["/a", "5"]);
    let trend = r#"{"trend":{"series":[{"event":"e"}],"breakdown":[{"property":"page.url"}],"interval":"year"}}"#;
    let groups: Vec<_> =
        db.ask(trend)["series"].as_array().expect("series").iter().map(|s| s["breakdown"].clone()).collect();
    assert_eq!(serde_json::Value::from(groups).to_string(), r#"[[5],["/a"]]"#);
}

#[test]
fn persons_follow_the_links_and_list_also_those_without_events() {
    let db = shop();
    let query = "SELECT name, distinct_ids, known, events, first_seen FROM persons ORDER BY person";
    assert_eq!(
        db.sql(query),
        [
            "ann|[\"ann\"]|false|2|2025-01-01T10:00:00Z",
            "bob|[\"bob\"]|false|2|2025-01-01T11:00:00Z",
            "cid|[\"cid\"]|false|1|2025-01-04T10:00:00Z",
        ]
    );
    db.identify("ann", "anna");
    db.identify("cid", "anna");
    db.identify("ghost", "gustav");
    assert_eq!(
        db.sql(query),
        [
            "anna|[\"ann\",\"cid\",\"anna\"]|true|3|2025-01-01T10:00:00Z",
            "bob|[\"bob\"]|false|2|2025-01-01T11:00:00Z",
            "gustav|[\"ghost\",\"gustav\"]|true|0|",
        ]
    );
    assert_eq!(db.sql("SELECT count(DISTINCT person), count(DISTINCT distinct_id) FROM events"), ["2|3"]);
    assert_eq!(db.sql("SELECT event FROM events WHERE person = 0 ORDER BY sequence"), ["view", "purchase", "refund"]);
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE person IN (0, 1)"), ["5"]);
    assert_eq!(db.sql("SELECT event FROM events WHERE distinct_id = 'cid'"), ["refund"]);
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE distinct_id IN ('ann', 'bob', 'nobody')"), ["4"]);
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE distinct_id = 'nobody'"), ["0"]);
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE person <> 0"), ["2"]);
    assert_eq!(
        db.sql("SELECT p.name, count(*) FROM events e JOIN persons p ON e.person = p.person GROUP BY p.name ORDER BY p.name"),
        ["anna|3", "bob|2"]
    );
    assert_eq!(db.sql("SELECT count(*) FROM persons"), ["3"]);
}

#[test]
fn a_bound_between_two_milliseconds_is_not_rounded_to_one_of_them() {
    let db = Db::new();
    db.track((1..=3).map(|ms| Event::new("view", "ann").at(at(&format!("2025-01-01T10:00:00.00{ms}Z")))));
    db.flush();
    let count = |filter: &str| db.sql(&format!("SELECT count(*), min(sequence) FROM events WHERE timestamp {filter}"));
    assert_eq!(count("< '2025-01-01T10:00:00.003001Z'"), ["3|1"]);
    assert_eq!(count("> '2025-01-01T10:00:00.002999Z'"), ["1|3"]);
    assert_eq!(count("<= '2025-01-01T10:00:00.000999Z'"), ["0|"]);
    assert_eq!(count("= '2025-01-01T10:00:00.002001Z'"), ["0|"]);
    assert_eq!(count("= '2025-01-01T10:00:00.002Z'"), ["1|2"]);
    // What a file keeps by batch, and by the curve of arrival.
    assert_eq!(db.sql("SELECT count(DISTINCT received_at), sum(sequence) FROM events WHERE sequence > 1"), ["1|5"]);
    assert_eq!(
        db.sql("SELECT sequence FROM events WHERE received_at > timestamp AND sequence < 3 ORDER BY 1"),
        ["1", "2"]
    );
}

#[test]
fn now_is_the_instant_of_the_snapshot() {
    let db = shop();
    assert_eq!(db.sql("SELECT now()"), ["2025-06-01T00:00:00Z"]);
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE timestamp > now() - INTERVAL '149 days'"), ["2"]);
}

#[test]
fn only_one_select_is_allowed() {
    let db = shop();
    for (statement, found) in [
        ("DROP TABLE events", "DROP"),
        ("INSERT INTO events VALUES (1)", "INSERT"),
        ("CREATE TABLE x AS SELECT 1", "CREATE"),
        ("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'", "CREATE EXTERNAL TABLE"),
        ("COPY events TO '/tmp/x.csv'", "COPY"),
        ("SET datafusion.execution.batch_size = 1", "SET"),
        ("EXPLAIN DELETE FROM events", "DELETE"),
        ("SELECT * INTO x FROM events", ""),
    ] {
        let error = db.refused(statement);
        assert!(matches!(error.kind(), ErrorKind::Invalid | ErrorKind::Unsupported), "{statement}: {error}");
        assert!(error.to_string().contains(found), "{statement}: {error}");
    }
    assert!(db.refused("SELECT 1; SELECT 2").to_string().contains("expected one statement, found 2"));
    assert_eq!(db.refused("").kind(), ErrorKind::Invalid);
    assert_eq!(db.refused("SELECT (event FROM events").position(), Some(14));
    for file in ["'/etc/passwd'", "\"/etc/passwd\"", "read_csv('/etc/passwd')"] {
        assert_eq!(db.refused(&format!("SELECT * FROM {file}")).kind(), ErrorKind::Invalid);
    }
    let lateral = "SELECT count(*) FROM events e LEFT JOIN LATERAL (SELECT e.event AS c LIMIT 1) x ON true";
    let error = db.refused(lateral);
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("write it as a JOIN"), "{error}");
    assert_eq!(db.sql("SELECT 1;"), ["1"]);
    assert!(db.sql("EXPLAIN SELECT count(*) FROM events").len() == 2);
}

#[test]
fn an_unknown_column_is_an_error_with_the_nearest_names() {
    let db = shop();
    let error = db.refused("SELECT amuont FROM events");
    assert_eq!((error.kind(), error.nearest()), (ErrorKind::Invalid, ["amount".to_owned()].as_slice()));
    let error = db.refused("SELECT page.urll FROM events");
    assert_eq!((error.kind(), error.nearest()), (ErrorKind::Invalid, ["page.url".to_owned()].as_slice()));
    let error = db.refused("SELECT * FROM evnts");
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn an_empty_store_has_the_tables_and_an_empty_answer_its_columns() {
    let db = Db::new();
    assert_eq!(db.sql("SELECT count(*) FROM events"), ["0"]);
    assert_eq!(db.sql("SELECT count(*) FROM persons"), ["0"]);
    let batches = db.block_on(db.engine.sql(&db.snapshot(), "SELECT event, person FROM events")).expect("it runs");
    assert_eq!((batches.len(), batches[0].num_rows(), batches[0].num_columns()), (1, 0, 2));
}

#[test]
fn rollup_daily_counts_persons_over_files_and_tail() {
    let db = shop();
    let daily = "SELECT day, event, events, people FROM rollup_daily ORDER BY event NULLS FIRST, day";
    let rows = [
        "2025-01-01||2|2",
        "2025-01-02||1|1",
        "2025-01-03||1|1",
        "2025-01-04||1|1",
        "2025-01-02|purchase|1|1",
        "2025-01-03|purchase|1|1",
        "2025-01-04|refund|1|1",
        "2025-01-01|view|2|2",
    ];
    assert_eq!(db.sql(daily), rows);
    let union = |filter: &str| {
        let sql = format!("SELECT bitmap_count(bitmap_union(persons)), sum(events) FROM rollup_daily WHERE {filter}");
        db.sql(&sql)
    };
    assert_eq!(union("event = 'purchase'"), ["2|2"]);
    assert_eq!(union("event IS NULL"), ["3|5"]);
    assert_eq!(union("event IN ('view', 'purchase') AND day < '2025-01-03'"), ["2|3"]);
    assert_eq!(union("event = 'sold'"), ["|"]);
    db.identify("ann", "bob");
    assert_eq!(union("event = 'purchase'"), ["1|2"]);
    assert_eq!(db.sql("SELECT people FROM rollup_daily WHERE event = 'view'"), ["1"]);
    // Who viewed and bought.
    let both = "SELECT bitmap_count(bitmap_and(v.persons, p.persons)) FROM \
        (SELECT bitmap_union(persons) persons FROM rollup_daily WHERE event = 'view') v, \
        (SELECT bitmap_union(persons) persons FROM rollup_daily WHERE event = 'purchase') p";
    assert_eq!(db.sql(both), ["1"]);
    assert_eq!(Db::new().sql("SELECT count(*) FROM rollup_daily"), ["0"]);
}

#[test]
fn bitmaps_are_built_united_cut_and_asked() {
    let db = shop();
    let one = |sql: &str| db.sql(&format!("SELECT {sql} FROM (VALUES (1), (5), (5), (NULL), (70000)) t(n)")).join(",");
    assert_eq!(one("bitmap_count(bitmap_build(n))"), "3");
    assert_eq!(one("bitmap_contains(bitmap_build(n), 5), bitmap_contains(bitmap_build(n), 6)"), "true|false");
    assert_eq!(one("bitmap_count(bitmap_or(bitmap_build(n), bitmap_build(n + 1)))"), "6");
    assert_eq!(one("bitmap_count(bitmap_andnot(bitmap_build(n), bitmap_build(5)))"), "2");
    assert_eq!(one("bitmap_count(bitmap_and(bitmap_build(n), bitmap_build(5)))"), "1");
    assert_eq!(one("bitmap_count(NULL)"), ",,,,");
    assert_eq!(db.sql("SELECT bitmap_count(bitmap_build(n)) FROM (VALUES (1)) t(n) WHERE n > 1"), ["0"]);
    let sets = "SELECT event, bitmap_build(person) b FROM events GROUP BY event";
    assert_eq!(db.sql(&format!("SELECT bitmap_count(bitmap_union(b)) FROM ({sets})")), ["3"]);
    assert_eq!(
        db.sql(&format!("SELECT bitmap_count(bitmap_intersect(b)) FROM ({sets}) WHERE event <> 'refund'")),
        ["2"]
    );
    let groups = db.sql("SELECT event, bitmap_count(bitmap_build(person)) FROM events GROUP BY event ORDER BY event");
    assert_eq!(groups, db.sql("SELECT event, count(DISTINCT person) FROM events GROUP BY event ORDER BY event"));
    let error = db.refused("SELECT bitmap_count(event) FROM events");
    assert!(error.to_string().contains("roaring bitmap"), "{error}");
    let error = db.refused("SELECT bitmap_build(event) FROM events");
    assert!(error.to_string().contains("UInt32"), "{error}");
}

#[test]
fn the_registry_tells_events_and_properties_with_types_and_samples() {
    let db = shop();
    assert_eq!(
        db.sql("SELECT event, events, first_seen, last_seen FROM registry_events ORDER BY event"),
        [
            "purchase|2|2025-01-02T10:00:00Z|2025-01-03T10:00:00Z",
            "refund|1|2025-01-04T10:00:00Z|2025-01-04T10:00:00Z",
            "view|2|2025-01-01T10:00:00Z|2025-01-01T11:00:00Z"
        ]
    );
    let properties = "SELECT property, column_name, type, count, ints, floats, texts, samples FROM registry_properties \
        ORDER BY property";
    assert_eq!(
        db.sql(properties),
        [
            "$browser|$browser|text|1|0|0|1|[\"Firefox\"]",
            "amount|amount|float|3|1|1|1|[\"2.5\",\"10.0\"]",
            "page.url|page.url|text|2|0|0|2|[\"/a\",\"/b\"]",
            "timestamp|p_timestamp|text|1|0|0|1|[\"x\"]",
            "userId|userId|text|1|0|0|1|[\"A-1\"]",
            "userid|userid|int|1|1|0|0|[\"7\"]"
        ]
    );
    assert_eq!(Db::new().sql("SELECT count(*) FROM registry_properties"), ["0"]);
}

#[test]
fn as_of_an_earlier_sequence_types_names_people_and_now_are_those_of_then() {
    let db = Db::new();
    db.track([Event::new("buy", "anon").property("amount", 7)]);
    db.clock.set(at("2025-06-02"));
    db.identify("anon", "ann");
    db.track([Event::new("buy", "ann").property("amount", 2), Event::new("buy", "ann").property("amount", 0.5)]);
    db.flush();
    db.track([Event::new("walk", "bob").property("note", "late").property("amount", 1e300)]);
    let engines = [true, false].map(|local_operators| {
        Engine::new(EngineOptions { local_operators, ..EngineOptions::default() }).expect("an engine")
    });
    for engine in &engines {
        let sql = |sequence, statement: &str| {
            let snapshot = QuerySnapshot::as_of(&db.store, Sequence::new(sequence)).expect("it is there");
            db.try_sql_with(engine, &snapshot, statement)
        };
        let rows = |sequence, statement: &str| sql(sequence, statement).expect("it runs");
        // Whole numbers as long as all are: then 7 / 2 is 3.
        assert_eq!(rows(1, "SELECT amount / 2 FROM events"), ["3"]);
        assert_eq!(rows(3, "SELECT amount, prop('amount') FROM events ORDER BY sequence"), ["7|7", "2|2"]);
        assert_eq!(rows(3, "SELECT sequence FROM events WHERE amount / 4 = 1"), ["1"]);
        assert_eq!(rows(4, "SELECT amount / 2 FROM events ORDER BY sequence"), ["3.5", "1.0", "0.25"]);
        assert_eq!(rows(5, "SELECT count(*), max(amount) FROM events"), ["4|1e300"]);
        assert_eq!(rows(1, "SELECT name, known, events FROM persons"), ["anon|false|1"]);
        assert_eq!(rows(2, "SELECT name, known, events FROM persons"), ["ann|true|1"]);
        assert_eq!(rows(5, "SELECT name, events FROM persons ORDER BY name"), ["ann|3", "bob|1"]);
        assert_eq!(rows(1, "SELECT now()"), ["2025-06-01T00:00:00Z"]);
        assert_eq!(rows(2, "SELECT now()"), ["2025-06-02T00:00:00Z"]);
        assert_eq!(
            rows(4, "SELECT day, event, events, people FROM rollup_daily WHERE event = 'buy' ORDER BY day").len(),
            2
        );
        let error = sql(4, "SELECT note FROM events").expect_err("it had not been seen");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let error = sql(4, "SELECT * FROM registry_events").expect_err("what has been counted is of the present");
        assert_eq!((error.kind(), error.field()), (ErrorKind::Unsupported, Some("as_of")), "{error}");
        assert_eq!(rows(5, "SELECT event, events FROM registry_events ORDER BY event"), ["buy|3", "walk|1"]);
    }
}

#[test]
fn window_funnel_and_retention_tell_of_each_person_how_far_and_which() {
    let db = Db::new();
    let step = |event: &str, who: &str, minute: i64| {
        Event::new(event, who).at(Timestamp::from_microsecond(1_735_689_600_000_000 + minute * 60_000_000))
    };
    db.track([step("view", "ann", 0), step("cart", "ann", 5), step("buy", "ann", 70), step("view", "ann", 60)]);
    db.flush();
    db.track([step("cart", "ann", 65), step("view", "bob", 0), step("buy", "bob", 1), step("walk", "cid", 2)]);
    let funnel = "window_funnel('10m', timestamp, event = 'view', event = 'cart', event = 'buy')";
    let rows = db.sql(&format!("SELECT distinct_id, {funnel} FROM events GROUP BY distinct_id ORDER BY 1"));
    let times = "[2025-01-01T01:00:00Z, 2025-01-01T01:05:00Z, 2025-01-01T01:10:00Z]";
    assert_eq!(rows, [format!("ann|{times}"), "bob|[2025-01-01T00:00:00Z]".to_owned(), "cid|[]".to_owned()]);
    let reached = format!("SELECT cardinality({funnel}) AS steps FROM events GROUP BY person");
    let depths = format!("SELECT steps, count(*) FROM ({reached}) t GROUP BY steps ORDER BY steps");
    assert_eq!(db.sql(&depths), ["0|1", "1|1", "3|1"]);
    let rules = r#"window_funnel('{"window": "10m", "order": "any"}', timestamp, event = 'cart', event = 'view')"#;
    let rows = db.sql(&format!("SELECT cardinality({rules}) FROM events GROUP BY distinct_id ORDER BY distinct_id"));
    assert_eq!(rows, ["2", "1", "0"]);
    let kept = "retention(event = 'view', event = 'cart', event = 'buy')";
    let rows = db.sql(&format!("SELECT {kept} FROM events GROUP BY distinct_id ORDER BY distinct_id"));
    assert_eq!(rows, ["[true, true, true]", "[true, false, true]", "[false, false, false]"]);
    let pattern =
        |text: &str| format!("('{text}', timestamp, sequence, event = 'view', event = 'cart', event = 'buy')");
    let of_each = |what: &str| db.sql(&format!("SELECT {what} FROM events GROUP BY distinct_id ORDER BY distinct_id"));
    assert_eq!(of_each(&format!("sequence_match{}", pattern("(?1).*(?t<=600)(?3)"))), ["true", "true", "false"]);
    assert_eq!(of_each(&format!("sequence_match{}", pattern("(?1)(?2)(?3)"))), ["true", "false", "false"]);
    assert_eq!(of_each(&format!("sequence_count{}", pattern("(?1)(?2)"))), ["2", "0", "0"]);
    for (wrong, why) in [
        ("SELECT sequence_match('(?2)', timestamp, sequence, true) FROM events", "condition 2, there are 1"),
        ("SELECT window_funnel('7d', event, true) FROM events", "an instant as its timestamp, found Utf8"),
        ("SELECT window_funnel('7d', timestamp, event) FROM events", "true or false, found Utf8"),
        ("SELECT sequence_count('(?1)', timestamp, sequence, event) FROM events", "true or false, found Utf8"),
        ("SELECT retention(sequence) FROM events", "true or false, found UInt64"),
        ("SELECT exact_sum(event) FROM events", "takes a number, found Utf8"),
        ("SELECT window_funnel('soon', timestamp, true) FROM events", "duration"),
        ("SELECT window_funnel(timestamp, true) FROM events", "window_funnel takes 2 arguments"),
        (r#"SELECT window_funnel('{"ties": "sequence"}', timestamp, true) FROM events"#, "sees no sequences"),
        (r#"SELECT window_funnel('{"hold": ["a"]}', timestamp, true) FROM events"#, "takes no \"hold\""),
        (r#"SELECT window_funnel('{"windw": "7d"}', timestamp, true) FROM events"#, "not a known field"),
        ("SELECT window_funnel(event, timestamp, true) FROM events", "a window such as '7d'"),
    ] {
        let error = db.refused(wrong);
        assert!(error.to_string().contains(why), "{wrong}: {error}");
    }
}
