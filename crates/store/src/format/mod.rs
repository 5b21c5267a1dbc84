//! Bytes in, values out: no files. The one definition of the bytes is `docs/format.md`.

mod frame;
mod payload;
mod segment;
#[cfg(test)]
mod tests;

pub(crate) use frame::{
    FRAME_HEADER_BYTES, FrameHeader, FrameOf, FrameSeed, HeaderVerdict, decode_payload_bytes, encode_batch,
    encode_frame,
};
pub(crate) use payload::{decode_base, decode_payload, encode_base, encode_payload};
pub(crate) use segment::{FileHeader, FileKind, HEADER_BYTES, HeaderError};

/// The version that this code writes, and the newest that it reads.
pub const FORMAT_VERSION: u32 = 2;
