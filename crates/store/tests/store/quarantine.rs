//! Events whose message id is stored with other content are kept aside, once, until somebody decides about them.

use pugmark_store::{Entry, ErrorKind, Event, Outcome, Quarantined, Sequence, Settle, Store, Timestamp, limits};

use crate::common::{counts, open};

fn order(amount: i64) -> Event {
    Event::new("order", "ann").message_id("order-1").property("amount", amount).context(r#"{"page":"/"}"#)
}

trait WithContext {
    fn context(self, context: &str) -> Event;
}

impl WithContext for Event {
    fn context(mut self, context: &str) -> Event {
        self.context = Some(context.to_owned());
        self
    }
}

fn append(store: &Store, events: impl IntoIterator<Item = Event>) -> Vec<Outcome> {
    store.append(events.into_iter().map(Entry::from).collect()).unwrap()
}

fn kept(sequence: u64) -> Outcome {
    Outcome::Conflict(Some(Sequence::new(sequence)))
}

fn listed(store: &Store) -> Vec<Quarantined> {
    store.quarantine().unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn a_conflict_is_kept_as_it_came_and_once_for_each_content() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let at = Timestamp::from_microsecond(1_700_000_000_000_001);
    let nobody = Event { distinct_id: "nobody".into(), session_id: Some("s".into()), ..order(1) }.at(at);
    let outcomes = append(&store, [order(1), order(2), order(2), nobody.clone(), order(1)]);
    assert_eq!(outcomes[1..], [kept(2), kept(2), kept(3), Outcome::Duplicate]);
    let check = |store: &Store| {
        let events: Vec<Event> = listed(store).into_iter().map(|kept| kept.event).collect();
        assert_eq!(events, [order(2), nobody.clone()]);
        assert_eq!(store.snapshot().subjects().resolve("nobody").unwrap(), None, "it introduces nobody");
        assert_eq!(counts(store).values().sum::<u64>(), 1, "and is no event");
        assert_eq!(store.stats().unwrap().quarantine.waiting, 2);
        assert_eq!(append(store, [order(2), nobody.clone()]), [kept(2), kept(3)], "it is kept already");
    };
    check(&store);
    let bytes = store.stats().unwrap().quarantine.bytes;
    store.close().unwrap();
    let store = open(dir.path()).unwrap();
    check(&store);
    store.close().unwrap();
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let store = open(dir.path()).unwrap();
    check(&store);
    assert_eq!(store.stats().unwrap().quarantine.bytes, bytes, "a replay counts as an append does");
}

#[test]
fn a_conflict_that_is_dropped_is_listed_no_more_and_not_kept_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    append(&store, [order(1), order(2), order(3)]);
    assert_eq!(store.settle(Sequence::new(2), Settle::Drop).unwrap(), Sequence::new(4));
    let again = store.settle(Sequence::new(2), Settle::Drop).unwrap_err();
    assert_eq!((again.kind(), again.to_string().as_str()), (ErrorKind::Invalid, "sequence 2 has been settled already"));
    for sequence in [1, 4, 99] {
        let none = store.settle(Sequence::new(sequence), Settle::Drop).unwrap_err();
        assert_eq!(none.kind(), ErrorKind::Invalid, "{none}");
    }
    let check = |store: &Store| {
        assert_eq!(listed(store).into_iter().map(|kept| kept.event).collect::<Vec<_>>(), [order(3)]);
        assert_eq!(append(store, [order(2)]), [kept(2)]);
        let stats = store.stats().unwrap().quarantine;
        assert_eq!((stats.waiting, stats.settled), (1, 1));
        assert_eq!(store.snapshot().sequence(), Sequence::new(4));
    };
    check(&store);
    store.close().unwrap();
    let store = open(dir.path()).unwrap();
    check(&store);
    drop(store);
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    check(&open(dir.path()).unwrap());
}

#[test]
fn a_conflict_can_be_stored_under_another_message_id() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    append(&store, [order(1), order(2)]);
    let received_at = listed(&store)[0].received_at;
    let store_as = |id: &str| store.settle(Sequence::new(2), Settle::Store { message_id: id.to_owned() });
    for id in ["order-1", "", &"x".repeat(256)] {
        let error = store_as(id).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
    }
    assert_eq!(store.snapshot().sequence(), Sequence::new(2), "nothing changed");
    assert_eq!(store_as("order-1b").unwrap(), Sequence::new(3));
    assert_eq!(listed(&store), []);
    assert_eq!(counts(&store).values().sum::<u64>(), 2);
    // It happened when it came.
    let stored = order(2).message_id("order-1b").at(received_at);
    assert_eq!(append(&store, [stored.clone()]), [Outcome::Duplicate]);
    drop(store);
    std::fs::remove_file(dir.path().join("index.redb")).unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(append(&store, [stored]), [Outcome::Duplicate]);
    assert_eq!(listed(&store), []);
}

#[test]
fn conflicts_are_listed_across_batches_and_segments() {
    let dir = tempfile::tempdir().unwrap();
    let options = pugmark_store::Options { segment_max_bytes: 2_000, ..pugmark_store::Options::default() };
    let store = crate::common::open_with(dir.path(), options).unwrap();
    append(&store, [order(0)]);
    for batch in 0..40 {
        append(&store, (1..=5).map(|n| order(batch * 5 + n)));
    }
    let amounts: Vec<Event> = listed(&store).into_iter().map(|kept| kept.event).collect();
    assert_eq!(amounts, (1..=200).map(order).collect::<Vec<_>>());
}

#[test]
fn what_does_not_fit_is_counted_and_not_kept_until_something_is_settled() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let large = |n: i64| order(n).property("text", "x".repeat(limits::EVENT_MAX_BYTES - 1_000));
    append(&store, [order(0)]);
    let count = limits::QUARANTINE_MAX_BYTES / limits::EVENT_MAX_BYTES as u64 + 2;
    let outcomes: Vec<Outcome> = (0..count).flat_map(|n| append(&store, [large(n as i64)])).collect();
    let turned_away = outcomes.iter().filter(|outcome| **outcome == Outcome::Conflict(None)).count() as u64;
    let stats = store.stats().unwrap().quarantine;
    assert!(turned_away > 0 && stats.turned_away == turned_away && stats.waiting == count - turned_away, "{stats:?}");
    assert!(stats.bytes <= limits::QUARANTINE_MAX_BYTES);
    store.settle(Sequence::new(2), Settle::Drop).unwrap();
    assert!(matches!(append(&store, [large(count as i64)])[..], [Outcome::Conflict(Some(_))]));
}

#[test]
fn what_is_decided_about_while_the_list_is_read_is_left_out_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    append(&store, [order(1), order(2)]);
    append(&store, [order(3)]);
    append(&store, [order(4)]);
    let mut list = store.quarantine().unwrap();
    assert_eq!(list.next().unwrap().unwrap().sequence, Sequence::new(2));
    store.settle(Sequence::new(3), Settle::Drop).unwrap();
    // Whatever is removed: what was settled goes from the log with it.
    store.retract(None, vec![(Sequence::new(1), 1)]).unwrap();
    store.finish_removals().unwrap();
    let rest: Vec<Sequence> = list.map(|kept| kept.unwrap().sequence).collect();
    assert_eq!(rest, [Sequence::new(4)]);
    let gone = store.settle(Sequence::new(3), Settle::Drop).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::Invalid, "{gone}");
}
