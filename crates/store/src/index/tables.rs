//! The store's own tables in the index; a fold's tables begin with its name.

use std::path::Path;
use std::sync::Arc;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::backend::Backend;
use super::segments::SEGMENTS;
use crate::error::{Error, Result};
use crate::fold::copy_table;
use crate::id::Sequence;
use crate::log::LogPosition;
use crate::storage::{OpenMode, Storage};

const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("store.meta");
/// Fold name → (version of its state, watermark).
const FOLDS: TableDefinition<'_, &str, (u32, u64)> = TableDefinition::new("store.folds");
/// Sequence → (first sequence of its segment, offset of the frame that begins with it).
const POSITIONS: TableDefinition<'_, u64, (u64, u64)> = TableDefinition::new("store.positions");

const STORE_ID: &str = "store_id";

/// What the index says of a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FoldEntry {
    pub(crate) version: u32,
    pub(crate) watermark: Sequence,
}

/// The index file.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    pub(crate) db: Arc<Database>,
}

impl Index {
    /// Opens the index, or makes an empty one where it is missing or damaged: everything in it can be derived again.
    pub(crate) fn open(storage: &dyn Storage, path: &Path, cache_bytes: usize) -> Result<Self> {
        let open = |mode| {
            let file = storage.open(path, mode).map_err(|e| Error::io("opening", path, e))?;
            Ok(redb::Builder::new().set_cache_size(cache_bytes).create_with_backend(Backend::new(file)))
        };
        let db = match open(OpenMode::WriteOrCreate)? {
            Ok(db) => db,
            Err(e) if is_damage(&e) => open(OpenMode::Truncate)?.map_err(|e| Error::index("creating", e))?,
            Err(e) => return Err(Error::index("opening", e)),
        };
        Ok(Self { db: Arc::new(db) })
    }

    /// An empty index in a file of its own.
    pub(crate) fn create(storage: &dyn Storage, path: &Path, cache_bytes: usize) -> Result<Self> {
        let file = storage.open(path, OpenMode::Truncate).map_err(|e| Error::io("creating", path, e))?;
        let db = redb::Builder::new().set_cache_size(cache_bytes).create_with_backend(Backend::new(file));
        Ok(Self { db: Arc::new(db.map_err(|e| Error::index("creating", e))?) })
    }

    pub(crate) fn begin_read(&self) -> Result<redb::ReadTransaction> {
        self.db.begin_read().map_err(|e| Error::index("reading", e))
    }

    /// A transaction that is durable once committed, and after which a crash needs no walk of the whole file.
    pub(crate) fn begin_write(&self) -> Result<WriteTransaction> {
        let mut txn = self.db.begin_write().map_err(|e| Error::index("writing", e))?;
        // It commits in two phases too: with one, a process started again after a failed sync would build on pages that are on no disk.
        txn.set_quick_repair(true);
        Ok(txn)
    }

    /// The store that the index belongs to; `None` for a new index.
    pub(crate) fn store_id(&self) -> Result<Option<[u8; 16]>> {
        let txn = self.begin_read()?;
        let Some(table) = existing(txn.open_table(META))? else { return Ok(None) };
        let id = table.get(STORE_ID).map_err(|e| Error::index("reading", e))?;
        Ok(id.and_then(|id| id.value().try_into().ok()))
    }

    pub(crate) fn fold(&self, name: &str) -> Result<Option<FoldEntry>> {
        let txn = self.begin_read()?;
        let Some(table) = existing(txn.open_table(FOLDS))? else { return Ok(None) };
        let entry = table.get(name).map_err(|e| Error::index("reading", e))?;
        Ok(entry.map(|entry| {
            let (version, watermark) = entry.value();
            FoldEntry { version, watermark: Sequence::new(watermark) }
        }))
    }

    /// The last sequence that the index has seen: the log was synced through it when the index was written.
    pub(crate) fn durable_through(&self) -> Result<Sequence> {
        let txn = self.begin_read()?;
        let mut last = 0;
        if let Some(table) = existing(txn.open_table(FOLDS))? {
            for entry in table.iter().map_err(|e| Error::index("reading", e))? {
                let (_, entry) = entry.map_err(|e| Error::index("reading", e))?;
                last = last.max(entry.value().1);
            }
        }
        Ok(Sequence::new(last))
    }

    /// The last place noted at or before `sequence`.
    pub(crate) fn position(&self, sequence: Sequence) -> Result<Option<(Sequence, LogPosition)>> {
        let txn = self.begin_read()?;
        let Some(table) = existing(txn.open_table(POSITIONS))? else { return Ok(None) };
        let mut range = table.range(..=sequence.number()).map_err(|e| Error::index("reading", e))?;
        let Some(entry) = range.next_back() else { return Ok(None) };
        let (key, value) = entry.map_err(|e| Error::index("reading", e))?;
        let (segment, offset) = value.value();
        Ok(Some((Sequence::new(key.value()), LogPosition { segment: Sequence::new(segment), offset })))
    }

    /// Every place noted, ascending.
    pub(crate) fn positions(&self) -> Result<Vec<(Sequence, LogPosition)>> {
        let txn = self.begin_read()?;
        let Some(table) = existing(txn.open_table(POSITIONS))? else { return Ok(Vec::new()) };
        let mut positions = Vec::new();
        for row in table.iter().map_err(|e| Error::index("reading", e))? {
            let (key, value) = row.map_err(|e| Error::index("reading", e))?;
            let (segment, offset) = value.value();
            positions.push((Sequence::new(key.value()), LogPosition { segment: Sequence::new(segment), offset }));
        }
        Ok(positions)
    }

    /// Forgets every place.
    pub(crate) fn forget_all_positions(txn: &WriteTransaction) -> Result<()> {
        txn.delete_table(POSITIONS).map_err(|e| Error::index("writing", e))?;
        Ok(())
    }

    pub(crate) fn set_store_id(txn: &WriteTransaction, id: [u8; 16]) -> Result<()> {
        let mut table = txn.open_table(META).map_err(|e| Error::index("writing", e))?;
        table.insert(STORE_ID, id.as_slice()).map_err(|e| Error::index("writing", e))?;
        Ok(())
    }

    pub(crate) fn set_fold(txn: &WriteTransaction, name: &str, entry: FoldEntry) -> Result<()> {
        let mut table = txn.open_table(FOLDS).map_err(|e| Error::index("writing", e))?;
        table.insert(name, (entry.version, entry.watermark.number())).map_err(|e| Error::index("writing", e))?;
        Ok(())
    }

    /// Whatever the index said of a fold counts no longer: all of the log is to be applied to it.
    pub(crate) fn forget_fold(txn: &WriteTransaction, name: &str) -> Result<()> {
        let mut table = txn.open_table(FOLDS).map_err(|e| Error::index("writing", e))?;
        table.remove(name).map_err(|e| Error::index("writing", e))?;
        Ok(())
    }

    pub(crate) fn note_positions(txn: &WriteTransaction, positions: &[(Sequence, LogPosition)]) -> Result<()> {
        let mut table = txn.open_table(POSITIONS).map_err(|e| Error::index("writing", e))?;
        for (sequence, position) in positions {
            table
                .insert(sequence.number(), (position.segment.number(), position.offset))
                .map_err(|e| Error::index("writing", e))?;
        }
        Ok(())
    }

    /// Forgets the places noted in the segment of the sequences from `segment` through `last`. Whether there were any.
    pub(crate) fn forget_positions(txn: &WriteTransaction, segment: Sequence, last: Sequence) -> Result<bool> {
        let mut table = txn.open_table(POSITIONS).map_err(|e| Error::index("writing", e))?;
        let mut noted = table
            .extract_from_if(segment.number()..=last.number(), |_, (of, _)| of == segment.number())
            .map_err(|e| Error::index("writing", e))?;
        noted.try_fold(false, |_, entry| entry.map(|_| true)).map_err(|e| Error::index("writing", e))
    }

    /// Copies the store's own tables to another index.
    pub(crate) fn copy(from: &redb::ReadTransaction, to: &WriteTransaction) -> Result<()> {
        copy_table(from, to, META)?;
        copy_table(from, to, FOLDS)?;
        copy_table(from, to, POSITIONS)?;
        copy_table(from, to, SEGMENTS)
    }

    pub(crate) fn commit(txn: WriteTransaction) -> Result<()> {
        txn.commit().map_err(|e| Error::index("committing", e))
    }
}

/// `None` for a table that was never written.
pub(super) fn existing<T>(table: std::result::Result<T, TableError>) -> Result<Option<T>> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(Error::index("reading", e)),
    }
}

/// Whether the file is no whole database: redb says so as corruption, or as invalid data where not even the header can be read.
fn is_damage(error: &redb::DatabaseError) -> bool {
    match error {
        redb::DatabaseError::Storage(redb::StorageError::Corrupted(_)) => true,
        redb::DatabaseError::Storage(redb::StorageError::Io(e)) => {
            matches!(e.kind(), std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}
