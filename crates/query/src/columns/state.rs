//! What a query sees: the files of its snapshot, and the tail up to its sequence.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::record_batch::RecordBatchOptions;
use pugmark_registry::Schema;
use pugmark_store::Result;

use super::catalog::ColumnFile;
use super::cell::{Part, Slice};
use super::cube::{Declaration, Declared};
use super::dir::ColumnDir;
use super::error;
use super::flush::Control;
use super::policy::MergePolicy;
use super::schema::EventSchema;

/// Every event of a snapshot, exactly once: in a file or in the tail. It never changes, and its files stay as long as it is kept.
///
/// A snapshot has it as its state: `snapshot.state::<Columns>()`.
#[derive(Debug, Clone)]
pub struct Columns {
    pub(crate) dir: ColumnDir,
    pub(crate) files: Arc<[Arc<ColumnFile>]>,
    pub(crate) tail: Tail,
    pub(crate) schemas: Arc<Schemas>,
    pub(crate) control: Arc<Control>,
    pub(crate) merge: Arc<dyn MergePolicy>,
    pub(crate) declared: Arc<[Declared]>,
}

/// The last [`EventSchema`] asked for.
#[derive(Debug, Default)]
pub(crate) struct Schemas(Mutex<Option<Arc<EventSchema>>>);

impl Columns {
    /// The directory of the files.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The files, in the order of their sequences.
    pub fn files(&self) -> &Arc<[Arc<ColumnFile>]> {
        &self.files
    }

    /// The events that are in no file yet.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    /// The columns for `schema`, which is to be that of the registry of the same snapshot; the same `Arc` as the last time where they are the same.
    pub fn event_schema(&self, schema: &Schema) -> Arc<EventSchema> {
        let mut last = self.schemas.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = last.as_ref().filter(|last| last.version() == schema.version()) {
            return Arc::clone(last);
        }
        let made = EventSchema::of(schema);
        *last = Some(Arc::clone(&made));
        made
    }

    /// What is [declared](Declaration), in the order in which it was.
    pub fn declarations(&self) -> impl ExactSizeIterator<Item = &Declaration> {
        self.declared.iter().map(|declared| &declared.declaration)
    }

    /// Sizes, for people.
    pub fn stats(&self) -> ColumnsStats {
        ColumnsStats {
            files: self.files.len(),
            file_rows: self.files.iter().map(|file| file.rows).sum(),
            file_bytes: self.files.iter().map(|file| file.bytes).sum(),
            tail_rows: self.tail.rows(),
            tail_bytes: self.tail.bytes(),
        }
    }

    /// What was done in the background since the store was opened.
    pub fn background(&self) -> BackgroundWork {
        self.control.done()
    }
}

/// Sizes of a [`Columns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ColumnsStats {
    /// How many files there are.
    pub files: usize,
    /// Events in files.
    pub file_rows: u64,
    /// Bytes of the files on disk.
    pub file_bytes: u64,
    /// Events in memory only.
    pub tail_rows: u64,
    /// Bytes that they take in memory, nearly.
    pub tail_bytes: u64,
}

/// What the threads of a [`Flusher`](super::Flusher) did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackgroundWork {
    /// How often the tail was written to a file.
    pub flushes: u64,
    /// How often files were merged, or cubes of them made.
    pub merges: u64,
}

/// The events of a snapshot that are in no file yet, in order of sequence.
#[derive(Debug, Clone)]
pub struct Tail {
    pub(crate) sealed: Arc<Vec<Part>>,
    pub(crate) open: Option<Part>,
}

impl Tail {
    /// The tail as batches with the columns of `schema`, or with those at the places of `projection`, in that order.
    ///
    /// `schema` is to be made of the registry of the same snapshot. Batches are not larger than some ten thousand rows. Columns that do not change any
    /// more are kept for the next query.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](pugmark_store::ErrorKind::Corrupt) for a place that `schema` does not have.
    pub fn batches(&self, schema: &EventSchema, projection: Option<&[usize]>) -> Result<Vec<RecordBatch>> {
        let every: Vec<usize>;
        let places = match projection {
            Some(places) => places,
            None => {
                every = (0..schema.arrow().fields().len()).collect();
                &every
            }
        };
        let arrow = Arc::new(schema.arrow().project(places).map_err(error::arrow)?);
        let batch = |part: &Part| {
            let Slice { chunk, rows } = part.slice();
            let columns = places.iter().map(|place| Ok(chunk.array(schema, *place)?.slice(rows.start, rows.len())));
            let columns = columns.collect::<Result<Vec<_>>>()?;
            let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
            RecordBatch::try_new_with_options(Arc::clone(&arrow), columns, &options).map_err(error::arrow)
        };
        self.parts().map(batch).collect()
    }

    /// How many events it holds.
    pub fn rows(&self) -> u64 {
        self.parts().map(|part| part.rows.len() as u64).sum()
    }

    /// The bytes that it takes in memory, nearly.
    pub fn bytes(&self) -> u64 {
        self.parts().map(|part| part.bytes as u64).sum()
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.sealed.iter().chain(&self.open)
    }
}
