//! Message ids: which are stored, and with what content.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{ReadTransaction, TableDefinition, TableError, WriteTransaction};

use super::background::Merges;
use super::content::{CONTENT_GONE, content_hash_of_profile_record, content_hash_of_record};
use super::fingerprint::Fingerprint;
use super::layout::RunKind;
use super::list::Order;
use super::manifest::{RunMeta, decode_manifest, encode_manifest};
use super::room::RunLimits;
use super::set::{RECENT_MAX, RunSet, RunStats};
use crate::error::{Error, Result};
use crate::fold::{Committed, copy_table};
use crate::id::Sequence;
use crate::record::{Payload, Record, Tombstone};
use crate::removal::RemovedIds;
use crate::storage::Storage;
use crate::verify::Findings;

const RUNS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("ids.runs");
/// An id is inserted only where it is not stored: no two runs give it different values.
const LOOKED_UP: Order = Order::Largest;
const MANIFEST: &str = "manifest";

/// The message ids of a store: each is stored once, for good.
pub(crate) struct MessageIds {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    set: RunSet,
    /// The manifest last written to the index.
    written: Vec<RunMeta>,
    recent_max: usize,
    limits: RunLimits,
    merges: Merges,
}

impl MessageIds {
    /// None yet; `dir` holds the run files.
    pub(crate) fn new(storage: Arc<dyn Storage>, dir: &Path, limits: RunLimits, merges: Merges) -> Self {
        Self::with_limit(storage, dir, limits, merges, RECENT_MAX)
    }

    pub(super) fn with_limit(
        storage: Arc<dyn Storage>,
        dir: &Path,
        limits: RunLimits,
        merges: Merges,
        recent_max: usize,
    ) -> Self {
        let set = RunSet::new(Arc::clone(&storage), dir, RunKind::Ids, limits, merges.clone()).ordered(LOOKED_UP);
        Self { storage, dir: dir.to_owned(), set, written: Vec::new(), recent_max, limits, merges }
    }

    /// Reads the state of the last checkpoint.
    ///
    /// # Errors
    /// Errors of the index, and `Corrupt` for damaged or missing run files: reset then, and replay.
    pub(crate) fn load(&mut self, txn: &ReadTransaction) -> Result<()> {
        let manifest = match txn.open_table(RUNS) {
            Ok(table) => match table.get(MANIFEST).map_err(|error| Error::index("reading ids.runs", error))? {
                Some(bytes) => decode_manifest(RunKind::Ids, bytes.value())?,
                None => Vec::new(),
            },
            Err(TableError::TableDoesNotExist(_)) => Vec::new(),
            Err(error) => return Err(Error::index("opening ids.runs", error)),
        };
        // Kept also if a file is damaged: none of them goes before a later manifest is durable.
        self.written.clone_from(&manifest);
        let (storage, merges) = (Arc::clone(&self.storage), self.merges.clone());
        let set = RunSet::open(storage, &self.dir, RunKind::Ids, &manifest, self.limits, merges)?;
        self.set = set.ordered(LOOKED_UP);
        Ok(())
    }

    /// Begins a batch: the contents of those `fingerprints` that are stored, in their order, in place of what `stored` held.
    ///
    /// Memory is moved to disk first if it might not hold them too, and only then: [`recent`](Self::recent) knows all that is inserted
    /// until the next batch begins.
    ///
    /// # Errors
    /// `Corrupt` for a damaged file; errors of writing a run.
    pub(crate) fn lookup_many(&mut self, fingerprints: &[Fingerprint], stored: &mut Vec<Option<u64>>) -> Result<()> {
        self.make_room(fingerprints.len())?;
        self.set.lookup_many(fingerprints, stored)
    }

    /// The content of an id that came in with this batch.
    pub(crate) fn recent(&self, fingerprint: Fingerprint) -> Option<u64> {
        self.set.recent(&fingerprint)
    }

    /// Stores one id that is new, with the hash of its content.
    pub(crate) fn insert(&mut self, fingerprint: Fingerprint, content: u64) {
        self.set.insert(fingerprint, content);
    }

    /// Stores the ids of a batch that was read back from the log.
    ///
    /// # Errors
    /// `Corrupt` for a batch that refers to names which it does not have; errors of writing a run.
    pub(crate) fn apply(&mut self, payload: &Payload<'_>) -> Result<()> {
        self.make_room(payload.records.len())?;
        // The sequences do not matter here.
        for (_, fingerprint, content) in ids_of(&Committed { first_sequence: Sequence::FIRST, payload })? {
            self.insert(fingerprint, content);
        }
        Ok(())
    }

    /// Compares the ids of a batch that was read back from the log with what is stored, and says how many there are.
    ///
    /// # Errors
    /// `Corrupt` for a damaged file, and for a batch that refers to names which it does not have.
    pub(crate) fn verify(&self, batch: &Committed<'_>, found: &mut Findings<'_>) -> Result<u64> {
        let ids: Vec<(Sequence, Fingerprint, u64)> = ids_of(batch)?;
        let fingerprints: Vec<Fingerprint> = ids.iter().map(|(_, fingerprint, _)| *fingerprint).collect();
        let mut stored = Vec::new();
        self.set.lookup_many(&fingerprints, &mut stored)?;
        for ((sequence, fingerprint, content), stored) in ids.iter().zip(stored) {
            match stored {
                Some(stored) if stored == *content => {}
                Some(stored) => found.add(format!(
                    "message id {fingerprint:?} of sequence {sequence}: content {stored:#018x} but the log says {content:#018x}"
                )),
                None => found.add(format!("message id {fingerprint:?} of sequence {sequence} is missing")),
            }
        }
        Ok(ids.len() as u64)
    }

    /// How many different ids are stored; reads every file.
    ///
    /// # Errors
    /// `Corrupt` for a damaged file.
    pub(crate) fn count_distinct(&self) -> Result<u64> {
        self.set.count_distinct(|_| true)
    }

    /// Stores ids that outlived their segment: fingerprint and content hash.
    ///
    /// # Errors
    /// Errors of writing a run.
    pub(crate) fn take_over(&mut self, ids: &[([u8; 16], u64)]) -> Result<()> {
        self.make_room(ids.len())?;
        for (fingerprint, content) in ids {
            self.insert(Fingerprint::from_bytes(*fingerprint), *content);
        }
        Ok(())
    }

    fn make_room(&mut self, more: usize) -> Result<()> {
        if self.set.recent_len() + more > self.recent_max {
            self.set.make_room()
        } else if self.set.is_busy() {
            // What is done is taken in. Nothing was added: there is nothing to wait for.
            self.set.tend().map(|_| ())
        } else {
            Ok(())
        }
    }

    /// Writes what is in memory to a run, and the manifest to the index.
    ///
    /// # Errors
    /// Errors of the index and of writing.
    pub(crate) fn checkpoint(&mut self, txn: &WriteTransaction) -> Result<()> {
        self.set.spill()?;
        let manifest = self.set.manifest();
        let mut table = txn.open_table(RUNS).map_err(|error| Error::index("opening ids.runs", error))?;
        table
            .insert(MANIFEST, encode_manifest(&manifest).as_slice())
            .map_err(|error| Error::index("writing ids.runs", error))?;
        self.written = manifest;
        Ok(())
    }

    /// Deletes the files that the checkpoint no longer names; to be called once it is durable.
    ///
    /// # Errors
    /// Errors of the directory.
    pub(crate) fn after_checkpoint(&mut self) -> Result<()> {
        self.set.remove_unlisted(&self.written)
    }

    /// Forgets what is removed, in every file: the contents of events that were erased, whose ids stay taken, and the ids of those that
    /// were retracted. The files before stay until a later checkpoint is durable.
    ///
    /// # Errors
    /// Errors of reading and writing runs.
    pub(crate) fn purge(&mut self, removed: &RemovedIds) -> Result<()> {
        self.set.rewrite(&mut |fingerprint, value| match removed {
            _ if removed.erased.contains(fingerprint) => Some(CONTENT_GONE),
            _ if removed.retracted.contains(fingerprint) => None,
            _ => Some(value),
        })
    }

    /// Copies what the index holds to another one.
    ///
    /// # Errors
    /// Errors of either index.
    pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
        copy_table(from, to, RUNS)
    }

    /// Forgets every id. The files stay until a later checkpoint is durable.
    ///
    /// # Errors
    /// Errors of the index.
    pub(crate) fn reset(&mut self, txn: &WriteTransaction) -> Result<()> {
        txn.delete_table(RUNS).map_err(|error| Error::index("emptying ids.runs", error))?;
        self.set.reset();
        Ok(())
    }

    /// What is held, in numbers.
    pub(crate) fn stats(&self) -> RunStats {
        self.set.stats()
    }
}

/// The ids that a batch stores, each with its sequence and the hash of its content.
fn ids_of(batch: &Committed<'_>) -> Result<Vec<(Sequence, Fingerprint, u64)>> {
    let mut ids = Vec::with_capacity(batch.payload.records.len());
    for (sequence, record) in (batch.first_sequence.number()..).map(Sequence::new).zip(&batch.payload.records) {
        match record {
            Record::Event(event) => {
                let content = content_hash_of_record(event, batch.payload)?;
                ids.push((sequence, Fingerprint::of_message_id(&event.message_id), content));
            }
            Record::Profile(profile) => {
                let content = content_hash_of_profile_record(profile, batch.payload)?;
                ids.push((sequence, Fingerprint::of_message_id(&profile.message_id), content));
            }
            Record::Tombstone(Tombstone { message: Some(message), .. }) => {
                ids.push((sequence, Fingerprint::from_bytes(message.fingerprint), message.content));
            }
            _ => {}
        }
    }
    Ok(ids)
}
