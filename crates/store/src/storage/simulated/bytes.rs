//! The bytes of a file in blocks that copies share, with holes that take no room.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// What room is counted in.
pub(super) const BLOCK_BYTES: usize = 4_096;

/// More than this a file is not let grow to: each of its blocks takes a pointer, holes too.
pub(super) const MAX_FILE_BYTES: u64 = 1 << 34;

/// A clone shares all blocks; a write copies those that it touches.
#[derive(Clone, Default)]
pub(super) struct Bytes {
    len: u64,
    /// As many as `len` needs; none where nothing was written. Past `len` the last block holds zeros.
    blocks: Vec<Option<Arc<[u8; BLOCK_BYTES]>>>,
}

impl Bytes {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The room that it takes.
    pub(super) fn allocated(&self) -> u64 {
        self.blocks.iter().flatten().count() as u64 * BLOCK_BYTES as u64
    }

    /// How many of `wanted` bytes at `offset` can be written if no more than `room` may be taken.
    pub(super) fn fitting(&self, offset: u64, wanted: usize, mut room: u64) -> usize {
        for piece in pieces(offset, wanted) {
            if !matches!(self.blocks.get(piece.block), Some(Some(_))) {
                match room.checked_sub(BLOCK_BYTES as u64) {
                    Some(left) => room = left,
                    None => return piece.of_data.start,
                }
            }
        }
        wanted
    }

    /// Whether all of `out` could be read.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> bool {
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > self.len) {
            return false;
        }
        for piece in pieces(offset, out.len()) {
            let out = out.get_mut(piece.of_data).expect("invariant: pieces are of the data");
            match self.blocks.get(piece.block).and_then(Option::as_deref) {
                Some(block) => {
                    out.copy_from_slice(block.get(piece.of_block).expect("invariant: pieces are of a block"))
                }
                None => out.fill(0),
            }
        }
        true
    }

    pub(super) fn write(&mut self, offset: u64, data: &[u8]) {
        if data.is_empty() {
            return;
        }
        self.set_len(self.len.max(offset + data.len() as u64));
        for piece in pieces(offset, data.len()) {
            let block = self.blocks.get_mut(piece.block).expect("invariant: the file was made long enough");
            let block = Arc::make_mut(block.get_or_insert_with(|| Arc::new([0; BLOCK_BYTES])));
            let place = block.get_mut(piece.of_block).expect("invariant: pieces are of a block");
            place.copy_from_slice(data.get(piece.of_data).expect("invariant: pieces are of the data"));
        }
    }

    pub(super) fn set_len(&mut self, len: u64) {
        let blocks = usize::try_from(len.div_ceil(BLOCK_BYTES as u64)).expect("invariant: checked with MAX_FILE_BYTES");
        self.blocks.resize(blocks, None);
        let used = usize::try_from(len % BLOCK_BYTES as u64).expect("invariant: less than a block");
        if len < self.len
            && used > 0
            && let Some(Some(last)) = self.blocks.last_mut()
        {
            Arc::make_mut(last).split_at_mut(used).1.fill(0);
        }
        self.len = len;
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; usize::try_from(self.len).expect("invariant: checked with MAX_FILE_BYTES")];
        self.read(0, &mut all);
        all
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len)
    }
}

/// The part of some data that belongs to one block.
struct Piece {
    block: usize,
    of_block: Range<usize>,
    of_data: Range<usize>,
}

fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == len {
            return None;
        }
        let at = usize::try_from(offset).expect("invariant: checked with MAX_FILE_BYTES") + done;
        let start = at % BLOCK_BYTES;
        let end = (start + len - done).min(BLOCK_BYTES);
        let piece = Piece { block: at / BLOCK_BYTES, of_block: start..end, of_data: done..done + end - start };
        done = piece.of_data.end;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SplitMix64;

    #[test]
    fn bytes_are_those_of_a_vector() {
        let mut row = SplitMix64::new(1);
        let (mut bytes, mut model) = (Bytes::default(), Vec::new());
        for _ in 0..2_000 {
            let at = row.below(20_000);
            if row.chance(1, 5) {
                bytes.set_len(at);
                model.resize(at as usize, 0);
            } else {
                let data: Vec<u8> = (0..row.below(9_000)).map(|n| n as u8 | 1).collect();
                bytes.write(at, &data);
                if !data.is_empty() {
                    model.resize(model.len().max(at as usize + data.len()), 0);
                    model[at as usize..at as usize + data.len()].copy_from_slice(&data);
                }
            }
            assert!(bytes.to_vec() == model);
        }
        assert!(!bytes.read(bytes.len(), &mut [0]) && !bytes.read(u64::MAX, &mut [0]));
    }

    #[test]
    fn a_clone_keeps_what_it_had_and_holes_take_no_room() {
        let mut bytes = Bytes::default();
        bytes.set_len(1 << 30);
        bytes.write(1 << 29, b"in the middle");
        assert_eq!(bytes.allocated(), 4_096);
        let before = bytes.clone();
        bytes.write(1 << 29, b"IN");
        let mut two = [0; 2];
        assert!(before.read(1 << 29, &mut two) && two == *b"in");
        assert_eq!(bytes.fitting(1 << 29, 10_000, 4_096), 8_192);
    }
}
