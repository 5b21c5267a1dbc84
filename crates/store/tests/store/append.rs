//! Appending: outcomes in input order, an id once for good, what is refused and why.

use std::sync::Arc;

use super::common::{counts, event, fill, message_ids, open, rejected};
use pugmark_store::{
    AppendOptions, Entry, Error, ErrorKind, Event, ManualClock, Operation, Options, Outcome, Sequence, Store,
    Timestamp, limits,
};

#[test]
fn outcomes_come_in_input_order() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let outcomes = store
        .append(vec![
            event("a", "u1", "m1"),
            event("", "u1", "m2"),
            event("b", "u2", "m1"),
            event("a", "u1", "m1"),
            event("b", "u2", "m3"),
        ])
        .unwrap();
    assert!(matches!(outcomes[0], Outcome::Accepted(s) if s.number() == 1));
    assert!(rejected(&outcomes[1]).starts_with("event: "));
    assert_eq!(outcomes[2], Outcome::Conflict(Some(Sequence::new(2))), "it has a sequence, too");
    assert_eq!(outcomes[3], Outcome::Duplicate);
    assert!(matches!(outcomes[4], Outcome::Accepted(s) if s.number() == 3), "sequences are dense");
    assert_eq!(message_ids(&store), [(1, "m1".to_owned()), (3, "m3".to_owned())]);
}

#[test]
fn a_message_id_is_stored_once_across_reopens_and_rebuilds() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..4 {
        let store = open(dir.path()).unwrap();
        let outcomes = store.append((0..50).map(|i| event("a", "u1", &format!("m{i}"))).collect()).unwrap();
        let accepted = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(_))).count();
        assert_eq!(accepted, if round == 0 { 50 } else { 0 }, "round {round}");
        assert!(round == 0 || outcomes.iter().all(|outcome| *outcome == Outcome::Duplicate));
        assert_eq!(counts(&store).get("a"), Some(&50));
        store.close().unwrap();
        if round == 1 {
            std::fs::remove_file(dir.path().join("index.redb")).unwrap();
        }
        if round == 2 {
            std::fs::remove_file(dir.path().join("index.redb")).unwrap();
            std::fs::remove_dir_all(dir.path().join("runs")).unwrap();
        }
    }
}

#[test]
fn the_same_id_with_other_content_is_a_conflict_and_the_first_stands() {
    let dir = tempfile::tempdir().unwrap();
    let at = Timestamp::from_microsecond(1_735_689_600_000_000);
    let base = || Event::new("a", "u1").message_id("m").at(at).property("x", 1).property("y", "z");
    let mut others = vec![
        base().property("w", true),
        Event { name: "b".into(), ..base() },
        Event { distinct_id: "u2".into(), ..base() },
        Event { timestamp: None, ..base() },
        Event { properties: vec![("x".into(), 1.0.into()), ("y".into(), "z".into())], ..base() },
        Event { properties: vec![("x".into(), "1".into()), ("y".into(), "z".into())], ..base() },
    ];
    let reordered = Event { properties: vec![("y".into(), "z".into()), ("x".into(), 1.into())], ..base() };
    let store = open(dir.path()).unwrap();
    assert!(matches!(store.append(vec![base().into()]).unwrap()[..], [Outcome::Accepted(_)]));
    assert_eq!(
        store.append(vec![reordered.clone().into(), base().into()]).unwrap(),
        [Outcome::Duplicate, Outcome::Duplicate]
    );
    store.close().unwrap();
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(store.append(vec![reordered.into()]).unwrap(), [Outcome::Duplicate]);
    for (sequence, other) in (2..).map(Sequence::new).zip(others.drain(..)) {
        assert_eq!(store.append(vec![other.clone().into()]).unwrap(), [Outcome::Conflict(Some(sequence))], "{other:?}");
    }
    assert_eq!(counts(&store).values().sum::<u64>(), 1);
    assert_eq!(store.snapshot().subjects().resolve("u2").unwrap(), None, "a refused event introduces nobody");
}

#[test]
fn an_event_without_an_id_gets_one_and_is_never_a_duplicate() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let same: Entry = Event::new("a", "u1").into();
    let outcomes = store.append(vec![same.clone(), same.clone(), same]).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
    let ids = message_ids(&store);
    assert_eq!(ids.len(), 3);
    // Whoever replays what was exported finds the ids taken.
    let again = store.append(vec![event("a", "u1", &ids[0].1)]).unwrap();
    assert_eq!(again, [Outcome::Conflict(Some(Sequence::new(4)))]);
}

#[test]
fn a_domain_key_makes_the_message_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let paid = || Event::new("Order  Paid", "u1").key("A-17").property("n", 1);
    assert!(matches!(store.append(vec![paid().into()]).unwrap()[..], [Outcome::Accepted(_)]));
    assert_eq!(store.append(vec![paid().into()]).unwrap(), [Outcome::Duplicate]);
    assert_eq!(message_ids(&store), [(1, "order_paid:A-17".to_owned())]);
}

#[test]
fn what_breaks_a_rule_is_rejected_with_field_value_and_limit() {
    let dir = tempfile::tempdir().unwrap();
    let now = Timestamp::from_microsecond(1_735_689_600_000_000);
    let options = Options { clock: Arc::new(ManualClock::new(now)), ..Options::default() };
    let store = Store::open(dir.path(), options, Vec::new()).unwrap();
    let day = 24 * 3_600_000_000_i64;
    let shift = |by: i64| Timestamp::from_microsecond(now.as_microsecond() + by);
    let long = "x".repeat(300);
    let cases: Vec<(Event, &str)> = vec![
        (Event::new("a", ""), "distinct_id: missing or blank"),
        (Event::new("a", " \t"), "distinct_id: missing or blank"),
        (Event::new("a", long.as_str()), "distinct_id: 300 bytes, at most 255"),
        (Event::new(long.as_str(), "u"), "event: a name of 300 bytes, at most 255"),
        (Event::new("a", "u").property(long.as_str(), 1), "properties: a name of 300 bytes"),
        (Event::new("a", "u").property("x", f64::NAN), "properties.x: NaN is not a finite number"),
        (Event::new("a", "u").property("x", f64::INFINITY), "properties.x: inf is not a finite number"),
        (Event::new("a", "u").message_id(""), "message_id: empty"),
        (
            Event::new("a", "u").at(Timestamp::from_microsecond(-1)),
            "timestamp: 1969-12-31T23:59:59.999999Z lies outside",
        ),
        (Event::new("a", "u").at(shift(day + 1)), "24 h past now"),
        (Event::new("a", "u").property("x", "y".repeat(limits::EVENT_MAX_BYTES)), "at most 1048576 are allowed"),
        (
            (0..1_025).fold(Event::new("a", "u"), |event, i| event.property(format!("p{i}"), 1)),
            "properties: 1025 of them, at most 1024",
        ),
    ];
    for (event, expected) in cases {
        let outcome = store.append(vec![event.into()]).unwrap();
        let said = rejected(&outcome[0]);
        assert!(said.contains(expected), "{said:?} does not say {expected:?}");
    }
    assert_eq!(store.snapshot().sequence().number(), 0, "nothing was written");
    let fits = vec![Event::new("a", "u").at(shift(day)).into(), Event::new("a", "u").at(Timestamp::EPOCH).into()];
    assert!(store.append(fits).unwrap().iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
}

#[test]
fn a_batch_past_its_limits_is_refused_whole() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let too_many = vec![event("a", "u", "m"); limits::FRAME_MAX_RECORDS + 1];
    let error = store.append(too_many).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("65537 entries"), "{error}");
    let large: Entry = Event::new("a", "u").property("x", "y".repeat(1 << 19)).into();
    assert_eq!(store.append(vec![large; 33]).unwrap_err().kind(), ErrorKind::Invalid);
    assert!(store.append(Vec::new()).unwrap().is_empty());
    fill(&store, "m", 3);
}

#[test]
fn appends_of_many_threads_are_each_acknowledged_once_and_visible() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let store = &store;
            scope.spawn(move || {
                for i in 0..50 {
                    // Every id is sent by two threads at the same time.
                    let id = format!("m{}-{i}", thread / 2);
                    let outcome = store.append(vec![event("e", "u", &id)]).unwrap();
                    assert!(outcome[0].is_stored());
                    let seen: u64 = counts(store).values().sum();
                    if let Outcome::Accepted(sequence) = outcome[0] {
                        assert!(seen >= sequence.number(), "an acknowledged event is visible");
                    }
                }
            });
        }
    });
    assert_eq!(counts(&store).get("e"), Some(&200));
    let mut ids: Vec<String> = message_ids(&store).into_iter().map(|(_, id)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 200);
}

#[test]
fn several_submissions_may_be_under_way() -> Result<(), Error> {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path())?;
    let pending: Vec<_> = (0..20)
        .map(|i| store.submit(vec![event("e", "u", &format!("m{i}"))], &AppendOptions::default()))
        .collect::<Result<_, _>>()?;
    for (i, pending) in pending.into_iter().enumerate() {
        assert!(matches!(pending.wait()?[..], [Outcome::Accepted(s)] if s.number() == i as u64 + 1));
    }
    Ok(())
}

#[test]
fn a_rejected_operation_leaves_no_gap_in_the_numbers_of_subjects() {
    let dir = tempfile::tempdir().unwrap();
    {
        let store = Store::open(dir.path(), Options::default(), Vec::new()).unwrap();
        let identify = Operation::identify("a", "b");
        assert!(rejected(&store.append(vec![identify.into()]).unwrap()[0]).contains("without a fold"));
        store.append(vec![event("e", "c", "m1")]).unwrap();
    }
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let store = Store::open(dir.path(), Options::default(), Vec::new()).unwrap();
    assert_eq!(store.snapshot().subject_count(), 1);
}

#[test]
fn a_batch_of_too_many_names_is_refused_and_poisons_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let wide =
        |event: u32| (0..1_024).fold(Event::new("e", "u"), |wide, i| wide.property(format!("{event}.{i}"), true));
    let batch: Vec<Entry> = (0..1_025).map(|event| wide(event).into()).collect();
    let error = store.append(batch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("1050625 names"), "{error}");
    fill(&store, "m", 3);
}

#[test]
fn a_setting_is_a_record_of_its_own_and_what_is_none_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let set = |name: &str, value: &str| -> Entry { Operation::Set { name: name.into(), value: value.into() }.into() };
    let long = format!("\"{}\"", "x".repeat(limits::SETTING_MAX_BYTES));
    let outcomes = store
        .append(vec![
            set("time_zone", "\"UTC\""),
            set("time_zone", "null"),
            set("", "1"),
            set("a", "no JSON"),
            set("a", "1 2"),
            set("a", &long),
        ])
        .unwrap();
    assert!(
        matches!(outcomes[..2], [Outcome::Accepted(first), Outcome::Accepted(second)] if first.number() + 1 == second.number())
    );
    for (outcome, why) in
        outcomes[2..].iter().zip(["name: ", "value: not JSON", "value: not JSON", "value: 65538 bytes"])
    {
        assert!(rejected(outcome).starts_with(why), "{outcome}");
    }
    store.close().unwrap();
    let store = open(dir.path()).unwrap();
    let mut settings = Vec::new();
    for frame in store.scan(Sequence::FIRST).unwrap() {
        for record in frame.unwrap().payload().unwrap().records {
            if let pugmark_store::Record::Setting { name, value } = record {
                settings.push(format!("{name} = {value}"));
            }
        }
    }
    assert_eq!(settings, ["time_zone = \"UTC\"", "time_zone = null"]);
}
