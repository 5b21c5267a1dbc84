//! A process that is killed while it works: whatever it acknowledged is there once, whoever it erased is gone.
//!
//! The process is this test program itself, started again with a directory in its environment. `PUGMARK_KILLS` says how often it is killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use pugmark_store::{
    AppendOptions, Durability, Entry, Event, Hidden, Options, Outcome, Record, Sequence, Store, SubjectId,
};

use crate::common::{counts, open_with};

const DIR: &str = "PUGMARK_KILLED_DIR";
const FROM: &str = "PUGMARK_KILLED_FROM";
const BATCH: u64 = 20;
/// Every so many batches somebody is erased.
const ERASE_EVERY: u64 = 15;

fn options() -> Options {
    Options { segment_max_bytes: 20_000, checkpoint_every: 200, index_cache_bytes: 1 << 20, ..Options::default() }
}

fn batch(number: u64) -> Vec<Entry> {
    (0..BATCH)
        .map(|at| {
            let event =
                Event::new("e", format!("u{}", (number * BATCH + at) % 97)).message_id(format!("{number}-{at}"));
            event.property("number", i64::try_from(number).unwrap()).into()
        })
        .collect()
}

/// Who is erased after a batch: the same people come back under new subjects.
fn erased_after(number: u64) -> String {
    format!("u{}", number % 97)
}

/// The killed process: works until it is killed, and says what was acknowledged.
#[test]
fn child() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let from: u64 = std::env::var(FROM).unwrap().parse().unwrap();
    let store = open_with(Path::new(&dir), options()).unwrap();
    store.finish_removals().unwrap();
    // Straight to the pipe: what the test harness prints goes through buffers of its own.
    let mut out = std::fs::OpenOptions::new().write(true).open("/dev/stdout").unwrap();
    for number in from.. {
        let durability = if number.is_multiple_of(3) { Durability::Buffered } else { Durability::Sync };
        let append = AppendOptions { durability, ..AppendOptions::default() };
        // The one before once more, in flight at the same time.
        let first = store.submit(batch(number), &append).unwrap();
        let again = store.submit(batch(number), &append).unwrap();
        let stored = |outcomes: Vec<Outcome>| outcomes.iter().all(Outcome::is_stored);
        assert!(stored(first.wait().unwrap()) && stored(again.wait().unwrap()));
        // In one write: a line arrives whole or not at all.
        out.write_all(format!("ack {number}\n").as_bytes()).unwrap();
        if number.is_multiple_of(ERASE_EVERY)
            && let Some(subject) = store.snapshot().subjects().resolve(&erased_after(number)).unwrap()
        {
            store.erase(&[subject]).unwrap();
            out.write_all(format!("erased {}\n", subject.number()).as_bytes()).unwrap();
            store.finish_removals().unwrap();
        }
        if number.is_multiple_of(40) {
            store.compact().unwrap();
        }
    }
}

fn start(dir: &Path, from: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child", "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .env(FROM, from.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Message ids that are or were in the log, those of events that are shown, and the subjects of these.
fn found(store: &Store) -> (u64, BTreeSet<String>, BTreeSet<u32>) {
    let hidden = store.snapshot().state::<Hidden>().unwrap();
    let (mut events, mut ids, mut subjects) = (0, BTreeSet::new(), BTreeSet::new());
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        for (sequence, record) in (frame.first_sequence().number()..).zip(&frame.payload().unwrap().records) {
            if let Record::Event(event) = record {
                events += 1;
                ids.insert(event.message_id.to_string());
                if !hidden.hides(SubjectId::new(event.subject), Sequence::new(sequence)) {
                    subjects.insert(event.subject);
                }
            }
        }
    }
    (events, ids, subjects)
}

#[cfg(unix)]
#[test]
fn what_was_acknowledged_is_there_once_after_every_kill() {
    let kills: u64 = std::env::var("PUGMARK_KILLS").map_or(12, |kills| kills.parse().expect("a number"));
    let dir = tempfile::tempdir().unwrap();
    let (mut next, mut erased) = (1, BTreeSet::new());
    let mut dice = 7_u64;
    for kill in 0..kills {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let mut child = start(dir.path(), next);
        let mut acknowledged = next - 1;
        // Killed some lines after the first acknowledgement, and a moment later: between commits as well as in them.
        let mut lines_left = 1 + (dice >> 33) % 25;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(number) = line.strip_prefix("ack ") {
                acknowledged = number.parse().unwrap();
            } else if let Some(subject) = line.strip_prefix("erased ") {
                erased.insert(subject.parse::<u32>().unwrap());
            } else {
                continue;
            }
            lines_left = lines_left.saturating_sub(1);
            if lines_left == 0 {
                std::thread::sleep(Duration::from_micros((dice >> 20) % 3_000));
                child.kill().unwrap();
                lines_left = u64::MAX;
            }
        }
        assert!(!child.wait().unwrap().success(), "kill {kill}: it worked until it was killed");

        let store = open_with(dir.path(), options()).unwrap_or_else(|e| panic!("kill {kill}: {e}"));
        store.finish_removals().unwrap();
        let (events, ids, subjects) = found(&store);
        assert_eq!(events, ids.len() as u64, "kill {kill}: no message id twice");
        assert_eq!(counts(&store).values().sum::<u64>(), events, "kill {kill}: the fold has seen each once");
        let back: Vec<u32> = erased.iter().copied().filter(|subject| subjects.contains(subject)).collect();
        assert!(back.is_empty(), "kill {kill}: {back:?} were erased");
        // Everything acknowledged is taken for good, whether it is there or was erased; the batch that was under way is there whole or not at all.
        for number in acknowledged.saturating_sub(30).max(1)..=acknowledged {
            let again = store.append(batch(number)).unwrap();
            assert!(
                again.iter().all(|outcome| *outcome == Outcome::Duplicate),
                "kill {kill}: batch {number}: {again:?}"
            );
        }
        next = acknowledged + 1;
        drop(store);
    }
}
