//! Every kind of damage of every kind of file: of the truth it is told with file and place, and nothing of it is overwritten; what is derived is made again.

mod bases;
mod derived;
mod log;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use pugmark_store::simulated::{Image, Loss};
use pugmark_store::{
    ErrorKind, Event, OpenMode, Options, Outcome, SeededEntropy, SimulatedStorage, Storage, Store, SubjectId, Timestamp,
};

use crate::common::{DIR, disk, event, message_ids, open_with, simulated};

const DAY_US: i64 = 86_400_000_000;
const INDEX: &str = "/store/index.redb";
/// Where the first frame of a segment or a base begins, and where its payload does.
const FIRST_FRAME: u64 = 64;
const FIRST_PAYLOAD: u64 = FIRST_FRAME + 44;

fn day(number: i64) -> Timestamp {
    Timestamp::from_microsecond(1_700_000_000_000_000 + number * DAY_US)
}

fn options(storage: &SimulatedStorage) -> Options {
    Options { segment_max_bytes: 1_200, ..simulated(storage, day(1_000).as_microsecond()) }
}

fn open(storage: &SimulatedStorage) -> pugmark_store::Result<Store> {
    open_with(Path::new(DIR), options(storage))
}

fn batch(person: &str, number: i64) -> Vec<pugmark_store::Entry> {
    let event =
        |nth: i64| Event::new("view", format!("{person}{}", (number + nth) % 9)).message_id(format!("{number}-{nth}"));
    (0..5).map(|nth| event(nth).at(day(number)).property("where", "in the long grass by the river").into()).collect()
}

fn made(person: &str, seed: u64) -> SimulatedStorage {
    let storage = disk();
    let options = Options { entropy: Arc::new(SeededEntropy::new(seed)), ..options(&storage) };
    let store = open_with(Path::new(DIR), options).unwrap();
    for number in 1..=24 {
        store.append(batch(person, number)).unwrap();
    }
    store.expire(day(5)).unwrap();
    store.expire(day(9)).unwrap();
    store.compact().unwrap();
    store.close().unwrap();
    storage
}

/// A closed store of two bases and compressed segments. Everything in it is durable.
fn aged() -> SimulatedStorage {
    static STORE: OnceLock<SimulatedStorage> = OnceLock::new();
    STORE.get_or_init(|| made("u", 1)).stopped(Loss::Nothing, 0)
}

/// Another store, whose files have the same names.
fn other() -> SimulatedStorage {
    static STORE: OnceLock<SimulatedStorage> = OnceLock::new();
    STORE.get_or_init(|| made("v", 2)).stopped(Loss::Nothing, 0)
}

/// The files of a store in the folder `of`, in order.
fn files(storage: &SimulatedStorage, of: &str) -> Vec<PathBuf> {
    let folder = Path::new(DIR).join(of);
    let paths = storage.files(Image::Live).into_iter().map(|(path, _)| path);
    paths.filter(|path| path.starts_with(&folder)).collect()
}

fn write(storage: &SimulatedStorage, path: &Path, bytes: &[u8]) {
    let file = storage.open(path, OpenMode::Truncate).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_data().unwrap();
}

fn add(storage: &SimulatedStorage, path: &Path, bytes: &[u8]) {
    let whole = storage.read(path).unwrap();
    write(storage, path, &[&whole, bytes].concat());
}

/// Changes bytes of a file header, whose checksum is right again afterwards.
fn restamp(storage: &SimulatedStorage, path: &Path, at: usize, bytes: &[u8]) {
    let mut whole = storage.read(path).unwrap();
    whole[at..at + bytes.len()].copy_from_slice(bytes);
    let crc = crc32fast::hash(&whole[..60]);
    whole[60..64].copy_from_slice(&crc.to_le_bytes());
    write(storage, path, &whole);
}

/// As [`restamp`], of the header of the first frame.
fn restamp_frame(storage: &SimulatedStorage, path: &Path, at: usize, byte: u8) {
    let mut whole = storage.read(path).unwrap();
    let frame = usize::try_from(FIRST_FRAME).unwrap();
    whole[frame + at] = byte;
    let crc = crc32fast::hash(&[&whole[16..32], &whole[frame + 8..frame + 44]].concat());
    whole[frame + 4..frame + 8].copy_from_slice(&crc.to_le_bytes());
    write(storage, path, &whole);
}

/// What a store answers.
#[derive(Debug, PartialEq)]
struct Answers {
    events: Vec<(u64, String)>,
    names: Vec<Option<String>>,
}

fn answers(store: &Store) -> Answers {
    let snapshot = store.snapshot();
    let numbers: Vec<SubjectId> = (0..snapshot.subject_count()).map(SubjectId::new).collect();
    let names = snapshot.subjects().distinct_ids(&numbers).unwrap();
    Answers { events: message_ids(store), names }
}

/// The files that are derived from nothing, with length and checksum.
fn truth(storage: &SimulatedStorage) -> Vec<(PathBuf, usize, u32)> {
    let files = storage.files(Image::Live).into_iter();
    let truth = files.filter(|(path, _)| ["log", "base"].iter().any(|of| path.starts_with(Path::new(DIR).join(of))));
    truth.map(|(path, bytes)| (path, bytes.len(), crc32fast::hash(&bytes))).collect()
}

/// That no file of `before` was changed; the open may have made others.
#[track_caller]
fn is_left_alone(storage: &SimulatedStorage, before: &[(PathBuf, usize, u32)], what: &str) {
    let after = truth(storage);
    for file in before {
        assert!(after.contains(file), "{} was changed: {what}", file.0.display());
    }
}

/// That an open without the index, which reads everything, is refused by an error of `kind` that names the file and says `says`, and changes nothing.
#[track_caller]
fn is_refused_as(damaged: &SimulatedStorage, file: &Path, kind: ErrorKind, says: &str) {
    let storage = damaged.stopped(Loss::Nothing, 0);
    storage.lose(Path::new(INDEX)).unwrap();
    let before = truth(&storage);
    let error = open(&storage).unwrap_err();
    let said = error.to_string();
    assert_eq!(error.kind(), kind, "{said}");
    assert!(said.contains(file.to_str().unwrap()) && said.contains(says), "{said}");
    is_left_alone(&storage, &before, &said);
}

/// That damage of the truth is told: by an open without the index; and with it by the open or a verification, while all that is answered is right.
#[track_caller]
fn is_told(damaged: &SimulatedStorage, file: &Path, says: &str) {
    is_refused_as(damaged, file, ErrorKind::Corrupt, says);
    let storage = damaged.stopped(Loss::Nothing, 0);
    let before = truth(&storage);
    let said = match open(&storage) {
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
            is_left_alone(&storage, &before, &error.to_string());
            error.to_string()
        }
        Ok(store) => {
            let whole = answers(&open(&aged()).unwrap());
            let snapshot = store.snapshot();
            let numbers: Vec<SubjectId> = (0..snapshot.subject_count()).map(SubjectId::new).collect();
            assert_eq!(snapshot.subjects().distinct_ids(&numbers).unwrap(), whole.names);
            for number in 1..=24 {
                assert_eq!(store.append(batch("u", number)).unwrap(), vec![Outcome::Duplicate; 5], "batch {number}");
            }
            let report = store.verify(true, &mut |_| {}).unwrap();
            assert!(report.to_rebuild.is_empty(), "the truth cannot be made again: {:?}", report.to_rebuild);
            let found: Vec<String> = report.findings.iter().map(ToString::to_string).collect();
            drop(store);
            is_left_alone(&storage, &before, "open and closed");
            found.join("\n")
        }
    };
    assert!(said.contains(file.to_str().unwrap()), "{said}");
}

/// That a store opens, answers as it did, and is whole afterwards.
#[track_caller]
fn is_made_again(storage: &SimulatedStorage) {
    let expected = answers(&open(&aged()).unwrap());
    for what in ["opened", "opened again"] {
        let store = open(storage).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(answers(&store), expected, "{what}");
        for number in 1..=24 {
            assert_eq!(store.append(batch("u", number)).unwrap(), vec![Outcome::Duplicate; 5], "{what}");
        }
        let report = store.verify(false, &mut |_| {}).unwrap();
        assert!(report.is_clean(), "{what}: {:?}", report.findings);
        store.close().unwrap();
    }
}

#[test]
fn an_undamaged_store_answers_with_and_without_its_index() {
    let storage = aged();
    assert_eq!(files(&storage, "base").len(), 2);
    assert!(files(&storage, "log").len() > 4);
    is_made_again(&storage);
    storage.lose(Path::new(INDEX)).unwrap();
    is_made_again(&storage);
    let names = |storage: &SimulatedStorage| truth(storage).into_iter().map(|(path, ..)| path).collect::<Vec<_>>();
    assert_eq!(names(&aged()), names(&other()), "so that files can be swapped between them");
    assert_ne!(truth(&aged()), truth(&other()));
}

#[test]
fn an_event_that_is_new_is_taken_after_whatever_was_made_again() {
    let storage = aged();
    storage.lose(Path::new(INDEX)).unwrap();
    let store = open(&storage).unwrap();
    assert!(matches!(store.append(vec![event("e", "u1", "new")]).unwrap()[..], [Outcome::Accepted(_)]));
}
