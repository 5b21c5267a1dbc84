//! Links outlive the events that they were made beside.

use std::path::Path;
use std::sync::Arc;

use pugmark_identity::{IdentityFold, IdentityOptions, PersonId, Persons, Refusals};
use pugmark_store::{
    Entry, Event, Operation, Options, Outcome, Record, Sequence, SimulatedStorage, Storage, Store, SubjectId, Timestamp,
};

fn open(storage: &SimulatedStorage) -> Store {
    let storage = Arc::new(storage.clone());
    let options = Options { storage, segment_max_bytes: 2_000, background: false, ..Options::default() };
    Store::open(Path::new("/store"), options, vec![Box::new(IdentityFold::new(IdentityOptions::default()))]).unwrap()
}

fn people(store: &Store) -> (Vec<PersonId>, Vec<SubjectId>, u64, Refusals) {
    let snapshot = store.snapshot();
    let persons = snapshot.state::<Persons>().unwrap();
    let of = (0..snapshot.subject_count()).map(|subject| persons.person_of(SubjectId::new(subject)));
    let of: Vec<PersonId> = of.collect();
    let names = of.iter().map(|person| persons.name_subject(*person)).collect();
    (of, names, persons.link_count(), persons.refusals())
}

#[test]
fn a_rebuild_after_an_expiry_gives_the_same_people() {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new("/store")).unwrap();
    let store = open(&storage);
    let day = |number: i64| Timestamp::from_microsecond(1_700_000_000_000_000 + number * 86_400_000_000);
    let identify = |anonymous: i64, user: i64| -> Entry {
        Operation::identify(format!("anon{anonymous}"), format!("user{user}")).into()
    };
    for number in 0..40 {
        let seen = Event::new("view", format!("anon{number}")).at(day(number)).message_id(format!("m{number}"));
        // Every fifth wants what belongs to somebody else: that is refused.
        let link = if number % 5 == 4 { identify(number - 1, number) } else { identify(number, number / 2) };
        store.append(vec![seen.property("where", "by the river").into(), link]).unwrap();
    }
    let before = people(&store);
    assert!(before.2 > 20 && before.3.total() > 5, "{before:?}");
    store.expire(day(30)).unwrap();
    let first = store.scan(Sequence::FIRST).unwrap().next().unwrap().unwrap().first_sequence();
    assert!(first > Sequence::new(20), "{first}");
    assert_eq!(people(&store), before);
    store.close().unwrap();

    storage.lose(Path::new("/store/index.redb")).unwrap();
    let store = open(&storage);
    assert_eq!(people(&store), before);
    let again = Event::new("view", "anon3").at(day(3)).message_id("m3").property("where", "by the river");
    assert_eq!(store.append(vec![again.into()]).unwrap(), [Outcome::Duplicate]);
    // What was refused then is refused now: the operations are known, not only what came of them.
    let outcome = store.append(vec![identify(3, 4)]).unwrap();
    assert!(matches!(outcome[..], [Outcome::Refused(..)]), "{outcome:?}");
    // And built anew beside the old, too.
    store.reprocess(|name| name == "identity").unwrap();
    let (persons, names, links, _) = people(&store);
    assert_eq!((persons, names, links), (before.0, before.1, before.2));
    let operations = |frame: pugmark_store::Frame| {
        let payload = frame.payload().unwrap();
        payload.records.iter().filter(|record| matches!(record, Record::Identify(_))).count()
    };
    let left: usize = store.scan(Sequence::FIRST).unwrap().map(|frame| operations(frame.unwrap())).sum();
    assert!(left < 30, "{left} are in the log, the others in the base");
}
