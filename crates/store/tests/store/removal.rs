//! What is erased or retracted is hidden at once, and then on no disk, whenever the machine stops on the way.

use std::path::Path;

use pugmark_store::simulated::Loss;
use pugmark_store::{
    AppendOptions, Entry, ErrorKind, Event, Hidden, ImportId, Options, Outcome, Record, Result, Sequence,
    SimulatedStorage, Store, SubjectId,
};

use crate::common::{DIR, counts, disk, open_with, simulated, stops_of};

const PEOPLE: u64 = 12;
const EVENTS: u64 = 120;

fn options(storage: &SimulatedStorage) -> Options {
    Options { segment_max_bytes: 3_000, checkpoint_every: 50, ..simulated(storage, 1_700_000_000_000_000) }
}

fn open(storage: &SimulatedStorage) -> Store {
    open_with(Path::new(DIR), options(storage)).unwrap()
}

fn id_of(person: u64) -> String {
    format!("person-{person:02}-{}", "x".repeat(5))
}

fn secret_of(person: u64) -> String {
    format!("secret-of-{person:02}-{}", "y".repeat(5))
}

fn event(number: u64) -> Entry {
    let person = number % PEOPLE;
    Event::new(format!("event-{}", person % 3), id_of(person))
        .message_id(format!("m{number}"))
        .property("value", secret_of(person))
        .property("number", i64::try_from(number).unwrap())
        .into()
}

fn filled(storage: &SimulatedStorage) -> Store {
    let store = open(storage);
    for batch in (0..EVENTS).collect::<Vec<_>>().chunks(7) {
        let outcomes = store.append(batch.iter().map(|number| event(*number)).collect()).unwrap();
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
    }
    store
}

/// In which files the words stand, as bytes or in a batch of the log.
fn places(storage: &SimulatedStorage, store: &Store, words: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    for word in words {
        found.extend(storage.files_with(word.as_bytes()).into_iter().map(|path| format!("{word}: {path:?}")));
        for frame in store.scan(Sequence::FIRST).unwrap() {
            let frame = frame.unwrap();
            let payload = format!("{:?}", frame.payload().unwrap());
            if payload.contains(word.as_str()) {
                found.push(format!("{word}: frame {}", frame.first_sequence()));
            }
        }
    }
    found
}

fn words_of(person: u64) -> Vec<String> {
    vec![id_of(person), secret_of(person)]
}

fn subject_of(store: &Store, person: u64) -> SubjectId {
    store.snapshot().subjects().resolve(&id_of(person)).unwrap().unwrap()
}

/// The sequences of events that are neither hidden nor removed.
fn shown(store: &Store) -> Vec<u64> {
    let hidden = store.snapshot().state::<Hidden>().unwrap();
    let mut shown = Vec::new();
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        for (sequence, record) in (frame.first_sequence().number()..).zip(&frame.payload().unwrap().records) {
            if let Record::Event(event) = record
                && !hidden.hides(SubjectId::new(event.subject), Sequence::new(sequence))
            {
                shown.push(sequence);
            }
        }
    }
    shown
}

fn without(people: &[u64]) -> Vec<u64> {
    (0..EVENTS).filter(|number| !people.contains(&(number % PEOPLE))).map(|number| number + 1).collect()
}

#[test]
fn of_who_was_erased_no_byte_is_left_and_all_others_stay() {
    let storage = disk();
    let store = filled(&storage);
    // Kept aside, and with a person who is erased.
    let aside = Event::new("event-0", id_of(3)).message_id("m3").property("value", format!("{} again", secret_of(3)));
    assert!(matches!(store.append(vec![aside.into()]).unwrap()[..], [Outcome::Conflict(Some(_))]));
    store.checkpoint().unwrap();
    let erased = [3, 7];
    for person in 0..PEOPLE {
        assert!(places(&storage, &store, &words_of(person)).len() > 2, "person {person} is found before");
    }
    store.erase(&erased.map(|person| subject_of(&store, person))).unwrap();
    assert_eq!(shown(&store), without(&erased), "hidden at once");
    assert_eq!(store.snapshot().subjects().resolve(&id_of(3)).unwrap(), None);

    let receipt = store.finish_removals().unwrap();
    assert_eq!((receipt.subjects, receipt.removals.len()), (2, 1), "{receipt:?}");
    assert!(receipt.records >= 2 * EVENTS / PEOPLE && receipt.segments > 1, "{receipt:?}");
    for person in 0..PEOPLE {
        let found = places(&storage, &store, &words_of(person));
        assert_eq!(found.is_empty(), erased.contains(&person), "person {person}: {found:?}");
    }
    assert_eq!(shown(&store), without(&erased));
    let left = EVENTS - EVENTS / PEOPLE * 2;
    assert_eq!(counts(&store).values().sum::<u64>(), left, "the fold counts what is left");
    assert!(store.snapshot().state::<Hidden>().unwrap().open().is_empty());
    assert_eq!(store.finish_removals().unwrap().records, 0, "nothing is left to do");

    // Whatever comes with a message id of theirs is a duplicate; whoever comes back is somebody new.
    let again: Vec<Entry> = (0..EVENTS).map(event).collect();
    assert!(store.append(again).unwrap().iter().all(|outcome| *outcome == Outcome::Duplicate));
    let other = Event::new("other", id_of(3)).message_id("m3");
    assert_eq!(store.append(vec![other.into()]).unwrap(), [Outcome::Duplicate]);
    let back = Event::new("event-0", id_of(3)).message_id("new");
    assert!(matches!(store.append(vec![back.into()]).unwrap()[..], [Outcome::Accepted(_)]));
    assert_eq!(subject_of(&store, 3).number(), u32::try_from(PEOPLE).unwrap());

    // And all of it after the index is lost.
    store.close().unwrap();
    storage.lose(Path::new("/store/index.redb")).unwrap();
    let store = open(&storage);
    assert_eq!(counts(&store).values().sum::<u64>(), left + 1);
    let again: Vec<Entry> = (0..EVENTS).map(event).collect();
    assert!(store.append(again).unwrap().iter().all(|outcome| *outcome == Outcome::Duplicate));
    assert_eq!(subject_of(&store, 3).number(), u32::try_from(PEOPLE).unwrap());
    assert!(store.snapshot().state::<Hidden>().unwrap().is_erased(SubjectId::new(3)));
}

#[test]
fn a_retracted_import_can_be_imported_again() {
    let storage = disk();
    let store = filled(&storage);
    let import = ImportId::from_bytes([9; 16]);
    let append = AppendOptions { import: Some(import), ..AppendOptions::default() };
    let wrong: Vec<Entry> =
        (0..20).map(|n| Event::new("wrong", id_of(n % 3)).message_id(format!("i{n}")).into()).collect();
    store.submit(wrong, &append).unwrap().wait().unwrap();
    let before = without(&[]);
    assert_eq!(shown(&store).len(), before.len() + 20);
    store.retract_import(import).unwrap();
    assert_eq!(shown(&store), before);
    let receipt = store.finish_removals().unwrap();
    assert_eq!((receipt.subjects, receipt.records), (0, 20));
    assert_eq!(shown(&store), before);
    assert_eq!(counts(&store).get("wrong"), None);
    let right: Vec<Entry> =
        (0..20).map(|n| Event::new("right", id_of(n % 3)).message_id(format!("i{n}")).into()).collect();
    assert!(store.append(right).unwrap().iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))));
    assert_eq!(store.retract_import(import).unwrap_err().kind(), ErrorKind::Invalid);
}

#[test]
fn what_cannot_be_removed_is_refused() {
    let storage = disk();
    let store = filled(&storage);
    assert_eq!(store.erase(&[]).unwrap_err().kind(), ErrorKind::Invalid);
    let unknown = store.erase(&[SubjectId::new(99)]).unwrap_err();
    assert_eq!((unknown.kind(), unknown.to_string().contains("subject 99")), (ErrorKind::Invalid, true), "{unknown}");
    for rows in [vec![], vec![(1, 0)], vec![(5, 2), (6, 1)], vec![(EVENTS, 2)], vec![(0, 1)], vec![(u64::MAX, 2)]] {
        let rows = rows.into_iter().map(|(first, count)| (Sequence::new(first), count)).collect();
        assert_eq!(store.retract(None, rows).unwrap_err().kind(), ErrorKind::Invalid);
    }
    assert_eq!(shown(&store), without(&[]));
}

/// Erases, retracts and finishes; marks what is promised.
fn remove(storage: &SimulatedStorage) -> Result<()> {
    let store = open_with(Path::new(DIR), options(storage))?;
    store.erase(&[subject_of(&store, 3), subject_of(&store, 7)])?;
    storage.mark(1);
    store.retract(Some("number < 3"), vec![(Sequence::new(1), 3)])?;
    storage.mark(2);
    store.finish_removals()?;
    storage.mark(3);
    store.close()
}

#[test]
fn a_removal_goes_on_after_a_stop_at_every_operation() {
    let storage = disk();
    filled(&storage).close().unwrap();
    let before = storage.operations();
    remove(&storage).unwrap();
    let journal = storage.journal();
    let mut retracted = without(&[3, 7]);
    retracted.retain(|sequence| *sequence > 3);
    let mut stops = 0;
    for (place, (loss, seed)) in
        [(Loss::Nothing, 0), (Loss::Everything, 0), (Loss::Random, 0), (Loss::Random, 1)].into_iter().enumerate()
    {
        for number in stops_of(before..=journal.operations(), place) {
            let what =
                format!("{loss:?} with seed {seed} after operation {number} ({})", journal.step(number).unwrap());
            let promised = journal.marks_through(number).last().copied().unwrap_or(0);
            let found = journal.stop_after(number, loss, seed);
            let store = open_with(Path::new(DIR), options(&found)).unwrap_or_else(|e| panic!("{what}: {e}"));
            let open = store.snapshot().state::<Hidden>().unwrap().open().len();
            match shown(&store) {
                all if all == without(&[]) => assert!(promised == 0, "{what}: nothing is erased"),
                erased if erased == without(&[3, 7]) => assert!(promised <= 1, "{what}: nothing is retracted"),
                both if both == retracted => {}
                other => panic!("{what}: {other:?}"),
            }
            assert!(promised < 3 || open == 0, "{what}: {open} removals are open");
            let erased = store.snapshot().subjects().resolve(&id_of(3)).unwrap().is_none();
            // Sent again before the rest is done: where their ids are free already, they are taken from now on.
            let accepted = |outcomes: &[Outcome]| {
                outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(_))).count()
            };
            let early = accepted(&store.append((0..3).map(event).collect()).unwrap_or_else(|e| panic!("{what}: {e}")));
            store.finish_removals().unwrap_or_else(|e| panic!("{what}: {e}"));
            if erased {
                let found = places(&found, &store, &[words_of(3), words_of(7)].concat());
                assert!(found.is_empty(), "{what}: {found:?}");
            }
            let again = store.append((0..EVENTS).map(event).collect()).unwrap_or_else(|e| panic!("{what}: {e}"));
            let late = accepted(&again);
            let duplicate = again.iter().filter(|outcome| **outcome == Outcome::Duplicate).count();
            assert!([0, 3].contains(&(early + late)), "{what}: {early} and then {late} were accepted");
            assert_eq!(late + duplicate, again.len(), "{what}: {again:?}");
            stops += 1;
        }
    }
    assert!(stops > 100, "{stops}");
}

#[test]
fn somebody_of_whom_more_is_kept_aside_than_a_frame_holds_is_erased() {
    const ASIDE: usize = 65_540;
    let storage = disk();
    let store = open_with(Path::new(DIR), simulated(&storage, 1_700_000_000_000_000)).unwrap();
    let event =
        |value: usize| Event::new("e", "ann").message_id("m").property("n", i64::try_from(value).unwrap()).into();
    store.append(vec![event(0)]).unwrap();
    for values in (1..=ASIDE).collect::<Vec<_>>().chunks(10_000) {
        store.append(values.iter().map(|value| event(*value)).collect()).unwrap();
    }
    assert_eq!(store.stats().unwrap().quarantine.waiting, ASIDE as u64);
    store.erase(&[store.snapshot().subjects().resolve("ann").unwrap().unwrap()]).unwrap();
    assert_eq!(store.stats().unwrap().quarantine.waiting, 0);
    store.append(vec![Event::new("e", "bob").message_id("other").into()]).unwrap();
    store.close().unwrap();
    let store = open_with(Path::new(DIR), simulated(&storage, 1_700_000_000_000_000)).unwrap();
    store.finish_removals().unwrap();
    let report = store.verify(false, &mut |_| {}).unwrap();
    assert!(report.is_clean(), "{report:?}");
}
