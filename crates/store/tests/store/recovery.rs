//! What a crash or damage leaves, and what opening makes of it.

use std::fs;
use std::path::Path;

use super::common::{
    Counts, copy_dir, counts, crash, event, fill, flip, message_ids, open, open_with, segments, truncate,
};
use pugmark_store::{Error, ErrorKind, Options, Outcome, Sequence, Store};

/// A crashed store: three batches of ten, the last frame in the active segment, and where each frame begins.
fn crashed() -> (tempfile::TempDir, Vec<u64>) {
    let dir = tempfile::tempdir().unwrap();
    let live = tempfile::tempdir().unwrap();
    let store = open(live.path()).unwrap();
    let mut offsets = Vec::new();
    for batch in 0..3 {
        offsets.push(fs::metadata(&segments(live.path())[0]).unwrap().len());
        fill(&store, &format!("b{batch}-"), 10);
    }
    offsets.push(fs::metadata(&segments(live.path())[0]).unwrap().len());
    crash(&store, dir.path());
    (dir, offsets)
}

fn total(dir: &Path) -> u64 {
    let store = open(dir).unwrap();
    let total = counts(&store).values().sum();
    assert_eq!(message_ids(&store).len() as u64, total);
    total
}

#[test]
fn a_killed_store_reopens_with_everything_acknowledged() {
    let (dir, _) = crashed();
    assert_eq!(total(dir.path()), 30);
    // Again after the recovery, and after the close that followed it.
    assert_eq!(total(dir.path()), 30);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.append(vec![event("e", "u0", "b0-0")]).unwrap(), [Outcome::Duplicate]);
    fill(&store, "later", 5);
    assert_eq!(store.snapshot().sequence(), Sequence::new(35));
}

#[test]
fn torn_tail_is_cut_and_whole_frames_survive() {
    for cut in 1..24 {
        let (dir, offsets) = crashed();
        truncate(&segments(dir.path())[0], offsets[3] - cut * 9);
        assert_eq!(total(dir.path()), 20, "cut {} bytes", cut * 9);
        let store = open(dir.path()).unwrap();
        fill(&store, "b2-", 10);
        drop(store);
        assert_eq!(total(dir.path()), 30);
    }
}

#[test]
fn garbage_after_the_last_frame_is_cut() {
    let (dir, _) = crashed();
    let path = &segments(dir.path())[0];
    let mut bytes = fs::read(path).unwrap();
    bytes.extend_from_slice(b"PUGF not a frame at all, whatever it says of itself");
    fs::write(path, bytes).unwrap();
    assert_eq!(total(dir.path()), 30);
}

#[test]
fn damage_before_a_frame_that_knew_it_durable_is_corrupt_and_names_the_place() {
    let (dir, offsets) = crashed();
    let path = segments(dir.path()).remove(0);
    // The third frame was written after the first was synced.
    flip(&path, offsets[0] as usize + 60);
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    let said = error.to_string();
    assert!(said.contains("00000000000000000001.log: frame at byte 64: payload checksum 0x"), "{said}");
    assert!(said.contains("but stored 0x"), "{said}");
    // Undone, everything is there: opening changed nothing.
    flip(&path, offsets[0] as usize + 60);
    assert_eq!(total(dir.path()), 30);
}

#[test]
fn a_damaged_last_frame_counts_as_torn() {
    let (dir, offsets) = crashed();
    flip(&segments(dir.path())[0], offsets[2] as usize + 60);
    assert_eq!(total(dir.path()), 20);
}

#[test]
fn frames_that_nobody_knew_to_be_durable_are_copied_before_they_are_served() {
    let (dir, offsets) = crashed();
    let before = segments(dir.path());
    assert_eq!(total(dir.path()), 30);
    let after = segments(dir.path());
    assert_eq!(after[0], before[0]);
    // The last frame was written when two were synced: it moved to a segment that begins with it.
    assert!(after[1].ends_with("00000000000000000021.log"), "{after:?}");
    let bytes = fs::read(&after[0]).unwrap();
    assert_eq!(bytes.len() as u64, offsets[2] + 44, "cut where the copy began, and closed");
}

#[test]
fn an_interrupted_recovery_is_finished_by_the_next() {
    let (dir, _) = crashed();
    let original = fs::read(&segments(dir.path())[0]).unwrap();
    drop(open(dir.path()).unwrap());
    // As if the crash had come after the copy was named and before the original was cut.
    fs::write(&segments(dir.path())[0], original).unwrap();
    assert_eq!(total(dir.path()), 30);
    assert_eq!(total(dir.path()), 30);
}

#[test]
fn a_leftover_temporary_segment_is_removed() {
    let (dir, _) = crashed();
    let leftover = dir.path().join("log/00000000000000000021.log.tmp");
    fs::write(&leftover, b"half").unwrap();
    assert_eq!(total(dir.path()), 30);
    assert!(!leftover.exists());
}

/// A cleanly closed store of many segments.
fn sealed() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open_with(dir.path(), Options { segment_max_bytes: 1_000, ..Options::default() }).unwrap();
    for batch in 0..8 {
        fill(&store, &format!("b{batch}-"), 30);
    }
    store.close().unwrap();
    assert!(segments(dir.path()).len() >= 3);
    dir
}

#[test]
fn a_flipped_byte_in_a_sealed_segment_is_never_served() {
    let dir = sealed();
    let path = segments(dir.path()).remove(1);
    let length = fs::read(&path).unwrap().len();
    for at in [0, 20, 70, 90, length / 2, length - 50, length - 10] {
        flip(&path, at);
        // With the index, opening reads no sealed segment; whoever reads it is told.
        let seen: Result<(), Error> = open(dir.path())
            .and_then(|store| store.scan(Sequence::FIRST)?.try_for_each(|frame| frame?.payload().map(drop)));
        let error = seen.expect_err(&format!("byte {at}"));
        assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}: {error}");
        assert!(error.to_string().contains(path.file_name().unwrap().to_str().unwrap()), "byte {at}: {error}");
        // And a rebuild refuses to go on without it.
        let copy = tempfile::tempdir().unwrap();
        copy_dir(dir.path(), copy.path());
        fs::remove_file(copy.path().join("index.redb")).unwrap();
        assert_eq!(open(copy.path()).unwrap_err().kind(), ErrorKind::Corrupt, "byte {at}");
        flip(&path, at);
    }
    assert_eq!(total(dir.path()), 240);
}

#[test]
fn a_missing_or_swapped_segment_is_corrupt() {
    let dir = sealed();
    let paths = segments(dir.path());
    let copy = tempfile::tempdir().unwrap();
    copy_dir(dir.path(), copy.path());
    fs::remove_file(&segments(copy.path())[1]).unwrap();
    let error = open(copy.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("a segment is missing or was swapped"), "{error}");

    let (one, two) = (fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap());
    fs::write(&paths[0], two).unwrap();
    fs::write(&paths[1], one).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("the header says first sequence"), "{error}");
}

#[test]
fn a_truncated_sealed_segment_is_corrupt() {
    let dir = sealed();
    let path = segments(dir.path()).remove(1);
    truncate(&path, fs::metadata(&path).unwrap().len() - 50);
    assert_eq!(open(dir.path()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_log_cut_below_what_the_index_knows_is_corrupt() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    fill(&store, "a", 10);
    store.checkpoint().unwrap();
    let frame = fs::metadata(&segments(dir.path())[0]).unwrap().len();
    fill(&store, "b", 10);
    store.checkpoint().unwrap();
    let end = fs::metadata(&segments(dir.path())[0]).unwrap().len();
    for cut in [100, frame, end - 1] {
        let copy = tempfile::tempdir().unwrap();
        crash(&store, copy.path());
        truncate(&segments(copy.path())[0], cut);
        let error = open(copy.path()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "cut at {cut}: {error}");
        assert_eq!(fs::metadata(&segments(copy.path())[0]).unwrap().len(), cut, "refused and left alone");
    }
}

#[test]
fn a_missing_last_segment_is_corrupt() {
    let dir = sealed();
    // The very last may hold nothing; the one before it does.
    for path in segments(dir.path()).iter().rev().take(2) {
        fs::remove_file(path).unwrap();
    }
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let dir = sealed();
    let path = segments(dir.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 3;
    let crc = crc32fast::hash(&bytes[..60]);
    bytes[60..64].copy_from_slice(&crc.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("format version 3, but this build reads up to 2"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), bytes);
}

#[test]
fn a_lost_or_damaged_index_is_rebuilt_from_the_log() {
    for damage in ["deleted", "emptied", "truncated", "flipped", "garbage"] {
        let dir = sealed();
        let index = dir.path().join("index.redb");
        match damage {
            "deleted" => fs::remove_file(&index).unwrap(),
            "emptied" => fs::write(&index, b"").unwrap(),
            "truncated" => truncate(&index, fs::metadata(&index).unwrap().len() / 2),
            "flipped" => flip(&index, 3),
            _ => fs::write(&index, vec![7; 20_000]).unwrap(),
        }
        assert_eq!(total(dir.path()), 240, "{damage}");
        let store = open(dir.path()).unwrap();
        assert_eq!(store.append(vec![event("e", "u0", "b0-0")]).unwrap(), [Outcome::Duplicate], "{damage}");
        assert_eq!(store.snapshot().subject_count(), 7, "{damage}");
    }
}

/// Gives every run file of a closed store another version, as if that had written it.
fn restamp_runs(dir: &Path, version: u32) -> usize {
    let mut files = 0;
    for entry in fs::read_dir(dir.join("runs")).unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        bytes[8..12].copy_from_slice(&version.to_le_bytes());
        let crc = crc32fast::hash(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        fs::write(&path, bytes).unwrap();
        files += 1;
    }
    files
}

#[test]
fn runs_of_an_older_version_are_made_again_and_those_of_a_newer_one_refused() {
    let dir = sealed();
    assert!(restamp_runs(dir.path(), 3) >= 2);
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
    restamp_runs(dir.path(), 1);
    assert_eq!(total(dir.path()), 240);
    let store = open(dir.path()).unwrap();
    assert_eq!(store.append(vec![event("e", "u0", "b0-0")]).unwrap(), [Outcome::Duplicate]);
    assert_eq!(store.snapshot().subject_count(), 7);
    store.close().unwrap();
    for entry in fs::read_dir(dir.path().join("runs")).unwrap() {
        assert_eq!(fs::read(entry.unwrap().path()).unwrap()[8], 2);
    }
}

#[test]
fn an_index_of_another_store_is_refused() {
    let (dir, other) = (sealed(), sealed());
    fs::copy(other.path().join("index.redb"), dir.path().join("index.redb")).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("belongs to another store"), "{error}");
}

#[test]
fn a_clean_reopen_applies_nothing_again() {
    let dir = sealed();
    let store = Store::open(dir.path(), Options::default(), vec![Box::new(Counts::default())]).unwrap();
    let applied = store.update(|counts: &mut Counts, _| Ok(counts.applied.clone())).unwrap();
    assert!(applied.is_empty(), "{applied:?}");
}

#[test]
fn a_fold_of_another_version_is_rebuilt() {
    let dir = sealed();
    let fold = Counts { version: 1, ..Counts::default() };
    let store = Store::open(dir.path(), Options::default(), vec![Box::new(fold)]).unwrap();
    assert_eq!(counts(&store).get("e"), Some(&240));
    let applied = store.update(|counts: &mut Counts, _| Ok(counts.applied.len())).unwrap();
    assert_eq!(applied, 8);
}

#[test]
fn scans_begin_at_any_sequence() {
    let dir = sealed();
    let store = open(dir.path()).unwrap();
    for from in [1, 2, 30, 31, 45, 211, 240] {
        let frames: Vec<u64> =
            store.scan(Sequence::new(from)).unwrap().map(|frame| frame.unwrap().first_sequence().number()).collect();
        let expected: Vec<u64> = (0..8).map(|batch| batch * 30 + 1).filter(|first| first + 29 >= from).collect();
        assert_eq!(frames, expected, "from {from}");
    }
    assert_eq!(store.scan(Sequence::new(241)).unwrap().count(), 0);
}

#[test]
fn a_store_is_opened_once_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
    drop(store);
    open(dir.path()).unwrap();
}

#[test]
fn what_is_no_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "years of work").unwrap();
    let error = open(dir.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("is no pugmark store"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);

    let error = open(&dir.path().join("thesis.txt")).unwrap_err();
    assert!(error.to_string().contains("is a file"), "{error}");
    let options = || Options { create: false, ..Options::default() };
    let error = open_with(&dir.path().join("missing"), options()).unwrap_err();
    assert!(error.to_string().contains("does not exist"), "{error}");
    assert!(!dir.path().join("missing").exists());
}

#[test]
fn a_rebuild_that_is_killed_begins_again() {
    for lost in ["runs", "index.redb"] {
        let dir = sealed();
        let path = dir.path().join(lost);
        if lost == "runs" {
            fs::remove_dir_all(path).unwrap()
        } else {
            fs::remove_file(path).unwrap()
        }
        // Opened, and killed before anything was written to the index again: nothing that is empty may count as whole.
        let killed = tempfile::tempdir().unwrap();
        let store = open(dir.path()).unwrap();
        crash(&store, killed.path());
        drop(store);
        let store = open(killed.path()).unwrap();
        assert_eq!(counts(&store).get("e"), Some(&240), "{lost}");
        assert_eq!(store.snapshot().subject_count(), 7, "{lost}");
        let again = (0..30).map(|i| event("e", &format!("u{}", i % 7), &format!("b3-{i}"))).collect();
        assert_eq!(store.append(again).unwrap(), vec![Outcome::Duplicate; 30], "{lost}");
    }
}

#[test]
fn a_torn_frame_whose_text_looks_like_a_frame_is_cut_like_any_other() {
    // The header of a frame that claims everything to be durable, in a property of the last event.
    let header = {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).unwrap();
        for batch in 0..40 {
            fill(&store, &format!("x{batch}-"), 1);
        }
        let bytes = fs::read(&segments(dir.path())[0]).unwrap();
        let last = bytes.windows(4).rposition(|window| window == b"PUGF").unwrap();
        bytes[last..last + 44].to_vec()
    };
    // As text: only what is valid UTF-8 can be sent, so the damage is put in by hand, checksum and all.
    let (dir, offsets) = crashed();
    let path = segments(dir.path()).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let inside = offsets[2] as usize + 44 + 60;
    bytes[inside..inside + 44].copy_from_slice(&header);
    fs::write(&path, bytes).unwrap();
    assert_eq!(total(dir.path()), 20);
}
