//! Ways in for the fuzzer: each takes any bytes and must neither panic nor allocate past them.

use super::layout::{BLOCK_BYTES, RUN_HEADER_BYTES, RunHeader, RunKind, open_block};
use super::manifest::{decode_manifest, encode_manifest};
use super::shard::Tail;

/// Decodes a run file's header and, if it is whole, what lies behind its entries from the bytes that follow: as they are, and with
/// checksums and a length that are right.
pub fn run_file(bytes: &[u8]) {
    let Some((header, tail)) = bytes.split_first_chunk::<RUN_HEADER_BYTES>() else { return };
    if let Ok(header) = RunHeader::decode(header) {
        read_tail(&header, tail);
    }
    let mut sealed = *header;
    let (body, checksum) = sealed.split_at_mut(RUN_HEADER_BYTES - 4);
    checksum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    let Ok(mut header) = RunHeader::decode(&sealed) else { return };
    assert_eq!(header.encode(), sealed);
    let filter_bytes = header.blocks.checked_mul(4).and_then(|fences| (tail.len() as u64).checked_sub(fences));
    header.filter_bytes = filter_bytes.unwrap_or(header.filter_bytes);
    read_tail(&header, &[tail, &crc32fast::hash(tail).to_le_bytes()].concat());
}

fn read_tail(header: &RunHeader, bytes: &[u8]) {
    let Ok(tail) = Tail::decode(header, bytes) else { return };
    for prefix in tail.fences.iter().copied() {
        tail.filter.may_hold(u64::from(prefix) << 32);
    }
    // Wherever a probe falls, it falls into the filter.
    for prefix in (0..64).map(|step: u64| step.wrapping_mul(0x9E37_79B9_7F4A_7C15)) {
        tail.filter.may_hold(prefix);
    }
}

/// Decodes a block of a run file: as it is, and with a checksum that is right.
pub fn run_block(bytes: &[u8]) {
    let Some(block) = bytes.first_chunk::<BLOCK_BYTES>() else { return };
    let mut sealed = *block;
    let (body, checksum) = sealed.split_at_mut(BLOCK_BYTES - 4);
    checksum.copy_from_slice(&crc32fast::hash(body).to_le_bytes());
    for (block, count) in [(block, 42), (&sealed, 42), (&sealed, 1), (&sealed, usize::MAX)] {
        if let Ok(entries) = open_block(block, 1, 0, count) {
            assert_eq!(entries.len(), count.min(42));
        }
    }
}

/// Decodes a manifest of runs; what decodes encodes to the same.
pub fn run_manifest(bytes: &[u8]) {
    if let Ok(files) = decode_manifest(RunKind::Ids, bytes) {
        assert_eq!(encode_manifest(&files), bytes);
    }
}
