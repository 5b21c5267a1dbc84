//! A file: what is read of it, and what of that is durable.

use std::sync::Arc;

use super::bytes::Bytes;
use super::survival::{Loss, surviving_bytes};
use crate::entropy::SplitMix64;

/// A change of a file's bytes.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Write { offset: u64, data: Arc<[u8]> },
    SetLen(u64),
}

impl Change {
    pub(super) fn apply(&self, bytes: &mut Bytes) {
        match self {
            Self::Write { offset, data } => bytes.write(*offset, data),
            Self::SetLen(len) => bytes.set_len(*len),
        }
    }

    /// The length of a file of `len` bytes after it.
    pub(super) fn len_after(&self, len: u64) -> u64 {
        match self {
            Self::Write { data, .. } if data.is_empty() => len,
            Self::Write { offset, data } => len.max(offset + data.len() as u64),
            Self::SetLen(len) => *len,
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct FileState {
    pub(super) live: Bytes,
    pub(super) durable: Bytes,
    /// What the next sync makes durable. What a failed one dropped is in `live` alone, for good.
    pending: Vec<Change>,
}

impl FileState {
    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        for change in self.pending.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// The kernel takes what was to be written for written. With a seed some of it did reach the disk.
    pub(super) fn sync_failed(&mut self, reached: Option<u64>) {
        if let Some(seed) = reached {
            let mut row = SplitMix64::new(seed);
            self.durable = surviving_bytes(&self.durable, &self.pending, Loss::Random, &mut row);
        }
        self.pending.clear();
    }

    /// The file that is found after the machine stopped.
    pub(super) fn after(&self, loss: Loss, row: &mut SplitMix64) -> Self {
        let found = surviving_bytes(&self.durable, &self.pending, loss, row);
        Self { live: found.clone(), durable: found, pending: Vec::new() }
    }
}
