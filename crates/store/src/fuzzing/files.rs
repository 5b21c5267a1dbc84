//! Whole files of the truth, opened as part of a store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::format::STORE_ID;
use crate::clock::ManualClock;
use crate::entropy::SeededEntropy;
use crate::event::Event;
use crate::fold::Fold;
use crate::format::{FRAME_HEADER_BYTES, FileHeader, FileKind, FrameHeader, FrameSeed, HEADER_BYTES};
use crate::id::{Sequence, SubjectId};
use crate::options::Options;
use crate::storage::simulated::{Image, Loss};
use crate::storage::{OpenMode, SimulatedStorage, Storage};
use crate::store::Store;
use crate::time::Timestamp;

const DIR: &str = "/store";
const INDEX: &str = "/store/index.redb";
const FIRST_SEGMENT: &str = "/store/log/00000000000000000001.log";
const NOW: Timestamp = Timestamp::from_microsecond(1_735_689_600_000_000);

/// So many days from now.
fn day(number: i64) -> Timestamp {
    Timestamp::from_microsecond(NOW.as_microsecond() + number * 86_400_000_000)
}

type Folds<'a> = &'a dyn Fn() -> Vec<Box<dyn Fold>>;

/// Options under which the same happens in every run.
pub fn options(storage: &SimulatedStorage) -> Options {
    Options {
        storage: Arc::new(storage.clone()),
        clock: Arc::new(ManualClock::new(NOW)),
        entropy: Arc::new(SeededEntropy::new(1)),
        index_cache_bytes: 1 << 20,
        segment_max_bytes: 600,
        background: false,
        ..Options::default()
    }
}

/// A segment that is all of a log. Whatever it is, the store refuses it or serves the same every time.
pub fn log_file(bytes: &[u8], folds: Folds<'_>) {
    let storage = SimulatedStorage::new();
    storage.create_dir_all(Path::new("/store/log")).expect("the root is there");
    write(&storage, Path::new(FIRST_SEGMENT), &sealed(FileKind::Segment, STORE_ID, 1, bytes));
    is_served_or_refused(&storage, folds);
}

/// A base in front of a sound log, as [`log_file`].
pub fn base_file(bytes: &[u8], folds: Folds<'_>) {
    static EXPIRED: OnceLock<(SimulatedStorage, PathBuf, FileHeader)> = OnceLock::new();
    let (storage, base, header) = EXPIRED.get_or_init(expired);
    let storage = storage.stopped(Loss::Nothing, 0);
    storage.lose(Path::new(INDEX)).expect("it has an index");
    write(&storage, base, &sealed(FileKind::Base, header.store_id, header.first_sequence, bytes));
    is_served_or_refused(&storage, folds);
}

/// A closed store, its base, and the header of that.
pub(super) fn expired() -> (SimulatedStorage, PathBuf, FileHeader) {
    let storage = SimulatedStorage::new();
    let store = Store::open(Path::new(DIR), options(&storage), Vec::new()).expect("it opens");
    for batch in 0..8_i64 {
        let event =
            |nth: i64| Event::new("e", format!("u{}", nth % 3)).message_id(format!("{batch}-{nth}")).at(day(batch - 8));
        store.append((0..6).map(|nth| event(nth).into()).collect()).expect("it appends");
        if batch == 0 {
            store.erase(&[SubjectId::new(1)]).expect("it erases");
            store.finish_removals().expect("it removes");
        }
    }
    store.expire(day(-3)).expect("it expires");
    store.close().expect("it closes");
    let files = storage.files(Image::Live);
    let (path, bytes) = files.into_iter().find(|(path, _)| path.starts_with("/store/base")).expect("it has a base");
    let header = bytes.first_chunk::<HEADER_BYTES>().and_then(|bytes| FileHeader::decode(FileKind::Base, bytes).ok());
    (storage, path, header.expect("the base is whole"))
}

fn write(storage: &SimulatedStorage, path: &Path, bytes: &[u8]) {
    let file = storage.open(path, OpenMode::Truncate).expect("its folder is there");
    file.write_all_at(bytes, 0).and_then(|()| file.sync_data()).expect("memory does not fail");
}

/// The frames in `bytes` behind a file header, with lengths and checksums that are right.
fn sealed(kind: FileKind, store_id: [u8; 16], first_sequence: u64, bytes: &[u8]) -> Vec<u8> {
    let header = FileHeader { kind, store_id, first_sequence, created_at: 0 };
    let mut out = header.encode().to_vec();
    let mut rest = bytes.get(HEADER_BYTES..).unwrap_or_default();
    while let Some((head, body)) = rest.split_first_chunk::<FRAME_HEADER_BYTES>() {
        let word = |at: usize| u32::from_le_bytes(*head[at..].first_chunk().expect("a field inside of the header"));
        let long = |at: usize| u64::from(word(at)) | u64::from(word(at + 4)) << 32;
        let (stored, after) = body.split_at(body.len().min(word(8) as usize));
        let len = u32::try_from(stored.len()).expect("a fuzzer's input is small");
        let codec = head[16] & 1;
        let header = FrameHeader {
            len,
            raw_len: if codec == 0 { len } else { word(12) },
            codec,
            closing: head[18] & 1 == 1,
            first_sequence: long(20),
            count: word(28),
            synced_through: long(32),
            payload_crc: crc32fast::hash(stored),
        };
        out.extend_from_slice(&header.encode(FrameSeed::of(&store_id)));
        out.extend_from_slice(stored);
        rest = after;
    }
    out.extend_from_slice(rest);
    out
}

fn is_served_or_refused(storage: &SimulatedStorage, folds: Folds<'_>) {
    let open = || Store::open(Path::new(DIR), options(storage), folds());
    let Ok(store) = open() else { return };
    let served = read(&store);
    store.verify(false, &mut |_| {}).expect("what is wrong is in the report");
    store.close().expect("it closes");
    let again = read(&open().expect("it opened before"));
    assert_eq!(again, served);
    storage.lose(Path::new(INDEX)).expect("it has an index");
    let store = open().expect("it opened before");
    assert_eq!(read(&store), served);
    // Refused or not: that is no matter of the bytes.
    let _outcome = store.append(vec![Event::new("e", "somebody").into()]);
}

/// Everything that the log holds, as text.
fn read(store: &Store) -> Vec<String> {
    let frames = store.scan(Sequence::FIRST).expect("the log was read when it was opened");
    let frame = |frame: crate::Result<crate::Frame>| {
        let frame = frame.expect("the log was read when it was opened");
        format!("{} {:?}", frame.first_sequence(), frame.payload().expect("it was decoded when it was opened"))
    };
    frames.map(frame).collect()
}
