//! What is left of what was not synced.

use super::bytes::Bytes;
use super::file::Change;
use crate::entropy::SplitMix64;

/// What a stop takes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: the process was killed, and the kernel lives. What was not synced is seen, and still not durable.
    Nothing,
    /// All bytes and all names that were not synced.
    Everything,
    /// Of each file the unsynced writes from some moment on, and of the one at that moment the sectors of 512 bytes from one on, or if it made the file
    /// longer the bytes from any one on; of each directory the unsynced changes of names from some moment on.
    Prefix,
    /// Of each file any of the unsynced writes, and of those that are left any sectors of 512 bytes; the last one that made the file longer may end
    /// anywhere. The file may have any length that it had, with zeros for what is missing. Of each directory any of the unsynced changes of names.
    Random,
}

impl Loss {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Everything, Self::Prefix, Self::Random];
}

/// What a disk writes whole or not at all.
const SECTOR_BYTES: u64 = 512;

/// The bytes that are found on disk.
pub(super) fn surviving_bytes(durable: &Bytes, pending: &[Change], loss: Loss, row: &mut SplitMix64) -> Bytes {
    let mut found = durable.clone();
    match loss {
        Loss::Everything => return found,
        Loss::Nothing => pending.iter().for_each(|change| change.apply(&mut found)),
        Loss::Prefix => {
            let (kept, lost) = pending.split_at(index_below(row, pending.len() + 1));
            kept.iter().for_each(|change| change.apply(&mut found));
            if let Some(Change::Write { offset, data }) = lost.first()
                && row.chance(1, 2)
            {
                let end = index_below(row, data.len());
                let past_border = usize::try_from((offset + end as u64) % SECTOR_BYTES).unwrap_or(0);
                let appends = offset + data.len() as u64 > found.len();
                let end = if appends { end } else { end.saturating_sub(past_border) };
                found.write(*offset, data.split_at(end).0);
            }
            lengthen(&mut found, durable, pending, row);
        }
        Loss::Random => {
            let kept = survivors(pending, row);
            let last_append = last_append(durable, &kept);
            for (at, change) in kept.iter().enumerate() {
                match change {
                    Change::Write { offset, data } if Some(at) == last_append && row.chance(1, 2) => {
                        found.write(*offset, data.split_at(index_below(row, data.len() + 1)).0);
                    }
                    Change::Write { offset, data } => tear(&mut found, *offset, data, row),
                    Change::SetLen(_) => change.apply(&mut found),
                }
            }
            lengthen(&mut found, durable, pending, row);
        }
    }
    found
}

/// The changes of names that are found on disk.
pub(super) fn surviving_changes<'a, C>(pending: &'a [C], loss: Loss, row: &mut SplitMix64) -> Vec<&'a C> {
    match loss {
        Loss::Nothing => pending.iter().collect(),
        Loss::Everything => Vec::new(),
        Loss::Prefix => pending.split_at(index_below(row, pending.len() + 1)).0.iter().collect(),
        Loss::Random => survivors(pending, row),
    }
}

/// Any subset: sometimes nearly all, sometimes hardly one.
fn survivors<'a, C>(pending: &'a [C], row: &mut SplitMix64) -> Vec<&'a C> {
    let odds = row.below(9);
    pending.iter().filter(|_| row.chance(odds, 8)).collect()
}

fn last_append(durable: &Bytes, kept: &[&Change]) -> Option<usize> {
    let mut len = durable.len();
    let mut last = None;
    for (at, change) in kept.iter().enumerate() {
        let after = change.len_after(len);
        if after > len && matches!(change, Change::Write { .. }) {
            last = Some(at);
        }
        len = after;
    }
    last
}

/// Writes all sectors, those up to one, those from one on, or any.
fn tear(found: &mut Bytes, offset: u64, data: &[u8], row: &mut SplitMix64) {
    let first = offset / SECTOR_BYTES;
    let sectors = (offset + data.len() as u64).div_ceil(SECTOR_BYTES) - first;
    let border = row.below(sectors + 1);
    let how = row.below(5);
    let mut rest = data;
    for sector in 0..sectors {
        let at = offset + (data.len() - rest.len()) as u64;
        let end = (first + sector + 1) * SECTOR_BYTES;
        let piece;
        (piece, rest) = rest.split_at(rest.len().min(usize::try_from(end - at).unwrap_or(usize::MAX)));
        let kept = match how {
            0 | 1 => true,
            2 => sector < border,
            3 => sector >= border,
            _ => row.chance(1, 2),
        };
        if kept {
            found.write(at, piece);
        }
    }
}

/// Sometimes the length is on disk, and the bytes are not.
fn lengthen(found: &mut Bytes, durable: &Bytes, pending: &[Change], row: &mut SplitMix64) {
    let mut len = durable.len();
    let mut longest = len;
    for change in pending {
        len = change.len_after(len);
        longest = longest.max(len);
    }
    if longest > found.len() && row.chance(1, 4) {
        found.set_len(found.len() + row.below(longest - found.len() + 1));
    }
}

pub(super) fn index_below(row: &mut SplitMix64, end: usize) -> usize {
    usize::try_from(row.below(end as u64)).expect("invariant: below a usize")
}
