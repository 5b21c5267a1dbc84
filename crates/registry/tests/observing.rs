//! What the registry makes of batches.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use pugmark_registry::{ColumnType, KindCounts, Registry, RegistryFold, RegistryOptions, Schema};
use pugmark_store::redb::backends::InMemoryBackend;
use pugmark_store::redb::{Database, ReadableDatabase};
use pugmark_store::{
    Committed, ErrorKind, EventRecord, Fold, MessageId, Payload, Record, Removal, Sequence, Timestamp, Tombstone, Value,
};

/// An event of a test: name, time, properties.
#[derive(Debug, Clone)]
struct Seen {
    name: String,
    time: i64,
    properties: Vec<(String, Value)>,
}

fn seen(name: &str, time: i64, properties: &[(&str, Value)]) -> Seen {
    let properties = properties.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
    Seen { name: name.to_owned(), time, properties }
}

/// Applies the events as one batch whose base time is not 0, with a tombstone in front.
fn apply(fold: &mut RegistryFold, events: &[Seen]) {
    apply_at(fold, Sequence::FIRST, events);
}

fn apply_at(fold: &mut RegistryFold, first_sequence: Sequence, events: &[Seen]) {
    const BASE: i64 = 1_000;
    let mut names: Vec<&str> = Vec::new();
    let mut place = |name| match names.iter().position(|known| *known == name) {
        Some(place) => place as u32,
        None => {
            names.push(name);
            names.len() as u32 - 1
        }
    };
    let mut records = vec![Record::Tombstone(Tombstone { why: Removal::Erased, message: None })];
    for event in events {
        // Properties first, so that the order of names is not that of first sight of events.
        let properties = event.properties.iter().map(|(name, value)| (place(name), value.borrowed())).collect();
        records.push(Record::Event(EventRecord {
            name: place(&event.name),
            subject: 0,
            time: event.time - BASE,
            time_sent: true,
            message_id: MessageId::Text("m"),
            session_id: None,
            properties,
            context: None,
        }));
    }
    let payload = Payload { received_at: 0, import: None, base_time: BASE, names, subjects: vec![], records };
    fold.apply(&Committed { first_sequence, payload: &payload }).unwrap();
}

fn registry(fold: &mut RegistryFold) -> Arc<Registry> {
    fold.publish().downcast().unwrap()
}

fn text(value: &str) -> Value {
    Value::Text(value.to_owned())
}

fn number(value: &str) -> Value {
    Value::Number(value.to_owned())
}

fn column(schema: &Schema, name: &str) -> Option<ColumnType> {
    schema.property(name).unwrap().column
}

#[test]
fn events_and_properties_are_counted_with_their_times() {
    let mut fold = RegistryFold::default();
    apply(&mut fold, &[seen("b", 50, &[("x", Value::Int(1))]), seen("a", 7, &[("y", text("1")), ("x", text("2"))])]);
    apply(&mut fold, &[seen("b", 20, &[("x", Value::Bool(true)), ("x", Value::Int(3))])]);
    let registry = registry(&mut fold);
    let at = Timestamp::from_microsecond;
    let events: Vec<_> = registry.events().map(|e| (e.name, e.count, e.first_seen, e.last_seen)).collect();
    assert_eq!(events, [("b", 2, at(20), at(50)), ("a", 1, at(7), at(7))]);
    assert_eq!(registry.event("b").unwrap(), registry.events().next().unwrap());
    assert_eq!(registry.event("c"), None);
    let properties: Vec<_> =
        registry.properties().map(|p| (p.definition.name, p.count, p.first_seen, p.last_seen)).collect();
    assert_eq!(properties, [("x", 4, at(7), at(50)), ("y", 1, at(7), at(7))]);
    let kinds = KindCounts { bool: 1, int: 2, float: 0, text: 1, json: 0 };
    assert_eq!(registry.property("x").unwrap().kinds, kinds);
}

#[test]
fn the_first_value_decides_the_column() {
    let mut fold = RegistryFold::default();
    let first = [
        ("bool", Value::Bool(true), ColumnType::Bool),
        ("int", Value::Int(1), ColumnType::Int),
        ("float", Value::Float(1.5), ColumnType::Float),
        ("number", number("12345678901234567890"), ColumnType::Float),
        ("text", text("1"), ColumnType::Text),
        ("json", Value::Json("[1]".to_owned()), ColumnType::Json),
    ];
    for (name, value, _) in &first {
        apply(&mut fold, &[seen("e", 0, &[(name, value.clone())])]);
    }
    // Later values of other kinds keep it, except that whole numbers widen.
    let later = [Value::Bool(false), Value::Int(2), number("1e400"), text("x"), Value::Json("{}".to_owned())];
    for (name, _, _) in &first {
        for value in &later {
            apply(&mut fold, &[seen("e", 0, &[(name, value.clone())])]);
        }
    }
    let registry = registry(&mut fold);
    for (name, _, expected) in &first {
        assert_eq!(column(registry.schema(), name), Some(*expected), "{name}");
    }
    assert_eq!(registry.schema().version(), first.len() as u64);
}

#[test]
fn whole_numbers_widen_once_and_for_good() {
    for one_batch in [false, true] {
        let mut fold = RegistryFold::default();
        let events = [Value::Int(1), Value::Float(0.5), Value::Int(2), Value::Float(1.5)]
            .map(|value| seen("e", 0, &[("price", value)]));
        if one_batch {
            apply(&mut fold, &events);
        } else {
            events.chunks(1).for_each(|event| apply(&mut fold, event));
        }
        let registry = registry(&mut fold);
        assert_eq!(column(registry.schema(), "price"), Some(ColumnType::Float));
        assert_eq!(registry.schema().version(), 2, "one property, widened once");
    }
}

#[test]
fn the_schema_changes_only_when_a_property_appears_or_a_column_widens() {
    let mut fold = RegistryFold::default();
    apply(&mut fold, &[seen("e", 0, &[("n", Value::Int(1))])]);
    let first = registry(&mut fold);
    apply(&mut fold, &[seen("new event", 0, &[("n", Value::Int(2)), ("n", text("odd"))])]);
    let second = registry(&mut fold);
    assert!(Arc::ptr_eq(first.schema(), second.schema()));
    assert_eq!((first.property("n").unwrap().count, second.property("n").unwrap().count), (1, 3));
    assert_eq!((first.event("new event"), second.event_count()), (None, 2));
    apply(&mut fold, &[seen("e", 0, &[("n", Value::Float(0.5)), ("m", Value::Int(1))])]);
    let third = registry(&mut fold);
    assert_eq!(third.schema().version(), 3);
    // The older states stay what they were, although they share the names.
    assert_eq!(column(second.schema(), "n"), Some(ColumnType::Int));
    assert_eq!(second.schema().property("m"), None);
    assert_eq!(second.schema().len(), 1);
    apply(&mut fold, &[]);
    assert!(Arc::ptr_eq(&third, &registry(&mut fold)), "nothing changed: nothing new is published");
}

#[test]
fn properties_past_the_limit_have_no_column() {
    let mut fold = RegistryFold::new(RegistryOptions { columns_max: 2 });
    apply(&mut fold, &[seen("e", 0, &[("a", Value::Int(1)), ("b", text("x")), ("c", Value::Int(1))])]);
    apply(&mut fold, &[seen("e", 0, &[("c", Value::Float(0.5)), ("a", Value::Float(0.5))])]);
    let registry = registry(&mut fold);
    let schema = registry.schema();
    assert_eq!((column(schema, "a"), column(schema, "c")), (Some(ColumnType::Float), None));
    assert_eq!(schema.columns().map(|p| p.name).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(schema.by_column("c"), None);
    assert_eq!(registry.property("c").unwrap().count, 2);
}

#[test]
fn columns_are_found_by_their_own_names() {
    let mut fold = RegistryFold::default();
    let names = ["event", "p_event", "page.url", "$browser", "userId", "userid"];
    for name in names {
        apply(&mut fold, &[seen("e", 0, &[(name, Value::Int(1))])]);
    }
    let registry = registry(&mut fold);
    let schema = registry.schema();
    let columns: Vec<_> = schema.columns().map(|p| p.column_name().into_owned()).collect();
    assert_eq!(columns, ["p_event", "p_p_event", "page.url", "$browser", "userId", "userid"]);
    for (column, name) in columns.iter().zip(names) {
        assert_eq!(schema.by_column(column).unwrap().name, name);
    }
    assert_eq!((schema.by_column("event"), schema.by_column("nothing")), (None, None));
}

#[test]
fn a_name_never_seen_has_near_ones() {
    let mut fold = RegistryFold::default();
    apply(&mut fold, &[seen("purchase", 0, &[("country", text("DE"))]), seen("view", 0, &[])]);
    let registry = registry(&mut fold);
    assert_eq!(registry.nearest_events("purchse"), ["purchase"]);
    assert_eq!(registry.nearest_properties("Country"), ["country"]);
    assert!(registry.nearest_properties("amount").is_empty());
}

#[test]
fn a_place_outside_the_names_is_corrupt_and_counts_nothing() {
    let mut fold = RegistryFold::default();
    let event = |name, property| {
        Record::Event(EventRecord {
            name,
            subject: 0,
            time: 0,
            time_sent: true,
            message_id: MessageId::Text("m"),
            session_id: None,
            properties: vec![(property, Value::Int(1).borrowed())],
            context: None,
        })
    };
    for bad in [event(2, 1), event(0, 9)] {
        let payload = Payload {
            received_at: 0,
            import: None,
            base_time: 0,
            names: vec!["e", "x"],
            subjects: vec![],
            records: vec![event(0, 1), bad],
        };
        let error = fold.apply(&Committed { first_sequence: Sequence::new(40), payload: &payload }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().starts_with("record 41: refers to name "), "{error}");
    }
    assert_eq!(registry(&mut fold).event_count(), 0);
}

#[test]
fn publishing_copies_only_what_changed() {
    let mut fold = RegistryFold::default();
    let many: Vec<_> = (0..100_000).map(|n| seen("e", n, &[])).collect();
    for (chunk, events) in many.chunks(1_000).enumerate() {
        let mut names = Vec::new();
        for n in 0..events.len() {
            names.push(format!("property {}", chunk * 1_000 + n));
        }
        let properties: Vec<_> = names.iter().map(|name| (name.as_str(), Value::Int(1))).collect();
        apply(&mut fold, &[seen("e", 0, &properties)]);
        registry(&mut fold);
    }
    let first = registry(&mut fold);
    assert_eq!((first.schema().len(), first.schema().columns().len()), (100_000, 2_000));
    // Ten thousand commits that each touch one property: a copy of all rows for each would take minutes.
    for n in 0..10_000 {
        let name = format!("property {}", n * 10);
        apply(&mut fold, &[seen("e", 0, &[(name.as_str(), Value::Int(1))])]);
        registry(&mut fold);
    }
    let last = registry(&mut fold);
    assert!(Arc::ptr_eq(first.schema(), last.schema()));
    assert_eq!(last.property("property 99990").unwrap().count, 2);
    assert_eq!(last.property("property 99991").unwrap().count, 1);
    assert_eq!(first.property("property 99990").unwrap().count, 1);
}

/// Name, column, values by kind, first and last time.
type OracleProperty = (String, Option<&'static str>, BTreeMap<&'static str, u64>, i64, i64);

/// The same, by the shortest way: every value in order, nothing kept between.
#[derive(Debug, Default)]
struct Oracle {
    events: Vec<(String, u64, i64, i64)>,
    properties: Vec<OracleProperty>,
    version: u64,
}

impl Oracle {
    fn see(&mut self, event: &Seen, columns_max: usize) {
        match self.events.iter_mut().find(|row| row.0 == event.name) {
            Some(row) => *row = (row.0.clone(), row.1 + 1, row.2.min(event.time), row.3.max(event.time)),
            None => self.events.push((event.name.clone(), 1, event.time, event.time)),
        }
        for (name, value) in &event.properties {
            let kind = match value {
                Value::Bool(_) => "bool",
                Value::Int(_) => "int",
                Value::Float(_) | Value::Number(_) => "float",
                Value::Text(_) => "text",
                Value::Json(_) => "json",
            };
            if !self.properties.iter().any(|row| row.0 == *name) {
                let typed = self.properties.iter().filter(|row| row.1.is_some()).count();
                let column = (typed < columns_max).then_some(kind);
                self.properties.push((name.clone(), column, BTreeMap::new(), event.time, event.time));
                self.version += 1;
            }
            let row = self.properties.iter_mut().find(|row| row.0 == *name).unwrap();
            if row.1 == Some("int") && matches!(value, Value::Float(_)) {
                row.1 = Some("float");
                self.version += 1;
            }
            *row.2.entry(kind).or_default() += 1;
            row.3 = row.3.min(event.time);
            row.4 = row.4.max(event.time);
        }
    }
}

fn assert_same(registry: &Registry, oracle: &Oracle) {
    let us = Timestamp::as_microsecond;
    let events: Vec<_> =
        registry.events().map(|e| (e.name.to_owned(), e.count, us(e.first_seen), us(e.last_seen))).collect();
    assert_eq!(events, oracle.events);
    let properties: Vec<_> = registry
        .properties()
        .map(|p| {
            let KindCounts { bool, int, float, text, json } = p.kinds;
            let kinds = [("bool", bool), ("int", int), ("float", float), ("text", text), ("json", json)];
            let kinds = kinds.into_iter().filter(|(_, times)| *times > 0).collect();
            let column = p.definition.column.map(ColumnType::as_str);
            (p.definition.name.to_owned(), column, kinds, us(p.first_seen), us(p.last_seen))
        })
        .collect();
    assert_eq!(properties, oracle.properties);
    assert_eq!(registry.schema().version(), oracle.version);
    for (event, row) in registry.events().zip(&oracle.events) {
        assert_eq!(registry.event(&row.0), Some(event));
    }
    for (place, property) in registry.properties().enumerate() {
        assert_eq!(property.definition.id.number() as usize, place);
        assert_eq!(registry.property(property.definition.name), Some(property));
    }
    let typed = registry.schema().properties().filter(|p| p.column.is_some());
    assert!(registry.schema().columns().eq(typed));
}

/// What is known of an earlier sequence.
fn assert_same_names(registry: &Registry, oracle: &Oracle) {
    assert!(registry.events().map(|event| event.name).eq(oracle.events.iter().map(|event| event.0.as_str())));
    let columns = registry.properties().map(|p| (p.definition.name, p.definition.column.map(ColumnType::as_str)));
    assert!(columns.eq(oracle.properties.iter().map(|property| (property.0.as_str(), property.1))));
    assert_eq!(registry.schema().version(), oracle.version);
    let typed = registry.schema().properties().filter(|p| p.column.is_some());
    assert!(registry.schema().columns().eq(typed));
    for name in "abcdefgh".chars().map(String::from) {
        let known = oracle.properties.iter().any(|property| property.0 == name);
        assert_eq!(registry.property(&name).is_some(), known);
    }
    for name in "pqrs".chars().map(String::from) {
        let known = oracle.events.iter().any(|event| event.0 == name);
        assert_eq!(registry.event(&name).is_some(), known);
    }
}

fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => any::<bool>().prop_map(Value::Bool),
        3 => any::<i64>().prop_map(Value::Int),
        1 => (-1e9..1e9).prop_map(Value::Float),
        1 => Just(number("12345678901234567890")),
        1 => "[a-c]".prop_map(Value::Text),
        1 => Just(Value::Json("[1]".to_owned())),
    ]
}

fn batches() -> impl Strategy<Value = Vec<Vec<Seen>>> {
    let property = ("[a-h]", values());
    let event = ("[p-s]", 0..100_i64, prop::collection::vec(property, 0..4))
        .prop_map(|(name, time, properties)| Seen { name, time, properties });
    prop::collection::vec(prop::collection::vec(event, 0..5), 0..8)
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("PUGMARK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn the_registry_is_that_of_a_naive_count(batches in batches(), columns_max in 0..8_usize, saves in any::<u8>()) {
            let index = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
        let options = RegistryOptions { columns_max };
        let mut live = RegistryFold::new(options);
        let mut oracle = Oracle::default();
        // With the sequence of each.
        let mut history: Vec<(u64, &Seen)> = Vec::new();
        let mut next = 1;
        for (place, batch) in batches.iter().enumerate() {
            apply_at(&mut live, Sequence::new(next), batch);
            history.extend((next + 1..).zip(batch));
            next += batch.len() as u64 + 1;
            batch.iter().for_each(|event| oracle.see(event, columns_max));
            assert_same(&registry(&mut live), &oracle);
            if saves >> (place % 8) & 1 == 1 {
                // A restart: what was saved is what was there.
                let write = index.begin_write().unwrap();
                live.checkpoint(&write).unwrap();
                write.commit().unwrap();
                live = RegistryFold::new(options);
                live.load(&index.begin_read().unwrap()).unwrap();
                assert_same(&registry(&mut live), &oracle);
            }
        }
        for through in 0..next {
            let mut then = Oracle::default();
            history.iter().filter(|(at, _)| *at <= through).for_each(|(_, event)| then.see(event, columns_max));
            assert_same_names(&registry(&mut live).at(Sequence::new(through)), &then);
        }
        let write = index.begin_write().unwrap();
        live.reset(&write).unwrap();
        write.commit().unwrap();
        live.load(&index.begin_read().unwrap()).unwrap();
        assert_same(&registry(&mut live), &Oracle::default());
    }
}

#[test]
fn a_state_that_does_not_decode_is_corrupt() {
    use pugmark_store::redb::TableDefinition;
    let table: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("registry.properties");
    let index = Database::builder().create_with_backend(InMemoryBackend::new()).unwrap();
    let mut fold = RegistryFold::default();
    apply(&mut fold, &[seen("e", 0, &[("a", Value::Int(1)), ("b", Value::Int(1))])]);
    let write = index.begin_write().unwrap();
    fold.checkpoint(&write).unwrap();
    write.commit().unwrap();
    let first = index.begin_read().unwrap().open_table(table).unwrap().get(0).unwrap().unwrap().value().to_vec();
    let damages: [(u32, Option<&[u8]>, &str); 3] = [
        (1, Some(&[9, 9]), "row 1"),
        (1, Some(&first), "row 1: its name has a row already"),
        (0, None, "row 1: found where row 0 was expected"),
    ];
    for (row, bytes, message) in damages {
        let write = index.begin_write().unwrap();
        match bytes {
            Some(bytes) => drop(write.open_table(table).unwrap().insert(row, bytes).unwrap()),
            None => drop(write.open_table(table).unwrap().remove(row).unwrap()),
        }
        write.commit().unwrap();
        let error = fold.load(&index.begin_read().unwrap()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(error.to_string().starts_with(&format!("index.redb: registry.properties: {message}")), "{error}");
    }
    assert_eq!(registry(&mut fold).schema().len(), 2, "a failed load leaves the fold as it was");
}
