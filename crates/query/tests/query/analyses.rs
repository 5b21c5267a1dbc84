//! Analyses through a store: the worked tables, links, breakdowns, what is read, and the bounds.

use pugmark_query::spec::Query;
use pugmark_query::{EngineOptions, ErrorKind};
use pugmark_registry::RegistryOptions;
use pugmark_store::{Event, Timestamp};
use serde_json::{Value, json};

use crate::common::{Db, at};

fn shop() -> Db {
    let db = Db::new();
    db.track([
        Event::new("view", "ann").at(at("2025-01-01T09:00:00Z")).property("country", "DE"),
        Event::new("cart", "ann").at(at("2025-01-01T09:05:00Z")),
        Event::new("view", "bob").at(at("2025-01-02T10:00:00Z")).property("country", "US"),
    ]);
    db.flush();
    db.track([
        Event::new("purchase", "ann").at(at("2025-01-08T09:00:00Z")),
        Event::new("cart", "cid").at(at("2025-01-02T10:00:00Z")),
    ]);
    db
}

fn counts(answer: &Value) -> Vec<u64> {
    answer["groups"][0]["steps"].as_array().expect("steps").iter().map(|s| s["count"].as_u64().expect("n")).collect()
}

#[test]
fn a_funnel_runs_over_files_and_tail_and_reads_past_the_range_for_its_window() {
    let db = shop();
    let funnel = |window: &str, range: Value| {
        json!({"funnel": {"steps": [{"event":"view"},{"event":"cart"},{"event":"purchase"}], "window": window, "range": range}})
            .to_string()
    };
    let january = json!({"from": "2025-01-01", "to": "2025-01-03"});
    assert_eq!(counts(&db.ask(&funnel("7d", january.clone()))), [2, 1, 1]);
    assert_eq!(counts(&db.ask(&funnel("6d", january))), [2, 1, 0]);
    assert_eq!(counts(&db.ask(&funnel("7d", json!({"from": "2025-01-02", "to": "2025-01-09"})))), [1, 0, 0]);
    assert_eq!(counts(&db.ask(&funnel("7d", json!({})))), [2, 1, 1]);
}

#[test]
fn links_join_units_and_the_unit_distinct_id_leaves_them_aside() {
    let db = shop();
    db.identify("bob", "robert");
    db.identify("cid", "robert");
    let ask = |unit: &str| {
        let query = json!({"funnel": {"steps": [{"event":"view"},{"event":"cart"}], "window": "1d", "unit": unit}});
        counts(&db.ask(&query.to_string()))
    };
    assert_eq!(ask("person"), [2, 2]);
    assert_eq!(ask("distinct_id"), [2, 1]);
    let trend = |unit: &str| {
        let query =
            json!({"trend": {"series": [{"event":"*","measure":"uniques"},{"event":["view","cart"]}], "unit": unit}});
        let answer = db.ask(&query.to_string());
        (answer["series"][0]["total"].as_u64(), answer["series"][1]["values"].clone())
    };
    assert_eq!(trend("person"), (Some(2), json!([2, 2, 0, 0, 0, 0, 0, 0])));
    assert_eq!(trend("distinct_id"), (Some(3), json!([2, 2, 0, 0, 0, 0, 0, 0])));
}

#[test]
fn retention_reads_starts_before_the_range_and_the_start_is_no_return() {
    let db = Db::new();
    db.track([
        Event::new("signup", "old").at(at("2024-12-01T00:00:00Z")),
        Event::new("signup", "old").at(at("2025-01-01T00:00:00Z")),
        Event::new("signup", "ann").at(at("2025-01-01T09:00:00Z")),
        Event::new("signup", "bob").at(at("2025-01-01T10:00:00Z")),
        Event::new("view", "ann").at(at("2025-01-02T08:00:00Z")),
        Event::new("view", "ann").at(at("2025-01-03T23:00:00Z")),
    ]);
    let query = |cohort: &str| {
        json!({"retention": {"start": {"event":"signup"}, "return": {"event":"*"}, "interval": "day", "cohort": cohort,
            "range": {"from": "2025-01-01", "to": "2025-01-04"}}})
        .to_string()
    };
    let row = |answer: &Value| answer["groups"][0]["rows"][0].clone();
    assert_eq!(row(&db.ask(&query("first_time")))["values"], json!([2, 1, 1]));
    assert_eq!(row(&db.ask(&query("recurring")))["values"], json!([3, 1, 1]));
}

#[test]
fn a_breakdown_sees_values_of_every_type_and_folds_the_rest() {
    let db = Db::new();
    db.track([
        Event::new("e", "a").property("v", 0),
        Event::new("e", "b").property("v", 0),
        Event::new("e", "c").property("v", "0"),
        Event::new("e", "d").property("v", true),
        Event::new("e", "e"),
    ]);
    let ask = |item: Value, limit: u64| {
        let query =
            json!({"trend": {"series": [{"event":"e"}], "interval": "year", "breakdown": [item], "limit": limit}});
        let answer = db.ask(&query.to_string());
        let series = answer["series"].as_array().expect("series").iter();
        series.map(|s| format!("{}={}", s["breakdown"], s["total"])).collect::<Vec<_>>()
    };
    let all = ["[0]=2", "[null]=1", "[true]=1", "[\"0\"]=1"];
    assert_eq!(ask(json!({"property": "v"}), 25), all);
    db.flush();
    assert_eq!(ask(json!({"property": "v"}), 25), all);
    assert_eq!(ask(json!({"property": "v"}), 2), ["[0]=2", "[null]=1", "[{\"other\":true}]=2"]);
    assert_eq!(ask(json!({"expression": "v + 1"}), 25), ["[null]=3", "[1]=2"]);
    assert_eq!(ask(json!({"expression": "upper(distinct_id)"}), 1), ["[\"A\"]=1", "[{\"other\":true}]=4"]);
    assert_eq!(ask(json!({"property": "event"}), 25), ["[\"e\"]=5"]);
    assert_eq!(ask(json!({"property": "nothing"}), 25), ["[null]=5"]);
}

#[test]
fn files_outside_the_question_are_not_read() {
    let db = Db::new();
    for (month, event) in [("01", "view"), ("02", "view"), ("03", "purchase")] {
        db.track((1..=20).map(|day| {
            Event::new(event, format!("user-{month}-{day}"))
                .at(at(&format!("2025-{month}-{day:02}")))
                .property("n", day)
        }));
        db.flush();
    }
    let explain = |series: Value, range: Value| {
        // Of hours rollups know nothing.
        let query =
            json!({"trend": {"series": [series], "range": range, "interval": "hour"}, "explain": true}).to_string();
        db.ask(&query)["explain"].clone()
    };
    let all = explain(json!({"event": "*"}), json!({}));
    assert_eq!(
        (&all["files"], &all["files_read"], &all["rows"], &all["source"]),
        (&json!(3), &json!(3), &json!(60), &json!("columns"))
    );
    assert!(all["bytes"].as_u64() > Some(0) && all["plan"].as_str().is_some_and(|plan| plan.contains("LocalTrend")));
    for (series, range, read) in [
        (json!({"event": "*"}), json!({"from": "2025-02-01", "to": "2025-03-01"}), 1),
        (json!({"event": "*"}), json!({"from": "2025-04-01", "to": "2025-05-01"}), 0),
        (json!({"event": "purchase"}), json!({}), 1),
        (json!({"event": ["purchase", "refund"]}), json!({}), 1),
        (json!({"event": "view", "filter": "n > 10"}), json!({}), 2),
        (json!({"event": "*", "filter": "distinct_id = 'user-02-7'"}), json!({}), 1),
        (json!({"event": "*", "filter": "person = 3"}), json!({}), 1),
        (json!({"event": "*", "filter": "sequence <= 20"}), json!({}), 1),
    ] {
        let found = explain(series.clone(), range.clone());
        assert_eq!(found["files_read"], json!(read), "{series} {range} {}", found["plan"]);
    }
    db.identify("user-01-3", "user-03-3");
    let linked = explain(json!({"event": "*", "filter": "person = 2"}), json!({}));
    assert_eq!((&linked["files_read"], &linked["rows"]), (&json!(2), &json!(40)));
}

#[test]
fn what_does_not_fit_in_memory_says_what_to_raise() {
    let options = EngineOptions { memory_bytes: 1_000, ..EngineOptions::default() };
    let db = Db::with(options, RegistryOptions::default());
    db.track((0..500).map(|n| Event::new("view", format!("u{n}")).at(Timestamp::from_microsecond(1_000_000 * n))));
    let error = db.try_ask(r#"{"funnel":{"steps":[{"event":"view"}]}}"#).expect_err("it does not fit");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(error.to_string().contains("raise the memory limit"), "{error}");
}

#[test]
fn bounds_of_a_query_are_kept() {
    let db = shop();
    let trend = |rest: &str| format!(r#"{{"trend":{{"series":[{{"event":"*"}}]}}{rest}}}"#);
    for (as_of, message) in [(0, "1 to 5"), (6, "1 to 5")] {
        let error = db.try_ask(&trend(&format!(r#","as_of":{as_of}"#))).expect_err("there is no such sequence");
        assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("as_of")));
        assert!(error.to_string().contains(message), "{error}");
    }
    assert_eq!(db.ask(&trend(r#","as_of":5"#))["as_of"], json!(5));
    assert_eq!(db.ask(&trend(r#","as_of":2"#))["series"][0]["total"], json!(2));
    let error = db.try_ask(&trend(r#","timeout":"0s""#)).expect_err("no time");
    assert_eq!((error.kind(), error.field()), (ErrorKind::Busy, Some("timeout")));
    assert_eq!(db.ask(&trend(r#","timeout":"60s""#))["now"], json!("2025-06-01T00:00:00Z"));
    let error = db.try_ask(r#"{"trend":{"series":[{"event":"*"}],"time_zone":"Europe/Berln"}}"#).expect_err("no zone");
    assert_eq!((error.field(), error.nearest()[0].as_str()), (Some("time_zone"), "Europe/Berlin"));
}

#[test]
fn an_empty_store_answers_every_question() {
    let db = Db::new();
    for query in [
        r#"{"trend":{"series":[{"event":"*"}],"range":{"from":"2025-01-01","to":"2025-01-03"}}}"#,
        r#"{"trend":{"series":[{"event":"view"}]}}"#,
        r#"{"funnel":{"steps":[{"event":"view"}],"breakdown":[{"property":"x"}]}}"#,
        r#"{"retention":{"start":{"event":"view"}}}"#,
    ] {
        let parsed = Query::from_json(query).expect("it reads");
        db.try_run(&parsed).unwrap_or_else(|error| panic!("{query}: {error}"));
    }
}

#[test]
fn a_segment_restricts_the_people_by_what_they_did_in_all_history() {
    let db = Db::new();
    let event = |name: &str, id: &str, when: &str| Event::new(name, id).at(at(when));
    db.track([
        event("buy", "ann", "2024-01-01"),
        event("buy", "ann", "2025-01-01"),
        event("view", "ann", "2025-01-02"),
        event("view", "bob", "2025-01-02").property("country", "US"),
        event("buy", "cid", "2025-01-03"),
    ]);
    db.flush();
    db.track([event("view", "cid's phone", "2025-01-02"), event("view", "dan", "2025-01-04")]);
    db.identify("cid's phone", "cid");
    let viewers = |segment: &str| {
        let asked = format!(
            r#"{{"trend": {{"series": [{{"event": "view", "measure": "uniques"}}], "interval": "month",
            "range": {{"from": "2025-01-01", "to": "2025-02-01"}}, "segment": {segment}}}, "explain": true}}"#
        );
        let answer = db.ask(&asked);
        assert!(answer["explain"]["segment"]["plan"].as_str().is_some_and(|plan| plan.contains("LocalSegment")));
        answer["series"][0]["total"].as_u64().expect("a number")
    };
    assert_eq!(viewers(r#"{"did": {"event": "buy"}}"#), 2);
    assert_eq!(viewers(r#"{"did_not": {"event": "buy"}}"#), 2);
    assert_eq!(viewers(r#"{"did": {"event": "buy"}, "times": {"at_least": 2}}"#), 1);
    assert_eq!(viewers(r#"{"did": {"event": "buy"}, "times": {"at_most": 1}}"#), 3);
    assert_eq!(viewers(r#"{"did": {"event": "buy"}, "times": {"exactly": 1}}"#), 1);
    assert_eq!(viewers(r#"{"did": {"event": "buy"}, "range": {"to": "2024-06-01"}}"#), 1);
    assert_eq!(viewers(r#"{"did": {"event": "view", "filter": "country = 'US'"}}"#), 1);
    assert_eq!(viewers(r#"{"all": [{"did": {"event": "view"}}, {"not": {"did": {"event": "buy"}}}]}"#), 2);
    assert_eq!(viewers(r#"{"any": [{"did": {"event": "sold"}}, {"did": {"event": "buy"}}]}"#), 2);
    assert_eq!(viewers(r#"{"did": {"event": ["view", "buy"]}, "times": {"at_least": 2}}"#), 2);
}

#[test]
fn a_link_counts_at_once_also_where_sets_of_persons_are_kept() {
    let db = Db::new();
    let visit = |who: &str, day: i64| {
        Event::new("view", who).at(Timestamp::from_microsecond(1_735_689_600_000_000 + day * 86_400_000_000))
    };
    db.track(["ann", "bob", "cid", "dan"].into_iter().flat_map(|who| [visit(who, 0), visit(who, 1)]));
    db.flush();
    db.identify("ann", "bob");
    let people = |as_of: &str| {
        let trend = r#"{"trend":{"series":[{"event":"view","measure":"uniques"},{"event":"*","measure":"uniques","rolling":2}],"interval":"day"}"#;
        let answer = db.ask(&format!("{trend}{as_of}}}"));
        let retention = db.ask(&format!(r#"{{"retention":{{"start":{{"event":"view"}},"interval":"day"}}{as_of}}}"#));
        let series = |at: usize| (answer["series"][at]["values"].clone(), answer["series"][at]["total"].clone());
        (series(0), series(1), retention["groups"][0]["rows"][0]["values"].clone())
    };
    let told = |count: u64| {
        let (values, total) = (json!([count, count]), json!(count));
        ((values.clone(), total.clone()), (values, total), json!([count, count]))
    };
    for _ in 0..2 {
        assert_eq!(people(""), told(3));
    }
    db.identify("cid", "dan");
    assert_eq!(people(""), told(2));
    assert_eq!(people(r#","as_of":9"#), told(3));
    assert_eq!(people(r#","as_of":8"#), told(4));
    assert_eq!(people(""), told(2));
}

#[test]
fn measures_of_many_rows_are_the_same_by_every_operator_and_fail_as_full_where_memory_lacks() {
    let question = |measure: &str, property: &str, by: bool| {
        let breakdown = if by { r#","breakdown":[{"property":"g"}],"limit":2"# } else { "" };
        let of = if property.is_empty() { String::new() } else { format!(r#","property":"{property}""#) };
        let series = format!(r#"{{"event":"e","measure":"{measure}"{of}}}"#);
        format!(r#"{{"trend":{{"series":[{series}],"interval":"day"{breakdown}}}}}"#)
    };
    let fill = |db: &Db| {
        for day in 0..4_i64 {
            db.track((0..12_000_i64).map(|n| {
                let us = 1_735_689_600_000_000 + day * 86_400_000_000 + n * 7_000_000;
                let event = Event::new("e", format!("u{}", n * 7 % 5_003)).at(Timestamp::from_microsecond(us));
                let event = event.property("x", (n * 7_919 % 9_973) as f64 * 0.5).property("g", format!("g{}", n % 5));
                event.property("id", format!("{}", n * 31 % 11_003))
            }));
            db.flush();
        }
    };
    let of = |local_operators: bool, memory_bytes: usize| {
        let engine = EngineOptions { local_operators, memory_bytes, ..EngineOptions::default() };
        let db = Db::with(engine, RegistryOptions::default());
        fill(&db);
        db
    };
    let (local, scan) = (of(true, 1 << 30), of(false, 1 << 30));
    for (measure, property) in [
        ("median", "x"),
        ("p99", "x"),
        ("avg", "x"),
        ("min", "x"),
        ("max", "x"),
        ("distinct", "x"),
        ("distinct", "id"),
        ("distinct", "g"),
        ("sum_per_user", "x"),
        ("count_per_user", ""),
        ("frequency", ""),
        ("first_time", ""),
    ] {
        for by in [false, true] {
            let question = question(measure, property, by);
            let (one, other) = (local.ask(&question), scan.ask(&question));
            assert_eq!(one["series"], other["series"], "{question}");
        }
    }
    for local_operators in [true, false] {
        let small = of(local_operators, 300_000);
        let error = small.try_ask(&question("median", "x", false)).expect_err("it does not fit");
        assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    }
}

#[test]
fn a_funnel_names_its_people_and_shows_the_events_that_did_its_steps() {
    let db = Db::new();
    db.track([
        Event::new("view", "anon").at(at("2025-01-01T09:00:00Z")).message_id("m1").property("order", 1),
        Event::new("cart", "ann").at(at("2025-01-01T09:05:00Z")).message_id("m2").property("order", 1),
        Event::new("view", "bob").at(at("2025-01-02T10:00:00Z")).message_id("m3"),
    ]);
    db.identify("anon", "ann");
    db.flush();
    db.track([Event::new("cart", "bob").at(at("2025-01-02T10:00:01Z")).message_id("m4").property("order", 2)]);
    let steps = json!([{"event": "view"}, {"event": "cart"}]);
    let people = |step: u64, outcome: &str, hold: Value| {
        let query = json!({"funnel": {"steps": steps, "hold": hold, "people": {"step": step, "outcome": outcome}}});
        db.ask(&query.to_string())["people"].clone()
    };
    assert_eq!(people(2, "converted", json!([])), json!(["ann", "bob"]));
    // The view of bob has no order.
    assert_eq!(people(2, "converted", json!(["order"])), json!(["ann"]));
    assert_eq!(people(2, "dropped", json!(["order"])), json!([]));
    let rows = db.ask(&json!({"funnel": {"steps": steps, "rows": true}}).to_string())["groups"][0]["rows"].clone();
    let expected = json!([
        {"person": "ann", "steps": [
            {"message_id": "m1", "timestamp": "2025-01-01T09:00:00Z"}, {"message_id": "m2", "timestamp": "2025-01-01T09:05:00Z"}]},
        {"person": "bob", "steps": [
            {"message_id": "m3", "timestamp": "2025-01-02T10:00:00Z"}, {"message_id": "m4", "timestamp": "2025-01-02T10:00:01Z"}]}]);
    assert_eq!(rows, expected);
}

#[test]
fn impossible_funnels_say_which_field_and_why() {
    let db = shop();
    let steps = json!([{"event": "view"}, {"event": "cart"}]);
    let cases = [
        (json!({"steps": []}), "steps", "takes 1 to 32 steps"),
        (
            json!({"steps": steps, "exclude": [{"event": "x", "from_step": 2, "to_step": 2}]}),
            "exclude[0].from_step",
            "less than to_step",
        ),
        (
            json!({"steps": steps, "exclude": [{"event": "x", "from_step": 1, "to_step": 3}]}),
            "exclude[0].to_step",
            "at most the last step",
        ),
        (json!({"steps": steps, "order": "strict", "ties": "apart"}), "ties", "strict"),
        (json!({"steps": steps, "order": "strict", "tolerance": "1s"}), "tolerance", "strict"),
        (json!({"steps": steps, "repeats": "break"}), "repeats", "strict"),
        (json!({"steps": steps, "at": "last"}), "at", "needs a breakdown"),
        (json!({"steps": steps, "hold": ["a", "b", "c", "d"]}), "hold", "at most 3"),
        (json!({"steps": steps, "people": {"step": 1, "outcome": "dropped"}}), "people.step", "from 2 to 2"),
        (json!({"steps": steps, "histogram": {"bins": 0}}), "histogram.bins", "from 1 to 1000"),
        (json!({"steps": [{"event": "view", "optional": true}]}), "steps[0].optional", "opens the attempt"),
        (json!({"steps": steps, "order": "sideways"}), "order", "must be one of"),
        (json!({"steps": steps, "windw": "1d"}), "windw", "not a known field"),
    ];
    for (funnel, field, reason) in cases {
        let error = db.try_ask(&json!({ "funnel": funnel }).to_string()).expect_err("it is impossible");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        let told = error.to_json().to_string();
        assert!(told.contains(&format!("\"field\":\"{field}\"")) && told.contains(reason), "{told}");
    }
}

#[test]
fn a_journey_shows_every_property_with_its_type() {
    let db = Db::new();
    let number = |digits: &str| pugmark_store::Value::Number(digits.into());
    let at_hour = |hour: i64| Timestamp::from_microsecond(hour * 3_600_000_000);
    db.track([
        Event::new("e", "ann").at(at_hour(1)).property("odd", 1).property("n", 7).property("page.url", "/a"),
        Event::new("e", "ann").at(at_hour(2)).property("odd", "one").property("n", 2.5).property("event", "own"),
        Event::new("e", "ann").at(at_hour(3)).property("odd", true).property("n", number("18446744073709551615")),
        Event::new("e", "ann").at(at_hour(4)).property("n", number("123456789012345678901234567890")),
    ]);
    db.flush();
    let list = pugmark_store::Value::Json(r#"{"b":[1,"x"]}"#.into());
    db.track([Event::new("e", "ann").at(at_hour(5)).property("list", list).property("n", 3).session("s1")]);
    let portable =
        Db::with(EngineOptions { local_operators: false, ..EngineOptions::default() }, RegistryOptions::default());
    for engine in [&db.engine, &portable.engine] {
        let query = Query::from_json(r#"{"journey": {"distinct_id": "ann", "order": "oldest"}}"#).expect("it reads");
        let answer = db.block_on(engine.run(&db.snapshot(), &query)).expect("it is answered");
        let answer = serde_json::to_value(answer).expect("it serialises");
        let sessions = answer["sessions"].as_array().expect("sessions");
        let ids: Vec<&Value> = sessions.iter().map(|session| &session["session"]).collect();
        assert_eq!(ids, [&Value::Null, &Value::Null, &Value::Null, &Value::Null, &json!("s1")]);
        let properties: Vec<&Value> = sessions.iter().map(|session| &session["events"][0]["properties"]).collect();
        assert_eq!(
            properties,
            [
                &json!({"odd": 1, "n": 7, "page.url": "/a"}),
                &json!({"odd": "one", "n": 2.5, "event": "own"}),
                &json!({"odd": true, "n": 18_446_744_073_709_551_615_u64}),
                &json!({"n": "123456789012345678901234567890"}),
                &json!({"n": 3, "list": {"b": [1, "x"]}}),
            ]
        );
    }
}

#[test]
fn a_journey_is_of_all_ids_as_of_a_sequence() {
    let db = shop();
    let names = |query: Value| {
        let answer = db.ask(&query.to_string());
        let events = answer["sessions"].as_array().expect("sessions").iter().flat_map(|own| {
            let events = own["events"].as_array().expect("events").iter();
            events.map(|event| event["distinct_id"].as_str().expect("an id").to_owned())
        });
        (answer["person"].clone(), events.collect::<Vec<_>>())
    };
    let sequence = db.store.snapshot().sequence().number();
    db.identify("cid", "robert");
    db.identify("bob", "robert");
    assert_eq!(names(json!({"journey": {"distinct_id": "cid"}})).0, "robert");
    assert_eq!(names(json!({"journey": {"distinct_id": "robert"}})).1, ["cid", "bob"]);
    let then = json!({"journey": {"distinct_id": "cid"}, "as_of": sequence});
    assert_eq!(names(then), (json!("cid"), vec!["cid".to_owned()]));
    // An id that came later was not known then.
    let answer = db.ask(&json!({"journey": {"distinct_id": "robert"}, "as_of": sequence}).to_string());
    assert_eq!((&answer["person"], &answer["sessions"], &answer["next"]), (&Value::Null, &json!([]), &Value::Null));
    assert_eq!(answer["warnings"], json!(["the distinct id \"robert\" was never seen"]));
}

#[test]
fn an_id_never_seen_is_a_warning_or_an_error() {
    let db = shop();
    let answer = db.ask(r#"{"journey": {"distinct_id": "nobody", "filter": "contry = 'DE'"}, "explain": true}"#);
    assert_eq!((&answer["person"], &answer["sessions"]), (&Value::Null, &json!([])));
    assert_eq!(answer["warnings"][0], "the distinct id \"nobody\" was never seen");
    assert!(answer["warnings"][1].as_str().is_some_and(|warning| warning.contains("country")), "{answer}");
    let error =
        db.try_ask(r#"{"journey": {"distinct_id": "nobody"}, "strict_names": true}"#).expect_err("it is strict");
    assert_eq!((error.kind(), error.field()), (ErrorKind::Invalid, Some("distinct_id")));
}

#[test]
fn a_journey_reads_the_rows_of_its_person_alone() {
    let db = shop();
    let answer = db.ask(r#"{"journey": {"distinct_id": "ann", "limit": 2}, "explain": true}"#);
    let plan = answer["explain"]["plan"].as_str().expect("a plan");
    assert!(plan.contains("SubjectsExec") && plan.contains("order=descending, fetch=3"), "{plan}");
}

/// Where a day that a range cuts has, in a file, events of the range alone, the day's cell tells as much as its rows.
#[test]
fn a_range_that_ends_within_a_day_reads_rows_only_of_files_with_events_beyond_it() {
    let db = Db::new();
    let hours = |hour: i64| Timestamp::from_microsecond(1_735_689_600_000_000 + hour * 3_600_000_000);
    let event = |name: &str, hour: i64| Event::new(name, format!("u{}", hour % 5)).at(hours(hour));
    // Three files, of which the first two share a day, and two days in memory.
    for part in [3..30, 33..40, 50..77] {
        db.track(part.step_by(3).flat_map(|hour| [event("view", hour), event("cart", hour + 1)]));
        db.flush();
    }
    db.track((70..110).step_by(7).map(|hour| event("view", hour)));
    let ask = |of: &str, interval: &str, range: &Value, rows: bool| {
        let filter = if rows { json!("event <> 'nothing'") } else { Value::Null };
        let question = match of {
            "trend" => json!({"series": [{"event": "*"}, {"event": ["view", "cart"], "measure": "uniques"},
                {"event": "view", "measure": "uniques", "rolling": 2}, {"event": "*", "measure": "uniques", "cumulative": true}]}),
            "retention" => {
                json!({"start": {"event": "view"}, "return": {"event": "*"}, "cohort": "first_in_range", "periods": 3})
            }
            _ => json!({"event": {"event": "*"}}),
        };
        let mut question = json!({ of: question, "explain": true });
        for (name, value) in [("range", range), ("interval", &json!(interval)), ("filter", &filter)] {
            question[of][name] = value.clone();
        }
        db.ask(&question.to_string())
    };
    // `None` of a plan of the query engine, which reads all of them.
    let rows = |answer: &Value| {
        let plan = answer["explain"]["plan"].as_str().expect("a plan");
        let after = plan.split_once(" Local: ")?.1.split_once(" rows=")?.1;
        after.split_once(',')?.0.parse::<u64>().ok()
    };
    let content = |mut answer: Value| {
        answer.as_object_mut().expect("an answer").remove("explain");
        answer
    };
    let mut spared = 0;
    for from in (0..112).step_by(9) {
        for to in (from + 1..115).step_by(8) {
            let range = json!({"from": hours(from).to_string(), "to": hours(to).to_string()});
            for (of, interval) in
                [("trend", "week"), ("trend", "day"), ("retention", "day"), ("stickiness", "day"), ("lifecycle", "day")]
            {
                let [known, read] = [false, true].map(|rows| ask(of, interval, &range, rows));
                spared += u32::from(rows(&known).is_some_and(|known| rows(&read).is_none_or(|read| known < read)));
                assert_eq!(content(known), content(read), "{of} by {interval}, {range}");
            }
        }
    }
    assert!(spared > 150, "{spared}");
    let counted = |range: Value| {
        let question =
            json!({"trend": {"series": [{"event": "*"}], "interval": "year", "range": range}, "explain": true});
        let answer = db.ask(&question.to_string());
        (answer["series"][0]["total"].as_u64(), rows(&answer))
    };
    let to = |hour: i64| json!({ "to": hours(hour).to_string() });
    assert_eq!(counted(Value::Null), (Some(48), Some(0)));
    assert_eq!(counted(to(106)), (Some(48), Some(0)), "nothing comes after");
    assert_eq!(counted(to(104)).0, Some(47));
    assert!(counted(to(104)).1 > Some(0), "one of that day comes after");
}
