//! Golden bytes: what is written today is what every later version reads.

use super::frame::{
    FRAME_HEADER_BYTES, FrameHeader, FrameOf, FrameSeed, HeaderVerdict, decode_payload_bytes, encode_batch,
    encode_frame,
};
use super::payload::{decode_base, decode_payload, encode_base, encode_payload};
use super::segment::{FileHeader, FileKind, HEADER_BYTES, HeaderError};
use crate::limits::FRAME_MAX_RECORDS;
use crate::record::*;
use crate::value::ValueRef;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn seed() -> FrameSeed {
    FrameSeed::of(&[3; 16])
}

fn encode(
    first_sequence: u64,
    count: u32,
    synced_through: u64,
    closing: bool,
    payload: &[u8],
    compress: Option<i32>,
) -> std::io::Result<Vec<u8>> {
    encode_frame(seed(), &FrameOf { first_sequence, count, synced_through, closing, payload, compress })
}

fn one_of_each_record() -> Payload<'static> {
    let link = Link { from: 0, to: 1, force: false, verdict: Verdict::Linked };
    Payload {
        received_at: 1_735_689_600_000_000,
        import: Some([7; 16]),
        base_time: 1_735_689_600_000_000,
        names: vec!["view", "amount", "plan"],
        subjects: vec![
            NewSubject { subject: 0, distinct_id: Some("anon") },
            NewSubject { subject: 1, distinct_id: None },
        ],
        records: vec![
            Record::Event(EventRecord {
                name: 0,
                subject: 1,
                time: -1,
                time_sent: true,
                message_id: MessageId::Text("m1"),
                session_id: Some("s"),
                properties: vec![
                    (1, ValueRef::Bool(true)),
                    (1, ValueRef::Int(-300)),
                    (1, ValueRef::Float(1.5)),
                    (1, ValueRef::Text("x")),
                    (1, ValueRef::Number("9e999")),
                    (1, ValueRef::Json("[1]")),
                ],
                context: Some("{}"),
            }),
            Record::Event(EventRecord {
                name: 0,
                subject: 70_000,
                time: 251,
                time_sent: false,
                message_id: MessageId::Uuid([9; 16]),
                session_id: None,
                properties: vec![],
                context: None,
            }),
            Record::Tombstone(Tombstone {
                why: Removal::Erased,
                message: Some(RemovedMessage { fingerprint: [8; 16], content: 0 }),
            }),
            Record::Tombstone(Tombstone { why: Removal::Retracted, message: None }),
            Record::Tombstone(Tombstone {
                why: Removal::Expired,
                message: Some(RemovedMessage { fingerprint: [6; 16], content: u64::MAX }),
            }),
            Record::Tombstone(Tombstone { why: Removal::Settled, message: None }),
            Record::Identify(link),
            Record::Alias(Link { verdict: Verdict::Already, force: true, ..link }),
            Record::Merge(Merge { subjects: vec![1, 2], force: true, verdict: Verdict::Refused(Refusal::KeptApart) }),
            Record::Split { subject: 3 },
            Record::SplitLink { sequence: 300 },
            Record::Profile(Profile {
                subject: 1,
                timestamp: 5,
                time_sent: true,
                message_id: MessageId::Text("m2"),
                change: ProfileChange::Union,
                traits: vec![(2, ValueRef::Text("pro"))],
            }),
            Record::Setting { name: "time_zone", value: "\"UTC\"" },
            Record::Definition(Definition { kind: "segment", name: "a", version: 1, body: None }),
            Record::Retraction(Retraction {
                import: Some([5; 16]),
                filter: Some("x"),
                sequences: vec![(1, 2), (300, 1)],
            }),
            Record::Erasure { subjects: vec![4] },
            Record::Conflict(Conflict {
                name: 0,
                distinct_id: "anon",
                time: 1,
                time_sent: true,
                message_id: MessageId::Text("m1"),
                session_id: None,
                properties: vec![(1, ValueRef::Int(2))],
                context: None,
            }),
            Record::Settlement { sequence: 18, stored_as: Some(19) },
            Record::Settlement { sequence: 18, stored_as: None },
            Record::Expiry { before: 1_735_689_600_000_000 },
            Record::Completion { sequence: 17, records: 3 },
            Record::Remark(Remark { sequence: 21, subjects: vec![1, 300], by: Some("ann"), why: None }),
        ],
    }
}

const PAYLOAD: &str = include_str!("../../fixtures/v2/payload.hex");
const FRAME_RAW: &str = include_str!("../../fixtures/v2/frame_raw.hex");
const SEGMENT_HEADER: &str = include_str!("../../fixtures/v2/segment_header.hex");
const BASE: &str = include_str!("../../fixtures/v1/base_sections.hex");
/// What version 1 wrote.
const PAYLOAD_1: &str = include_str!("../../fixtures/v1/payload.hex");
const FRAME_RAW_1: &str = include_str!("../../fixtures/v1/frame_raw.hex");
const SEGMENT_HEADER_1: &str = include_str!("../../fixtures/v1/segment_header.hex");

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<char> = text.trim().chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).expect("two digits");
    digits.chunks(2).map(byte).collect()
}

fn base_sections() -> [BaseSection<'static>; 3] {
    [
        BaseSection::Subjects(vec![
            NewSubject { subject: 0, distinct_id: Some("anon") },
            NewSubject { subject: 1, distinct_id: None },
        ]),
        BaseSection::Operations {
            names: vec!["plan"],
            records: vec![BaseRecord { sequence: 4, received_at: 5, record: Record::Split { subject: 3 } }],
        },
        BaseSection::MessageIds(vec![([1; 16], u64::MAX)]),
    ]
}

#[test]
fn payload_bytes_are_frozen() {
    let payload = one_of_each_record();
    let bytes = encode_payload(&payload).expect("encodes");
    assert_eq!(hex(&bytes), PAYLOAD.trim());
    assert_eq!(decode_payload(&bytes).expect("decodes"), payload);
}

#[test]
fn base_bytes_are_frozen() {
    let sections = base_sections();
    let bytes: Vec<Vec<u8>> = sections.iter().map(|s| encode_base(s).expect("encodes")).collect();
    let lines: Vec<String> = bytes.iter().map(|b| hex(b)).collect();
    assert_eq!(lines.join("\n"), BASE.trim());
    for (bytes, section) in bytes.iter().zip(&sections) {
        assert_eq!(&decode_base(bytes).expect("decodes"), section);
    }
}

#[test]
fn a_batch_that_no_reader_would_take_is_refused() {
    let mut payload =
        Payload { received_at: 0, import: None, base_time: 0, names: vec![], subjects: vec![], records: vec![] };
    for (count, fits) in [(FRAME_MAX_RECORDS, true), (FRAME_MAX_RECORDS + 1, false)] {
        payload.records = vec![Record::Settlement { sequence: 1, stored_as: None }; count];
        assert_eq!(encode_batch(&mut Vec::new(), seed(), 5, 4, &payload).is_ok(), fits, "{count} records");
    }
}

#[test]
fn a_batch_is_the_frame_of_its_encoded_payload() {
    for payload in [one_of_each_record(), Payload { records: Vec::new(), ..one_of_each_record() }] {
        let count = u32::try_from(payload.records.len()).expect("a few");
        let bytes = encode_payload(&payload).expect("encodes");
        let frame = encode(5, count, 4, false, &bytes, None).expect("encodes");
        let mut batch = b"an earlier frame".to_vec();
        encode_batch(&mut batch, seed(), 5, 4, &payload).expect("encodes");
        assert_eq!(batch, frame);
    }
}

#[test]
fn frame_bytes_are_frozen() {
    let frame = encode(5, 2, 4, true, b"payload", None).expect("encodes");
    assert_eq!(hex(&frame), FRAME_RAW.trim());
}

#[test]
fn segment_header_bytes_are_frozen() {
    let header = FileHeader {
        kind: FileKind::Segment,
        store_id: [3; 16],
        first_sequence: 258,
        created_at: 1_735_689_600_000_000,
    };
    assert_eq!(hex(&header.encode()), SEGMENT_HEADER.trim());
    assert_eq!(FileHeader::decode(FileKind::Segment, &header.encode()), Ok(header));
}

#[test]
fn what_version_1_wrote_is_read() {
    let mut payload = one_of_each_record();
    payload.records.pop();
    assert_eq!(decode_payload(&unhex(PAYLOAD_1)).expect("decodes"), payload);
    let frame = unhex(FRAME_RAW_1);
    let header = header_of(&frame);
    assert_eq!((header.first_sequence, header.count, header.synced_through, header.closing), (5, 2, 4, true));
    let stored = frame.get(FRAME_HEADER_BYTES..).expect("payload");
    assert_eq!(decode_payload_bytes(&header, stored).expect("decodes").as_ref(), b"payload");
    let header = unhex(SEGMENT_HEADER_1);
    let header = FileHeader::decode(FileKind::Segment, header.first_chunk().expect("a header")).expect("decodes");
    assert_eq!((header.first_sequence, header.store_id), (258, [3; 16]));
}

fn header_of(frame: &[u8]) -> FrameHeader {
    match FrameHeader::decode(frame.first_chunk::<FRAME_HEADER_BYTES>().expect("long enough"), seed()) {
        HeaderVerdict::Frame(header) => header,
        other => panic!("{other:?}"),
    }
}

#[test]
fn both_codecs_return_the_payload() {
    let payload = b"the same words, the same words, the same words, the same words".repeat(4);
    for (compress, codec) in [(None, 0), (Some(1), 1)] {
        let frame = encode(1, 1, 0, false, &payload, compress).expect("encodes");
        let header = header_of(&frame);
        assert_eq!(header.codec, codec);
        let stored = frame.get(FRAME_HEADER_BYTES..).expect("payload");
        assert_eq!(decode_payload_bytes(&header, stored).expect("decodes").as_ref(), payload);
    }
}

#[test]
fn every_flipped_bit_of_a_frame_is_noticed() {
    let frame = encode(1, 3, 0, false, b"some payload bytes", None).expect("encodes");
    for bit in 0..frame.len() * 8 {
        let mut damaged = frame.clone();
        if let Some(byte) = damaged.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        let noticed = match FrameHeader::decode(damaged.first_chunk().expect("long enough"), seed()) {
            HeaderVerdict::Frame(header) => {
                decode_payload_bytes(&header, damaged.get(FRAME_HEADER_BYTES..).expect("payload")).is_err()
            }
            _ => true,
        };
        assert!(noticed, "bit {bit}");
    }
}

#[test]
fn a_frame_of_another_store_is_none() {
    let frame = encode(1, 1, 0, false, b"payload", None).expect("encodes");
    let head = frame.first_chunk().expect("long enough");
    assert!(matches!(FrameHeader::decode(head, seed()), HeaderVerdict::Frame(_)));
    assert!(matches!(FrameHeader::decode(head, FrameSeed::of(&[4; 16])), HeaderVerdict::Damaged(_)));
}

#[test]
fn every_flipped_bit_of_a_file_header_is_noticed() {
    let header = FileHeader { kind: FileKind::Base, store_id: [3; 16], first_sequence: 1, created_at: 0 }.encode();
    for bit in 0..HEADER_BYTES * 8 {
        let mut damaged = header;
        if let Some(byte) = damaged.get_mut(bit / 8) {
            *byte ^= 1 << (bit % 8);
        }
        assert!(FileHeader::decode(FileKind::Base, &damaged).is_err(), "bit {bit}");
    }
}

#[test]
fn newer_versions_are_refused_as_newer() {
    let header = FileHeader { kind: FileKind::Segment, store_id: [3; 16], first_sequence: 1, created_at: 0 };
    let mut bytes = header.encode();
    super::segment::put(&mut bytes, 8, &3_u32.to_le_bytes());
    let crc = crc32fast::hash(bytes.split_at(HEADER_BYTES - 4).0);
    super::segment::put(&mut bytes, HEADER_BYTES - 4, &crc.to_le_bytes());
    assert_eq!(FileHeader::decode(FileKind::Segment, &bytes), Err(HeaderError::Newer(3)));

    let mut frame = encode(1, 0, 0, false, b"", None).expect("encodes");
    super::segment::put(&mut frame, 17, &[3]);
    let crc = crc32fast::hash(&[[3; 16].as_slice(), frame.split_at(8).1].concat());
    super::segment::put(&mut frame, 4, &crc.to_le_bytes());
    assert!(matches!(FrameHeader::decode(frame.first_chunk().expect("long enough"), seed()), HeaderVerdict::Newer(_)));
}

#[test]
fn a_message_id_keeps_its_text() {
    for text in [
        "m1",
        "0190c2a0-7b1e-7000-8000-000000000001",
        "0190C2A0-7B1E-7000-8000-000000000001",
        "0190c2a07b1e70008000000000000001",
    ] {
        assert_eq!(MessageId::from_text(text).to_string(), text);
    }
    assert!(matches!(MessageId::from_text("0190c2a0-7b1e-7000-8000-000000000001"), MessageId::Uuid(_)));
}

/// docs/format.md owns the offsets; this reads its tables and compares.
#[test]
fn the_document_and_the_code_agree_on_offsets() {
    let document = include_str!("../../../../docs/format.md");
    let table = |title: &str| -> Vec<(usize, usize, String)> {
        document
            .lines()
            .skip_while(|line| *line != format!("### {title}"))
            .skip(1)
            .take_while(|line| !line.starts_with('#'))
            .filter_map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(str::trim);
                let offset = cells.next()?.parse().ok()?;
                Some((offset, cells.next()?.parse().ok()?, cells.next()?.trim_matches('`').to_owned()))
            })
            .collect()
    };
    for (title, total) in [("File header", HEADER_BYTES), ("Frame header", FRAME_HEADER_BYTES)] {
        let rows = table(title);
        assert!(!rows.is_empty(), "no table under {title}");
        let mut next = 0;
        for (offset, size, field) in rows {
            assert_eq!(offset, next, "{title}: {field}");
            next = offset + size;
        }
        assert_eq!(next, total, "{title}");
    }
    let frame = encode(0x0102_0304_0506_0708, 9, 10, true, b"abc", None).expect("encodes");
    let find = |name: &str| {
        let row = table("Frame header").into_iter().find(|row| row.2 == name).expect(name);
        frame.get(row.0..row.0 + row.1).expect(name).to_vec()
    };
    assert_eq!(find("first_sequence"), 0x0102_0304_0506_0708_u64.to_le_bytes());
    assert_eq!(find("count"), 9_u32.to_le_bytes());
    assert_eq!(find("synced_through"), 10_u64.to_le_bytes());
    assert_eq!(find("flags"), 1_u16.to_le_bytes());
    assert_eq!(find("len"), 3_u32.to_le_bytes());
    assert_eq!(find("payload_crc"), crc32fast::hash(b"abc").to_le_bytes());
}
