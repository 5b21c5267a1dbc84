//! One run file, open: fences, filter and checksums in memory, entries on disk.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::filter::Filter;
use super::fingerprint::Fingerprint;
use super::layout::{
    BLOCK_BYTES, BLOCK_ENTRIES, ENTRY_BYTES, HeaderDamage, Layout, RUN_HEADER_BYTES, RUN_VERSION, RunHeader, RunKind,
    entry_fingerprint, entry_value,
};
use super::manifest::RunMeta;
use crate::error::{Error, ErrorKind, Result};
use crate::storage::{OpenMode, Storage, StorageFile};

/// What lies behind the entries of a run file.
pub(super) struct Tail {
    /// The prefix of each block's first entry.
    pub(super) fences: Vec<u64>,
    pub(super) filter: Filter,
    /// The checksum of each block.
    pub(super) checksums: Vec<u32>,
    /// That of fences and filter.
    pub(super) checksum: u32,
}

impl Tail {
    /// Takes apart the bytes from the fences to the end of the file, or says at which byte of them what is wrong.
    pub(super) fn decode(header: &RunHeader, bytes: &[u8]) -> std::result::Result<Self, (u64, String)> {
        let at = |part: u64, layout: &Layout| usize::try_from(part - layout.fences).ok();
        let parts = header.layout().and_then(|layout| {
            let (guarded, checksums) = bytes.split_at_checked(at(layout.checksums, &layout)?)?;
            let (fences, filter) = guarded.split_at_checked(at(layout.filter, &layout)?)?;
            Some((layout, guarded, fences, filter, checksums)).filter(|_| at(layout.end, &layout) == Some(bytes.len()))
        });
        let Some((layout, guarded, fences, filter, checksums)) = parts else {
            return Err((0, format!("{} bytes behind the entries, which is not what the header says", bytes.len())));
        };
        let mut checksums: Vec<u32> = checksums.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect();
        let stored = checksums.pop().unwrap_or_default();
        let computed = crc32fast::hash(guarded);
        if computed != stored {
            return Err((0, format!("checksum of fences and filter {computed:#010x} but stored {stored:#010x}")));
        }
        let fences: Vec<u64> = fences.as_chunks().0.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
        if !fences.is_sorted() {
            return Err((0, "fences that do not ascend".to_owned()));
        }
        let filter = Filter::decode(filter).map_err(|what| (layout.filter - layout.fences, what))?;
        Ok(Self { fences, filter, checksums, checksum: stored })
    }
}

/// One open run file.
pub(super) struct Shard {
    pub(super) meta: RunMeta,
    pub(super) place: String,
    file: Arc<dyn StorageFile>,
    tail: Tail,
    blocks_read: AtomicU64,
}

impl Shard {
    /// Opens the file that `meta` names; reads and checks its header, fences and filter.
    ///
    /// # Errors
    /// `Corrupt` if it is missing, or not the file that `meta` describes; `Unsupported` if a newer version wrote it.
    pub(super) fn open(storage: &dyn Storage, dir: &Path, kind: RunKind, meta: RunMeta) -> Result<Self> {
        let name = kind.file_name(meta.number);
        let place = place_of(dir, &name);
        let path = dir.join(&name);
        let file = storage.open(&path, OpenMode::Read).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::corrupt(&place, "missing, but the index names it"),
            _ => Error::io("opening", &path, error),
        })?;
        let length = file.len().map_err(|error| Error::io("reading the length of", &path, error))?;
        if length != meta.bytes {
            return Err(Error::corrupt(&place, format!("{length} bytes but expected {}", meta.bytes)));
        }
        let mut header = [0; RUN_HEADER_BYTES];
        read_at(&*file, &place, &mut header, 0)?;
        let header = RunHeader::decode(&header).map_err(|damage| match damage {
            HeaderDamage::Damaged(what) => Error::corrupt(&place, format!("header at byte 0: {what}")),
            HeaderDamage::Newer(version) => Error::new(
                ErrorKind::Unsupported,
                format!("{place}: version {version}, this program knows up to {RUN_VERSION}"),
            ),
        })?;
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
        read_at(&*file, &place, &mut bytes, layout.fences)?;
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

    pub(super) fn from_parts(meta: RunMeta, place: String, file: Arc<dyn StorageFile>, tail: Tail) -> Self {
        Self { meta, place, file, tail, blocks_read: AtomicU64::new(0) }
    }

    #[inline]
    pub(super) fn may_hold(&self, prefix: u64) -> bool {
        self.tail.filter.may_hold(prefix)
    }

    /// The last block whose first entry does not lie past `prefix`.
    pub(super) fn block_of(&self, prefix: u64) -> Option<usize> {
        self.tail.fences.partition_point(|fence| *fence <= prefix).checked_sub(1)
    }

    /// Looks for `fingerprint` in `block`, which `bytes` holds, and before it where equal prefixes cross its border.
    pub(super) fn find(&self, block: usize, bytes: &[u8], fingerprint: &Fingerprint) -> Result<Option<u64>> {
        if let Some(value) = find_in(bytes, fingerprint) {
            return Ok(Some(value));
        }
        let prefix = fingerprint.prefix();
        let mut earlier = Vec::new();
        let mut block = block;
        while self.tail.fences.get(block) == Some(&prefix) && block > 0 {
            block -= 1;
            self.read_blocks(block..block + 1, &mut earlier)?;
            if let Some(value) = find_in(&earlier, fingerprint) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    pub(super) fn blocks(&self) -> usize {
        self.tail.fences.len()
    }

    /// Reads whole blocks into `bytes`, checked.
    ///
    /// # Errors
    /// `Corrupt` for a block whose checksum differs, or that the file no longer has.
    pub(super) fn read_blocks(&self, blocks: Range<usize>, bytes: &mut Vec<u8>) -> Result<()> {
        let start = blocks.start as u64 * BLOCK_BYTES as u64;
        let end = (blocks.end as u64 * BLOCK_BYTES as u64).min(self.meta.entries * ENTRY_BYTES as u64);
        let offset = RUN_HEADER_BYTES as u64 + start;
        let length = usize::try_from(end.saturating_sub(start)).expect("a few blocks fit in memory: callers");
        bytes.resize(length, 0);
        read_at(&*self.file, &self.place, bytes, offset)?;
        self.blocks_read.fetch_add(blocks.len() as u64, Ordering::Relaxed);
        let stored = self.tail.checksums.iter().skip(blocks.start);
        for (place, (block, stored)) in bytes.chunks(BLOCK_BYTES).zip(stored).enumerate() {
            let computed = crc32fast::hash(block);
            if computed != *stored {
                let at = offset + place as u64 * BLOCK_BYTES as u64;
                return Err(Error::corrupt(
                    &self.place,
                    format!("block at byte {at}: checksum {computed:#010x} but stored {stored:#010x}"),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn blocks_read(&self) -> u64 {
        self.blocks_read.load(Ordering::Relaxed)
    }

    /// Bytes of memory that the open file takes.
    pub(super) fn resident_bytes(&self) -> usize {
        self.tail.filter.bytes() + self.tail.fences.len() * 8 + self.tail.checksums.len() * 4 + size_of::<Self>()
    }
}

/// `<directory>/<file>`: how errors name a run file.
pub(super) fn place_of(dir: &Path, name: &str) -> String {
    match dir.file_name() {
        Some(dir) => format!("{}/{name}", dir.display()),
        None => name.to_owned(),
    }
}

fn read_at(file: &dyn StorageFile, place: &str, bytes: &mut [u8], offset: u64) -> Result<()> {
    let length = bytes.len();
    file.read_exact_at(bytes, offset).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            Error::corrupt(place, format!("byte {offset}: the file ends before the {length} bytes expected there"))
        }
        _ => Error::with_source(ErrorKind::Io, format!("reading {place} at byte {offset}: {error}"), error),
    })
}

fn find_in(bytes: &[u8], fingerprint: &Fingerprint) -> Option<u64> {
    let entries: &[[u8; ENTRY_BYTES]] = bytes.as_chunks().0;
    debug_assert!(entries.len() <= BLOCK_ENTRIES, "one block at a time");
    let place = entries.binary_search_by(|entry| entry_fingerprint(entry).cmp(fingerprint)).ok()?;
    entries.get(place).map(entry_value)
}
