//! Filters: what they match, what they warn of, and what they refuse.

use pugmark_query::{ErrorKind, SQL_MAX_BYTES};
use pugmark_store::Event;
use serde_json::json;

use crate::common::{Db, at};

fn shop() -> Db {
    let db = Db::new();
    db.track([
        Event::new("view", "ann").at(at("2025-01-01")).property("country", "DE").property("page.url", "/a"),
        Event::new("view", "bob").at(at("2025-01-02")).property("country", "US").property("$browser", "Edge"),
        Event::new("view", "cid").at(at("2025-01-03")).property("amount", 5).property("userId", "x"),
        Event::new("view", "dan").at(at("2025-01-04")).property("amount", "five"),
    ]);
    db
}

fn trend(filter: &str) -> String {
    json!({"trend": {"series": [{"event": "view", "filter": filter}], "interval": "year"}}).to_string()
}

/// The count of a filter and the warnings.
fn count(db: &Db, filter: &str) -> (u64, Vec<String>) {
    let answer = db.ask(&trend(filter));
    let warnings =
        answer["warnings"].as_array().expect("warnings").iter().map(|w| w.as_str().expect("text").to_owned());
    (answer["series"][0]["total"].as_u64().expect("a count"), warnings.collect())
}

#[test]
fn a_filter_matches_where_it_is_true_and_null_is_no_match() {
    let db = shop();
    for (filter, expected) in [
        ("country = 'DE'", 1),
        ("country <> 'DE'", 1),
        ("NOT (country = 'DE')", 1),
        ("country IS NULL", 2),
        ("country IN ('DE', 'US') OR amount > 4", 3),
        ("page.url LIKE '/%'", 1),
        ("$browser = 'Edge'", 1),
        ("userId = 'x'", 1),
        ("prop('amount') = 'five'", 1),
        ("events.country = 'US'", 1),
        ("timestamp >= '2025-01-03'", 2),
        ("timestamp > now() - INTERVAL '150 days'", 2),
        ("distinct_id = 'ann' OR person = 1", 2),
        ("length(country) = 2 -- both", 2),
        ("NULL", 0),
        ("true", 4),
    ] {
        assert_eq!(count(&db, filter), (expected, vec![]), "{filter}");
    }
}

#[test]
fn a_name_never_seen_is_null_with_a_warning_or_an_error_on_request() {
    let db = shop();
    let (matched, warnings) = count(&db, "contry = 'DE' OR country = 'DE'");
    assert_eq!(
        (matched, warnings),
        (1, vec!["the property \"contry\" was never seen; nearest: \"country\" (last seen 2025-01-02)".to_owned()])
    );
    assert_eq!(count(&db, "page.urll IS NULL AND prop('zzz') IS NULL").1.len(), 2);
    let strict = json!({
        "trend": {"series": [{"event": "view"}, {"event": "view", "filter": "true AND contry = 'DE'"}]},
        "strict_names": true
    });
    let error = db.try_ask(&strict.to_string()).expect_err("it is refused");
    assert_eq!(
        error.to_json(),
        json!({"error": {
            "kind": "invalid", "message": "the property \"contry\" was never seen",
            "field": "series[1].filter", "at": 9, "nearest": ["country"]
        }})
    );
    let event = json!({"funnel": {"steps": [{"event": "view"}, {"event": "veiw"}]}});
    let answer = db.ask(&event.to_string());
    assert_eq!(
        answer["warnings"],
        json!(["the event \"veiw\" was never seen; nearest: \"view\" (last seen 2025-01-04)"])
    );
    let strict = json!({"funnel": {"steps": [{"event": "view"}, {"event": "veiw"}]}, "strict_names": true});
    let error = db.try_ask(&strict.to_string()).expect_err("it is refused");
    assert_eq!((error.field(), error.nearest()), (Some("steps[1].event"), ["view".to_owned()].as_slice()));
}

#[test]
fn what_is_no_expression_over_one_event_is_refused_with_its_place() {
    let db = shop();
    for (filter, at, said) in [
        ("", Some(0), "empty"),
        ("country = 'DE'; DROP TABLE events", Some(14), ";"),
        ("country = 'DE' country", Some(15), "does not read"),
        ("country = ", Some(10), "does not read"),
        ("country = = 'DE'", Some(10), "country = <HERE>= 'DE'"),
        ("country = 'DE", Some(10), "does not read"),
        ("country IN (SELECT name FROM persons)", Some(12), "a subquery"),
        ("EXISTS (SELECT 1)", Some(8), "a subquery"),
        ("amount = (SELECT 1)", Some(10), "a subquery"),
        ("sum(amount) > 1", Some(0), "an aggregate function"),
        ("true AND count(*) > 1", Some(9), "an aggregate function"),
        ("row_number() OVER () = 1", Some(0), "a window function"),
        ("random() < 0.5", Some(0), "changes from call to call"),
        ("uuid() = 'x'", Some(0), "changes from call to call"),
        ("lenght(country) = 2", Some(0), "there is no function \"lenght\""),
        ("amount + 1", Some(0), "true or false"),
        ("country", Some(0), "true or false"),
        ("prop(country) = 'x'", Some(0), "one name in single quotes"),
    ] {
        let error = db.try_ask(&trend(filter)).expect_err(filter);
        assert_eq!(error.kind(), ErrorKind::Invalid, "{filter}: {error}");
        assert_eq!(error.field(), Some("series[0].filter"), "{filter}: {error}");
        assert_eq!(error.position(), at, "{filter}: {error}");
        assert!(error.to_string().contains(said), "{filter}: {error}");
    }
    let long = format!("country = '{}'", "x".repeat(SQL_MAX_BYTES));
    assert!(db.try_ask(&trend(&long)).expect_err("it is too long").to_string().contains("65536"));
    let deep = format!("{}true{}", "(".repeat(200), ")".repeat(200));
    assert!(db.try_ask(&trend(&deep)).expect_err("it is too deep").to_string().contains("deep"));
    let chain = vec!["amount = 1"; 480].join(" OR ");
    assert_eq!(count(&db, &chain).0, 0);
}
