//! The tail shows what was given, by the table of placements.

use proptest::prelude::*;
use proptest::sample::select;
use pugmark_store::limits;

use super::*;

const EXACT: i64 = 1 << 53;

/// What a property had first decides its column; a whole number yields to a fraction. Written apart from the registry.
fn column_types(events: &[Given]) -> BTreeMap<&str, &'static str> {
    let mut types: BTreeMap<&str, &'static str> = BTreeMap::new();
    for (name, value) in events.iter().flat_map(|event| &event.properties) {
        let kind = match value {
            Value::Bool(_) => "bool",
            Value::Int(_) => "int",
            Value::Float(_) | Value::Number(_) => "float",
            Value::Text(_) => "text",
            Value::Json(_) => "json",
        };
        match types.get(name.as_str()) {
            None if types.values().filter(|kind| **kind != "none").count() < COLUMNS_MAX => types.insert(name, kind),
            None => types.insert(name, "none"),
            Some(&"int") if matches!(value, Value::Float(_)) => types.insert(name, "float"),
            Some(_) => None,
        };
    }
    types
}

/// The columns of an event, and what is in the overflow, by a reading of the rules that shares no code with them.
fn expected(events: &[Given], batch: usize) -> Vec<Row> {
    let types = column_types(events);
    let row = |(sequence, event): (u64, &Given)| {
        let mut properties = BTreeMap::new();
        let mut overflow = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (name, value) in &event.properties {
            let first = !seen.contains(&name.as_str());
            seen.push(name);
            let (shown, whole) = match (types[name.as_str()], value) {
                _ if !first => (None, false),
                ("bool", Value::Bool(v)) => (Some(Shown::Bool(*v)), true),
                ("int", Value::Int(v)) => (Some(Shown::Int(*v)), true),
                ("float", Value::Float(v)) => (Some(Shown::Float(*v)), true),
                ("float", Value::Int(v)) => (Some(Shown::Float(*v as f64)), (-EXACT..=EXACT).contains(v)),
                ("float", Value::Number(v)) => {
                    (v.parse().ok().filter(|v: &f64| v.is_finite()).map(Shown::Float), false)
                }
                ("text", Value::Text(v)) | ("json", Value::Json(v)) => (Some(Shown::Text(v.clone())), true),
                _ => (None, false),
            };
            if let Some(shown) = shown {
                let column =
                    if name.starts_with("p_") || name == "timestamp" { format!("p_{name}") } else { name.clone() };
                properties.insert(column, shown);
            }
            if !whole {
                let json = match value {
                    Value::Bool(v) => v.to_string(),
                    Value::Int(v) => v.to_string(),
                    Value::Float(v) => serde_json::json!(v).to_string(),
                    Value::Text(v) => serde_json::json!(v).to_string(),
                    Value::Number(v) | Value::Json(v) => v.clone(),
                };
                overflow.push((name.clone(), json));
            }
        }
        overflow.sort_by(|a, b| a.0.cmp(&b.0));
        Row {
            sequence,
            event: event.event.clone(),
            subject: event.subject,
            timestamp: event.timestamp,
            received_at: received_at((sequence - 1) / batch as u64 * batch as u64 + 1),
            message_id: event.message_id.clone(),
            session_id: event.session_id.clone(),
            context: event.context.clone(),
            properties,
            overflow,
        }
    };
    (1..).zip(events).map(row).collect()
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        (-3_i64..3).prop_map(Value::Int),
        select(vec![i64::MAX, i64::MIN, EXACT, EXACT + 1, -EXACT - 1]).prop_map(Value::Int),
        select(vec![0.5, -0.0, 1e300, 7.0]).prop_map(Value::Float),
        select(vec!["", "x", "ü\"\\\n", "a text of more than twelve bytes"]).prop_map(Value::from),
        select(vec!["12345678901234567890", "1e999", "0.1000000000000000055511151231257827"])
            .prop_map(|v| Value::Number(v.to_owned())),
        select(vec!["[1,\"a]\"]", "{\"a\":{\"b\":[]}}"]).prop_map(|v| Value::Json(v.to_owned())),
    ]
}

pub(super) fn events() -> impl Strategy<Value = Vec<Given>> {
    let name = select(vec!["a", "b", "p_x", "timestamp", "page.url", "$b", "quoted\"name"]).prop_map(str::to_owned);
    let properties = prop::collection::vec((name, values()), 0..6);
    let session = prop::option::of(select(vec!["s1", "session of some length"]).prop_map(str::to_owned));
    let context = prop::option::of(Just("{\"page\":\"/\"}".to_owned()));
    let message = select(vec!["m", "67e55044-10b1-426f-9247-bb680e5fe0c8", "a message id of some length"])
        .prop_map(str::to_owned);
    let event = (
        select(vec!["view", "buy", "an event of some length"]),
        0_u32..4,
        -3_i64..4,
        message,
        session,
        context,
        properties,
    );
    let event = event.prop_map(|(event, subject, timestamp, message_id, session_id, context, properties)| Given {
        message_id,
        session_id,
        context,
        properties,
        ..given(event, subject, timestamp)
    });
    // Whole milliseconds are kept in another way than others.
    (prop::collection::vec(event, 1..30), select(vec![1, 1_000])).prop_map(|(mut events, unit)| {
        events.iter_mut().for_each(|event| event.timestamp *= unit);
        events
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases()))]

    #[test]
    fn tail_shows_every_event_by_the_table_of_placements(events in events(), batch in 1_usize..12, chunk in 1_usize..40) {
        // The tail never reaches a flush: rows of a chunk that is larger than a flush needs are those of the test.
        let mut feed = Feed::new(usize::MAX);
        for (at, batch) in events.chunks(batch).enumerate() {
            feed.commit(batch);
            if at % chunk == 0 {
                feed.columns.seal();
            }
        }
        prop_assert_eq!(feed.tail(), expected(&events, batch));
    }
}

#[test]
fn a_snapshot_keeps_its_rows_and_types_while_the_chunk_grows() {
    let mut feed = Feed::new(usize::MAX);
    feed.commit(&[given("view", 1, 10).with("n", 1), given("view", 2, 20).with("n", 2)]);
    let (before, schema) = (feed.columns(), feed.schema());
    feed.commit(&[given("buy", 3, 30).with("n", 0.5).with("new", "x")]);
    let shown = |columns: &Columns| -> Vec<Row> {
        columns.tail().batches(&schema, None).unwrap().iter().flat_map(rows).collect()
    };
    let first = shown(&before);
    assert_eq!(first.iter().map(|row| row.sequence).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(first[1].properties, BTreeMap::from([("n".to_owned(), Shown::Int(2))]));
    feed.columns.seal();
    assert_eq!(shown(&before), first);
    let now = feed.tail();
    assert_eq!(now.len(), 3);
    assert_eq!(now[1].properties["n"], Shown::Float(2.0), "widened by the later event");
    assert_eq!(shown(&before), first, "also after a query with other types");
}

#[test]
fn a_projection_gives_the_columns_asked_for_in_that_order() {
    let mut feed = Feed::new(usize::MAX);
    feed.commit(&[given("view", 1, 10).with("country", "DE")]);
    let schema = feed.schema();
    let country = schema.property("country").unwrap();
    let batches = feed.columns().tail().batches(&schema, Some(&[country, system::SUBJECT.0])).unwrap();
    let names: Vec<_> = batches[0].schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names, ["country", "subject"]);
    let none = feed.columns().tail().batches(&schema, Some(&[])).unwrap();
    assert_eq!((none[0].num_columns(), none[0].num_rows()), (0, 1));
    let beyond = schema.overflow() + 1;
    assert!(feed.columns().tail().batches(&schema, Some(&[beyond])).is_err());
}

#[test]
fn a_hundred_thousand_names_of_properties_are_all_readable() {
    let mut feed = Feed::new(usize::MAX);
    let per_event = limits::PROPERTIES_MAX as i64;
    let events: Vec<Given> = (0..98)
        .map(|at| {
            (0..per_event).fold(given("view", 1, at), |event, n| event.with(&format!("name {}", at * per_event + n), n))
        })
        .collect();
    for batch in events.chunks(10) {
        feed.commit(batch);
    }
    let shown = feed.tail();
    let in_columns: usize = shown.iter().map(|row| row.properties.len()).sum();
    let in_overflow: usize = shown.iter().map(|row| row.overflow.len()).sum();
    assert_eq!((in_columns, in_overflow), (COLUMNS_MAX, 98 * limits::PROPERTIES_MAX - COLUMNS_MAX));
    let wanted = ("name 100351".to_owned(), (per_event - 1).to_string());
    assert!(shown[97].overflow.contains(&wanted));
}

#[test]
fn overflow_reads_what_is_no_overflow_as_empty() {
    for text in ["", "null", "[", "[]", "[1]", "[[\"a\"]]", "[[\"a\",", "[[1,2]]", "[[\"a\",1", "{\"a\":1}"] {
        assert_eq!(Overflow::new(text).count(), 0, "{text}");
    }
    let entries: Vec<_> = Overflow::new(" [ [ \"a\\n\" , [ 1, \"]\" ] ] , [ \"b\" , \"\\\"\" ] ] ").collect();
    assert_eq!(entries, [("a\n".into(), "[ 1, \"]\" ]"), ("b".into(), "\"\\\"\"")]);
}
