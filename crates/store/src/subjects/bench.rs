//! Ways in for the benches, which drive the directory alone; no part of the interface.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase};

use super::{SubjectLimits, Subjects};
use crate::error::{Error, Result};
use crate::runs::{Fingerprint, MergeThread, RunLimits};
use crate::storage::Disk;

/// The subjects of a store without the rest of it.
pub struct People {
    subjects: Subjects,
    db: Arc<Database>,
    _merges: MergeThread,
}

impl People {
    /// Those in `dir`, which exists.
    ///
    /// # Errors
    /// Errors of the index, and `Corrupt` for damaged runs.
    pub fn open(dir: &Path) -> Result<Self> {
        let db = Database::create(dir.join("index.redb")).map_err(|error| Error::index("creating", error))?;
        let (db, thread) = (Arc::new(db), MergeThread::start()?);
        let limits = SubjectLimits::new(RunLimits::default());
        let subjects = Subjects::new(Arc::new(Disk), &dir.join("runs"), Arc::clone(&db), limits, thread.merges());
        subjects.load(&db.begin_read().map_err(|error| Error::index("reading", error))?)?;
        Ok(Self { subjects, db, _merges: thread })
    }

    /// Looks a batch up and numbers those that are new, as an append does; how many they are.
    ///
    /// # Errors
    /// As those of an append.
    pub fn append(&self, ids: &[&str]) -> Result<usize> {
        let fingerprints: Vec<Fingerprint> = ids.iter().map(|id| Fingerprint::of(id)).collect();
        let known = self.subjects.begin_batch(&fingerprints)?;
        let mut new = 0;
        for ((id, fingerprint), _) in ids.iter().zip(fingerprints).zip(known).filter(|(_, known)| known.is_none()) {
            new += usize::from(self.subjects.allocate(fingerprint, id)?.1);
        }
        Ok(new)
    }

    /// Writes everything to disk and to the index.
    ///
    /// # Errors
    /// As those of a checkpoint.
    pub fn checkpoint(&self) -> Result<()> {
        let txn = self.db.begin_write().map_err(|error| Error::index("writing", error))?;
        self.subjects.checkpoint(&txn)?;
        txn.commit().map_err(|error| Error::index("committing", error))?;
        self.subjects.after_checkpoint()
    }

    /// The directory itself.
    pub fn subjects(&self) -> &Subjects {
        &self.subjects
    }
}
