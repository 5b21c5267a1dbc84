//! What an NDJSON export writes imports to the same log.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Arc;

use proptest::prelude::*;
use pugmark_identity::{IdentityFold, Persons};
use pugmark_query::files::{Export, Import, Source};
use pugmark_store::{
    Entry, Event, ManualClock, Note, Operation, Options, Outcome, ProfileUpdate, Record, Sequence, SplitOf, Store,
    SubjectId, Timestamp, Value,
};

fn cases() -> ProptestConfig {
    let cases: u32 = std::env::var("PUGMARK_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(256);
    // Each case opens two stores on disk.
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases.div_ceil(8)) }
}

fn open(dir: &tempfile::TempDir) -> Store {
    let clock = Arc::new(ManualClock::new("2026-01-01".parse().unwrap()));
    Store::open(dir.path(), Options { clock, ..Options::default() }, vec![Box::new(IdentityFold::default())]).unwrap()
}

fn export(store: &Store) -> Vec<u8> {
    let mut out = Vec::new();
    Export::default().run(store, &mut out, |_| {}).unwrap();
    out
}

/// Every record with names and ids in place of numbers, but for when it was received and whether its time was sent.
fn records(store: &Store) -> Vec<String> {
    let snapshot = store.snapshot();
    let id = |subject: u32| snapshot.subjects().distinct_id(pugmark_store::SubjectId::new(subject)).unwrap().unwrap();
    let mut all = Vec::new();
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        let payload = frame.payload().unwrap();
        for record in &payload.records {
            all.push(match record {
                Record::Event(event) => {
                    let name = |place: u32| payload.names[place as usize];
                    let properties: Vec<_> =
                        event.properties.iter().map(|(place, value)| (name(*place), *value)).collect();
                    format!(
                        "{} {} {} {} {:?} {:?} {properties:?}",
                        name(event.name),
                        id(event.subject),
                        payload.base_time + event.time,
                        event.message_id,
                        event.session_id,
                        event.context
                    )
                }
                Record::Identify(link) => format!("identify {} {} {:?}", id(link.from), id(link.to), link.verdict),
                Record::Alias(link) => format!("alias {} {} {:?}", id(link.from), id(link.to), link.verdict),
                Record::Profile(profile) => {
                    let name = |place: u32| payload.names[place as usize];
                    let traits: Vec<_> = profile.traits.iter().map(|(place, value)| (name(*place), *value)).collect();
                    let (who, at, change) = (id(profile.subject), profile.timestamp, profile.change);
                    format!("{change:?} {who} {at} {} {traits:?}", profile.message_id)
                }
                Record::Merge(merge) => {
                    let ids: Vec<String> = merge.subjects.iter().map(|subject| id(*subject)).collect();
                    format!("merge {ids:?} {:?}", merge.verdict)
                }
                Record::Split { subject } => format!("split {}", id(*subject)),
                // Its sequence is another one where something was kept aside.
                Record::SplitLink { .. } => "split_link".to_owned(),
                Record::Remark(remark) => format!("remark {:?} {:?}", remark.by, remark.why),
                // Kept aside: no event, and in no export.
                Record::Conflict(_) => continue,
                other => panic!("{other:?}"),
            });
        }
    }
    all
}

/// The ids of each person.
fn people(store: &Store) -> BTreeSet<BTreeSet<String>> {
    let snapshot = store.snapshot();
    let persons = snapshot.state::<Persons>().unwrap();
    let subjects = (0..snapshot.subject_count()).map(SubjectId::new);
    let members = subjects.map(|subject| persons.members(persons.person_of(subject)));
    members.map(|members| snapshot.subjects().distinct_ids(&members).unwrap().into_iter().flatten().collect()).collect()
}

fn value() -> impl Strategy<Value = Value> {
    let json = prop_oneof![
        Just("[1,2.5,\"a\",null,{\"b\":[]}]"),
        Just("[ 1 ]"),
        Just("{\"a\":1}"),
        Just("{}"),
        Just("5"),
        Just("\"text\""),
        Just("no json"),
        Just("[123456789012345678901234567890,1e300]"),
        Just("{\"n\":123456789012345678901234567890}"),
    ];
    let number = prop_oneof![
        Just("123456789012345678901234567890"),
        Just("-9223372036854775809"),
        Just("12345678901234567.89"),
        Just("1e400"),
        Just("18446744073709551615"),
    ];
    prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(Value::Float),
        (-1e3_f64..1e3).prop_map(|f| Value::Float((f * 100.0).round() / 100.0)),
        ".{0,10}".prop_map(Value::Text),
        Just(Value::Text("00004".into())),
        json.prop_map(|text| Value::Json(text.to_owned())),
        number.prop_map(|text| Value::Number(text.to_owned())),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let name = prop_oneof![
        Just("amount".to_owned()),
        Just("page.url".to_owned()),
        Just("a.b.c.d.e.f.g.h".to_owned()),
        Just("type".to_owned()),
        Just("event".to_owned()),
        Just("$browser".to_owned()),
        "[a-zA-Z \"\\\\é.]{0,6}x",
    ];
    let context = prop_oneof![Just("{\"library\":\"web\"}"), Just("{ \"a\": 1 }"), Just("plain"), Just("[1]")];
    (
        prop_oneof![Just("view".to_owned()), Just("Order Paid".to_owned()), ".{0,5}e"],
        0..5_u8,
        prop::option::of(0..1_750_000_000_000_000_i64),
        prop_oneof![
            Just((None, None)),
            "[a-z0-9]{1,8}".prop_map(|id| (Some(id), None)),
            Just((Some("0191d8a0-0000-7000-8000-000000000001".to_owned()), None)),
            "[A-Z]{1,3}".prop_map(|key| (None, Some(key))),
        ],
        prop::option::of("s[0-9]{1,3}"),
        prop::collection::vec((name, value()), 0..6),
        prop::option::of(context.prop_map(str::to_owned)),
    )
        .prop_map(|(name, who, timestamp, (message_id, key), session_id, properties, context)| Event {
            name,
            distinct_id: format!("u{who}"),
            timestamp: timestamp.map(Timestamp::from_microsecond),
            message_id,
            key,
            session_id,
            properties,
            context,
        })
}

fn update() -> impl Strategy<Value = ProfileUpdate> {
    let name =
        prop_oneof![Just("plan".to_owned()), Just("a.b".to_owned()), Just("type".to_owned()), "[a-z \"é.]{0,6}x"];
    let at = prop::option::of(0..1_750_000_000_000_000_i64);
    let id = prop::option::of("[a-z0-9]{1,8}");
    let number = prop_oneof![any::<i64>().prop_map(Value::Int), (-1e3_f64..1e3).prop_map(Value::Float)];
    let traits = prop::collection::vec((name, value(), number), 1..4);
    (0..6_u8, 0..5_u8, traits, at, id).prop_map(|(change, who, traits, at, message_id)| {
        let who = format!("u{who}");
        let names = traits.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>();
        let update = match change {
            0 => ProfileUpdate::set(who),
            1 => ProfileUpdate::set_once(who),
            2 => ProfileUpdate::unset(who, names),
            3 => ProfileUpdate::add(who),
            4 => ProfileUpdate::append(who),
            _ => ProfileUpdate::union(who),
        };
        let given = |(name, value, number): (String, Value, Value)| (name, if change == 3 { number } else { value });
        let traits = match change {
            2 => update.traits,
            _ => traits.into_iter().map(given).collect(),
        };
        ProfileUpdate { traits, message_id, timestamp: at.map(Timestamp::from_microsecond), ..update }
    })
}

fn is_split(entry: &Entry) -> bool {
    matches!(entry, Entry::Operation(Operation::Split { .. } | Operation::SplitLink { .. }))
}

fn entry() -> impl Strategy<Value = Entry> {
    let id = |n: u8| format!("u{n}");
    prop_oneof![
        6 => event().prop_map(Entry::Event),
        1 => (0..5_u8, 0..5_u8).prop_map(move |(a, b)| Entry::Operation(Operation::identify(id(a), id(b)))),
        1 => (0..5_u8, 0..5_u8).prop_map(move |(a, b)| Entry::Operation(Operation::alias(id(a), id(b)))),
        1 => (prop::collection::vec(0..5_u8, 2..4), any::<bool>()).prop_map(move |(ids, noted)| {
            let merge = Operation::merge(ids.into_iter().map(id));
            Entry::Operation(if noted { merge.noted(Note::by("ann").because("a \"ticket\"")) } else { merge })
        }),
        1 => (0..5_u8).prop_map(move |a| Entry::Operation(Operation::split(id(a)).noted(Note::by("bob")))),
        1 => (1..30_u64).prop_map(|of| Entry::Operation(Operation::split_link(SplitOf::Sequence(Sequence::new(of))))),
        1 => (0..5_u8, 0..5_u8).prop_map(move |(a, b)| Entry::Operation(Operation::alias(id(a), id(b)).forced())),
        2 => update().prop_map(Entry::from),
    ]
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn an_export_imports_to_the_same_records_links_and_verdicts(batches in prop::collection::vec(prop::collection::vec(entry(), 1..12), 1..4)) {
        let (dir, copy_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (store, copy) = (open(&dir), open(&copy_dir));
        for batch in batches {
            let splits: Vec<bool> = batch.iter().map(is_split).collect();
            let outcomes = store.append(batch).unwrap();
            // There may be nothing to split.
            let rejected = outcomes.iter().zip(splits).find(|(outcome, is_split)| matches!(outcome, Outcome::Rejected(_)) && !is_split);
            prop_assert!(rejected.is_none(), "{rejected:?}");
        }
        let lines = export(&store);
        let source = Source::from_reader("export.ndjson", Cursor::new(lines.clone())).unwrap();
        let mut rejects = Vec::new();
        let summary = Import { parsers: 2, ..Import::default() }.run(&copy, source, |_| {}, |reject| rejects.push(reject)).unwrap();
        prop_assert_eq!(rejects, Vec::new());
        let remarks = records(&store).iter().filter(|record| record.starts_with("remark")).count();
        prop_assert_eq!(summary.entries(), (records(&store).len() - remarks) as u64);
        prop_assert_eq!(records(&copy), records(&store));
        prop_assert_eq!(people(&copy), people(&store));
        prop_assert_eq!(String::from_utf8(export(&copy)), String::from_utf8(lines));
    }
}
