//! What bounds the files of a set, and the memory that they take.

use super::shard::Shard;

/// Most entries of one file: what bounds the memory that building its filter takes.
const SHARD_MAX_ENTRIES: u64 = 4_000_000;
/// Most files that a set has open: far fewer than a process may have. Files are read to find duplicates, and what has no filter in memory.
const FILES_OPEN: usize = 64;

/// What bounds the files of a set.
#[derive(Clone, Copy)]
pub(crate) struct RunLimits {
    /// Most entries of one.
    pub(crate) file_entries: u64,
    /// Most that are open.
    pub(crate) files_open: usize,
    /// Most bytes of filters in memory; as many more for each merge, as long as it runs.
    pub(crate) filter_bytes: usize,
}

impl Default for RunLimits {
    fn default() -> Self {
        Self { file_entries: SHARD_MAX_ENTRIES, files_open: FILES_OPEN, filter_bytes: usize::MAX }
    }
}

impl RunLimits {
    /// The usual ones, with at most so many bytes of filters.
    pub(crate) fn with_filter_bytes(filter_bytes: usize) -> Self {
        Self { filter_bytes, ..Self::default() }
    }
}

/// Room for filters in memory, which files take one after the other.
pub(super) struct FilterRoom(usize);

impl FilterRoom {
    pub(super) fn new(limits: RunLimits) -> Self {
        Self(limits.filter_bytes)
    }

    /// Whether the filter of this file has room, which it takes then.
    pub(super) fn take(&mut self, shard: &Shard) -> bool {
        let left = self.0.checked_sub(shard.filter_bytes());
        self.0 = left.unwrap_or(self.0);
        left.is_some()
    }
}
