//! How a store is opened.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, SystemClock};

/// How a [`Store`](crate::Store) is opened. The defaults suit an embedder.
#[derive(Debug, Clone)]
pub struct Options {
    /// A segment of the log is sealed once it has this many bytes.
    pub segment_max_bytes: u64,
    /// Most memory that the index may use as a cache.
    pub index_cache_bytes: usize,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// How far past now an event's timestamp may lie.
    pub future_limit: Duration,
    /// The folds are written to the index after this many records: what a reopen after a crash has to apply again.
    pub checkpoint_every: u64,
    /// Most bytes of entries that wait for the committer; past it, [`Store::submit`](crate::Store::submit) waits.
    pub queue_max_bytes: usize,
    /// Whether a missing or empty directory becomes a new store.
    pub create: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_max_bytes: 256 << 20,
            index_cache_bytes: 64 << 20,
            clock: Arc::new(SystemClock),
            future_limit: Duration::from_secs(24 * 60 * 60),
            checkpoint_every: 1_000_000,
            queue_max_bytes: 64 << 20,
            create: true,
        }
    }
}
