//! What a document of an API over HTTP says of questions is what their reader takes.

use jsonschema::Validator;
use proptest::sample::{Index, select};
use proptest::{prelude::*, test_runner::TestRunner};
use pugmark_query::spec::Query;
use serde_json::{Map, Value, json};
use utoipa::{PartialSchema, ToSchema};

use crate::cases::{case_count, cases};
use crate::mutants::KINDS;
use crate::sent::question;

fn validator() -> Validator {
    let mut found = Vec::new();
    Query::schemas(&mut found);
    let schemas: Map<String, Value> =
        found.into_iter().map(|(name, schema)| (name, serde_json::to_value(schema).unwrap())).collect();
    let schema = json!({ "allOf": [Query::schema()], "components": { "schemas": schemas } });
    jsonschema::options().build(&schema).expect("it is a schema")
}

/// Every value within, each with the path that leads to it.
fn within(value: &Value, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| within(field, &format!("{path}/{name}"), found))
        }
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| within(item, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

fn agrees(validator: &Validator, question: &Value) -> Result<bool, TestCaseError> {
    let read = Query::from_value(question);
    let told: Vec<String> =
        validator.iter_errors(question).map(|error| format!("{}: {error}", error.instance_path())).collect();
    // What is said of values beside their form is the reader's alone.
    prop_assert!(read.is_err() || told.is_empty(), "{question} is read, but {told:?}");
    Ok(read.is_ok())
}

#[test]
fn what_is_read_is_of_the_form_that_is_told() {
    let validator = validator();
    // Of the other forms that a value may have, those that some field takes.
    let others = [
        json!(true),
        json!(1),
        json!(2.5),
        json!(-1),
        json!("7d"),
        json!("*"),
        json!("session"),
        json!("last"),
        json!("2025-01-01"),
        json!(["a"]),
        json!([]),
        json!({}),
        json!({"event": "a"}),
        json!({"step": 1}),
        json!({"last": "30d"}),
        json!([{"cohort": "c"}, {"did": {"event": "*"}, "name": "n"}]),
    ];
    for kind in KINDS {
        let config = ProptestConfig { cases: case_count(64), failure_persistence: None, ..ProptestConfig::default() };
        let changed = (cases(kind), any::<Index>(), select(others.to_vec()));
        let checked = TestRunner::new(config).run(&changed, |(case, at, other)| {
            let mut question = question(&case);
            // The oracle counts, where the reader wants what a page before has said.
            if let Some(journey) = question.get_mut("journey").and_then(Value::as_object_mut) {
                journey.remove("cursor");
            }
            prop_assert!(agrees(&validator, &question)?, "{question} is not read");
            let mut paths = Vec::new();
            within(&question, "", &mut paths);
            let path = &paths[at.index(paths.len())];
            let mut changed = question.clone();
            *changed.pointer_mut(path).expect("it leads somewhere") = other;
            agrees(&validator, &changed)?;
            let mut strange = question;
            if let Some(fields) = strange.pointer_mut(path).and_then(Value::as_object_mut) {
                fields.insert("strange".to_owned(), true.into());
                prop_assert!(!validator.is_valid(&strange), "{strange} is told");
                prop_assert!(Query::from_value(&strange).is_err(), "{strange} is read");
            }
            Ok(())
        });
        if let Err(failure) = checked {
            panic!("{kind}: {failure}");
        }
    }
}

#[test]
fn ways_to_ask_that_no_case_has_are_told() {
    let validator = validator();
    for question in [
        json!({"trend": {"series": [{"event": ["a", "b"], "measure": "uniques"}], "rolling": 2, "interval": "week", "compare": {"shift": "1y"}}, "as_of": 7, "timeout": "1.5s"}),
        json!({"trend": {"series": [{"event": "a"}], "cumulative": true, "formula": "A * 2", "name": "twice", "unit": "group:company"}, "strict_names": true, "explain": true}),
        json!({"funnel": {"steps": [{"event": "a"}, {"event": "b"}], "like": "posthog", "segment": [{"cohort": "c", "name": "d"}, "saved"]}}),
        json!({"retention": {"return": {"event": "a"}, "brackets": [1, 3], "segment": {"retention": {"start": {"event": "a"}}, "cohort": "2025-01-01", "period": 1}}}),
        json!({"sessions": {"by": null, "max": "2h", "split_on": ["utm"], "touch": ["source"], "rows": true}}),
        json!({"journey": {"distinct_id": "ann", "order": "oldest", "limit": 10, "range": {"from": "2025-01-01"}}}),
        json!({"people": {}}),
        json!({"people": {"sort": "events", "order": "ascending", "search": {"text": "a", "match": "prefix", "trait": "email"}, "traits": ["plan"], "segment": "payers"}}),
        json!({"people": {"search": "ann", "time_zone": "Europe/Berlin"}}),
        json!({"segment": "payers"}),
        json!({"segment": ["payers", {"not": {"profile": "plan = 'x'"}, "name": "others"}]}),
        json!({"segment": {"all": [{"did": {"event": "a"}, "times": {"at_least": 2}}, {"cohort": "c"}], "people": true, "time_zone": "UTC"}}),
        json!({"paths": {"within": "1h", "collapse": false, "node": "url", "end": {"event": "a"}}}),
    ] {
        assert_eq!(Query::from_value(&question).err(), None, "{question}");
        let told: Vec<String> =
            validator.iter_errors(&question).map(|error| format!("{}: {error}", error.instance_path())).collect();
        assert!(told.is_empty(), "{question}: {told:?}");
    }
    // No analysis, and two.
    for question in [json!({}), json!({"as_of": 5}), json!({"people": {}, "segment": "a"})] {
        assert!(!validator.is_valid(&question) && Query::from_value(&question).is_err(), "{question}");
    }
}
