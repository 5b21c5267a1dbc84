//! One run file: fences in memory, the filter too where there is room for it, entries on disk.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::files::RunFile;
use super::filter::Filter;
use super::fingerprint::Fingerprint;
use super::layout::{
    BLOCK_BYTES, BLOCK_ENTRIES, BLOCKS_AT, ENTRY_BYTES, HeaderDamage, Layout, RUN_HEADER_BYTES, RUN_VERSION, RunHeader,
    entry_fingerprint, entry_value, open_block,
};
use super::manifest::RunMeta;
use super::writer::RunDir;
use crate::error::{Error, ErrorKind, Result};

/// Fences on either side of where an even spread would put one that are looked at first.
const FENCE_WINDOW: usize = 64;

/// What lies behind the blocks of a run file.
pub(super) struct Tail {
    /// The fence of each block's first entry.
    pub(super) fences: Arc<[u32]>,
    pub(super) filter: Filter,
    /// The checksum of both.
    pub(super) checksum: u32,
}

/// What the fences keep of a prefix.
pub(super) fn fence_of(prefix: u64) -> u32 {
    (prefix >> 32) as u32
}

impl Tail {
    /// Takes apart the bytes from the fences to the end of the file, or says at which byte of them what is wrong.
    pub(super) fn decode(header: &RunHeader, bytes: &[u8]) -> std::result::Result<Self, (u64, String)> {
        let at = |part: u64, layout: &Layout| usize::try_from(part - layout.fences).ok();
        let parts = header.layout().and_then(|layout| {
            let (guarded, checksum) = bytes.split_at_checked(at(layout.checksum, &layout)?)?;
            let (fences, filter) = guarded.split_at_checked(at(layout.filter, &layout)?)?;
            Some((layout, guarded, fences, filter, u32::from_le_bytes(checksum.try_into().ok()?)))
        });
        let Some((layout, guarded, fences, filter, stored)) = parts else {
            return Err((0, format!("{} bytes behind the blocks, which is not what the header says", bytes.len())));
        };
        let computed = crc32fast::hash(guarded);
        if computed != stored {
            return Err((0, format!("checksum of fences and filter {computed:#010x} but stored {stored:#010x}")));
        }
        let fences: Arc<[u32]> = fences.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        if !fences.is_sorted() {
            return Err((0, "fences that do not ascend".to_owned()));
        }
        let filter = Filter::decode(filter).map_err(|what| (layout.filter - layout.fences, what))?;
        Ok(Self { fences, filter, checksum: stored })
    }
}

/// One run file.
pub(super) struct Shard {
    pub(super) meta: RunMeta,
    pub(super) place: String,
    file: Arc<RunFile>,
    tail: Tail,
    blocks_read: Arc<AtomicU64>,
}

impl Shard {
    /// Opens the file that `meta` names; reads and checks its header, fences and filter.
    ///
    /// # Errors
    /// `Corrupt` if it is missing, not the file that `meta` describes, or of an older version; `Unsupported` if a newer version wrote it.
    pub(super) fn open(dir: &RunDir, meta: RunMeta) -> Result<Self> {
        let (kind, name) = (dir.kind, dir.kind.file_name(meta.number));
        let place = place_of(&dir.path, &name);
        let path = dir.path.join(&name);
        let file = dir.files.file(path.clone());
        let length = file.open().and_then(|open| open.len()).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::corrupt(&place, "missing, but the index names it"),
            _ => Error::io("opening", &path, error),
        })?;
        if length != meta.bytes {
            return Err(Error::corrupt(&place, format!("{length} bytes but expected {}", meta.bytes)));
        }
        let mut header = [0; RUN_HEADER_BYTES];
        read_at(&file, &place, &mut header, 0)?;
        let header = RunHeader::decode(&header).map_err(|damage| match damage {
            HeaderDamage::Damaged(what) => Error::corrupt(&place, format!("header at byte 0: {what}")),
            // Derived: a file that is not read is as good as a damaged one, and is made again from the log.
            HeaderDamage::Older(version) => {
                Error::corrupt(&place, format!("header at byte 0: version {version} but expected {RUN_VERSION}"))
            }
            HeaderDamage::Newer(version) => Error::new(
                ErrorKind::Unsupported,
                format!("{place}: version {version}, this program knows up to {RUN_VERSION}"),
            ),
        })?;
        let mut rest = [0; BLOCKS_AT as usize - RUN_HEADER_BYTES];
        read_at(&file, &place, &mut rest, RUN_HEADER_BYTES as u64)?;
        if let Some(at) = rest.iter().position(|byte| *byte != 0) {
            let (at, byte) = (RUN_HEADER_BYTES + at, rest[at]);
            return Err(Error::corrupt(&place, format!("byte {at}: {byte} but expected 0 before the first block")));
        }
        if header.kind != kind {
            let (found, expected) = (header.kind.as_str(), kind.as_str());
            return Err(Error::corrupt(&place, format!("header at byte 0: kind {found} but expected {expected}")));
        }
        if header.entries != meta.entries {
            return Err(Error::corrupt(
                &place,
                format!("header at byte 0: {} entries but expected {}", header.entries, meta.entries),
            ));
        }
        // The length of the file bounds what is allocated for the parts.
        let layout = header.layout().filter(|layout| layout.end == length);
        let tail_bytes = layout.and_then(|layout| Some((layout, usize::try_from(length - layout.fences).ok()?)));
        let Some((layout, tail_bytes)) = tail_bytes else {
            return Err(Error::corrupt(&place, format!("{length} bytes, which is not what the header says")));
        };
        let mut bytes = vec![0; tail_bytes];
        read_at(&file, &place, &mut bytes, layout.fences)?;
        let tail = Tail::decode(&header, &bytes)
            .map_err(|(at, what)| Error::corrupt(&place, format!("byte {}: {what}", layout.fences + at)))?;
        if tail.checksum != meta.checksum {
            return Err(Error::corrupt(
                &place,
                format!(
                    "byte {}: checksum {:#010x} but the index says {:#010x}",
                    layout.fences, tail.checksum, meta.checksum
                ),
            ));
        }
        Ok(Self::from_parts(meta, place, file, tail))
    }

    pub(super) fn from_parts(meta: RunMeta, place: String, file: Arc<RunFile>, tail: Tail) -> Self {
        Self { meta, place, file, tail, blocks_read: Arc::default() }
    }

    /// The same, with its filter on disk only: a lookup of anything that may lie in it reads a block.
    pub(super) fn without_filter(&self) -> Self {
        let tail = Tail { fences: Arc::clone(&self.tail.fences), filter: Filter::none(), checksum: self.tail.checksum };
        let (place, file, blocks_read) = (self.place.clone(), Arc::clone(&self.file), Arc::clone(&self.blocks_read));
        Self { meta: self.meta, place, file, tail, blocks_read }
    }

    /// Bytes of memory of the filter; 0 if that is on disk only.
    pub(super) fn filter_bytes(&self) -> usize {
        self.tail.filter.bytes()
    }

    /// Whether it can be read also when the name of its file is gone, from now on: not where the file cannot be opened.
    pub(super) fn outlives_name(&self) -> bool {
        self.file.outlive_name().is_ok()
    }

    #[inline]
    pub(super) fn may_hold(&self, prefix: u64) -> bool {
        self.tail.filter.may_hold(prefix)
    }

    /// The last block whose first entry may not lie past `prefix`.
    pub(super) fn block_of(&self, prefix: u64) -> Option<usize> {
        last_at_most(&self.tail.fences, fence_of(prefix))
    }

    /// Looks for `fingerprint` in `block`, whose entries are given, and before it where equal fences leave open which block it is.
    pub(super) fn find(
        &self,
        block: usize,
        entries: &[[u8; ENTRY_BYTES]],
        fingerprint: &Fingerprint,
    ) -> Result<Option<u64>> {
        if let Some(value) = find_in(entries, fingerprint) {
            return Ok(Some(value));
        }
        let fence = fence_of(fingerprint.prefix());
        let mut block = block;
        let mut bytes = [0; BLOCK_BYTES];
        while self.tail.fences.get(block) == Some(&fence) && block > 0 {
            block -= 1;
            self.look_at(block..block + 1, &mut bytes)?;
            if let Some(value) = find_in(self.entries(block, &bytes)?, fingerprint) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    pub(super) fn blocks(&self) -> usize {
        self.tail.fences.len()
    }

    /// Reads whole blocks into `bytes`, which has as many bytes; [`entries`](Self::entries) checks each.
    ///
    /// # Errors
    /// `Corrupt` for blocks that the file no longer has.
    pub(super) fn read_blocks(&self, blocks: Range<usize>, bytes: &mut [u8]) -> Result<()> {
        debug_assert_eq!(blocks.len() * BLOCK_BYTES, bytes.len(), "room for the blocks asked for");
        let offset = block_at(blocks.start);
        read_at(&self.file, &self.place, bytes, offset)
    }

    /// The entries of a block that was read, checked.
    ///
    /// # Errors
    /// `Corrupt` for bytes that are not this block.
    pub(super) fn entries<'b>(&self, block: usize, bytes: &'b [u8; BLOCK_BYTES]) -> Result<&'b [[u8; ENTRY_BYTES]]> {
        let before = block as u64 * BLOCK_ENTRIES as u64;
        let count = usize::try_from(self.meta.entries.saturating_sub(before)).unwrap_or(BLOCK_ENTRIES);
        open_block(bytes, self.meta.number, block, count)
            .map_err(|what| Error::corrupt(&self.place, format!("block at byte {}: {what}", block_at(block))))
    }

    /// Reads blocks for a lookup, and counts them.
    ///
    /// # Errors
    /// As [`read_blocks`](Self::read_blocks).
    pub(super) fn look_at(&self, blocks: Range<usize>, bytes: &mut [u8]) -> Result<()> {
        self.blocks_read.fetch_add(blocks.len() as u64, Ordering::Relaxed);
        self.read_blocks(blocks, bytes)
    }

    pub(super) fn blocks_read(&self) -> u64 {
        self.blocks_read.load(Ordering::Relaxed)
    }

    /// Bytes of memory that it takes.
    pub(super) fn resident_bytes(&self) -> usize {
        self.filter_bytes() + self.tail.fences.len() * 4 + size_of::<Self>()
    }
}

fn block_at(block: usize) -> u64 {
    BLOCKS_AT + block as u64 * BLOCK_BYTES as u64
}

/// The last place of ascending `fences` that holds at most `fence`. Fences of hashes are evenly spread: it is close to where a line
/// from the first to the last would have it.
fn last_at_most(fences: &[u32], fence: u32) -> Option<usize> {
    let (first, last) = (*fences.first()?, *fences.last()?);
    if fence < first {
        return None;
    }
    if fence >= last {
        return Some(fences.len() - 1);
    }
    let guess = u64::from(fence - first) * (fences.len() as u64 - 1) / u64::from(last - first);
    let guess = usize::try_from(guess).expect("a place in fences that are in memory");
    let from = guess.saturating_sub(FENCE_WINDOW);
    let to = fences.len().min(guess + FENCE_WINDOW);
    let past = |window: &[u32]| window.partition_point(|other| *other <= fence);
    match fences.get(from..to) {
        Some(window)
            if window.first().is_some_and(|first| *first <= fence)
                && fences.get(to).is_none_or(|next| *next > fence) =>
        {
            (from + past(window)).checked_sub(1)
        }
        _ => past(fences).checked_sub(1),
    }
}

/// `<directory>/<file>`: how errors name a run file.
pub(super) fn place_of(dir: &Path, name: &str) -> String {
    match dir.file_name() {
        Some(dir) => format!("{}/{name}", dir.display()),
        None => name.to_owned(),
    }
}

fn read_at(file: &Arc<RunFile>, place: &str, bytes: &mut [u8], offset: u64) -> Result<()> {
    let length = bytes.len();
    let read = file.open().and_then(|open| open.read_exact_at(bytes, offset));
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::corrupt(place, "missing, but it belongs to the runs of the store"),
        io::ErrorKind::UnexpectedEof => {
            Error::corrupt(place, format!("byte {offset}: the file ends before the {length} bytes expected there"))
        }
        _ => Error::with_source(ErrorKind::Io, format!("reading {place} at byte {offset}: {error}"), error),
    })
}

fn find_in(entries: &[[u8; ENTRY_BYTES]], fingerprint: &Fingerprint) -> Option<u64> {
    let place = entries.binary_search_by(|entry| entry_fingerprint(entry).cmp(fingerprint)).ok()?;
    entries.get(place).map(entry_value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_fence_is_found_however_they_are_spread(
            mut fences in proptest::collection::vec(prop_oneof![any::<u32>(), 0_u32..300, Just(u32::MAX)], 0..700),
            asked in any::<u32>(),
        ) {
            fences.sort_unstable();
            let around = fences.iter().flat_map(|fence| [fence.saturating_sub(1), *fence, fence.saturating_add(1)]);
            for fence in around.chain([asked, 0, u32::MAX]) {
                let expected = fences.iter().rposition(|other| *other <= fence);
                prop_assert_eq!(last_at_most(&fences, fence), expected, "fence {}", fence);
            }
        }
    }
}
