//! Following the log while it is written, rotated and rewritten.

use std::time::Duration;

use pugmark_store::{AppendOptions, Durability, Entry, Frame, Options, Received, Record, Sequence, Store};

use crate::common::{crash, event, fill, message_ids, open_with};

fn options() -> Options {
    Options { segment_max_bytes: 2_000, checkpoint_every: 60, ..Options::default() }
}

fn batch(prefix: &str, number: u64) -> Vec<Entry> {
    (0..5).map(|i| event("e", &format!("u{i}"), &format!("{prefix}{number}-{i}"))).collect()
}

fn ids_of(frame: &Frame) -> Vec<(u64, String)> {
    let payload = frame.payload().unwrap();
    (frame.first_sequence().number()..)
        .zip(&payload.records)
        .filter_map(|(at, record)| match record {
            Record::Event(event) => Some((at, event.message_id.to_string())),
            _ => None,
        })
        .collect()
}

#[test]
fn every_batch_comes_once_and_in_order_while_others_append_and_rewrite() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    fill(&store, "before", 40);
    let (all, late) = std::thread::scope(|scope| {
        let follow = |from: u64| {
            let subscription = store.subscribe(Sequence::new(from)).unwrap();
            let appended = store.snapshot();
            // Until everything that the threads append has come.
            scope.spawn(move || {
                drop(appended);
                let mut found = Vec::new();
                for frame in subscription {
                    found.extend(ids_of(&frame.unwrap()));
                    if found.last().is_some_and(|(at, _)| *at == 40 + 2 * 100 * 5) {
                        return found;
                    }
                }
                found
            })
        };
        let (all, late) = (follow(1), follow(333));
        for prefix in ["a", "b"] {
            let store = &store;
            scope.spawn(move || {
                for number in 0..100 {
                    store.append(batch(prefix, number)).unwrap();
                    if number % 10 == 0 {
                        store.compact().unwrap();
                    }
                }
            });
        }
        (all.join().unwrap(), late.join().unwrap())
    });
    let expected = message_ids(&store);
    assert_eq!(all, expected);
    // The batch that holds the sequence asked for comes whole.
    let first = late.first().unwrap().0;
    assert!(first <= 333 && 333 - first < 10, "{first}");
    assert_eq!(late, expected[first as usize - 1..]);
}

#[test]
fn a_subscription_ends_with_the_store_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    let mut subscription = store.subscribe(Sequence::FIRST).unwrap();
    assert!(matches!(subscription.recv_timeout(Duration::ZERO).unwrap(), Received::Nothing));
    fill(&store, "x", 3);
    assert!(matches!(subscription.recv_timeout(Duration::ZERO).unwrap(), Received::Frame(_)));
    assert!(matches!(subscription.recv_timeout(Duration::from_millis(1)).unwrap(), Received::Nothing));
    fill(&store, "y", 3);
    store.close().unwrap();
    let frame = subscription.recv().unwrap().unwrap();
    assert_eq!(ids_of(&frame)[0], (4, "y0".to_owned()));
    assert!(subscription.recv().unwrap().is_none());
    assert!(matches!(subscription.recv_timeout(Duration::from_secs(60)).unwrap(), Received::End));
    // It does not hold the store: another one opens, whatever the subscription does.
    open_with(dir.path(), options()).unwrap();
}

#[test]
fn a_subscription_shows_only_what_a_loss_of_power_leaves() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options { buffered_sync_after: Duration::from_secs(3_600), ..options() };
    let store = open_with(dir.path(), options).unwrap();
    let mut subscription = store.subscribe(Sequence::FIRST).unwrap();
    let buffered = AppendOptions { durability: Durability::Buffered, ..AppendOptions::default() };
    store.submit(batch("a", 0), &buffered).unwrap().wait().unwrap();
    assert_eq!(store.snapshot().sequence(), Sequence::new(5));
    assert!(matches!(subscription.recv_timeout(Duration::from_millis(20)).unwrap(), Received::Nothing));
    store.append(batch("a", 1)).unwrap();
    assert_eq!(ids_of(&subscription.recv().unwrap().unwrap())[0].1, "a0-0");
    assert_eq!(ids_of(&subscription.recv().unwrap().unwrap())[0].1, "a1-0");
    // What comes with the closing is durable by then.
    store.submit(batch("a", 2), &buffered).unwrap().wait().unwrap();
    store.close().unwrap();
    assert_eq!(ids_of(&subscription.recv().unwrap().unwrap())[0].1, "a2-0");
    assert!(subscription.recv().unwrap().is_none());
}

#[test]
fn one_may_wait_for_a_sequence_that_is_still_to_come() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    let subscription = store.subscribe(Sequence::new(12)).unwrap();
    for number in 0..30 {
        store.append(batch("a", number)).unwrap();
    }
    store.close().unwrap();
    let firsts: Vec<u64> = subscription.map(|frame| frame.unwrap().first_sequence().number()).collect();
    assert_eq!(firsts, (0..30).map(|number| number * 5 + 1).filter(|first| first + 4 >= 12).collect::<Vec<_>>());
}

#[test]
fn damage_is_given_out_once_and_nothing_after_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), options()).unwrap();
    for number in 0..30 {
        store.append(batch("a", number)).unwrap();
    }
    let copy = tempfile::tempdir().unwrap();
    store.close().unwrap();
    let store = open_with(dir.path(), Options { background: false, ..options() }).unwrap();
    crash(&store, copy.path());
    drop(store);
    crate::common::flip(&crate::common::segments(copy.path())[1], 64 + 44 + 5);
    let store = Store::open(copy.path(), Options { background: false, ..options() }, Vec::new()).unwrap();
    let mut subscription = store.subscribe(Sequence::FIRST).unwrap();
    while subscription.recv().is_ok_and(|frame| frame.is_some()) {}
    assert!(matches!(subscription.recv_timeout(Duration::ZERO).unwrap(), Received::End));
}
