//! One run: a sorted sequence of entries in one file, or in several that follow each other.

use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::layout::{BLOCK_BYTES, ENTRY_BYTES, entry_fingerprint, entry_value};
use super::manifest::RunMeta;
use super::shard::Shard;
use crate::error::Result;

/// Blocks that a sequential reader takes at a time.
const STREAM_BLOCKS: usize = 128;
/// Wanted blocks at most so far apart are read together: the bytes between them cost less than another call.
const CLOSE_BLOCKS: u64 = 3;
/// Most blocks of one such read.
const READ_BLOCKS: u64 = 64;

/// A sorted, immutable sequence of entries.
pub(crate) struct Run {
    shards: Vec<Arc<Shard>>,
    /// For each first byte of a prefix, the first shard that can hold it.
    starts: Box<[u32; 256]>,
}

impl Run {
    /// The run of these files, at least one, which ascend by [`RunMeta::from`].
    pub(super) fn new(shards: Vec<Arc<Shard>>) -> Self {
        let mut starts = Box::new([0; 256]);
        for (byte, start) in (0_u64..).zip(starts.iter_mut()) {
            let place = shards.partition_point(|shard| shard.meta.from <= byte << 56).saturating_sub(1);
            *start = u32::try_from(place).expect("a run has fewer than 2^32 files");
        }
        Self { shards, starts }
    }

    fn first(&self) -> &RunMeta {
        &self.shards.first().expect("a run has a file: whoever makes one").meta
    }

    /// What [`RunMeta::run`] says of its files.
    pub(super) fn id(&self) -> u64 {
        self.first().run
    }

    pub(super) fn level(&self) -> u8 {
        self.first().level
    }

    pub(super) fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// The same to read it whole, which asks no filter: whoever has it keeps none in memory.
    pub(super) fn without_filters(&self) -> Arc<Self> {
        Arc::new(Self::new(self.shards.iter().map(|shard| Arc::new(shard.without_filter())).collect()))
    }

    /// Whether all its filters are in memory.
    pub(super) fn is_filtered(&self) -> bool {
        self.shards.iter().all(|shard| shard.filter_bytes() > 0)
    }

    pub(super) fn entries(&self) -> u64 {
        self.shards.iter().map(|shard| shard.meta.entries).sum()
    }

    #[inline]
    fn shard_of(&self, prefix: u64) -> usize {
        let mut place = self.starts[(prefix >> 56) as usize] as usize;
        while self.shards.get(place + 1).is_some_and(|next| next.meta.from <= prefix) {
            place += 1;
        }
        place
    }

    #[inline]
    pub(super) fn may_hold(&self, prefix: u64) -> bool {
        self.shards.get(self.shard_of(prefix)).is_some_and(|shard| shard.may_hold(prefix))
    }

    /// Looks up one that [may be here](Self::may_hold).
    pub(super) fn find(&self, fingerprint: &Fingerprint) -> Result<Option<u64>> {
        let prefix = fingerprint.prefix();
        let Some(shard) = self.shards.get(self.shard_of(prefix)) else { return Ok(None) };
        let Some(block) = shard.block_of(prefix) else { return Ok(None) };
        let mut bytes = [0; BLOCK_BYTES];
        shard.look_at(block..block + 1, &mut bytes)?;
        shard.find(block, shard.entries(block, &bytes)?, fingerprint)
    }

    /// Looks up those of `all` at `places`, which may be here, and puts what it finds at the same places of `out`; each
    /// block is read once, and blocks that lie close together are read together.
    pub(super) fn find_many(&self, all: &[Fingerprint], places: &[u32], out: &mut [Option<u64>]) -> Result<()> {
        // Shard and block as one number: it sorts quickly.
        let mut wanted: Vec<(u64, u32)> = places
            .iter()
            .filter_map(|place| {
                let prefix = all.get(*place as usize)?.prefix();
                let shard = self.shard_of(prefix);
                let block = self.shards.get(shard)?.block_of(prefix)?;
                Some(((shard as u64) << 32 | block as u64, *place))
            })
            .collect();
        wanted.sort_unstable();
        let mut bytes = Vec::new();
        let mut rest = wanted.as_slice();
        while let Some((first, _)) = rest.first() {
            let close = rest.windows(2).take_while(|pair| match pair {
                [a, b] => b.0 - a.0 <= CLOSE_BLOCKS && b.0 - first < READ_BLOCKS && b.0 >> 32 == first >> 32,
                _ => false,
            });
            let (span, left) = rest.split_at(close.count() + 1);
            rest = left;
            self.find_span(span, &mut bytes, all, out)?;
        }
        Ok(())
    }

    /// Looks up what is wanted of blocks of one file, ascending, with one read.
    fn find_span(
        &self,
        wanted: &[(u64, u32)],
        bytes: &mut Vec<u8>,
        all: &[Fingerprint],
        out: &mut [Option<u64>],
    ) -> Result<()> {
        let (Some((first, _)), Some((last, _))) = (wanted.first(), wanted.last()) else { return Ok(()) };
        let Some(shard) = self.shards.get((first >> 32) as usize) else { return Ok(()) };
        let start = (first & u64::from(u32::MAX)) as usize;
        let count = (last - first) as usize + 1;
        bytes.resize(count * BLOCK_BYTES, 0);
        shard.look_at(start..start + count, bytes)?;
        let blocks = bytes.as_chunks::<BLOCK_BYTES>().0;
        for group in wanted.chunk_by(|a, b| a.0 == b.0) {
            let Some((at, _)) = group.first() else { continue };
            let at = (at - first) as usize;
            let Some(block) = blocks.get(at) else { continue };
            let entries = shard.entries(start + at, block)?;
            for (_, place) in group {
                let place = *place as usize;
                if let (Some(fingerprint), Some(slot)) = (all.get(place), out.get_mut(place)) {
                    *slot = shard.find(start + at, entries, fingerprint)?;
                }
            }
        }
        Ok(())
    }
}

/// Reads a run from its first entry to its last.
pub(super) struct RunStream<'a> {
    shards: std::slice::Iter<'a, Arc<Shard>>,
    shard: Option<&'a Arc<Shard>>,
    next_block: usize,
    bytes: Vec<u8>,
    /// Those of the blocks read last, checked.
    entries: Vec<[u8; ENTRY_BYTES]>,
    at: usize,
}

impl<'a> RunStream<'a> {
    pub(super) fn new(run: &'a Run) -> Self {
        Self { shards: run.shards.iter(), shard: None, next_block: 0, bytes: Vec::new(), entries: Vec::new(), at: 0 }
    }

    /// The next entry; `None` after the last.
    ///
    /// # Errors
    /// `Corrupt` for a damaged block.
    pub(super) fn next(&mut self) -> Result<Option<(Fingerprint, u64)>> {
        loop {
            if let Some(entry) = self.entries.get(self.at) {
                self.at += 1;
                return Ok(Some((entry_fingerprint(entry), entry_value(entry))));
            }
            match self.shard.filter(|shard| self.next_block < shard.blocks()) {
                Some(shard) => {
                    let end = shard.blocks().min(self.next_block + STREAM_BLOCKS);
                    self.bytes.resize((end - self.next_block) * BLOCK_BYTES, 0);
                    shard.read_blocks(self.next_block..end, &mut self.bytes)?;
                    self.entries.clear();
                    for (place, block) in (self.next_block..).zip(self.bytes.as_chunks().0) {
                        self.entries.extend_from_slice(shard.entries(place, block)?);
                    }
                    (self.next_block, self.at) = (end, 0);
                }
                None => match self.shards.next() {
                    Some(shard) => (self.shard, self.next_block) = (Some(shard), 0),
                    None => return Ok(None),
                },
            }
        }
    }
}
