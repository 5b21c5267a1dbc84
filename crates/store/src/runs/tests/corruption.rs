//! Damage is `Corrupt` and names the file and the place; it is never a panic and never a wrong answer.

use std::path::PathBuf;

use super::super::layout::{BLOCK_BYTES, BLOCK_ENTRIES, ENTRY_BYTES, RUN_HEADER_BYTES};
use super::*;
use crate::error::{Error, ErrorKind};

const ENTRIES: u64 = 500;
const BLOCKS: usize = (ENTRIES as usize).div_ceil(BLOCK_ENTRIES);
const FENCES_AT: usize = BLOCK_BYTES + BLOCKS * BLOCK_BYTES;
const FILTER_AT: usize = FENCES_AT + BLOCKS * 4;

struct Written {
    dir: tempfile::TempDir,
    manifest: Vec<RunMeta>,
    path: PathBuf,
    name: String,
}

fn written() -> Written {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    for number in 0..ENTRIES {
        set.insert(numbered(number), number);
    }
    set.spill().unwrap();
    let manifest = set.manifest();
    assert_eq!(manifest.len(), 1);
    let name = RunKind::Ids.file_name(manifest[0].number);
    Written { path: dir.path().join(&name), dir, manifest, name }
}

impl Written {
    fn flip(&self, at: usize) {
        let mut bytes = std::fs::read(&self.path).unwrap();
        bytes[at] ^= 0x10;
        std::fs::write(&self.path, bytes).unwrap();
    }

    fn open(&self) -> Result<RunSet> {
        open_small(self.dir.path(), &self.manifest)
    }

    fn refused(&self) -> Error {
        self.open().err().expect("a damaged file is refused")
    }

    #[track_caller]
    fn assert_corrupt(&self, error: &Error, what: &str) {
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        let message = error.to_string();
        assert!(message.contains(&self.name) && message.contains(what), "{message}");
    }
}

#[test]
fn a_flipped_byte_in_the_header_is_found_on_opening() {
    for at in 0..RUN_HEADER_BYTES {
        let written = written();
        written.flip(at);
        written.assert_corrupt(&written.refused(), "header at byte 0: ");
    }
}

#[test]
fn a_flipped_byte_in_the_fences_is_found_on_opening() {
    let written = written();
    written.flip(FENCES_AT + 9);
    written.assert_corrupt(&written.refused(), &format!("byte {FENCES_AT}: checksum of fences and filter "));
}

#[test]
fn a_flipped_byte_in_the_filter_is_found_on_opening() {
    for at in [FILTER_AT, FILTER_AT + 8, FILTER_AT + 19, FILTER_AT + 100] {
        let written = written();
        written.flip(at);
        written.assert_corrupt(&written.refused(), &format!("byte {FENCES_AT}: checksum of fences and filter "));
    }
}

#[test]
fn a_flipped_byte_between_the_header_and_the_first_block_is_found_on_opening() {
    for at in [RUN_HEADER_BYTES, BLOCK_BYTES - 1] {
        let written = written();
        written.flip(at);
        written.assert_corrupt(&written.refused(), &format!("byte {at}: 16 but expected 0 before the first block"));
    }
}

#[test]
fn a_flipped_byte_in_an_entry_is_found_when_its_block_is_read() {
    let written = written();
    // The second block.
    let block_at = 2 * BLOCK_BYTES;
    written.flip(block_at + 7 * ENTRY_BYTES + 17);
    let mut set = written.open().unwrap();
    let (mut sound, mut refused) = (0, 0);
    for number in 0..ENTRIES {
        match lookup(&set, &numbered(number)) {
            Ok(value) => {
                assert_eq!(value, Some(number));
                sound += 1;
            }
            Err(error) => {
                written.assert_corrupt(&error, &format!("block at byte {block_at}: checksum "));
                refused += 1;
            }
        }
    }
    assert_eq!((sound, refused), (ENTRIES as usize - BLOCK_ENTRIES, BLOCK_ENTRIES));
    let all: Vec<Fingerprint> = (0..ENTRIES).map(numbered).collect();
    written.assert_corrupt(&set.lookup_many(&all, &mut Vec::new()).unwrap_err(), "block at byte ");

    // A merge finds it too, and leaves the set as it was.
    for number in [1_000, 1_001] {
        set.insert(numbered(number), number);
        if number == 1_001 {
            written.assert_corrupt(&set.spill().unwrap_err(), "block at byte ");
        } else {
            set.spill().unwrap();
        }
    }
    assert_eq!(lookup(&set, &numbered(1_001)).unwrap(), Some(1_001));
    assert_eq!(set.stats().runs, 3);
}

#[test]
fn a_flipped_byte_behind_the_entries_of_a_block_is_found_when_it_is_read() {
    // File number, place and checksum; of the last block, which is not full, also what fills it up.
    let filled = ENTRIES as usize % BLOCK_ENTRIES * ENTRY_BYTES;
    let cases = [(0, BLOCK_BYTES - 16), (0, BLOCK_BYTES - 8), (0, BLOCK_BYTES - 1), (BLOCKS - 1, filled)];
    for (block, at) in cases {
        let written = written();
        let block_at = (1 + block) * BLOCK_BYTES;
        written.flip(block_at + at);
        let set = written.open().unwrap();
        let results: Vec<Result<Option<u64>>> = (0..ENTRIES).map(|number| lookup(&set, &numbered(number))).collect();
        let expected = BLOCK_ENTRIES.min(ENTRIES as usize - block * BLOCK_ENTRIES);
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), expected);
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            written.assert_corrupt(error, &format!("block at byte {block_at}: checksum "));
        }
    }
}

#[test]
fn a_sound_block_in_another_place_is_corrupt() {
    let written = written();
    let mut bytes = std::fs::read(&written.path).unwrap();
    bytes.copy_within(2 * BLOCK_BYTES..3 * BLOCK_BYTES, BLOCK_BYTES);
    std::fs::write(&written.path, bytes).unwrap();
    let set = written.open().unwrap();
    let all: Vec<Fingerprint> = (0..ENTRIES).map(numbered).collect();
    let number = written.manifest[0].number;
    written.assert_corrupt(
        &set.lookup_many(&all, &mut Vec::new()).unwrap_err(),
        &format!("block at byte 1024: it is block 1 of file {number} but expected block 0 of file {number}"),
    );
}

#[test]
fn a_flipped_byte_in_the_last_checksum_is_found_on_opening() {
    let written = written();
    let length = std::fs::metadata(&written.path).unwrap().len() as usize;
    written.flip(length - 1);
    written.assert_corrupt(&written.refused(), "checksum of fences and filter ");
}

#[test]
fn a_truncated_file_is_corrupt_at_every_length() {
    let written = written();
    let bytes = std::fs::read(&written.path).unwrap();
    for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 1]) {
        std::fs::write(&written.path, &bytes[..length]).unwrap();
        written.assert_corrupt(&written.refused(), &format!("{length} bytes but expected {}", bytes.len()));
    }
    std::fs::write(&written.path, [bytes.as_slice(), &[0]].concat()).unwrap();
    written.assert_corrupt(&written.refused(), "bytes but expected ");
}

#[test]
fn a_file_truncated_while_it_is_open_is_corrupt() {
    let written = written();
    let set = written.open().unwrap();
    std::fs::OpenOptions::new().write(true).open(&written.path).unwrap().set_len(100).unwrap();
    written.assert_corrupt(&lookup(&set, &numbered(1)).unwrap_err(), "the file ends before ");
}

#[test]
fn a_missing_file_is_corrupt() {
    let written = written();
    std::fs::remove_file(&written.path).unwrap();
    written.assert_corrupt(&written.refused(), "missing, but the index names it");
}

#[test]
fn a_file_of_the_other_kind_is_corrupt() {
    let written = written();
    let swapped = RunKind::Subjects.file_name(written.manifest[0].number);
    std::fs::copy(&written.path, written.dir.path().join(&swapped)).unwrap();
    let error = RunSet::open(
        Arc::new(Disk),
        written.dir.path(),
        RunKind::Subjects,
        &written.manifest,
        RunLimits::default(),
        Merges::Inline,
    )
    .err()
    .unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(
        error.to_string().ends_with(&format!("{swapped}: header at byte 0: kind ids but expected subjects")),
        "{error}"
    );
}

#[test]
fn another_sound_file_under_the_name_is_corrupt() {
    let (written, other) = (written(), tempfile::tempdir().unwrap());
    let mut set = open_small(other.path(), &[]).unwrap();
    for number in 0..ENTRIES {
        set.insert(numbered(number + 7_000), number);
    }
    set.spill().unwrap();
    let mut manifest = written.manifest.clone();
    manifest[0].entries = 499;
    written.assert_corrupt(
        &open_small(written.dir.path(), &manifest).err().unwrap(),
        "header at byte 0: 500 entries but expected 499",
    );
    manifest[0].entries = 500;
    manifest[0].bytes = set.manifest()[0].bytes;
    std::fs::copy(other.path().join(RunKind::Ids.file_name(set.manifest()[0].number)), &written.path).unwrap();
    written.assert_corrupt(&open_small(written.dir.path(), &manifest).err().unwrap(), "but the index says ");
}

#[test]
fn a_newer_version_is_unsupported_and_left_alone_and_an_older_one_is_made_again() {
    for (version, kind, what) in [
        (3, ErrorKind::Unsupported, "version 3, this program knows up to 2"),
        (1, ErrorKind::Corrupt, "header at byte 0: version 1 but expected 2"),
    ] {
        let written = written();
        let mut bytes = std::fs::read(&written.path).unwrap();
        bytes[8] = version;
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        std::fs::write(&written.path, &bytes).unwrap();
        let error = written.refused();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().ends_with(what), "{error}");
        assert_eq!(std::fs::read(&written.path).unwrap(), bytes);
    }
}

#[test]
fn files_of_one_run_out_of_order_are_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let mut set = open_small(dir.path(), &[]).unwrap();
    for number in 0..2_000 {
        set.insert(numbered(number), number);
    }
    set.spill().unwrap();
    let mut manifest = set.manifest();
    assert!(manifest.len() > 1);
    manifest.swap(0, 1);
    let error = open_small(dir.path(), &manifest).err().unwrap();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("does not follow file"), "{error}");
}

#[test]
fn no_flipped_byte_of_a_file_gives_a_wrong_answer() {
    let written = written();
    let sound = std::fs::read(&written.path).unwrap();
    let all: Vec<Fingerprint> = (0..ENTRIES).map(numbered).collect();
    let expected: Vec<Option<u64>> = (0..ENTRIES).map(Some).collect();
    for at in (0..sound.len()).step_by(31) {
        let mut bytes = sound.clone();
        bytes[at] ^= 0x80;
        std::fs::write(&written.path, &bytes).unwrap();
        let mut answers = Vec::new();
        let asked = written.open().and_then(|set| set.lookup_many(&all, &mut answers));
        match asked {
            Ok(()) => panic!("byte {at} passed, answers right: {}", answers == expected),
            Err(error) => written.assert_corrupt(&error, "byte "),
        }
    }
}

#[test]
fn the_fuzzing_entries_refuse_cut_and_damaged_files() {
    let written = written();
    let bytes = std::fs::read(&written.path).unwrap();
    let header = bytes[..RUN_HEADER_BYTES].to_vec();
    let tail = bytes[FENCES_AT..].to_vec();
    let decode = |tail: &[u8]| {
        let header = super::super::layout::RunHeader::decode(header.first_chunk().unwrap()).unwrap();
        super::super::shard::Tail::decode(&header, tail).is_ok()
    };
    assert!(decode(&tail));
    for length in 0..tail.len() {
        assert!(!decode(&tail[..length]), "{length} bytes");
    }
    super::super::fuzzing::run_file(&[header, tail].concat());
    super::super::fuzzing::run_manifest(&bytes);
}
