//! `profile` and `profile_at` in SQL, filters and breakdowns: types, names, merges, NULLs.

use pugmark_query::{Engine, EngineOptions, ErrorKind, QuerySnapshot};
use pugmark_store::{Event, Outcome, ProfileUpdate, Sequence, Value};

use crate::common::{Db, at};

fn update(db: &Db, update: ProfileUpdate) -> Sequence {
    match db.store.append(vec![update.into()]).unwrap().as_slice() {
        [Outcome::Accepted(sequence)] => *sequence,
        other => panic!("{other:?}"),
    }
}

fn json(text: &str) -> Value {
    Value::Json(text.to_owned())
}

#[test]
fn a_trait_has_the_type_of_its_first_value_and_others_are_null() {
    let db = Db::new();
    let long = "a text that is longer than twelve bytes";
    let values: [(&str, [Value; 4]); 6] = [
        ("flag", [true.into(), 1.into(), "true".into(), json("[true]")]),
        ("whole", [7.into(), "7".into(), true.into(), Value::Number("12345678901234567890".into())]),
        ("number", [7.into(), 0.5.into(), Value::Number("12345678901234567890".into()), "7".into()]),
        ("double", [0.5.into(), 7.into(), Value::Number("1e999".into()), true.into()]),
        ("text", ["a".into(), long.into(), "".into(), 1.into()]),
        ("list", [json("[1, 2]"), json("[]"), "a".into(), 1.into()]),
    ];
    for place in 0..4 {
        let id = format!("u{place}");
        db.track([Event::new("view", id.as_str())]);
        let traits = values.iter().fold(ProfileUpdate::set(id), |all, (name, of)| all.with(*name, of[place].clone()));
        update(&db, traits);
    }
    let shown = |name: &str| {
        let ask = format!("SELECT arrow_typeof(profile('{name}')), profile('{name}') FROM events ORDER BY sequence");
        let rows = db.sql(&ask);
        let kind = rows[0].split_once('|').unwrap().0.to_owned();
        let values: Vec<String> = rows.iter().map(|row| row.split_once('|').unwrap().1.to_owned()).collect();
        (kind, values)
    };
    let expected = [
        ("flag", "Boolean", ["true", "", "", ""]),
        ("whole", "Int64", ["7", "", "", ""]),
        ("number", "Float64", ["7.0", "0.5", "1.2345678901234567e19", ""]),
        ("double", "Float64", ["0.5", "7.0", "", ""]),
        ("text", "Utf8View", ["a", long, "", ""]),
        ("list", "Utf8View", ["[1, 2]", "[]", "", ""]),
    ];
    for (name, kind, values) in expected {
        assert_eq!(shown(name), (kind.to_owned(), values.map(str::to_owned).to_vec()), "{name}");
    }
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE profile('text') = ''"), ["1"]);
    assert_eq!(db.sql("SELECT count(*) FROM events WHERE profile('whole') > 3 AND profile('number') < 8"), ["1"]);
}

#[test]
fn lists_grow_and_are_cut_at_the_time() {
    let db = Db::new();
    for day in 1..=4 {
        db.track([Event::new("view", "ann").at(at(&format!("2025-01-0{day}")))]);
    }
    let hour = |day: u32| format!("2025-01-0{day}T12:00:00Z").parse().unwrap();
    update(&db, ProfileUpdate::append("ann").with("seen", "a").at(hour(1)));
    update(&db, ProfileUpdate::union("ann").with("seen", json("[\"a\",\"b\"]")).at(hour(3)));
    update(&db, ProfileUpdate::append("ann").with("seen", 5).at(hour(2)));
    let then = db.sql("SELECT profile_at('seen'), profile('seen') FROM events ORDER BY timestamp");
    let now = r#"["a",5,"b"]"#;
    assert_eq!(then, ["", r#"["a"]"#, r#"["a",5]"#, now].map(|list| format!("{list}|{now}")));
    update(&db, ProfileUpdate::unset("ann", ["seen"]).at(hour(3)));
    assert_eq!(db.sql("SELECT DISTINCT profile('seen') IS NULL FROM events"), ["true"]);
}

#[test]
fn links_are_retroactive_and_as_of_knows_only_what_was_said_by_then() {
    let db = Db::new();
    db.track([Event::new("view", "anon").at(at("2025-01-01")), Event::new("view", "ann").at(at("2025-01-03"))]);
    let known = update(&db, ProfileUpdate::set("ann").with("plan", "pro").at(at("2025-01-02")));
    let anonymous = update(&db, ProfileUpdate::set("anon").with("plan", "free").at(at("2025-01-04")));
    let plans = "SELECT distinct_id, profile('plan'), profile_at('plan') FROM events ORDER BY sequence";
    assert_eq!(db.sql(plans), ["anon|free|", "ann|pro|pro"]);
    db.identify("anon", "ann");
    // The known id wins over the anonymous one, which came later.
    assert_eq!(db.sql(plans), ["anon|pro|", "ann|pro|pro"]);
    assert_eq!(db.sql("SELECT name, profile('plan') FROM persons"), ["ann|pro"]);
    let as_of = |sequence: Sequence| db.try_sql_at(&QuerySnapshot::as_of(&db.store, sequence).unwrap(), plans).unwrap();
    assert_eq!(as_of(anonymous), ["anon|free|", "ann|pro|pro"]);
    assert_eq!(as_of(known), ["anon||", "ann|pro|pro"]);
    assert_eq!(as_of(Sequence::new(2)), ["anon||", "ann||"], "the trait was not known by then");
}

#[test]
fn columns_can_be_told_where_there_is_no_person_or_there_are_two() {
    let db = Db::new();
    db.track([Event::new("view", "ann").at(at("2025-01-01")), Event::new("view", "bob").at(at("2025-01-01"))]);
    update(&db, ProfileUpdate::set("bob").with("plan", "pro").at(at("2025-01-02")));
    let joined = "SELECT e.distinct_id, profile('plan', e.person) FROM events e JOIN persons p ON e.person = p.person ORDER BY 1";
    assert_eq!(db.sql(joined), ["ann|", "bob|pro"]);
    let told = "SELECT distinct_id FROM events WHERE profile_at('plan', subject, timestamp '2025-01-03', 0) = 'pro'";
    assert_eq!(db.sql(told), ["bob"]);
    assert_eq!(db.sql("SELECT profile('plan', 1), profile('plan', NULL)"), ["pro|"]);
    let by_plan = "SELECT profile('plan') AS plan, count(*) FROM events GROUP BY plan ORDER BY plan";
    assert_eq!(db.sql(by_plan), ["pro|1", "|1"]);
    for (statement, says) in [
        ("SELECT profile('plan', person, 1) FROM events", "profile takes a name, or a name and a person, found 3"),
        ("SELECT profile_at('plan', person) FROM events", "found 2 arguments"),
        ("SELECT profile(event) FROM events", "profile takes one name in single quotes, as in profile('plan')"),
        ("SELECT profile('plan', distinct_id) FROM events", "profile takes the number of a person"),
        (
            "SELECT profile_at('plan', person, 5, 1) FROM events",
            "profile_at takes a timestamp and a sequence, found Int64",
        ),
        ("SELECT profile_at() FROM events", "profile_at takes one name in single quotes"),
        (joined.replace("profile('plan', e.person)", "profile('plan')").as_str(), "person"),
    ] {
        let error = db.refused(statement);
        assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains(says), "{statement}: {error}");
    }
}

#[test]
fn a_trait_never_seen_is_null_with_a_warning_or_an_error() {
    let db = Db::new();
    db.track([Event::new("view", "ann")]);
    update(&db, ProfileUpdate::set("ann").with("plan", "pro").with("it's", 1));
    let ask = |rest: &str| format!(r#"{{"trend": {{"series": [{{"event": "view"}}], {rest}}}}}"#);
    let total = |rest: &str| {
        let answer = db.ask(&ask(rest));
        (answer["series"][0]["total"].as_u64(), answer["warnings"].clone())
    };
    let never = serde_json::json!(["the trait \"plna\" was never seen; nearest: \"plan\""]);
    let of = |filter: &str| total(&format!(r#""filter": "{filter}""#));
    assert_eq!(of("profile('plna') = 'pro'"), (Some(0), never.clone()));
    assert_eq!(of("profile_at('plna') IS NULL"), (Some(1), never.clone()));
    assert_eq!(of("profile('plan') = 'pro' and profile('it''s') = 1"), (Some(1), serde_json::json!([])));
    let by = |name: &str| db.ask(&ask(&format!(r#""breakdown": [{{"profile": "{name}"}}]"#)));
    assert_eq!(by("it's")["series"][0]["breakdown"], serde_json::json!([1]));
    assert_eq!((&by("plna")["series"][0]["breakdown"], &by("plna")["warnings"]), (&serde_json::json!([null]), &never));
    for rest in [r#""filter": "profile('plna') = 'x'""#, r#""breakdown": [{"profile": "plna"}]"#] {
        let strict = ask(rest).replacen('{', r#"{"strict_names": true, "#, 1);
        let error = db.try_ask(&strict).unwrap_err();
        assert!(error.to_string().contains("the trait \"plna\" was never seen"), "{error}");
        assert_eq!(error.nearest(), ["plan"]);
    }
    assert_eq!(db.sql("SELECT profile('plna') FROM events"), [""]);
}

#[test]
fn an_analysis_by_traits_takes_the_local_road_and_both_come_to_the_same() {
    let db = Db::new();
    for n in 0..60_u32 {
        let id = format!("u{}", n % 12);
        let day = format!("2025-01-{:02}", n % 28 + 1);
        db.track([Event::new(["view", "buy"][(n % 2) as usize], id.as_str()).at(at(&day)).message_id(format!("m{n}"))]);
        if n % 3 == 0 {
            update(
                &db,
                ProfileUpdate::set(id.as_str()).with("plan", ["free", "pro"][(n / 3 % 2) as usize]).at(at(&day)),
            );
        }
        if n == 30 {
            db.flush();
        }
    }
    let scans = Engine::new(EngineOptions { local_operators: false, ..EngineOptions::default() }).unwrap();
    for query in [
        r#"{"trend": {"series": [{"event": "view", "measure": "uniques", "filter": "profile_at('plan') = 'pro'"}]}, "explain": true}"#,
        r#"{"trend": {"series": [{"event": "*"}], "breakdown": [{"profile": "plan"}, {"expression": "profile_at('plan')"}]}, "explain": true}"#,
        r#"{"funnel": {"steps": [{"event": "view"}, {"event": "buy", "filter": "profile('plan') = 'free'"}]}, "explain": true}"#,
    ] {
        let local = db.ask(query);
        let plan = local["explain"]["plan"].as_str().unwrap();
        assert!(!plan.contains("EventsExec"), "{plan}");
        let query = pugmark_query::spec::Query::from_json(query).unwrap();
        let mut scanned = serde_json::to_value(db.block_on(scans.run(&db.snapshot(), &query)).unwrap()).unwrap();
        assert!(scanned["explain"]["plan"].as_str().unwrap().contains("EventsExec"), "{scanned}");
        scanned["explain"] = local["explain"].clone();
        assert_eq!(local, scanned);
    }
}

#[test]
fn traits_that_do_not_fit_are_refused() {
    let db = Db::with(EngineOptions { memory_bytes: 1 << 20, ..EngineOptions::default() }, Default::default());
    let person = |n: u32| ProfileUpdate::set(format!("u{n}")).with("note", format!("{n:0200}")).into();
    db.store.append((0..20_000).map(person).collect()).unwrap();
    db.track([Event::new("view", "u7")]);
    let error = db.refused("SELECT profile('note') FROM events");
    assert_eq!(error.kind(), ErrorKind::Full, "{error}");
    assert!(error.to_string().contains("traits"), "{error}");
}

/// Found by a review: a sort was charged with the texts of everybody for each batch that it held.
#[test]
fn a_sort_by_long_traits_is_charged_with_its_own_rows() {
    let db =
        Db::with(EngineOptions { memory_bytes: 64 << 20, threads: 2, ..EngineOptions::default() }, Default::default());
    let count = 40_000_u32;
    let note = |n: u32| format!("{:0150}", n * 7 % count);
    for first in (0..count).step_by(5_000) {
        let of = |n: u32| ProfileUpdate::set(format!("u{n}")).with("note", note(n)).into();
        db.store.append((first..first + 5_000).map(of).collect()).unwrap();
        db.track((first..first + 5_000).map(|n| Event::new("view", format!("u{n}"))));
    }
    let last = "SELECT profile('note') AS note, distinct_id FROM events ORDER BY note DESC LIMIT 1 OFFSET 39999";
    assert_eq!(db.sql(last), [format!("{:0150}|u0", 0)]);
}

/// Found by a review: every list of a trait that is no list was written, only to be NULL.
#[test]
fn lists_of_a_trait_that_is_none_are_null_and_cost_nothing() {
    let db = Db::new();
    update(&db, ProfileUpdate::set("bob").with("seen", "x"));
    for first in (0..40_000_u32).step_by(10_000) {
        let append = |n: u32| ProfileUpdate::append("ann").with("seen", format!("page {n}")).into();
        db.store.append((first..first + 10_000).map(append).collect()).unwrap();
    }
    db.track([Event::new("view", "ann"), Event::new("view", "bob")]);
    assert_eq!(db.sql("SELECT profile_at('seen') FROM events ORDER BY sequence"), ["", "x"]);
}
