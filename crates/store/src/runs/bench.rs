//! Ways in for the benches, which drive one part alone; no part of the interface.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase};

use super::background::MergeThread;
use super::fingerprint::Fingerprint;
use super::ids::MessageIds;
use super::room::RunLimits;
use super::set::RunStats;
use crate::error::{Error, Result};
use crate::storage::Disk;

/// The message ids of a store without the rest of it.
pub struct Ids {
    _merges: Option<MergeThread>,
    ids: MessageIds,
    db: Database,
    fingerprints: Vec<Fingerprint>,
    stored: Vec<Option<u64>>,
}

impl Ids {
    /// Those in `dir`, which exists, with at most so many bytes of filters in memory. Runs are merged `beside` what else goes on, or inline.
    ///
    /// # Errors
    /// Errors of the index, and `Corrupt` for damaged runs.
    pub fn open(dir: &Path, filter_bytes: usize, beside: bool) -> Result<Self> {
        let thread = beside.then(MergeThread::start).transpose()?;
        let merges = thread.as_ref().map(MergeThread::merges).unwrap_or_default();
        let limits = RunLimits::with_filter_bytes(filter_bytes);
        let db = Database::create(dir.join("index.redb")).map_err(|error| Error::index("creating", error))?;
        let mut ids = MessageIds::new(Arc::new(Disk), &dir.join("runs"), limits, merges);
        ids.load(&db.begin_read().map_err(|error| Error::index("reading", error))?)?;
        Ok(Self { _merges: thread, ids, db, fingerprints: Vec::new(), stored: Vec::new() })
    }

    /// How many of `ids` are stored.
    ///
    /// # Errors
    /// As those of an append.
    pub fn known(&mut self, ids: &[&str]) -> Result<usize> {
        self.fingerprints.clear();
        self.fingerprints.extend(ids.iter().map(|id| Fingerprint::of(id)));
        self.ids.lookup_many(&self.fingerprints, &mut self.stored)?;
        Ok(self.stored.iter().flatten().count())
    }

    /// Looks a batch up and stores those that are new, as an append does; how many they are.
    ///
    /// # Errors
    /// As those of an append.
    pub fn append(&mut self, ids: &[&str]) -> Result<usize> {
        self.known(ids)?;
        let mut new = 0;
        for (fingerprint, stored) in self.fingerprints.iter().zip(&self.stored) {
            if stored.is_none() && self.ids.recent(*fingerprint).is_none() {
                self.ids.insert(*fingerprint, fingerprint.prefix());
                new += 1;
            }
        }
        Ok(new)
    }

    /// Writes everything to disk and to the index.
    ///
    /// # Errors
    /// As those of a checkpoint.
    pub fn checkpoint(&mut self) -> Result<()> {
        let txn = self.db.begin_write().map_err(|error| Error::index("writing", error))?;
        self.ids.checkpoint(&txn)?;
        txn.commit().map_err(|error| Error::index("committing", error))?;
        self.ids.after_checkpoint()
    }

    /// What is held, in numbers.
    pub fn stats(&self) -> RunStats {
        self.ids.stats()
    }
}
