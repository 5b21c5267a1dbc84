//! What the store's tests share: a fold that counts, a crash, bytes damaged at a place.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use pugmark_store::redb::{self, ReadableTable as _, TableDefinition};
use pugmark_store::{
    Committed, Entry, Event, Fold, ManualClock, Options, Outcome, Record, Result, SeededEntropy, Sequence,
    SimulatedStorage, Storage, Store, Timestamp, copy_table,
};

/// Counts events by name; its state is a table of the index.
#[derive(Default)]
pub struct Counts {
    pub version: u32,
    pub counts: BTreeMap<String, u64>,
    pub applied: Vec<u64>,
}

/// What [`Counts`] publishes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Published(pub BTreeMap<String, u64>);

const TABLE: TableDefinition<'_, &str, u64> = TableDefinition::new("counts.by_name");

impl Fold for Counts {
    fn name(&self) -> &'static str {
        "counts"
    }

    fn version(&self) -> u32 {
        self.version
    }

    fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        self.applied.push(batch.first_sequence.number());
        for record in &batch.payload.records {
            if let Record::Event(event) = record {
                *self.counts.entry(batch.payload.names[event.name as usize].to_owned()).or_default() += 1;
            }
        }
        Ok(())
    }

    fn publish(&mut self) -> Arc<dyn Any + Send + Sync> {
        Arc::new(Published(self.counts.clone()))
    }

    fn checkpoint(&mut self, txn: &redb::WriteTransaction) -> Result<()> {
        let mut table = txn.open_table(TABLE).unwrap();
        for (name, count) in &self.counts {
            table.insert(name.as_str(), count).unwrap();
        }
        Ok(())
    }

    fn load(&mut self, txn: &redb::ReadTransaction) -> Result<()> {
        let table = txn.open_table(TABLE).unwrap();
        for row in table.iter().unwrap() {
            let (name, count) = row.unwrap();
            self.counts.insert(name.value().to_owned(), count.value());
        }
        Ok(())
    }

    fn fresh(&self) -> Box<dyn Fold> {
        Box::new(Self { version: self.version, ..Self::default() })
    }

    fn copy(&self, from: &redb::ReadTransaction, to: &redb::WriteTransaction) -> Result<()> {
        copy_table(from, to, TABLE)
    }

    fn reset(&mut self, txn: &redb::WriteTransaction) -> Result<()> {
        self.counts.clear();
        txn.delete_table(TABLE).unwrap();
        Ok(())
    }
}

pub fn open(dir: &Path) -> Result<Store> {
    open_with(dir, Options::default())
}

pub fn open_with(dir: &Path, options: Options) -> Result<Store> {
    Store::open(dir, options, vec![Box::new(Counts::default())])
}

pub fn event(name: &str, who: &str, id: &str) -> Entry {
    Event::new(name, who).message_id(id).property("n", 1).into()
}

/// `count` events with ids `<prefix>0`, `<prefix>1` …, all accepted.
pub fn fill(store: &Store, prefix: &str, count: usize) {
    let entries = (0..count).map(|i| event("e", &format!("u{}", i % 7), &format!("{prefix}{i}"))).collect();
    let outcomes = store.append(entries).unwrap();
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted(_))), "{outcomes:?}");
}

pub fn counts(store: &Store) -> BTreeMap<String, u64> {
    store.snapshot().state::<Published>().unwrap().0.clone()
}

/// The message ids of the log, by sequence.
pub fn message_ids(store: &Store) -> Vec<(u64, String)> {
    let mut ids = Vec::new();
    for frame in store.scan(Sequence::FIRST).unwrap() {
        let frame = frame.unwrap();
        let first = frame.first_sequence().number();
        for (at, record) in frame.payload().unwrap().records.iter().enumerate() {
            if let Record::Event(event) = record {
                ids.push((first + at as u64, event.message_id.to_string()));
            }
        }
    }
    ids
}

/// What a killed process leaves: the files as they are while the store is open.
pub fn crash(store: &Store, to: &Path) {
    copy_dir(store.dir(), to);
}

pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to.join(entry.file_name()));
        } else if entry.file_name() != "LOCK" {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

pub fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    // One may be in the making, in the background.
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths
}

pub fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

pub fn truncate(path: &Path, len: u64) {
    fs::OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

/// The operations of a sweep to stop after: all of them with `PUGMARK_STOPS=all` in the environment, else every seventh, others in each `sweep`.
pub fn stops_of(operations: RangeInclusive<u64>, sweep: usize) -> impl Iterator<Item = u64> {
    let all = std::env::var("PUGMARK_STOPS").is_ok_and(|stops| stops == "all");
    let (skip, step) = if all { (0, 1) } else { (sweep % 7, 7) };
    operations.skip(skip).step_by(step)
}

/// Where a store lies on a simulated disk.
pub const DIR: &str = "/store";

/// Options under which the same operations happen in every run, at an instant: syncs come from appends alone, and nothing happens in the background.
pub fn simulated(storage: &SimulatedStorage, now_us: i64) -> Options {
    Options {
        storage: Arc::new(storage.clone()),
        clock: Arc::new(ManualClock::new(Timestamp::from_microsecond(now_us))),
        entropy: Arc::new(SeededEntropy::new(1)),
        index_cache_bytes: 1 << 20,
        buffered_sync_after: Duration::from_secs(3_600),
        background: false,
        ..Options::default()
    }
}

/// A disk with the store's directory, whose own name is not the store's to make durable.
pub fn disk() -> SimulatedStorage {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new(DIR)).unwrap();
    storage.sync_dir(Path::new("/")).unwrap();
    storage
}

/// Why an entry was rejected.
pub fn rejected(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Rejected(rejection) => rejection.to_string(),
        other => panic!("not rejected: {other}"),
    }
}
