//! Ways in for the fuzzer: each takes any bytes and must neither panic nor allocate past them.

use super::layout::{RUN_HEADER_BYTES, RunHeader, RunKind};
use super::manifest::decode_manifest;
use super::shard::Tail;

/// Decodes a run file's header and, if it is whole, what lies behind its entries from the bytes that follow.
pub fn run_file(bytes: &[u8]) {
    if let Some((header, tail)) = bytes.split_first_chunk::<RUN_HEADER_BYTES>()
        && let Ok(header) = RunHeader::decode(header)
        && let Ok(tail) = Tail::decode(&header, tail)
    {
        for prefix in tail.fences {
            tail.filter.may_hold(u64::from(prefix) << 32);
        }
    }
}

/// Decodes a manifest of runs.
pub fn run_manifest(bytes: &[u8]) {
    // Refusing is one of the two right answers.
    let _ = decode_manifest(RunKind::Ids, bytes);
}
