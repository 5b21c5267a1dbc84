//! Operations on a real store against a plain map: appends, repeats, reopens, crashes, a lost index.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use pugmark_store::{Event, Options, Outcome, Record, Sequence, Store};

#[derive(Arbitrary, Debug)]
enum Op {
    /// Events as (message id, who, content).
    Append(Vec<(u8, u8, u8)>),
    Checkpoint,
    Reopen,
    /// The process dies; so many bytes that nobody synced follow the last frame.
    Crash { garbage: Vec<u8> },
    LoseIndex,
}

/// Message id → (who, content), in order of arrival.
#[derive(Default)]
struct Model {
    content: BTreeMap<u8, (u8, u8)>,
    order: Vec<u8>,
    /// Conflicts, each of which is kept once.
    kept: BTreeSet<(u8, u8, u8)>,
}

impl Model {
    fn last(&self) -> u64 {
        (self.order.len() + self.kept.len()) as u64
    }
}

fn open(dir: &Path) -> Store {
    let options = Options { segment_max_bytes: 600, checkpoint_every: 20, ..Options::default() };
    Store::open(dir, options, Vec::new()).expect("nothing acknowledged is damaged")
}

fn check(store: &Store, model: &Model) {
    let mut seen = Vec::new();
    for frame in store.scan(Sequence::FIRST).expect("scans") {
        let frame = frame.expect("whole");
        let payload = frame.payload().expect("decodes");
        for record in &payload.records {
            match record {
                Record::Event(event) => seen.push(event.message_id.to_string()),
                Record::Conflict(_) => {}
                other => panic!("only events were appended: {other:?}"),
            }
        }
    }
    let expected: Vec<String> = model.order.iter().map(|id| format!("m{id}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(store.snapshot().sequence().number(), model.last());
    assert_eq!(store.quarantine().expect("lists").count(), model.kept.len());
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("creates");
    for entry in fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()));
        } else if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copies");
        }
    }
}

fn last_segment(dir: &Path) -> PathBuf {
    fs::read_dir(dir.join("log")).expect("lists").map(|entry| entry.expect("lists").path()).max().expect("a store has a segment")
}

fuzz_target!(|ops: Vec<Op>| {
    let root = tempfile::tempdir().expect("a directory");
    let mut dirs = 0;
    let mut dir = root.path().join("0");
    let mut model = Model::default();
    let mut store = open(&dir);
    for op in ops.into_iter().take(24) {
        match op {
            Op::Append(events) => {
                let events: Vec<_> = events.into_iter().take(30).collect();
                let entries = events
                    .iter()
                    .map(|(id, who, content)| {
                        Event::new("e", format!("u{}", who % 9)).message_id(format!("m{id}")).property("c", i64::from(*content)).into()
                    })
                    .collect();
                let outcomes = store.append(entries).expect("appends");
                for ((id, who, content), outcome) in events.into_iter().zip(outcomes) {
                    let sent = (who % 9, content);
                    match model.content.get(&id) {
                        Some(first) if *first == sent => assert_eq!(outcome, Outcome::Duplicate),
                        Some(_) => {
                            let new = model.kept.insert((id, who % 9, content));
                            let Outcome::Conflict(Some(sequence)) = outcome else { panic!("{outcome:?}") };
                            assert!(!new || sequence.number() == model.last());
                        }
                        None => {
                            model.content.insert(id, sent);
                            model.order.push(id);
                            assert_eq!(outcome, Outcome::Accepted(Sequence::new(model.last())));
                        }
                    }
                }
            }
            Op::Checkpoint => store.checkpoint().expect("checkpoints"),
            Op::Reopen => {
                store.close().expect("closes");
                store = open(&dir);
                check(&store, &model);
            }
            Op::Crash { garbage } => {
                dirs += 1;
                let next = root.path().join(dirs.to_string());
                copy(&dir, &next);
                dir = next;
                let path = last_segment(&dir);
                let mut bytes = fs::read(&path).expect("reads");
                bytes.extend_from_slice(garbage.get(..garbage.len().min(100)).unwrap_or_default());
                fs::write(&path, bytes).expect("writes");
                store = open(&dir);
                check(&store, &model);
            }
            Op::LoseIndex => {
                store.close().expect("closes");
                fs::remove_file(dir.join("index.redb")).expect("removes");
                store = open(&dir);
                check(&store, &model);
            }
        }
    }
    check(&store, &model);
});
