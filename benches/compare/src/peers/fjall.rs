//! fjall: a keyspace by message id, an atomic batch that is synced as it commits.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::measure::Peer;
use crate::work::{Batch, Row};

pub struct Fjall {
    database: Database,
    events: Keyspace,
    /// Between the look for an id and its insertion nobody else may insert it.
    checking: Mutex<()>,
}

impl Fjall {
    pub fn open(dir: &Path) -> Result<Self> {
        let database = Database::builder(dir.join("events")).open()?;
        let events = database.keyspace("events", KeyspaceCreateOptions::default)?;
        Ok(Self { database, events, checking: Mutex::default() })
    }
}

impl Peer for Fjall {
    type Prepared = Vec<Row>;

    fn prepare(&self, batch: &Batch) -> Self::Prepared {
        batch.rows.clone()
    }

    fn append(&self, rows: Self::Prepared) -> Result<usize> {
        let mut batch = self.database.batch();
        let checking = self.checking.lock().unwrap_or_else(PoisonError::into_inner);
        for row in &rows {
            if !self.events.contains_key(&row.id)? {
                batch.insert(&self.events, row.id.as_str(), row.json.as_str());
            }
        }
        let stored = batch.len();
        if stored > 0 {
            batch.commit()?;
        }
        drop(checking);
        // What is stored is durable already: a batch of duplicates needs no sync. `SyncData` is the `fdatasync` that the others do.
        if stored > 0 {
            self.database.persist(PersistMode::SyncData)?;
        }
        Ok(stored)
    }
}
