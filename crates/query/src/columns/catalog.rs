//! The columnar files and what is known about each without opening it.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::parquet::file::metadata::ParquetMetaDataReader;
use pugmark_store::redb::{self, ReadableTable, TableDefinition};
use pugmark_store::{Result, Sequence, SubjectId, Timestamp, copy_table};
use serde::{Deserialize, Serialize};

use super::cube::{Declaration, Declared};
use super::dir::{ColumnDir, Kind};
use super::error;
use super::guard::{Guarded, Stored};
use super::policy::FileSize;

/// Key: file id. Value: [`Entry`] as JSON.
const FILES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("columns.files");
/// Key: file id. Value: the checksum of each block of the file, u32 each.
const CHECKSUMS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("columns.checksums");
/// Key: file id, or that of a cube. Value: the checksum of each block of the file's rollup, or of the cube, u32 each.
const ROLLUP_CHECKSUMS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("columns.rollup_checksums");
/// Key: number of a declaration. Value: its name, and itself as JSON.
const DECLARED: TableDefinition<'_, u64, (&str, &str)> = TableDefinition::new("columns.declared");
/// Key: [`FLUSHED_THROUGH`], [`NEXT_FILE`] or [`SETTINGS_THROUGH`].
const STATE: TableDefinition<'_, &str, u64> = TableDefinition::new("columns.state");
const FLUSHED_THROUGH: &str = "flushed_through";
const NEXT_FILE: &str = "next_file";
const SETTINGS_THROUGH: &str = "settings_through";

/// A file with more event names than this is not pruned by them.
pub(crate) const EVENT_NAMES_MAX: usize = 256;

/// Names one columnar file, for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u64);

impl FileId {
    /// Wraps a number.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u64 {
        self.0
    }

    /// The file's name: twenty digits and `.parquet`.
    pub(crate) fn file_name(self) -> String {
        format!("{:020}.parquet", self.0)
    }
}

impl std::fmt::Display for FileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// An immutable columnar file, and what a query needs to know to leave it unread.
///
/// It and its rollup stay on disk as long as the catalog names them or a snapshot holds this value.
#[derive(Debug)]
pub struct ColumnFile {
    /// Its id.
    pub id: FileId,
    /// Where it is.
    pub path: PathBuf,
    /// How many events it holds; at least one.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// What the values of its events take in memory, in bytes.
    pub decoded_bytes: u64,
    /// The lowest sequence in it.
    pub first_sequence: Sequence,
    /// The highest sequence in it.
    pub last_sequence: Sequence,
    /// The lowest subject in it.
    pub first_subject: SubjectId,
    /// The highest subject in it.
    pub last_subject: SubjectId,
    /// The earliest timestamp in it.
    pub min_timestamp: Timestamp,
    /// The latest timestamp in it.
    pub max_timestamp: Timestamp,
    /// The event names in it, ascending; `None` when there are too many to list.
    pub events: Option<Vec<String>>,
    /// The bytes of the events.
    pub(crate) data: Arc<Stored>,
    /// Counts and subjects of its events by day.
    pub(crate) rollup: Arc<Stored>,
    /// The same cut as declared, as far as that has been made, ascending by the number of the declaration.
    pub(crate) cubes: Vec<StoredCube>,
}

/// The cube that a columnar file has for a declaration.
#[derive(Debug, Clone)]
pub(crate) struct StoredCube {
    /// The number of the declaration.
    pub(crate) declared: u64,
    /// Its id among all files, and where it is; none for a file with too many values.
    pub(crate) stored: Option<(FileId, Arc<Stored>)>,
}

/// A [`StoredCube`] as the index holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CubeEntry {
    pub(crate) declared: u64,
    /// Id and size.
    pub(crate) file: Option<(u64, u64)>,
}

/// A [`ColumnFile`] as the index holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) decoded_bytes: u64,
    pub(crate) rollup_bytes: u64,
    pub(crate) first_sequence: u64,
    pub(crate) last_sequence: u64,
    pub(crate) first_subject: u32,
    pub(crate) last_subject: u32,
    pub(crate) min_timestamp: i64,
    pub(crate) max_timestamp: i64,
    pub(crate) events: Option<Vec<String>>,
    pub(crate) cubes: Vec<CubeEntry>,
}

impl ColumnFile {
    pub(crate) fn new(dir: &ColumnDir, id: FileId, entry: Entry, checksums: Checksums) -> Self {
        let stored = |kind: Kind, id: FileId, bytes: u64, checksums: Vec<u32>| {
            Arc::new(Stored::new(dir.storage(), dir.of(kind).join(id.file_name()), bytes, checksums))
        };
        let data = stored(Kind::Columns, id, entry.bytes, checksums.data);
        let cubes = entry.cubes.iter().zip(checksums.cubes.into_iter().chain(std::iter::repeat(Vec::new())));
        let cubes = cubes.map(|(cube, checksums)| StoredCube {
            declared: cube.declared,
            stored: cube.file.map(|(id, bytes)| {
                let id = FileId::new(id);
                (id, stored(Kind::Rollups, id, bytes, checksums))
            }),
        });
        Self {
            id,
            path: data.path.clone(),
            rows: entry.rows,
            bytes: entry.bytes,
            decoded_bytes: entry.decoded_bytes,
            first_sequence: Sequence::new(entry.first_sequence),
            last_sequence: Sequence::new(entry.last_sequence),
            first_subject: SubjectId::new(entry.first_subject),
            last_subject: SubjectId::new(entry.last_subject),
            min_timestamp: Timestamp::from_microsecond(entry.min_timestamp),
            max_timestamp: Timestamp::from_microsecond(entry.max_timestamp),
            events: entry.events,
            data,
            rollup: stored(Kind::Rollups, id, entry.rollup_bytes, checksums.rollup),
            cubes: cubes.collect(),
        }
    }

    /// The same file with these cubes.
    pub(crate) fn with_cubes(&self, mut cubes: Vec<StoredCube>) -> Self {
        cubes.sort_by_key(|cube| cube.declared);
        Self {
            id: self.id,
            path: self.path.clone(),
            rows: self.rows,
            bytes: self.bytes,
            decoded_bytes: self.decoded_bytes,
            first_sequence: self.first_sequence,
            last_sequence: self.last_sequence,
            first_subject: self.first_subject,
            last_subject: self.last_subject,
            min_timestamp: self.min_timestamp,
            max_timestamp: self.max_timestamp,
            events: self.events.clone(),
            data: Arc::clone(&self.data),
            rollup: Arc::clone(&self.rollup),
            cubes,
        }
    }

    /// Its size, as policies see it.
    pub(crate) fn size(&self) -> FileSize {
        FileSize { rows: self.rows, decoded_bytes: self.decoded_bytes }
    }

    /// Its cube for a declaration, as far as that has been made.
    pub(crate) fn cube(&self, declared: u64) -> Option<&StoredCube> {
        self.cubes.iter().find(|cube| cube.declared == declared)
    }

    /// What is on disk of it.
    pub(crate) fn all_stored(&self) -> impl Iterator<Item = &Arc<Stored>> {
        [&self.data, &self.rollup]
            .into_iter()
            .chain(self.cubes.iter().filter_map(|cube| Some(&cube.stored.as_ref()?.1)))
    }

    /// Whether events called `name` may be in it.
    pub fn may_hold_event(&self, name: &str) -> bool {
        self.events.as_ref().is_none_or(|events| events.binary_search_by(|event| event.as_str().cmp(name)).is_ok())
    }

    /// Whether the catalog says the same of both.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.id == other.id
            && self.all_stored().map(|stored| &stored.checksums).eq(other.all_stored().map(|stored| &stored.checksums))
            && self.entry() == other.entry()
    }

    pub(crate) fn entry(&self) -> Entry {
        Entry {
            rows: self.rows,
            bytes: self.bytes,
            decoded_bytes: self.decoded_bytes,
            rollup_bytes: self.rollup.bytes,
            first_sequence: self.first_sequence.number(),
            last_sequence: self.last_sequence.number(),
            first_subject: self.first_subject.number(),
            last_subject: self.last_subject.number(),
            min_timestamp: self.min_timestamp.as_microsecond(),
            max_timestamp: self.max_timestamp.as_microsecond(),
            events: self.events.clone(),
            cubes: self.cubes.iter().map(StoredCube::entry).collect(),
        }
    }

    /// The catalog names it no more: it goes with the last snapshot that holds it.
    pub(crate) fn drop_with_last_reader(&self) {
        self.all_stored().for_each(|stored| stored.drop_with_last_reader());
    }

    /// Fails unless the file is there, is as long as it was, and has the footer that it was written with.
    fn check(self: &Arc<Self>) -> Result<()> {
        for stored in self.all_stored().skip(1) {
            Guarded::open(Arc::clone(stored))?.check_length()?;
        }
        let guarded = Guarded::open(Arc::clone(&self.data))?;
        guarded.check_length()?;
        let footer = ParquetMetaDataReader::new().parse_and_finish(&guarded);
        let rows = footer.map_err(|e| error::reading(&self.path, e))?.file_metadata().num_rows();
        if u64::try_from(rows) != Ok(self.rows) {
            return Err(error::corrupt(self.path.display(), format_args!("{rows} rows, expected {}", self.rows)));
        }
        Ok(())
    }
}

impl StoredCube {
    /// Its id among all files.
    pub(crate) fn id(&self) -> Option<FileId> {
        self.stored.as_ref().map(|(id, _)| *id)
    }

    fn entry(&self) -> CubeEntry {
        let file = self.stored.as_ref().map(|(id, stored)| (id.number(), stored.bytes));
        CubeEntry { declared: self.declared, file }
    }
}

/// The checksums of the blocks of a columnar file, of its rollup and of its cubes.
#[derive(Debug, Default)]
pub(crate) struct Checksums {
    pub(crate) data: Vec<u32>,
    pub(crate) rollup: Vec<u32>,
    pub(crate) cubes: Vec<Vec<u32>>,
}

/// What has changed since the index was written.
pub(crate) struct Change<'a> {
    pub(crate) added: &'a [&'a ColumnFile],
    pub(crate) removed: &'a [FileId],
    pub(crate) removed_cubes: &'a [FileId],
    pub(crate) flushed_through: Sequence,
    pub(crate) next_file: u64,
    pub(crate) settings_through: u64,
    /// All declarations, where they are others.
    pub(crate) declared: Option<&'a [Declared]>,
}

/// What the index holds of the columns.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    pub(crate) files: Vec<Arc<ColumnFile>>,
    pub(crate) flushed_through: u64,
    pub(crate) next_file: u64,
    pub(crate) declared: Vec<Declared>,
    pub(crate) settings_through: u64,
}

impl Catalog {
    /// Reads the catalog, and makes sure that its files are there.
    pub(crate) fn load(txn: &redb::ReadTransaction, dir: &ColumnDir) -> Result<Self> {
        let mut catalog = Self::default();
        if let Some(table) = open(txn, FILES)? {
            let sums = [open(txn, CHECKSUMS)?, open(txn, ROLLUP_CHECKSUMS)?];
            for row in table.iter().map_err(|e| error::index("reading columns.files", e))? {
                let (id, entry) = row.map_err(|e| error::index("reading columns.files", e))?;
                let entry: Entry = serde_json::from_slice(entry.value())
                    .map_err(|e| error::corrupt(format_args!("index.redb: columns.files: file {}", id.value()), e))?;
                let checksums_of = |table: &Option<redb::ReadOnlyTable<u64, &[u8]>>, id: u64| -> Result<Vec<u32>> {
                    let Some(table) = table else { return Ok(Vec::new()) };
                    let row = table.get(id).map_err(|e| error::index("reading columns.checksums", e))?;
                    Ok(row.map_or_else(Vec::new, |bytes| decode_checksums(bytes.value())))
                };
                let of_cube = |cube: &CubeEntry| match cube.file {
                    Some((id, _)) => checksums_of(&sums[1], id),
                    None => Ok(Vec::new()),
                };
                let checksums = Checksums {
                    data: checksums_of(&sums[0], id.value())?,
                    rollup: checksums_of(&sums[1], id.value())?,
                    cubes: entry.cubes.iter().map(of_cube).collect::<Result<_>>()?,
                };
                let file = Arc::new(ColumnFile::new(dir, FileId::new(id.value()), entry, checksums));
                file.check()?;
                catalog.files.push(file);
            }
        }
        catalog.files.sort_by_key(|file| file.first_sequence);
        if let Some(table) = open(txn, STATE)? {
            let number = |key: &str| -> Result<u64> {
                Ok(table
                    .get(key)
                    .map_err(|e| error::index("reading columns.state", e))?
                    .map_or(0, |value| value.value()))
            };
            catalog.flushed_through = number(FLUSHED_THROUGH)?;
            catalog.next_file = number(NEXT_FILE)?;
            catalog.settings_through = number(SETTINGS_THROUGH)?;
        }
        if let Some(table) = open(txn, DECLARED)? {
            for row in table.iter().map_err(|e| error::index("reading columns.declared", e))? {
                let (number, value) = row.map_err(|e| error::index("reading columns.declared", e))?;
                let (number, (name, value)) = (number.value(), value.value());
                let corrupt = |what: &dyn std::fmt::Display| {
                    error::corrupt(format_args!("index.redb: columns.declared: row {number}"), what)
                };
                let value = serde_json::from_str(value).map_err(|e| corrupt(&e))?;
                let declaration = Declaration::from_value(name, &value).map_err(|e| corrupt(&e))?;
                catalog.declared.push(Declared { number, declaration });
            }
        }
        Ok(catalog)
    }

    /// Adds the files `added` to the catalog in the index, and takes `removed` out of it, and what is left over of their cubes.
    pub(crate) fn save(txn: &redb::WriteTransaction, change: &Change<'_>) -> Result<()> {
        let Change { added, removed, flushed_through, next_file, settings_through, declared, .. } = *change;
        let mut table = txn.open_table(FILES).map_err(|e| error::index("opening columns.files", e))?;
        for file in added {
            let entry = serde_json::to_vec(&file.entry()).map_err(|e| error::corrupt(file.path.display(), e))?;
            table.insert(file.id.number(), entry.as_slice()).map_err(|e| error::index("writing columns.files", e))?;
        }
        for id in removed {
            table.remove(id.number()).map_err(|e| error::index("writing columns.files", e))?;
        }
        for (definition, kind) in [(CHECKSUMS, Kind::Columns), (ROLLUP_CHECKSUMS, Kind::Rollups)] {
            let mut table = txn.open_table(definition).map_err(|e| error::index("opening columns.checksums", e))?;
            for file in added {
                let stored: Vec<(FileId, &Arc<Stored>)> = match kind {
                    Kind::Columns => vec![(file.id, &file.data)],
                    Kind::Rollups => {
                        let cubes = file.cubes.iter().filter_map(|cube| cube.stored.as_ref());
                        [(file.id, &file.rollup)].into_iter().chain(cubes.map(|(id, stored)| (*id, stored))).collect()
                    }
                };
                for (id, stored) in stored {
                    let bytes: Vec<u8> = stored.checksums.iter().flat_map(|checksum| checksum.to_le_bytes()).collect();
                    let written = table.insert(id.number(), bytes.as_slice());
                    written.map_err(|e| error::index("writing columns.checksums", e))?;
                }
            }
            for id in removed.iter().chain(change.removed_cubes) {
                table.remove(id.number()).map_err(|e| error::index("writing columns.checksums", e))?;
            }
        }
        if let Some(declared) = declared {
            let failed = |e: redb::StorageError| error::index("writing columns.declared", e);
            let mut table = txn.open_table(DECLARED).map_err(|e| error::index("opening columns.declared", e))?;
            table.retain(|_, _| false).map_err(failed)?;
            for Declared { number, declaration } in declared {
                let value =
                    serde_json::to_string(declaration).map_err(|e| error::corrupt("a declaration to be written", e))?;
                table.insert(number, (declaration.name.as_str(), value.as_str())).map_err(failed)?;
            }
        }
        let mut table = txn.open_table(STATE).map_err(|e| error::index("opening columns.state", e))?;
        let numbers =
            [(FLUSHED_THROUGH, flushed_through.number()), (NEXT_FILE, next_file), (SETTINGS_THROUGH, settings_through)];
        for (key, value) in numbers {
            table.insert(key, value).map_err(|e| error::index("writing columns.state", e))?;
        }
        Ok(())
    }

    /// Copies the catalog to another index.
    pub(crate) fn copy(from: &redb::ReadTransaction, to: &redb::WriteTransaction) -> Result<()> {
        copy_table(from, to, FILES)?;
        copy_table(from, to, CHECKSUMS)?;
        copy_table(from, to, ROLLUP_CHECKSUMS)?;
        copy_table(from, to, DECLARED)?;
        copy_table(from, to, STATE)
    }

    /// Removes the catalog from the index.
    pub(crate) fn clear(txn: &redb::WriteTransaction) -> Result<()> {
        txn.delete_table(FILES).map_err(|e| error::index("deleting columns.files", e))?;
        txn.delete_table(CHECKSUMS).map_err(|e| error::index("deleting columns.checksums", e))?;
        let deleted = txn.delete_table(ROLLUP_CHECKSUMS);
        deleted.map_err(|e| error::index("deleting columns.rollup_checksums", e))?;
        txn.delete_table(DECLARED).map_err(|e| error::index("deleting columns.declared", e))?;
        txn.delete_table(STATE).map_err(|e| error::index("deleting columns.state", e))?;
        Ok(())
    }
}

/// Bytes left over are of no block: the last one then has no checksum, which reading it says.
fn decode_checksums(bytes: &[u8]) -> Vec<u32> {
    bytes.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)).collect()
}

fn open<K: redb::Key + 'static, V: redb::Value + 'static>(
    txn: &redb::ReadTransaction,
    table: TableDefinition<'_, K, V>,
) -> Result<Option<redb::ReadOnlyTable<K, V>>> {
    match txn.open_table(table) {
        Ok(table) => Ok(Some(table)),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(error::index("opening a table of the columns", e)),
    }
}

/// Reads any bytes as the row of a file and its checksums, for the fuzzer; what is read is written as something that reads the same.
pub(crate) fn fuzz_entry(bytes: &[u8]) {
    assert_eq!(decode_checksums(bytes).len(), bytes.len() / 4);
    let Ok(entry) = serde_json::from_slice::<Entry>(bytes) else { return };
    let dir = ColumnDir::new(Arc::new(pugmark_store::SimulatedStorage::new()), &PathBuf::new());
    let file = ColumnFile::new(&dir, FileId::new(1), entry.clone(), Checksums::default());
    let written = serde_json::to_vec(&file.entry()).expect("a row can be written");
    assert_eq!(serde_json::from_slice::<Entry>(&written).ok(), Some(entry));
    let _may_hold = file.may_hold_event("e");
}
