//! Changes of profiles as records: what is refused, and that a message id is stored once.

use std::path::Path;

use pugmark_store::{
    AppendOptions, Entry, Event, ImportId, Options, Outcome, ProfileChange, ProfileUpdate, Record, Sequence, Store,
    Value, ValueRef, limits,
};

use super::common::rejected;

fn open(dir: &Path) -> Store {
    Store::open(dir, Options::default(), Vec::new()).unwrap()
}

fn one(store: &Store, entry: impl Into<Entry>) -> Outcome {
    store.append(vec![entry.into()]).unwrap().pop().unwrap()
}

#[test]
fn what_breaks_a_rule_is_rejected_and_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let number = |text: &str| Value::Number(text.to_owned());
    let many = (0..=limits::PROPERTIES_MAX).fold(ProfileUpdate::set("u"), |all, n| all.with(format!("t{n}"), 1));
    let cases = [
        (ProfileUpdate::set(" ").with("a", 1), "distinct_id: missing or blank"),
        (ProfileUpdate::set("u"), "traits: 0 of them, expected 1 to 1024"),
        (many, "traits: 1025 of them, expected 1 to 1024"),
        (ProfileUpdate::set("u").with("", 1), "traits: a name is missing or blank"),
        (ProfileUpdate::set("u").with("a".repeat(256), 1), "traits: a name of 256 bytes"),
        (ProfileUpdate::set("u").with("a", f64::NAN), "traits.a: NaN is not a finite number"),
        (ProfileUpdate::add("u").with("a", "1"), "traits.a: \"1\" is no number, which add takes"),
        (ProfileUpdate::add("u").with("a", number("1e999")), "traits.a: "),
        (ProfileUpdate::add("u").with("a", true), "traits.a: true is no number"),
        (ProfileUpdate::set("u").with("a", "x".repeat(limits::EVENT_MAX_BYTES)), "traits: 1048578 bytes"),
        (ProfileUpdate::set("u").with("a", 1).message_id(""), "message_id: empty"),
        (ProfileUpdate::set("u").with("a", 1).at("1969-12-31T00:00:00Z".parse().unwrap()), "timestamp: 1969"),
        (ProfileUpdate::unset("u", [""]), "traits: a name is missing"),
    ];
    for (update, why) in cases {
        let outcome = one(&store, update);
        assert!(rejected(&outcome).starts_with(why), "{outcome}");
    }
    assert_eq!((store.snapshot().sequence().number(), store.snapshot().subject_count()), (0, 0));
}

#[test]
fn a_message_id_is_stored_once_of_events_and_profiles_together() {
    let dir = tempfile::tempdir().unwrap();
    let at = || "2025-01-01T00:00:00Z".parse().unwrap();
    let add = |id: &str| ProfileUpdate::add("ann").with("credits", 5).message_id(id).at(at());
    let event = |id: &str| Event::new("view", "ann").message_id(id);
    let check = |store: &Store| {
        assert_eq!(one(store, add("p1")), Outcome::Duplicate);
        assert_eq!(one(store, event("e1")), Outcome::Duplicate);
        for other in [
            ProfileUpdate { distinct_id: "bob".into(), ..add("p1") },
            ProfileUpdate { change: ProfileChange::Set, ..add("p1") },
            ProfileUpdate { timestamp: None, ..add("p1") },
            add("p1").with("more", 1),
            add("e1"),
        ] {
            assert_eq!(one(store, other.clone()), Outcome::Conflict(None), "{other:?}");
        }
        assert!(matches!(one(store, event("p1")), Outcome::Conflict(Some(_))), "an event is kept aside");
    };
    {
        let store = open(dir.path());
        assert!(matches!(one(&store, add("p1")), Outcome::Accepted(_)));
        assert!(matches!(one(&store, event("e1")), Outcome::Accepted(_)));
        check(&store);
        // Of one append, too; without an id each counts.
        let both = store.append(vec![add("p2").into(), add("p2").into()]).unwrap();
        assert!(matches!(both[..], [Outcome::Accepted(_), Outcome::Duplicate]), "{both:?}");
        let without = || ProfileUpdate { message_id: None, ..add("") };
        let both = store.append(vec![without().into(), without().into()]).unwrap();
        assert!(matches!(both[..], [Outcome::Accepted(_), Outcome::Accepted(_)]), "{both:?}");
    }
    check(&open(dir.path()));
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    std::fs::remove_dir_all(dir.path().join("runs")).ok();
    check(&open(dir.path()));
}

#[test]
fn an_unset_is_recorded_in_one_way() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let odd = ProfileUpdate { traits: vec![("plan".into(), "whatever".into())], ..ProfileUpdate::unset("u", ["x"]) };
    assert!(matches!(one(&store, odd), Outcome::Accepted(_)));
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        let payload = frame.payload().unwrap();
        let [Record::Profile(profile)] = payload.records.as_slice() else { panic!("{payload:?}") };
        assert_eq!((profile.change, profile.traits[0].1), (ProfileChange::Unset, ValueRef::Bool(true)));
        assert_eq!(payload.names, ["plan"]);
    }
}

#[test]
fn what_an_import_said_of_people_is_taken_back_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let set = |plan: &str| ProfileUpdate::set("ann").with("plan", plan).message_id("p1");
    let import = ImportId::from_bytes([7; 16]);
    let options = AppendOptions { import: Some(import), ..AppendOptions::default() };
    let wrong: Vec<Entry> = vec![set("wrong").into(), Event::new("view", "ann").message_id("e1").into()];
    store.submit(wrong, &options).unwrap().wait().unwrap();
    one(&store, ProfileUpdate::set("ann").with("plan", "kept").message_id("p2"));
    assert_eq!(one(&store, set("right")), Outcome::Conflict(None));
    store.retract_import(import).unwrap();
    let receipt = store.finish_removals().unwrap();
    assert_eq!(receipt.records, 2);
    assert!(matches!(one(&store, set("right")), Outcome::Accepted(_)));
    assert_eq!(one(&store, set("right")), Outcome::Duplicate);
    let mut plans = Vec::new();
    for frame in store.scan(Sequence::FIRST).unwrap() {
        for record in frame.unwrap().payload().unwrap().records {
            if let Record::Profile(profile) = record {
                plans.push(profile.traits[0].1.to_owned());
            }
        }
    }
    assert_eq!(plans, [Value::from("kept"), Value::from("right")]);
}
