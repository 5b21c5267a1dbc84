//! Damage of bases, which are truth.

use super::*;

fn bases(storage: &SimulatedStorage) -> [PathBuf; 2] {
    files(storage, "base").try_into().unwrap()
}

fn length(storage: &SimulatedStorage, path: &Path) -> u64 {
    storage.read(path).unwrap().len() as u64
}

#[test]
fn a_flipped_byte_in_the_header_of_a_base_is_told() {
    for (at, says) in
        [(0, "byte 0: magic"), (9, "byte 0: header checksum"), (20, "header checksum"), (61, "but stored")]
    {
        for nth in 0..2 {
            let storage = aged();
            let base = &bases(&storage)[nth];
            storage.flip(base, at, 1).unwrap();
            is_told(&storage, base, says);
        }
    }
}

#[test]
fn a_flipped_byte_in_the_header_of_a_frame_of_a_base_is_told() {
    for at in [0, 5, 9, 17, 21, 29, 33, 41] {
        let storage = aged();
        let base = &bases(&storage)[0];
        storage.flip(base, FIRST_FRAME + at, 1).unwrap();
        is_told(&storage, base, "frame at byte 64: ");
    }
}

#[test]
fn a_flipped_byte_in_any_section_of_a_base_is_told() {
    for nth in 0..2 {
        let whole = aged();
        let base = &bases(&whole)[nth];
        for at in (FIRST_PAYLOAD..length(&whole, base)).step_by(23) {
            let storage = aged();
            storage.flip(base, at, 0x10).unwrap();
            is_told(&storage, base, "frame at byte ");
        }
    }
}

#[test]
fn a_flipped_byte_in_the_closing_frame_of_a_base_is_told() {
    let storage = aged();
    let base = &bases(&storage)[1];
    storage.flip(base, length(&storage, base) - 20, 1).unwrap();
    is_told(&storage, base, "frame header checksum");
}

#[test]
fn a_truncated_base_is_told_at_every_length() {
    let whole = aged();
    for base in &bases(&whole) {
        for len in (1..length(&whole, base)).step_by(29).chain([63, 64, length(&whole, base) - 44]) {
            let storage = aged();
            storage.truncate(base, len).unwrap();
            is_told(&storage, base, "");
        }
    }
}

#[test]
fn a_base_without_its_closing_frame_is_told() {
    let storage = aged();
    let base = &bases(&storage)[0];
    storage.truncate(base, length(&storage, base) - 44).unwrap();
    is_told(&storage, base, "the base ends without a closing frame");
}

#[test]
fn an_empty_base_is_told() {
    for nth in 0..2 {
        let storage = aged();
        let base = &bases(&storage)[nth];
        storage.truncate(base, 0).unwrap();
        is_told(&storage, base, "0 bytes but a file header alone has 64");
    }
}

#[test]
fn bytes_behind_the_closing_frame_of_a_base_are_told() {
    let storage = aged();
    let base = &bases(&storage)[0];
    add(&storage, base, b"something else");
    is_told(&storage, base, "14 bytes after the closing frame");
}

#[test]
fn a_missing_base_is_told() {
    for (nth, says) in [(0, "a base is missing"), (1, "a base or a segment is missing")] {
        let storage = aged();
        let bases = bases(&storage);
        storage.lose(&bases[nth]).unwrap();
        // The second is the one that no longer follows; behind it, it is the log.
        let names = if nth == 0 { bases[1].clone() } else { Path::new(DIR).join("log") };
        is_told(&storage, &names, says);
    }
}

#[test]
fn all_bases_missing_is_told() {
    let storage = aged();
    for base in bases(&storage) {
        storage.lose(&base).unwrap();
    }
    is_told(&storage, &Path::new(DIR).join("log"), "but the bases end before sequence 1");
}

#[test]
fn bases_that_changed_places_are_told() {
    let storage = aged();
    let [first, second] = bases(&storage);
    let (one, two) = (storage.read(&first).unwrap(), storage.read(&second).unwrap());
    write(&storage, &first, &two);
    write(&storage, &second, &one);
    is_told(&storage, &first, "the header says first sequence");
}

#[test]
fn a_base_of_another_store_is_told() {
    for nth in 0..2 {
        let storage = aged();
        let base = &bases(&storage)[nth];
        write(&storage, base, &other().read(base).unwrap());
        is_told(&storage, base, "it belongs to another store than the log");
    }
}

#[test]
fn a_segment_in_the_place_of_a_base_is_told() {
    let storage = aged();
    let base = &bases(&storage)[0];
    write(&storage, base, &storage.read(&files(&storage, "log")[0]).unwrap());
    is_told(&storage, base, "magic PUGMLOG\\x00 but expected PUGMBAS\\x00");
}

#[test]
fn a_base_of_a_newer_format_is_refused_and_left_alone() {
    let storage = aged();
    let base = &bases(&storage)[1];
    restamp(&storage, base, 8, &3_u32.to_le_bytes());
    is_refused_as(&storage, base, ErrorKind::Unsupported, "format version 3, but this build reads up to 2");
    assert_eq!(open(&storage).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_frame_of_a_newer_format_in_a_base_is_refused_and_left_alone() {
    for (at, byte, says) in [(17, 3, "frame version 3"), (16, 9, "codec 9"), (18, 6, "flags 0x0006")] {
        let storage = aged();
        let base = &bases(&storage)[0];
        restamp_frame(&storage, base, at, byte);
        is_refused_as(&storage, base, ErrorKind::Unsupported, says);
        assert_eq!(open(&storage).unwrap_err().kind(), ErrorKind::Unsupported);
    }
}

#[test]
fn a_base_that_covers_something_else_than_it_says_is_told() {
    // From sequence 2, of a log that begins at 1.
    let storage = aged();
    let base = &bases(&storage)[0];
    restamp_frame(&storage, base, 20, 2);
    is_told(&storage, base, "it covers the log from sequence 2");
}

#[test]
fn a_base_that_ends_at_sequence_0_is_told() {
    let storage = aged();
    let [base, _] = bases(&storage);
    let nothing = base.with_file_name("00000000000000000000.base");
    write(&storage, &nothing, &storage.read(&base).unwrap());
    restamp(&storage, &nothing, 32, &0_u64.to_le_bytes());
    is_told(&storage, &nothing, "byte 0: first sequence 0 but expected at least 1");
}

#[test]
fn a_base_that_was_being_written_goes() {
    let storage = aged();
    let [base, _] = bases(&storage);
    let unfinished = base.with_file_name("00000000000000000077.base.tmp");
    write(&storage, &unfinished, b"half");
    is_made_again(&storage);
    assert!(storage.read(&unfinished).is_err());
}

#[test]
fn a_damaged_base_gives_nothing_to_segments_that_were_not_removed_yet() {
    // As a crash leaves it that came between the name of a base and the removal of what it has taken over.
    let storage = disk();
    let store = open(&storage).unwrap();
    for number in 1..=24 {
        store.append(batch("u", number)).unwrap();
    }
    let segments: Vec<(PathBuf, Vec<u8>)> =
        files(&storage, "log").into_iter().map(|path| (path.clone(), storage.read(&path).unwrap())).collect();
    store.expire(day(9)).unwrap();
    store.close().unwrap();
    let base = files(&storage, "base").remove(0);
    for (path, bytes) in segments.iter().filter(|(path, _)| storage.read(path).is_err()) {
        write(&storage, path, bytes);
    }
    storage.flip(&base, FIRST_PAYLOAD + 3, 1).unwrap();
    let before = truth(&storage);
    let error = open(&storage).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains(base.to_str().unwrap()), "{error}");
    assert_eq!(truth(&storage), before, "the segments are still there");
}
