//! Groups of people and their profiles, and where people came from.

use pugmark::{Breakdown, Event, Export, Import, People, Pugmark, Query, Sequence, Sessions, Source, Timestamp, Trend};
use serde_json::{Map, Value, json};

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn shop(dir: &std::path::Path) -> Pugmark {
    let db = Pugmark::open(dir).expect("opens");
    let seen = |who: &str, company: &str| Event::new("view", who).at(at("2025-01-01")).property("company", company);
    db.track_many(vec![seen("ann", "acme"), seen("bob", "acme"), seen("cid", "tiny"), seen("dan", "none")])
        .expect("is stored");
    db
}

fn by_plan(db: &Pugmark, as_of: Option<u64>) -> Vec<(Value, Value)> {
    let trend =
        Trend::of("view").uniques().breakdown(Breakdown::Expression("group_profile('company', 'plan')".to_owned()));
    let mut query = Query::from(trend);
    query.as_of = as_of;
    let answer = serde_json::to_value(db.blocking().expect("runs").query(&query).expect("answers")).expect("is JSON");
    let series = answer["series"].as_array().expect("series").iter();
    series.map(|one| (one["breakdown"][0].clone(), one["total"].clone())).collect()
}

#[test]
fn profiles_of_groups_change_are_looked_up_and_are_those_of_then() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    assert_eq!(by_plan(&db, None), [(Value::Null, json!(4))]);
    db.set_group("company", "acme", &object(json!({"plan": "free", "seats": 3, "tags": ["a"]}))).unwrap();
    let then = db.info().unwrap().sequence;
    db.set_group("company", "acme", &object(json!({"plan": "pro", "tags": null}))).unwrap();
    db.set_group("company", "tiny", &object(json!({"plan": "free", "seats": 1}))).unwrap();
    db.set_group("team", "tiny", &object(json!({"plan": "other"}))).unwrap();
    let told = |db: &Pugmark| {
        assert_eq!(by_plan(db, None), [(json!("pro"), json!(2)), (Value::Null, json!(1)), (json!("free"), json!(1))]);
        assert_eq!(by_plan(db, Some(then)), [(Value::Null, json!(2)), (json!("free"), json!(2))]);
        let acme = db.group("company", "acme", None).unwrap().unwrap();
        assert_eq!((acme.traits, acme.changes), (object(json!({"plan": "pro", "seats": 3})), 2));
        let before = db.group("company", "acme", Some(Sequence::new(then))).unwrap().unwrap();
        assert_eq!(before.traits["tags"], json!(["a"]));
        assert_eq!(db.group("company", "tiny", Some(Sequence::new(then))).unwrap(), None);
        let ids: Vec<String> = db.groups("company", None).unwrap().into_iter().map(|group| group.id).collect();
        assert_eq!(ids, ["acme", "tiny"]);
        // Nobody is taken for a person.
        assert_eq!(db.blocking().unwrap().people(&People::new()).unwrap().count, Some(4));
    };
    told(&db);
    db.flush().unwrap();
    told(&db);
    assert!(db.verify(false, |_| {}).unwrap().findings.is_empty());
    db.close().unwrap();
    told(&Pugmark::open(dir.path()).unwrap());
}

#[test]
fn numbers_compare_as_numbers_and_names_are_checked() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    db.set_group("company", "acme", &object(json!({"seats": 10}))).unwrap();
    db.set_group("company", "tiny", &object(json!({"seats": 9}))).unwrap();
    let large = Trend::of("view").filter("group_profile('company', 'seats') > 9.5");
    assert_eq!(db.blocking().unwrap().trend(&large).unwrap().series[0].total, 2);
    // A text among them makes texts of all.
    db.set_group("company", "none", &object(json!({"seats": "many"}))).unwrap();
    let texts = Trend::of("view").filter("group_profile('company', 'seats') = '10'");
    assert_eq!(db.blocking().unwrap().trend(&texts).unwrap().series[0].total, 2);
    for (property, id, traits) in [
        ("", "acme", json!({"a": 1})),
        ("a=b", "acme", json!({"a": 1})),
        ("company", " ", json!({"a": 1})),
        ("company", "acme", json!({})),
        ("company", "acme", json!({"": 1})),
        ("company", &"x".repeat(300), json!({"a": 1})),
    ] {
        let refused = db.set_group(property, id, &object(traits)).unwrap_err();
        assert_eq!(refused.kind(), pugmark::ErrorKind::Invalid, "{refused}");
    }
    let near = Trend::of("view").filter("group_profile('company', 'seat') = '10'");
    let warnings = db.blocking().unwrap().trend(&near).unwrap().header.warnings;
    assert!(warnings[0].contains("the trait \"seat\" was never seen; nearest: \"seats\""), "{warnings:?}");
    let number = |account: f64| Event::new("pay", "ann").property("account", account);
    db.track(Event::new("pay", "ann").property("account", 42)).unwrap();
    db.set_group("account", "42", &object(json!({"plan": "pro"}))).unwrap();
    db.track_many(vec![number(42.0), number(1.5)]).unwrap();
    let pro = Trend::of("pay").filter("group_profile('account', 'plan') = 'pro'");
    assert_eq!(db.blocking().unwrap().trend(&pro).unwrap().series[0].total, 2);
    let error = db.blocking().unwrap().sql("SELECT group_profile('company') FROM events").unwrap_err();
    assert!(error.to_string().contains("group_profile('company', 'plan')"), "{error}");
}

#[test]
fn lines_of_a_file_change_groups() {
    let dir = tempfile::tempdir().unwrap();
    let db = shop(dir.path());
    let lines = concat!(
        r#"{"type":"group","group":"company","id":"acme","traits":{"plan":"pro","address":{"city":"Ulm"},"seats":2,"trial":true}}"#,
        "\n",
        r#"{"type":"group","group":"company","id":"acme","traits":{"trial":null},"unset":["seats"]}"#,
        "\n",
        r#"{"type":"group","group":"company","traits":{"plan":"pro"}}"#,
        "\n",
        r#"{"type":"group","group":"company","id":"acme","plan":"pro"}"#,
    );
    let mut rejects = Vec::new();
    let source = Source::from_reader("groups.ndjson", lines.as_bytes()).unwrap();
    let summary = db.import(&Import::default(), source, |_| {}, |reject| rejects.push(reject.reason)).unwrap();
    assert_eq!((summary.profiles, summary.rejected), (2, 2));
    assert_eq!(rejects, ["id: missing", "plan: not taken with group, expected group, id, traits and unset"]);
    let acme = db.group("company", "acme", None).unwrap().unwrap();
    assert_eq!(acme.traits, object(json!({"plan": "pro", "address": {"city": "Ulm"}})));
    // What is written out says the same of them.
    let (mut out, other) = (Vec::new(), tempfile::tempdir().unwrap());
    db.export(&Export::default(), &mut out, |_| {}).unwrap();
    let copy = Pugmark::open(other.path()).unwrap();
    let source = Source::from_reader("all.ndjson", std::io::Cursor::new(out)).unwrap();
    copy.import(&Import::default(), source, |_| {}, |reject| panic!("{reject:?}")).unwrap();
    assert_eq!(copy.group("company", "acme", None).unwrap().unwrap().traits, acme.traits);
}

#[test]
fn people_and_sessions_say_where_they_came_from() {
    let dir = tempfile::tempdir().unwrap();
    let db = Pugmark::open(dir.path()).unwrap();
    let seen = |who: &str, when: &str| Event::new("view", who).at(at(when));
    db.track_many(vec![
        seen("anon", "2025-01-01T09:00:00Z"),
        seen("anon", "2025-01-01T09:05:00Z").property("source", "news").property("campaign", "may"),
        seen("ann", "2025-01-01T09:10:00Z").property("source", "ads"),
        seen("ann", "2025-01-03T09:00:00Z").property("campaign", 7),
        seen("ann", "2025-01-03T09:01:00Z"),
        seen("bob", "2025-01-02T09:00:00Z"),
    ])
    .unwrap();
    db.identify("anon", "ann").unwrap();
    let told = |db: &Pugmark| {
        let people = People::new().touch("source").touch("campaign");
        let people = serde_json::to_value(db.blocking().unwrap().people(&people).unwrap()).unwrap();
        let of = |at: usize| (&people["people"][at]["first_touch"], &people["people"][at]["last_touch"]);
        assert_eq!(of(0), (&json!({"source": "news", "campaign": "may"}), &json!({"campaign": "7"})));
        assert_eq!(of(1), (&json!({}), &json!({})));
        let sessions = db.blocking().unwrap().sessions(&Sessions::new().rows().touch("source")).unwrap();
        let (headings, rows) = sessions.to_table();
        assert_eq!(headings[headings.len() - 2..], ["first_source", "last_source"]);
        let ends = |row: &Vec<Value>| row[row.len() - 2..].to_vec();
        let ends: Vec<Vec<Value>> = rows.iter().map(ends).collect();
        assert_eq!(ends, [vec![json!("news"), json!("ads")], vec![Value::Null; 2], vec![Value::Null; 2]]);
    };
    told(&db);
    db.flush().unwrap();
    told(&db);
    let unknown = db.blocking().unwrap().people(&People::new().touch("sourc")).unwrap();
    assert!(unknown.header.warnings[0].contains("nearest: \"source\""), "{:?}", unknown.header.warnings);
}
