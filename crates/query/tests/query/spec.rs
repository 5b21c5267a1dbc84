//! Reading questions from JSON: strictly, completely, and back again (`docs/semantics.md`, sections 0 and 6).

use pugmark_query::{
    calendar::{Interval, ResolvedRange, TimeZone, WeekStart, days, hours},
    funnel::{Funnel, MAX_STEPS, Step},
    retention::{Cohort, Criterion, PeriodZero, Retention, RoundTo},
    spec::{Analysis, Breakdown, EventNames, Query, Selector, SpecError, SpecErrorKind, Unit},
    trend::Trend,
};
use serde_json::{Value, json};

fn refused(query: &Value) -> SpecError {
    Query::from_json(&query.to_string()).expect_err(&query.to_string())
}

#[track_caller]
fn assert_refused(query: &Value, kind: SpecErrorKind, field: &str, message: &str) {
    let error = refused(query);
    assert_eq!((error.kind, error.field.as_deref()), (kind, Some(field)), "{query}: {error}");
    assert!(error.message.contains(message), "{query}: {error}");
}

fn funnel_with(field: &str, value: Value) -> Value {
    let mut funnel = json!({ "steps": [{ "event": "a" }, { "event": "b" }] });
    funnel[field] = value;
    json!({ "funnel": funnel })
}

#[test]
fn an_unknown_field_is_named_with_its_path_and_the_nearest_known_one() {
    for (query, field, nearest) in [
        (json!({ "funnel": { "stepz": [] } }), "stepz", "steps"),
        (
            json!({ "funnel": { "steps": [{ "event": "a" }, { "event": "b", "filtr": "x" }] } }),
            "steps[1].filtr",
            "filter",
        ),
        (json!({ "trend": { "series": [{ "event": "a" }], "range": { "form": "2025-01-01" } } }), "range.form", "from"),
        (json!({ "retention": { "start": { "event": "a", "evnt": "b" } } }), "start.evnt", "event"),
        (json!({ "trend": { "series": [{ "event": "a" }] }, "as_off": 3 }), "as_off", "as_of"),
        (json!({ "funel": {} }), "funel", "funnel"),
        (
            json!({ "trend": { "series": [{ "event": "a" }], "breakdown": [{ "propertie": "p" }] } }),
            "breakdown[0].propertie",
            "property",
        ),
    ] {
        assert_refused(&query, SpecErrorKind::Invalid, field, "is not a known field");
        assert_eq!(refused(&query).nearest[0], nearest, "{query}");
    }
}

#[test]
fn a_segment_is_read_in_all_its_forms_and_written_as_it_was() {
    let funnel = json!({ "steps": [{ "event": "a" }, { "event": "b" }], "window": "1d" });
    let retention = json!({ "start": { "event": "a" }, "return": { "event": "b" }, "interval": "day" });
    for segment in [
        json!("payers"),
        json!({ "cohort": "payers" }),
        json!({ "first": { "event": "a" }, "range": { "last": "30d" } }),
        json!({ "last": { "event": "*" } }),
        json!({ "profile": "country = 'US'" }),
        json!({ "funnel": funnel, "step": 2, "outcome": "dropped" }),
        json!({ "retention": retention, "cohort": "2025-01-01", "period": 3 }),
        json!({ "retention": retention, "cohort": "2025-01-01", "period": "1-2" }),
        json!({ "not": { "any": ["payers", { "did": { "event": "a" }, "times": { "exactly": 2 } }] } }),
        json!(["payers", { "did": { "event": "a" }, "name": "a's" }]),
    ] {
        let asked = funnel_with("segment", segment.clone());
        let query = Query::from_value(&asked).expect("it is a segment");
        assert_eq!(serde_json::to_value(&query).expect("it can be written")["funnel"]["segment"], segment);
        let counted = json!({ "segment": segment });
        let query = Query::from_value(&counted).expect("it is counted, too");
        assert_eq!(serde_json::to_value(&query).expect("it can be written"), counted);
    }
    let nested = json!({ "steps": [{ "event": "a" }], "segment": { "did": { "event": "a", "fliter": "x" } } });
    let two_steps = json!({ "funnel": funnel, "step": 3, "outcome": "converted" });
    let compared = json!({ "steps": [{ "event": "a" }], "compare": "previous" });
    let many: Vec<Value> = (0..33).map(|_| json!({ "did": { "event": "a" } })).collect();
    for (segment, field, message) in [
        (json!({ "first": { "event": "a" }, "times": { "at_least": 1 } }), "segment.times", "belongs to did"),
        (json!({ "profile": "x", "did": { "event": "a" } }), "segment", "must have exactly one of"),
        (json!({ "funnel": nested, "step": 1, "outcome": "converted" }), "segment.funnel.segment.did.fliter", "is not"),
        (two_steps, "segment.step", "must be from 1 to 2"),
        (json!({ "funnel": compared, "step": 1, "outcome": "converted" }), "segment.funnel.compare", "has no people"),
        (json!({ "retention": retention, "cohort": "2025-01-01" }), "segment.period", "is missing"),
        (json!({ "any": many }), "segment", "takes at most 32 selectors, found 33"),
        (json!([]), "segment", "at least one"),
        (json!(["a", { "did": { "event": "a" }, "nam": "x" }]), "segment[1].nam", "is not a known field"),
    ] {
        assert_refused(&funnel_with("segment", segment), SpecErrorKind::Invalid, field, message);
    }
}

#[test]
fn a_default_written_out_asks_for_nothing_new() {
    let plain = Query::from(Funnel::steps(["a", "b"]));
    for (field, value) in [
        ("order", json!("ordered")),
        ("ties", json!("either")),
        ("entry", json!("any")),
        ("pick", json!("earliest")),
        ("completion", json!("in_window")),
        ("exclude", json!([])),
        ("hold", json!([])),
        ("reuse", json!(false)),
        ("rows", json!(false)),
        ("tolerance", json!("0s")),
        ("at", json!("first")),
        ("window", json!("2w")),
        ("unit", json!("person")),
        ("limit", json!(25)),
        ("breakdown", Value::Null),
    ] {
        assert_eq!(Query::from_value(&funnel_with(field, value)).as_ref(), Ok(&plain), "{field}");
    }
}

fn retention_with(fields: &[(&str, Value)]) -> Value {
    let mut retention = json!({ "start": { "event": "a" } });
    for (field, value) in fields {
        retention[*field] = value.clone();
    }
    json!({ "retention": retention })
}

#[test]
fn a_malformed_value_is_refused_where_it_stands() {
    for (query, field, message) in [
        (
            funnel_with("order", json!("orderd")),
            "order",
            "must be one of ordered, any, strict, strict_steps, found \"orderd\"",
        ),
        (funnel_with("window", json!("7 days")), "window", "funnel.window: \"7 days\" is no duration"),
        (funnel_with("window", json!(7)), "window", "must be text, found a number"),
        (funnel_with("steps", json!([])), "steps", "takes 1 to 32 steps, found 0"),
        (funnel_with("steps", json!(["a"])), "steps[0]", "must be an object, found text"),
        (funnel_with("steps", json!([{ "event": [] }])), "steps[0].event", "must name at least one event"),
        (funnel_with("steps", json!([{ "event": ["a", "*"] }])), "steps[0].event", "\"*\" stands alone"),
        (funnel_with("steps", json!([{ "filter": "x" }])), "steps[0].event", "is missing"),
        (funnel_with("limit", json!(0)), "limit", "must be at least 1"),
        (funnel_with("limit", json!(-1)), "limit", "must be a whole number from 0, found -1"),
        (funnel_with("time_zone", json!("Europe/Berln")), "time_zone", "is not a known time zone"),
        (funnel_with("range", json!({ "from": "yesterday" })), "range.from", "is neither a date"),
        (funnel_with("range", json!({ "from": "2025-01-01", "last": "7d" })), "range", "expected one or the other"),
        (funnel_with("breakdown", json!([{ "property": "a", "expression": "b" }])), "breakdown[0]", "exactly one of"),
        (
            funnel_with(
                "breakdown",
                json!([{"property": "a"}, {"property": "b"}, {"property": "c"}, {"property": "d"}]),
            ),
            "breakdown",
            "at most 3",
        ),
        (
            json!({ "retention": { "start": { "event": "a" }, "interval": "year" } }),
            "interval",
            "must be one of hour, day, week, month",
        ),
        (json!({ "retention": { "start": { "event": "a" }, "periods": 0 } }), "periods", "must be at least 1"),
        (retention_with(&[("clock", json!("rollin"))]), "clock", "must be one of calendar, rolling, found \"rollin\""),
        (retention_with(&[("round_to", json!("hour"))]), "round_to", "goes with the clock \"rolling\" only"),
        (retention_with(&[("round_to", json!("day")), ("clock", json!("rolling"))]), "round_to", "must be one of hour"),
        (retention_with(&[("brackets", json!([1, 3, 3]))]), "brackets", "must ascend, found 3 before 3"),
        (retention_with(&[("brackets", json!([-1]))]), "brackets[0]", "must be a whole number from 0, found -1"),
        (retention_with(&[("brackets", json!([1])), ("periods", json!(4))]), "brackets", "leave out periods"),
        (
            retention_with(&[("brackets", json!([1, 3])), ("criterion", json!("streak"))]),
            "brackets",
            "go with the criterion on only, found streak",
        ),
        (retention_with(&[("measure", json!("sum"))]), "property", "is missing: the measure sum needs one"),
        (retention_with(&[("property", json!("amount"))]), "property", "goes with the measures sum and avg only"),
        (retention_with(&[("breakdown_match", json!(true))]), "breakdown_match", "needs a breakdown"),
    ] {
        assert_refused(&query, SpecErrorKind::Invalid, field, message);
    }
}

#[test]
fn measures_say_what_goes_with_them() {
    let measure = |measure: &str| json!({ "event": "a", "measure": measure });
    let with = |measure: &str, field: &str, value: Value| {
        let mut series = json!({ "event": "a", "measure": measure });
        series[field] = value;
        json!({ "trend": { "series": [series] } })
    };
    let beside = |series: Value, field: &str, value: Value| {
        let mut trend = json!({ "series": series });
        trend[field] = value;
        json!({ "trend": trend })
    };
    for (query, field, message) in [
        (with("p90", "name", json!("x")), "series[0].property", "must say of which property the p90 is"),
        (with("uniques", "property", json!("x")), "series[0].property", "does not belong to the measure \"uniques\""),
        (with("p33", "property", json!("x")), "series[0].measure", "must be one of count, uniques, count_per_user"),
        (with("count", "rolling", json!(7)), "series[0].rolling", "belongs to the measure \"uniques\""),
        (with("first_time", "rolling", json!(7)), "series[0].rolling", "belongs to the measure \"uniques\""),
        (with("uniques", "rolling", json!(1)), "series[0].rolling", "takes 2 to 1000 buckets, found 1"),
        (with("count_per_user", "cumulative", json!(true)), "series[0].cumulative", "found count_per_user"),
        (
            json!({ "trend": { "series": [{ "event": "a", "measure": "uniques", "rolling": 7, "cumulative": true }] } }),
            "series[0].cumulative",
            "does not go with rolling",
        ),
        (beside(json!([measure("count")]), "rolling", json!(7)), "rolling", "which no series has"),
        (beside(json!([measure("count_per_user")]), "cumulative", json!(true)), "cumulative", "which no series has"),
        (
            beside(json!([measure("frequency"), measure("count")]), "interval", json!("day")),
            "series[1].measure",
            "must be frequency as those beside it are, found count",
        ),
        (beside(json!([measure("frequency")]), "formula", json!("A")), "formula", "does not go with the measure"),
        (beside(json!([measure("count")]), "name", json!("x")), "name", "belongs to a formula"),
        (beside(json!([measure("count")]), "formula", json!("A / B")), "formula", "names the series B"),
    ] {
        assert_refused(&query, SpecErrorKind::Invalid, field, message);
    }
    let formula = refused(&beside(json!([measure("count")]), "formula", json!("A / (A")));
    assert_eq!((formula.at, formula.to_string().contains("lacks a closing parenthesis at byte 6")), (Some(6), true));
}

#[test]
fn what_stands_beside_the_series_is_said_of_those_that_take_it() {
    let question = json!({ "trend": { "cumulative": true, "series": [
        { "event": "a" },
        { "event": "a", "cumulative": false },
        { "event": "a", "measure": "avg", "property": "x" },
        { "event": "a", "measure": "uniques", "rolling": 7 },
        { "event": "a", "measure": "first_time" },
    ] } });
    let trend: Trend = serde_json::from_value(question["trend"].clone()).expect("it is a trend");
    let said: Vec<bool> = trend.series.iter().map(|series| series.cumulative).collect();
    assert_eq!(said, [true, false, false, false, true]);
    let question = json!({ "rolling": 3, "series": [
        { "event": "a", "measure": "uniques" },
        { "event": "a" },
        { "event": "a", "measure": "uniques", "rolling": 7 },
        { "event": "a", "measure": "uniques", "cumulative": true },
    ] });
    let trend: Trend = serde_json::from_value(question).expect("it is a trend");
    let said: Vec<Option<usize>> = trend.series.iter().map(|series| series.rolling).collect();
    assert_eq!(said, [Some(3), None, Some(7), None]);
}

#[test]
fn a_query_is_one_analysis() {
    assert!(refused(&json!({})).message.contains("no analysis"));
    let both = json!({ "trend": { "series": [{ "event": "a" }] }, "funnel": { "steps": [{ "event": "a" }] } });
    assert!(refused(&both).message.contains("two analyses, trend and funnel"));
    assert!(refused(&json!({ "retention": {} })).message.contains("needs start or return"));
}

#[test]
fn what_is_not_json_is_refused_at_its_byte() {
    let error = Query::from_json("{\"trend\":\n  {\"series\": oops}}").expect_err("this is not JSON");
    assert_eq!((error.kind, error.at), (SpecErrorKind::Invalid, Some(23)), "{error}");
    assert_eq!(error.to_json()["error"]["at"], 23);
}

#[test]
fn what_a_builder_says_reads_back_from_its_json() {
    let funnel = Funnel::steps([Step::from("view").named("seen"), Selector::any_of(["cart", "basket"]).into()])
        .step(Selector::from("purchase").filter("amount > 10"))
        .window(hours(36))
        .breakdown("country")
        .breakdown(Breakdown::Expression("amount > 100".to_owned()))
        .limit(5)
        .unit(Unit::DistinctId)
        .filter("platform = 'web'")
        .time_zone("Europe/Berlin")
        .from("2025-01-01")
        .to("2025-02-01T00:00:00+01:00");
    let trend = Trend::of("a").uniques().named("first").and("*").interval(Interval::Hour).last(days(30));
    let retention = Retention::new("signup", "*")
        .monthly()
        .recurring()
        .periods(6)
        .period_zero(PeriodZero::Returned)
        .min_occurrences(2);
    let rolling = Retention::new("signup", "*")
        .cohort(Cohort::FirstOfEvent)
        .rolling()
        .round_to(RoundTo::Hour)
        .open()
        .brackets([1, 3, 7])
        .avg("amount")
        .breakdown("plan")
        .breakdown_match();
    let streak = Retention::new("signup", "*").criterion(Criterion::Streak).sum("amount").week_start(WeekStart::Sunday);
    let mut query = Query::from(funnel);
    (query.as_of, query.strict_names, query.explain, query.timeout) = (Some(9), true, true, Some(hours(1)));
    for query in [query, trend.into(), retention.into(), rolling.into(), streak.into()] {
        let written = serde_json::to_string(&query).expect("a query can be written");
        assert_eq!(Query::from_json(&written).as_ref(), Ok(&query), "{written}");
        assert_eq!(serde_json::from_str::<Query>(&written).expect("serde reads the same"), query);
    }
}

#[test]
fn the_examples_of_the_contract_are_read() {
    let trend = r#"{"trend": {"series":[{"event":"purchase","measure":"uniques","filter":"country = 'DE'"}], "range":{"from":"2025-01-01","to":"2025-02-01"}, "interval":"day", "time_zone":"Europe/Berlin", "breakdown":[{"property":"platform"}]}}"#;
    let retention = r#"{"retention": {"start":{"event":"signup"},"return":{"event":"*"}, "interval":"week", "periods":8, "cohort":"first_time", "criterion":"on"}}"#;
    assert!(Query::from_json(trend).is_ok());
    let Ok(Query { analysis: Analysis::Retention(retention), .. }) = Query::from_json(retention) else {
        panic!("the example is a retention")
    };
    assert_eq!((retention.cohort, retention.returning.event), (Cohort::FirstTime, EventNames::Any));
}

#[test]
fn start_and_return_are_equal_unless_both_are_given() {
    for given in ["start", "return"] {
        let query = json!({ "retention": { given: { "event": "a", "filter": "x = 1" } } });
        let Ok(Query { analysis: Analysis::Retention(retention), .. }) = Query::from_value(&query) else {
            panic!("{query} is a retention")
        };
        assert_eq!(retention.start, Selector::from("a").filter("x = 1"));
        assert_eq!(retention.returning, retention.start);
    }
}

#[test]
fn a_builder_is_held_to_the_rules_of_the_json_form() {
    assert!(Funnel::steps(["a"]).validate().is_ok());
    assert_eq!(
        Funnel::steps(vec!["a"; MAX_STEPS + 1]).validate().expect_err("too many").field.as_deref(),
        Some("steps")
    );
    assert_eq!(Trend::of("a").from("soon").validate().expect_err("no date").field.as_deref(), Some("range"));
    let yearly = Retention::new("a", "b").interval(Interval::Year);
    assert_eq!(yearly.validate().expect_err("no such interval").field.as_deref(), Some("interval"));
}

#[test]
fn a_date_is_the_first_instant_of_a_local_day_and_missing_ends_are_those_of_the_data() {
    let zone = TimeZone::named("Europe/Berlin").expect("the zone exists");
    let data = ResolvedRange { from_us: 5, to_us: 7 };
    let resolve = |trend: Trend| trend.scope.range.resolve(&zone, 100_000_000_000, data);
    let new_year_us = 1_735_686_000_000_000;
    assert_eq!(resolve(Trend::of("a")), Ok(data));
    assert_eq!(
        resolve(Trend::of("a").from("2025-01-01").to("2025-01-02")),
        Ok(ResolvedRange { from_us: new_year_us, to_us: new_year_us + days(1).as_us() })
    );
    assert_eq!(resolve(Trend::of("a").to("2025-01-01")), Ok(ResolvedRange { from_us: 5, to_us: new_year_us }));
    assert_eq!(
        resolve(Trend::of("a").last(days(1))),
        Ok(ResolvedRange { from_us: 100_000_000_000 - days(1).as_us(), to_us: 100_000_000_000 })
    );
    let backwards = resolve(Trend::of("a").from("2025-01-02").to("2025-01-01"));
    assert_eq!(backwards.expect_err("it ends before it begins").field.as_deref(), Some("range"));
}

#[test]
fn a_journey_takes_what_is_of_one_person() {
    let with = |field: &str, value: Value| {
        let mut journey = json!({ "distinct_id": "ann" });
        journey[field] = value;
        json!({ "journey": journey })
    };
    for (query, field, message) in [
        (json!({ "journey": {} }), "distinct_id", "is missing"),
        (with("limit", json!(0)), "limit", "must be from 1 to 1000, found 0"),
        (with("limit", json!(1_001)), "limit", "must be from 1 to 1000, found 1001"),
        (with("order", json!("latest")), "order", "must be one of newest, oldest"),
        (with("cursor", json!("n12")), "cursor", "\"n12\" is not a cursor"),
        (with("cursor", json!("o00000000000000000000000000000001")), "cursor", "is of the order oldest"),
        (with("cursor", json!(5)), "cursor", "must be text"),
        (with("segment", json!({ "did": { "event": "a" } })), "segment", "is not for a journey"),
        (with("unit", json!("distinct_id")), "unit", "is not for a journey"),
        (with("breakdown", json!([{ "property": "plan" }])), "breakdown", "is not for a journey"),
        (with("interval", json!("day")), "interval", "is not a known field"),
    ] {
        assert_refused(&query, SpecErrorKind::Invalid, field, message);
    }
    assert!(Query::from_json(r#"{"journey": {"distinct_id":"u1", "limit":100, "order":"oldest"}}"#).is_ok());
    assert!(Query::from_json(r#"{"journey": {"distinct_id":"u1", "unit":"person", "breakdown":[]}}"#).is_ok());
}

#[test]
fn paths_that_contradict_themselves_are_refused() {
    let with = |field: &str, value: Value| json!({ "paths": { field: value } });
    for (query, field, message) in [
        (with("depth", json!(1)), "depth", "must be from 2 to 20, found 1"),
        (with("depth", json!(21)), "depth", "must be from 2 to 20, found 21"),
        (with("within", json!("sesion")), "within", "must be session, all or a duration: "),
        (with("within", json!(30)), "within", "must be text, found a number"),
        (with("direction", json!("back")), "direction", "must be one of after, before, found \"back\""),
        (with("count", json!("events")), "count", "must be one of units, occurrences"),
        (with("anchor", json!("a")), "anchor", "must be an object, found text"),
        (with("anchor", json!({ "event": [] })), "anchor.event", "must name at least one event"),
        (with("exclude", json!([{ "event": "*" }])), "exclude[0]", "leaves no event out of all"),
        (with("exclude", json!(vec![json!({ "event": "a" }); 30])), "exclude", "takes at most 29 selectors, found 30"),
        (with("breakdown", json!([{ "property": "plan" }])), "breakdown", "is not for paths"),
        (with("compare", json!("previous")), "compare", "is for trends, funnels and retention"),
        (with("ancor", json!({ "event": "a" })), "ancor", "is not a known field"),
    ] {
        assert_refused(&query, SpecErrorKind::Invalid, field, message);
    }
    let plain = Query::from_json(r#"{"paths": {}}"#).expect("everything has a default");
    let written = r#"{"paths": {"anchor":null, "direction":"after", "depth":5, "within":"session", "collapse":true, "count":"units",
        "node":"event", "exclude":[], "end":null}}"#;
    assert_eq!(Query::from_json(written), Ok(plain));
}
