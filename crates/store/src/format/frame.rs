//! Header of a frame, and the payload's envelope: docs/format.md, Frame.

use super::FORMAT_VERSION;
use super::payload::encode_payload_into;
use super::segment::{put, take};
use crate::limits::{FRAME_MAX_BYTES, FRAME_MAX_RECORDS};
use crate::record::Payload;

const MAGIC: usize = 0;
const HEADER_CRC: usize = MAGIC + 4;
const LEN: usize = HEADER_CRC + 4;
const RAW_LEN: usize = LEN + 4;
const CODEC: usize = RAW_LEN + 4;
const VERSION: usize = CODEC + 1;
const FLAGS: usize = VERSION + 1;
const FIRST_SEQUENCE: usize = FLAGS + 2;
const COUNT: usize = FIRST_SEQUENCE + 8;
const SYNCED_THROUGH: usize = COUNT + 4;
const PAYLOAD_CRC: usize = SYNCED_THROUGH + 8;
/// Length of a frame's header; the payload follows it.
pub(crate) const FRAME_HEADER_BYTES: usize = PAYLOAD_CRC + 4;

const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"PUGF");
const FRAME_VERSION: u8 = FORMAT_VERSION as u8;
const FLAG_CLOSING: u16 = 1;

/// An event of a few properties takes about as much; a batch of larger ones has its buffer moved a few times.
const RECORD_BYTES_GUESSED: usize = 128;

const CODEC_RAW: u8 = 0;
const CODEC_ZSTD: u8 = 1;

/// What the checksum of a frame's header begins from: a frame of another store, or one that somebody sent as text, is none here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameSeed(u32);

impl FrameSeed {
    pub(crate) fn of(store_id: &[u8; 16]) -> Self {
        Self(crc32fast::hash(store_id))
    }

    fn checksum(self, body: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new_with_initial(self.0);
        hasher.update(body);
        hasher.finalize()
    }
}

/// What is said of a frame when it is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameOf<'a> {
    pub(crate) first_sequence: u64,
    pub(crate) count: u32,
    pub(crate) synced_through: u64,
    pub(crate) closing: bool,
    pub(crate) payload: &'a [u8],
    /// The level of zstd to store it with, where this makes it smaller.
    pub(crate) compress: Option<i32>,
}

/// The header of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    /// Payload bytes as stored.
    pub(crate) len: u32,
    /// Payload bytes once decompressed.
    pub(crate) raw_len: u32,
    pub(crate) codec: u8,
    /// Nothing follows this frame: the segment was closed.
    pub(crate) closing: bool,
    pub(crate) first_sequence: u64,
    /// Sequences that the frame covers, tombstones included.
    pub(crate) count: u32,
    /// The last sequence known to be durable when this frame was written.
    pub(crate) synced_through: u64,
    pub(crate) payload_crc: u32,
}

/// What 44 bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HeaderVerdict {
    Frame(FrameHeader),
    /// Found, expected.
    Damaged(String),
    /// Whole, but of a version or codec that this code does not know.
    Newer(String),
}

impl FrameHeader {
    /// Whether the payload is stored as zstd made it smaller.
    pub(crate) fn is_compressed(&self) -> bool {
        self.codec == CODEC_ZSTD
    }

    /// Bytes of header and payload.
    pub(crate) fn frame_bytes(&self) -> u64 {
        FRAME_HEADER_BYTES as u64 + u64::from(self.len)
    }

    pub(crate) fn encode(&self, seed: FrameSeed) -> [u8; FRAME_HEADER_BYTES] {
        let mut bytes = [0; FRAME_HEADER_BYTES];
        put(&mut bytes, MAGIC, &FRAME_MAGIC.to_le_bytes());
        put(&mut bytes, LEN, &self.len.to_le_bytes());
        put(&mut bytes, RAW_LEN, &self.raw_len.to_le_bytes());
        put(&mut bytes, CODEC, &[self.codec]);
        put(&mut bytes, VERSION, &[FRAME_VERSION]);
        let flags = if self.closing { FLAG_CLOSING } else { 0 };
        put(&mut bytes, FLAGS, &flags.to_le_bytes());
        put(&mut bytes, FIRST_SEQUENCE, &self.first_sequence.to_le_bytes());
        put(&mut bytes, COUNT, &self.count.to_le_bytes());
        put(&mut bytes, SYNCED_THROUGH, &self.synced_through.to_le_bytes());
        put(&mut bytes, PAYLOAD_CRC, &self.payload_crc.to_le_bytes());
        let crc = seed.checksum(bytes.split_at(LEN).1);
        put(&mut bytes, HEADER_CRC, &crc.to_le_bytes());
        bytes
    }

    pub(crate) fn decode(bytes: &[u8; FRAME_HEADER_BYTES], seed: FrameSeed) -> HeaderVerdict {
        let magic = u32::from_le_bytes(take(bytes, MAGIC));
        if magic != FRAME_MAGIC {
            return HeaderVerdict::Damaged(format!("frame magic {magic:#010x} but expected {FRAME_MAGIC:#010x}"));
        }
        let computed = seed.checksum(bytes.split_at(LEN).1);
        let stored = u32::from_le_bytes(take(bytes, HEADER_CRC));
        if computed != stored {
            return HeaderVerdict::Damaged(format!("frame header checksum {computed:#010x} but stored {stored:#010x}"));
        }
        let [codec] = take(bytes, CODEC);
        let [version] = take(bytes, VERSION);
        let flags = u16::from_le_bytes(take(bytes, FLAGS));
        if version == 0 || version > FRAME_VERSION || codec > CODEC_ZSTD || flags & !FLAG_CLOSING != 0 {
            return HeaderVerdict::Newer(format!(
                "frame version {version}, codec {codec}, flags {flags:#06x}; this build reads versions 1 to {FRAME_VERSION}, codecs 0 and 1, flag 1"
            ));
        }
        let header = Self {
            len: u32::from_le_bytes(take(bytes, LEN)),
            raw_len: u32::from_le_bytes(take(bytes, RAW_LEN)),
            codec,
            closing: flags & FLAG_CLOSING != 0,
            first_sequence: u64::from_le_bytes(take(bytes, FIRST_SEQUENCE)),
            count: u32::from_le_bytes(take(bytes, COUNT)),
            synced_through: u64::from_le_bytes(take(bytes, SYNCED_THROUGH)),
            payload_crc: u32::from_le_bytes(take(bytes, PAYLOAD_CRC)),
        };
        // The checksum vouches for what was written, not for whoever wrote it: lengths are bounded before they are used.
        let bounded = header.len as usize <= FRAME_MAX_BYTES
            && header.raw_len as usize <= FRAME_MAX_BYTES
            && header.count as usize <= FRAME_MAX_RECORDS
            && (header.codec != CODEC_RAW || header.len == header.raw_len)
            && header.first_sequence.checked_add(u64::from(header.count)).is_some();
        if bounded {
            HeaderVerdict::Frame(header)
        } else {
            HeaderVerdict::Damaged(format!(
                "frame of {} bytes ({} decompressed) and {} records, past the limits of {FRAME_MAX_BYTES} bytes and {FRAME_MAX_RECORDS} records",
                header.len, header.raw_len, header.count
            ))
        }
    }
}

fn length(bytes: &[u8]) -> std::io::Result<u32> {
    u32::try_from(bytes.len())
        .ok()
        .filter(|len| *len as usize <= FRAME_MAX_BYTES)
        .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::InvalidInput, "a frame's payload exceeds its limit"))
}

/// Replaces `out` by the bytes of a frame that holds `payload` as it is encoded: this goes straight behind the room for the header.
pub(crate) fn encode_batch(
    out: &mut Vec<u8>,
    seed: FrameSeed,
    first_sequence: u64,
    synced_through: u64,
    payload: &Payload<'_>,
) -> Result<(), String> {
    let count = payload.records.len();
    let count = u32::try_from(count)
        .ok()
        .filter(|_| count <= FRAME_MAX_RECORDS)
        .ok_or_else(|| format!("{count} records, expected at most {FRAME_MAX_RECORDS}"))?;
    out.clear();
    out.reserve(FRAME_HEADER_BYTES + payload.records.len() * RECORD_BYTES_GUESSED);
    out.resize(FRAME_HEADER_BYTES, 0);
    encode_payload_into(out, payload)?;
    let (room, stored) = out.split_at_mut(FRAME_HEADER_BYTES);
    let len = length(stored).map_err(|e| e.to_string())?;
    let header = FrameHeader {
        len,
        raw_len: len,
        codec: CODEC_RAW,
        closing: false,
        first_sequence,
        count,
        synced_through,
        payload_crc: crc32fast::hash(stored),
    };
    room.copy_from_slice(&header.encode(seed));
    Ok(())
}

/// The bytes of a frame.
pub(crate) fn encode_frame(seed: FrameSeed, frame: &FrameOf<'_>) -> std::io::Result<Vec<u8>> {
    let FrameOf { first_sequence, count, synced_through, closing, payload, compress } = *frame;
    let packed = match compress {
        Some(level) => Some(zstd::bulk::compress(payload, level)?).filter(|packed| packed.len() < payload.len()),
        None => None,
    };
    let (codec, stored) = match &packed {
        Some(packed) => (CODEC_ZSTD, packed.as_slice()),
        None => (CODEC_RAW, payload),
    };
    let header = FrameHeader {
        len: length(stored)?,
        raw_len: length(payload)?,
        codec,
        closing,
        first_sequence,
        count,
        synced_through,
        payload_crc: crc32fast::hash(stored),
    };
    let mut out = Vec::with_capacity(FRAME_HEADER_BYTES + stored.len());
    out.extend_from_slice(&header.encode(seed));
    out.extend_from_slice(stored);
    Ok(out)
}

/// The payload of a frame from its `stored` bytes: checksum, then codec.
pub(crate) fn decode_payload_bytes<'a>(
    header: &FrameHeader,
    stored: &'a [u8],
) -> Result<std::borrow::Cow<'a, [u8]>, String> {
    let computed = crc32fast::hash(stored);
    if computed != header.payload_crc {
        return Err(format!("payload checksum {computed:#010x} but stored {:#010x}", header.payload_crc));
    }
    if header.codec == CODEC_RAW {
        return Ok(stored.into());
    }
    let raw = zstd::bulk::decompress(stored, header.raw_len as usize)
        .map_err(|e| format!("payload does not decompress: {e}"))?;
    if raw.len() != header.raw_len as usize {
        return Err(format!("payload of {} bytes once decompressed but {} stated", raw.len(), header.raw_len));
    }
    Ok(raw.into())
}
