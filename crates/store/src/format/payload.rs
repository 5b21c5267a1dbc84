//! Payload of a frame: docs/format.md, Payload.

use wincode::config::{Configuration, deserialize_exact, serialize, serialize_into};

use crate::limits::FRAME_MAX_BYTES;
use crate::record::{BaseSection, Payload};

/// Most memory that one decoded list may take. A list longer than this is refused before anything is allocated.
const LIST_MAX_BYTES: usize = 16 << 20;

/// docs/format.md, Encoding: little-endian varints, zigzag for signed, one-byte tags, lists with a varint length.
macro_rules! configuration {
    () => {
        Configuration::default()
            .with_varint_encoding()
            .with_tag_encoding::<u8>()
            .with_preallocation_size_limit::<LIST_MAX_BYTES>()
            .with_deserialization_size_limit::<FRAME_MAX_BYTES>()
    };
}

pub(crate) fn encode_payload(payload: &Payload<'_>) -> Result<Vec<u8>, String> {
    serialize(payload, configuration!()).map_err(|e| e.to_string())
}

/// Appends the payload's bytes to `out`.
pub(crate) fn encode_payload_into(out: &mut Vec<u8>, payload: &Payload<'_>) -> Result<(), String> {
    serialize_into(out, payload, configuration!()).map_err(|e| e.to_string())
}

pub(crate) fn decode_payload(bytes: &[u8]) -> Result<Payload<'_>, String> {
    deserialize_exact(bytes, configuration!()).map_err(|e| e.to_string())
}

pub(crate) fn encode_base(section: &BaseSection<'_>) -> Result<Vec<u8>, String> {
    serialize(section, configuration!()).map_err(|e| e.to_string())
}

pub(crate) fn decode_base(bytes: &[u8]) -> Result<BaseSection<'_>, String> {
    deserialize_exact(bytes, configuration!()).map_err(|e| e.to_string())
}
