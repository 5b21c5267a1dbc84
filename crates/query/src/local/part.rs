//! The parts of a snapshot: columnar files and pieces of the tail, each sorted and with a rollup.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use datafusion::arrow::datatypes::DataType;
use pugmark_store::Result;

use super::cache::{ColumnCache, Kept};
use super::column::{Column, Footer};
use super::sorted::Sorted;
use crate::columns::{Chunk, ColumnFile, EventSchema, Rollup, read_rollup};
use crate::engine::QuerySnapshot;

/// What the local road reads from: a snapshot, and what is kept of its files.
#[derive(Debug, Clone)]
pub(crate) struct Local {
    pub(crate) snapshot: QuerySnapshot,
    pub(crate) schema: Arc<EventSchema>,
    cache: Arc<ColumnCache>,
    pub(crate) read: Arc<Read>,
}

/// What has been read so far.
#[derive(Debug, Default)]
pub(crate) struct Read {
    /// Bytes of files; what was kept in memory is not among them.
    pub(crate) bytes: AtomicU64,
    pub(crate) rows: AtomicUsize,
    pub(crate) rollup_cells: AtomicUsize,
    /// Files with columns that were read, and their row groups.
    pub(crate) files: AtomicUsize,
    pub(crate) groups: AtomicUsize,
    /// Pieces of the tail with rows that were read.
    pub(crate) tails: AtomicUsize,
}

impl Local {
    pub(crate) fn new(snapshot: QuerySnapshot, cache: Arc<ColumnCache>) -> Self {
        let schema = snapshot.columns.event_schema(snapshot.registry.schema());
        Self { snapshot, schema, cache, read: Arc::default() }
    }

    /// The parts, in the order of their sequences.
    pub(crate) fn parts(&self) -> Result<Parts> {
        let columns = &self.snapshot.columns;
        let mut parts = Vec::with_capacity(columns.files().len());
        for file in columns.files().iter() {
            parts.push(Arc::new(self.file(file)?));
        }
        for part in columns.tail().parts() {
            let slice = part.slice();
            if let Some(sorted) = slice.chunk.sorted(&slice) {
                parts.push(Arc::new(Part {
                    rollup: Arc::clone(&sorted.rollup),
                    sequences: sorted.sequences,
                    times: sorted.times,
                    source: Source::Tail(slice.chunk, sorted),
                }));
            }
        }
        Ok(parts)
    }

    fn file(&self, file: &Arc<ColumnFile>) -> Result<Part> {
        let rollup = self.cache.get(&file.rollup, Kept::Rollup, || {
            self.read.bytes.fetch_add(file.rollup.bytes, Ordering::Relaxed);
            let rollup = read_rollup(&file.rollup)?;
            let bytes = rollup.bytes();
            Ok::<_, pugmark_store::Error>((rollup, bytes))
        })?;
        Ok(Part {
            rollup,
            sequences: (file.first_sequence.number(), file.last_sequence.number()),
            times: (file.min_timestamp.as_microsecond(), file.max_timestamp.as_microsecond()),
            source: Source::File(Arc::clone(file)),
        })
    }

    fn footer(&self, file: &ColumnFile) -> Result<Arc<Footer>> {
        self.cache.get(&file.data, Kept::Footer, || Footer::read(file))
    }

    /// The rows of each piece of `part`: row groups of a file, or all.
    pub(crate) fn groups(&self, part: &Part) -> Result<Vec<Range<usize>>> {
        Ok(match &part.source {
            Source::File(file) => self.footer(file)?.groups.clone(),
            Source::Tail(_, sorted) => vec![sorted.rows()],
        })
    }

    /// A column of a piece of `part`, by its place in the schema.
    pub(crate) fn column(&self, part: &Part, group: usize, place: usize) -> Result<Column> {
        match &part.source {
            Source::Tail(chunk, sorted) => sorted.column(chunk, &self.schema, place),
            Source::File(file) => {
                let footer = self.footer(file)?;
                let field = self.schema.arrow().field(place);
                let Some(own) = footer.place(field.name()) else { return Ok(Column::Null) };
                let column = self.cache.get(&file.data, Kept::Column(group, own), || {
                    self.read.bytes.fetch_add(footer.column_bytes(group, own), Ordering::Relaxed);
                    footer.read_column(file, group, own, field.data_type())
                })?;
                // It was kept before its type widened.
                match column.as_ref() {
                    Column::Array(array) if array.data_type() != field.data_type() => {
                        let array = datafusion::arrow::compute::cast(array, field.data_type());
                        Ok(Column::Array(array.map_err(crate::columns::arrow_error)?))
                    }
                    other => Ok(other.clone()),
                }
            }
        }
    }

    /// The type of a column, by its place in the schema.
    pub(crate) fn kind(&self, place: usize) -> &DataType {
        self.schema.arrow().field(place).data_type()
    }

    /// Whether every event of `part` is in answers.
    pub(crate) fn shows_all(&self, part: &Part) -> bool {
        let hidden = &self.snapshot.hidden;
        let expired = hidden.expired_before().is_some_and(|before| part.times.0 < before.as_microsecond());
        !hidden.hides_events() && !expired && part.sequences.1 <= self.snapshot.sequence.number()
    }
}

/// The parts of a snapshot, in the order of their sequences.
pub(crate) type Parts = Vec<Arc<Part>>;

/// A columnar file or a piece of the tail.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) rollup: Arc<Rollup>,
    /// The first and the last.
    pub(crate) sequences: (u64, u64),
    /// The earliest and the latest timestamp.
    pub(crate) times: (i64, i64),
    source: Source,
}

#[derive(Debug)]
enum Source {
    File(Arc<ColumnFile>),
    Tail(Arc<Chunk>, Arc<Sorted>),
}

impl Part {
    pub(crate) fn is_file(&self) -> bool {
        matches!(self.source, Source::File(_))
    }
}
