//! One row of a closed store's index is changed to anything. The store opens or refuses, and after a repair everything is as it was.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use pugmark_fuzz::folds;
use pugmark_store::fuzzing::{change_index, options};
use pugmark_store::redb::{ReadableTable as _, ReadableTableMetadata as _, TableDefinition, WriteTransaction};
use pugmark_store::simulated::Loss;
use pugmark_store::{Entry, Event, Operation, Outcome, Record, Sequence, Settle, SimulatedStorage, Store, SubjectId};

const DIR: &str = "/store";

#[derive(Arbitrary, Debug)]
struct Change {
    table: u8,
    row: u8,
    /// Of a row of bytes.
    bytes: Bytes,
    /// Of a row of numbers: those that are given.
    numbers: [Option<u64>; 6],
    /// The row is put under this key, too.
    key: Option<u64>,
}

#[derive(Arbitrary, Debug)]
enum Bytes {
    Turn(Vec<(u16, u8)>),
    Cut(u16),
    Add(Vec<u8>),
    Set(Vec<u8>),
}

impl Bytes {
    fn of(&self, before: &[u8]) -> Vec<u8> {
        let mut bytes = before.to_vec();
        match self {
            Self::Turn(_) if bytes.is_empty() => {}
            Self::Turn(turns) => turns.iter().for_each(|(at, mask)| {
                let at = usize::from(*at) % bytes.len();
                bytes[at] ^= mask;
            }),
            Self::Cut(len) => bytes.truncate(usize::from(*len)),
            Self::Add(more) => bytes.extend_from_slice(more),
            Self::Set(all) => bytes.clone_from(all),
        }
        bytes
    }
}

/// Rows under text: `key` is one of them.
fn named(txn: &WriteTransaction, table: &str, key: &str, bytes: &Bytes) {
    let mut table = txn.open_table(TableDefinition::<&str, &[u8]>::new(table)).expect("it opens");
    let row = table.get(key).expect("it reads").map(|row| bytes.of(row.value()));
    table.insert(key, row.unwrap_or_default().as_slice()).expect("it writes");
}

/// Changes the row of `$table` that is asked for by `$new`, which makes what is inserted of what is there.
macro_rules! numbered {
    ($txn:ident, $change:ident, $table:literal, $key:ty, $value:ty, |$row:ident, $key_name:ident| $insert:expr) => {{
        let mut table = $txn.open_table(TableDefinition::<$key, $value>::new($table)).expect("it opens");
        let count = usize::try_from(table.len().expect("it reads")).expect("a few");
        if count == 0 {
            return;
        }
        let rows = [{
            let (key, $row) = table
                .iter()
                .expect("it reads")
                .nth(usize::from($change.row) % count)
                .expect("so many")
                .expect("it reads");
            let ($key_name, $row) = (key.value(), $row.value());
            $insert
        }];
        for (key, row) in rows {
            table.insert(key, row).expect("it writes");
        }
    }};
}

macro_rules! bytes_of {
    ($txn:ident, $change:ident, $table:literal, $key:ty) => {{
        let mut table = $txn.open_table(TableDefinition::<$key, &[u8]>::new($table)).expect("it opens");
        let count = usize::try_from(table.len().expect("it reads")).expect("a few");
        if count == 0 {
            return;
        }
        let (key, bytes) = {
            let mut rows = table.iter().expect("it reads");
            let (key, row) = rows.nth(usize::from($change.row) % count).expect("so many").expect("it reads");
            (key.value(), $change.bytes.of(row.value()))
        };
        table.insert($change.key.map_or(key, |key| key as $key), bytes.as_slice()).expect("it writes");
    }};
}

fn apply(txn: &WriteTransaction, change: &Change) {
    let number = |place: usize, before: u64| change.numbers[place].unwrap_or(before);
    let signed = |place: usize, before: i64| number(place, before as u64) as i64;
    let short = |place: usize, before: u32| number(place, before.into()) as u32;
    let folds = ["subjects", "ids", "quarantine", "removal", "registry", "identity"];
    match change.table % 17 {
        0 => named(txn, "store.meta", "store_id", &change.bytes),
        1 => named(txn, "subjects.state", "count", &change.bytes),
        2 => named(txn, "subjects.state", "manifest", &change.bytes),
        3 => named(txn, "ids.runs", "manifest", &change.bytes),
        4 => bytes_of!(txn, change, "subjects.names", u32),
        5 => bytes_of!(txn, change, "registry.events", u32),
        6 => bytes_of!(txn, change, "registry.properties", u32),
        7 => bytes_of!(txn, change, "quarantine.kept", u64),
        8 => bytes_of!(txn, change, "removal.erased", u8),
        9 => {
            let table = TableDefinition::<u64, (&[u8], &[u8])>::new("removal.open");
            let mut table = txn.open_table(table).expect("it opens");
            let key = change.key.unwrap_or(1);
            let (subjects, sequences) = match table.get(key).expect("it reads") {
                Some(row) => (row.value().0.to_vec(), row.value().1.to_vec()),
                None => (Vec::new(), vec![0; 8]),
            };
            let row = (change.bytes.of(&subjects), change.bytes.of(&sequences));
            table.insert(key, (row.0.as_slice(), row.1.as_slice())).expect("it writes");
        }
        10 => {
            let mut table = txn.open_table(TableDefinition::<u64, i64>::new("removal.expiry")).expect("it opens");
            table.insert(change.key.unwrap_or(0), signed(0, 0)).expect("it writes");
        }
        11 => {
            let mut table = txn.open_table(TableDefinition::<&str, (u32, u64)>::new("store.folds")).expect("it opens");
            let name = folds[usize::from(change.row) % folds.len()];
            let row = table.get(name).expect("it reads").expect("every fold is there").value();
            table.insert(name, (short(0, row.0), number(1, row.1))).expect("it writes");
        }
        12 => numbered!(txn, change, "store.positions", u64, (u64, u64), |row, key| {
            (change.key.unwrap_or(key), (number(0, row.0), number(1, row.1)))
        }),
        13 => {
            numbered!(txn, change, "store.segments", u64, (u64, u64, (i64, i64), (i64, i64), bool), |row, key| {
                let (happened, received) =
                    ((signed(2, row.2.0), signed(3, row.2.1)), (signed(4, row.3.0), signed(5, row.3.1)));
                (change.key.unwrap_or(key), (number(0, row.0), number(1, row.1), happened, received, !row.4))
            })
        }
        14 => bytes_of!(txn, change, "identity.operations", u64),
        15 => bytes_of!(txn, change, "identity.known", u64),
        _ => numbered!(txn, change, "identity.revoked", (u64, u32, u32), u64, |row, key| {
            ((number(0, key.0), short(1, key.1), short(2, key.2)), number(3, row))
        }),
    }
}

fn event(number: u8) -> Entry {
    Event::new(format!("e{}", number % 3), format!("u{}", number % 7))
        .message_id(format!("m{number}"))
        .property("n", i64::from(number))
        .into()
}

fn open(storage: &SimulatedStorage) -> pugmark_store::Result<Store> {
    Store::open(Path::new(DIR), options(storage), folds())
}

/// What the log holds, and the names of its people.
type Answers = (Vec<String>, Vec<Option<String>>);

fn answers(store: &Store) -> Answers {
    let mut events = Vec::new();
    for frame in store.scan(Sequence::FIRST).expect("scans") {
        let frame = frame.expect("the log is whole");
        for record in &frame.payload().expect("decodes").records {
            if let Record::Event(event) = record {
                events.push(event.message_id.to_string());
            }
        }
    }
    let subjects: Vec<SubjectId> = (0..store.snapshot().subject_count()).map(SubjectId::new).collect();
    (events, store.snapshot().subjects().distinct_ids(&subjects).expect("reads"))
}

fn closed() -> &'static (SimulatedStorage, Answers) {
    static STORE: OnceLock<(SimulatedStorage, Answers)> = OnceLock::new();
    STORE.get_or_init(|| {
        let storage = SimulatedStorage::new();
        let store = open(&storage).expect("opens");
        for first in (0..40).step_by(5) {
            store.append((first..first + 5).map(event).collect()).expect("appends");
        }
        for (from, to) in [("a", "u0"), ("b", "u1"), ("a", "u1")] {
            let link = Operation::identify(from, to);
            store.append(vec![Entry::Operation(link)]).expect("appends");
        }
        for content in [77, 78] {
            let other = Event::new("e", "u1").message_id("m1").property("n", content);
            store.append(vec![other.into()]).expect("appends");
        }
        let first = store.quarantine().expect("lists").next().expect("two").expect("reads");
        store.settle(first.sequence, Settle::Drop).expect("settles");
        store.erase(&[SubjectId::new(2)]).expect("erases");
        store.finish_removals().expect("removes");
        let answers = answers(&store);
        store.close().expect("closes");
        (storage, answers)
    })
}

fuzz_target!(|changes: Vec<Change>| {
    let (storage, expected) = closed();
    let storage = storage.stopped(Loss::Nothing, 0);
    change_index(&storage, Path::new(DIR), |txn| changes.iter().take(3).for_each(|change| apply(txn, change)));
    // Refusing is one of the right answers, and deleting the index then the remedy.
    match open(&storage) {
        Ok(store) => {
            // As is refusing to be repaired before what is open is finished.
            let repaired = store.verify(true, &mut |_| {}).is_ok_and(|report| report.unchecked.is_empty());
            let _closed = store.close();
            if !repaired || open(&storage).is_err() {
                storage.lose(&Path::new(DIR).join("index.redb")).expect("it is there");
            }
        }
        Err(_) => storage.lose(&Path::new(DIR).join("index.redb")).expect("it is there"),
    }
    let store = open(&storage).expect("everything is in the log");
    let report = store.verify(false, &mut |_| {}).expect("verifies");
    assert!(report.is_clean(), "{:?}", report.findings);
    assert_eq!(&answers(&store), expected);
    let again = store.append((0..40).map(event).collect()).expect("appends");
    assert!(again.iter().all(|outcome| *outcome == Outcome::Duplicate), "{again:?}");
});
