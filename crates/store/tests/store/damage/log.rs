//! Damage of segments, which are truth: sealed and compressed ones, and the last.

use super::*;

/// A sealed segment of compressed frames, which is neither the first nor the last.
fn sealed(storage: &SimulatedStorage) -> PathBuf {
    let segments = files(storage, "log");
    let segment = segments[segments.len() - 4].clone();
    assert_eq!(storage.read(&segment).unwrap()[FIRST_FRAME as usize + 16], 1, "codec zstd");
    segment
}

/// The last segment.
fn last(storage: &SimulatedStorage) -> PathBuf {
    files(storage, "log").pop().unwrap()
}

#[test]
fn a_flipped_byte_in_the_header_of_a_sealed_segment_is_told() {
    for (at, says) in
        [(0, "byte 0: magic"), (9, "byte 0: header checksum"), (20, "header checksum"), (61, "but stored")]
    {
        let storage = aged();
        let segment = sealed(&storage);
        storage.flip(&segment, at, 1).unwrap();
        is_told(&storage, &segment, says);
    }
}

#[test]
fn a_flipped_byte_in_the_header_of_the_last_segment_is_told() {
    for at in [0, 9, 20, 61] {
        let storage = aged();
        let segment = last(&storage);
        storage.flip(&segment, at, 1).unwrap();
        is_told(&storage, &segment, "byte 0: ");
    }
}

#[test]
fn a_flipped_byte_in_the_header_of_a_frame_is_told() {
    for at in [0, 5, 9, 17, 21, 29, 33, 41] {
        let storage = aged();
        let segment = sealed(&storage);
        storage.flip(&segment, FIRST_FRAME + at, 1).unwrap();
        is_told(&storage, &segment, "frame at byte 64: ");
    }
}

#[test]
fn a_flipped_byte_anywhere_in_a_compressed_segment_is_told() {
    let whole = aged();
    let segment = sealed(&whole);
    let length = whole.read(&segment).unwrap().len() as u64;
    for at in (FIRST_PAYLOAD..length).step_by(23) {
        let storage = aged();
        storage.flip(&segment, at, 0x10).unwrap();
        is_told(&storage, &segment, "");
    }
}

#[test]
fn a_truncated_sealed_segment_is_told_at_every_length() {
    let whole = aged();
    let segment = sealed(&whole);
    for len in (0..whole.read(&segment).unwrap().len() as u64).step_by(29) {
        let storage = aged();
        storage.truncate(&segment, len).unwrap();
        is_told(&storage, &segment, "");
    }
}

#[test]
fn an_empty_segment_is_told() {
    for segment in [sealed(&aged()), last(&aged())] {
        let storage = aged();
        storage.truncate(&segment, 0).unwrap();
        is_told(&storage, &segment, "0 bytes but a file header alone has 64");
    }
}

#[test]
fn bytes_behind_the_closing_frame_of_a_sealed_segment_are_told() {
    let storage = aged();
    let segment = sealed(&storage);
    add(&storage, &segment, b"something else");
    is_told(&storage, &segment, "no closing frame, although a segment follows");
}

#[test]
fn a_missing_segment_is_told_wherever_it_was() {
    let segments = files(&aged(), "log");
    for (nth, segment) in segments.iter().enumerate() {
        let storage = aged();
        storage.lose(segment).unwrap();
        if nth == segments.len() - 1 {
            // That there was a last one is known to the index alone.
            let error = open(&storage).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().contains("the end of the log is missing"), "{error}");
            continue;
        }
        let names = if nth == 0 { Path::new(DIR).join("log") } else { segments[nth - 1].clone() };
        is_told(&storage, &names, "a segment is missing");
    }
}

#[test]
fn segments_that_changed_places_are_told() {
    let storage = aged();
    let segments = files(&storage, "log");
    let (first, second) = (&segments[1], &segments[2]);
    let (one, two) = (storage.read(first).unwrap(), storage.read(second).unwrap());
    write(&storage, first, &two);
    write(&storage, second, &one);
    is_told(&storage, first, "the header says first sequence");
}

#[test]
fn a_segment_of_another_store_is_told_wherever_it_is() {
    let segments = files(&aged(), "log");
    for (nth, segment) in segments.iter().enumerate() {
        let storage = aged();
        write(&storage, segment, &other().read(segment).unwrap());
        // Of the first, the bases tell it; of the last, those before it.
        let names = match nth {
            0 => &files(&storage, "base")[0],
            nth if nth == segments.len() - 1 => &segments[0],
            _ => segment,
        };
        is_told(&storage, names, "it belongs to another store than the l");
        let report = Store::verify_log(Path::new(DIR), &(Arc::new(storage.clone()) as Arc<dyn Storage>)).unwrap();
        assert!(report.findings[0].message.contains("it belongs to another store"), "{:?}", report.findings);
    }
}

#[test]
fn a_base_in_the_place_of_a_segment_is_told() {
    let storage = aged();
    let segment = sealed(&storage);
    write(&storage, &segment, &storage.read(&files(&storage, "base")[0]).unwrap());
    is_told(&storage, &segment, "magic PUGMBAS\\x00 but expected PUGMLOG\\x00");
}

#[test]
fn a_sealed_segment_of_a_newer_format_is_refused_and_left_alone() {
    let storage = aged();
    let segment = sealed(&storage);
    restamp(&storage, &segment, 8, &3_u32.to_le_bytes());
    is_refused_as(&storage, &segment, ErrorKind::Unsupported, "format version 3, but this build reads up to 2");
    assert_eq!(open(&storage).unwrap_err().kind(), ErrorKind::Unsupported);
}

#[test]
fn a_frame_of_a_newer_format_is_refused_and_left_alone() {
    for (at, byte, says) in [(17, 3, "frame version 3"), (16, 9, "codec 9"), (18, 6, "flags 0x0006")] {
        let storage = aged();
        let segment = sealed(&storage);
        restamp_frame(&storage, &segment, at, byte);
        is_refused_as(&storage, &segment, ErrorKind::Unsupported, says);
    }
}

#[test]
fn a_segment_that_begins_at_sequence_0_is_told() {
    let storage = aged();
    let segment = last(&storage);
    let nothing = segment.with_file_name("00000000000000000000.log");
    write(&storage, &nothing, &storage.read(&segment).unwrap());
    restamp(&storage, &nothing, 32, &0_u64.to_le_bytes());
    for path in truth(&storage).into_iter().map(|(path, ..)| path).filter(|path| *path != nothing) {
        storage.lose(&path).unwrap();
    }
    is_refused_as(&storage, &Path::new(DIR).join("log"), ErrorKind::Corrupt, "no segment begins at sequence 1");
}
