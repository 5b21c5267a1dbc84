//! Decoders of headers, frames and payloads.

use crate::format::{
    FRAME_HEADER_BYTES, FileHeader, FileKind, FrameHeader, FrameSeed, HEADER_BYTES, HeaderVerdict, decode_base,
    decode_payload, decode_payload_bytes, encode_base, encode_payload,
};

pub(super) const STORE_ID: [u8; 16] = [3; 16];

/// A file header of either kind: as it is, and with a checksum that is right.
pub fn file_header(bytes: &[u8]) {
    let Some(bytes) = bytes.first_chunk::<HEADER_BYTES>() else { return };
    let mut sealed = *bytes;
    let (body, checksum) = sealed.split_at_mut(HEADER_BYTES - 4);
    checksum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    for bytes in [bytes, &sealed] {
        for kind in [FileKind::Segment, FileKind::Base] {
            if let Ok(header) = FileHeader::decode(kind, bytes) {
                // One of an earlier version is written as one of this.
                assert_eq!(FileHeader::decode(kind, &header.encode()), Ok(header));
            }
        }
    }
}

/// A frame, header and payload: as it is, and with checksums that are right.
pub fn frame(bytes: &[u8]) {
    let Some((head, stored)) = bytes.split_first_chunk::<FRAME_HEADER_BYTES>() else { return };
    whole_frame(head, stored);
    let mut head = *head;
    let (_, payload_checksum) = head.split_at_mut(FRAME_HEADER_BYTES - 4);
    payload_checksum.copy_from_slice(&crc32fast::hash(stored).to_le_bytes());
    let (start, rest) = head.split_at_mut(8);
    let (magic, checksum) = start.split_at_mut(4);
    magic.copy_from_slice(b"PUGF");
    let mut sealed = crc32fast::Hasher::new_with_initial(crc32fast::hash(&STORE_ID));
    sealed.update(rest);
    checksum.copy_from_slice(&sealed.finalize().to_le_bytes());
    whole_frame(&head, stored);
}

fn whole_frame(head: &[u8; FRAME_HEADER_BYTES], stored: &[u8]) {
    if let HeaderVerdict::Frame(header) = FrameHeader::decode(head, FrameSeed::of(&STORE_ID))
        && let Some(stored) = stored.get(..header.len as usize)
        && let Ok(payload) = decode_payload_bytes(&header, stored)
    {
        assert_eq!(payload.len(), header.raw_len as usize);
    }
}

/// The payload of a frame and the section of a base; what decodes encodes to a payload that decodes to the same.
pub fn payload(bytes: &[u8]) {
    if let Ok(section) = decode_base(bytes) {
        let again = encode_base(&section).expect("what was decoded is within the limits");
        let again = decode_base(&again).expect("what was encoded decodes");
        assert_eq!(format!("{section:?}"), format!("{again:?}"));
    }
    if let Ok(payload) = decode_payload(bytes) {
        // Compared as text: a float may be NaN here, which no append lets through.
        let again = encode_payload(&payload).expect("what was decoded is within the limits");
        let again = decode_payload(&again).expect("what was encoded decodes");
        assert_eq!(format!("{payload:?}"), format!("{again:?}"));
    }
}
