//! How a store is opened, and how entries are appended.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};
use crate::entropy::{Entropy, SystemEntropy};
use crate::id::ImportId;
use crate::storage::{Disk, Storage};

/// How a [`Store`](crate::Store) is opened. The defaults suit an embedder.
#[derive(Debug, Clone)]
pub struct Options {
    /// A segment of the log is sealed once it has this many bytes.
    pub segment_max_bytes: u64,
    /// Most memory that the index may use as a cache.
    pub index_cache_bytes: usize,
    /// Most memory that the filters of message ids may take, and as much those of distinct ids: 2.2 bytes for each id, and again as much for runs that are being merged. Past it the filters of the largest
    /// runs stay on disk, and whether an id is new is asked of a block of each such run, on disk or in the memory of the system.
    pub filters_max_bytes: usize,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where random ids come from.
    pub entropy: Arc<dyn Entropy>,
    /// Where the files are.
    pub storage: Arc<dyn Storage>,
    /// How far past now an event's timestamp may lie.
    pub future_limit: Duration,
    /// The folds are written to the index after this many records: what a reopen after a crash has to apply again.
    pub checkpoint_every: u64,
    /// Most bytes of entries that wait for the committer; past it, [`WhenFull`] says what becomes of an append.
    pub queue_max_bytes: usize,
    /// What was appended with [`Durability::Buffered`] is synced after this time at the latest.
    pub buffered_sync_after: Duration,
    /// Whether threads of the store work beside the commits: runs of ids are merged, and sealed segments compressed. Off, a commit waits for a merge that
    /// is due, segments wait for [`Store::maintain`](crate::Store::maintain), and everything happens in the same order whenever the same is done.
    pub background: bool,
    /// Whether a missing or empty directory becomes a new store.
    pub create: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_max_bytes: 256 << 20,
            index_cache_bytes: 64 << 20,
            filters_max_bytes: 512 << 20,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            storage: Arc::new(Disk),
            future_limit: Duration::from_secs(24 * 60 * 60),
            checkpoint_every: 1_000_000,
            queue_max_bytes: 64 << 20,
            buffered_sync_after: Duration::from_millis(200),
            background: true,
            create: true,
        }
    }
}

/// How entries are appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AppendOptions {
    /// What an acknowledgement promises.
    pub durability: Durability,
    /// What becomes of an append that finds the queue full.
    pub when_full: WhenFull,
    /// Marks the entries as brought by one import.
    pub import: Option<ImportId>,
}

/// What has happened to entries when their append is acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// They are on disk: they survive a crash of the process, of the system and a loss of power.
    #[default]
    Sync,
    /// The operating system has them: they survive a crash of the process, and not a crash of the system or a loss of power before the next
    /// sync. That comes with the next append that asks for [`Sync`](Self::Sync), and within [`Options::buffered_sync_after`] in any case. What is lost then is a
    /// tail: no later entry survives an earlier one.
    Buffered,
}

/// What becomes of an append while more waits than [`Options::queue_max_bytes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// It waits for room.
    #[default]
    Wait,
    /// It is refused with [`ErrorKind::Busy`](crate::ErrorKind::Busy), and nothing of it is stored.
    Refuse,
}
