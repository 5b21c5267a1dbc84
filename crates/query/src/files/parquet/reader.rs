//! A Parquet file, read batch by batch.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, new_empty_array};
use datafusion::arrow::json::LineDelimitedWriter;
use datafusion::parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use datafusion::parquet::errors::ParquetError;
use pugmark_store::{ErrorKind, Event};

use super::cells::{Leaf, leaves};
use crate::error::{Error, Result};
use crate::files::csv::{Column, columns};
use crate::files::pipeline::{Parsed, Piece, PieceReader, Place, REJECT_TEXT_MAX_BYTES, Reading};
use crate::files::source::{ByteCount, Source};

/// Most rows read at once; fewer where rows are long.
const BATCH_ROWS: u64 = 8_192;
/// Bytes of rows read at once, unpacked, by the average of the file.
const BATCH_BYTES: u64 = 8 << 20;

/// Reads every column of a file.
pub(in crate::files) struct ParquetReader {
    name: String,
    reader: ParquetRecordBatchReader,
    columns: Arc<[Column]>,
    rows_read: u64,
    rows_total: u64,
    /// The count to keep, and the size of the file, where it is read in place.
    progress: Option<(ByteCount, u64)>,
}

fn parquet_failed(name: &str, error: ParquetError) -> Error {
    let kind = match &error {
        ParquetError::External(cause) if cause.is::<std::io::Error>() => ErrorKind::Io,
        _ => ErrorKind::Invalid,
    };
    Error::new(kind, format!("reading {name} as Parquet: {error}")).caused_by(error)
}

impl ParquetReader {
    /// Opens the file; a source that is packed or cannot be read at any place is first copied to a nameless file in `scratch_dir`.
    pub(in crate::files) fn new(source: Source, reading: &Reading, scratch_dir: &Path) -> Result<Self> {
        let name = source.name().to_owned();
        let progress = source.total_bytes().map(|total| (source.byte_count(), total));
        let file = source.into_file(scratch_dir)?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| parquet_failed(&name, e))?;
        let names: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let columns = columns(&names, reading, &name)?;
        for (field, column) in builder.schema().fields().iter().zip(columns.iter()) {
            let read = leaves(column, &new_empty_array(field.data_type()), &mut Vec::new());
            read.map_err(|error| {
                let message =
                    format!("{name}: column {} of type {} is not read: {error}", field.name(), field.data_type());
                Error::unsupported(message).caused_by(error)
            })?;
        }
        let metadata = builder.metadata();
        let rows_total = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let bytes: u64 =
            metadata.row_groups().iter().map(|group| u64::try_from(group.total_byte_size()).unwrap_or(0)).sum();
        let row_bytes = (bytes / rows_total.max(1)).max(1);
        let batch_rows = (BATCH_BYTES / row_bytes).clamp(1, BATCH_ROWS);
        let builder = builder.with_batch_size(usize::try_from(batch_rows).unwrap_or(1));
        let reader = builder.build().map_err(|e| parquet_failed(&name, e))?;
        Ok(Self { name, reader, columns, rows_read: 0, rows_total, progress })
    }
}

impl PieceReader for ParquetReader {
    type Piece = RowPiece;

    fn next_piece(&mut self) -> Result<Option<RowPiece>> {
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let batch = batch.map_err(|error| {
            let place = format!("{}, after row {}", self.name, self.rows_read);
            Error::invalid(format!("reading {place}: {error}")).caused_by(error)
        })?;
        let piece = RowPiece { columns: Arc::clone(&self.columns), first_row: self.rows_read + 1, batch };
        self.rows_read += piece.batch.num_rows() as u64;
        if let Some((count, total)) = &self.progress {
            let read = u128::from(*total) * u128::from(self.rows_read) / u128::from(self.rows_total.max(1));
            count.set(u64::try_from(read).unwrap_or(*total));
        }
        Ok(Some(piece))
    }
}

/// Some rows.
pub(in crate::files) struct RowPiece {
    columns: Arc<[Column]>,
    first_row: u64,
    batch: RecordBatch,
}

impl RowPiece {
    fn leaves(&self) -> std::result::Result<Vec<Leaf>, String> {
        let mut out = Vec::with_capacity(self.columns.len());
        for (column, array) in self.columns.iter().zip(self.batch.columns()) {
            leaves(column, array, &mut out).map_err(|error| error.to_string())?;
        }
        Ok(out)
    }

    fn row_text(&self, row: usize) -> String {
        let mut out = Vec::new();
        let written = LineDelimitedWriter::new(&mut out).write(&self.batch.slice(row, 1));
        if let Err(error) = written {
            return format!("row {}: {error}", self.first_row + row as u64);
        }
        out.truncate(out.trim_ascii_end().len().min(REJECT_TEXT_MAX_BYTES));
        String::from_utf8_lossy(&out).into_owned()
    }
}

impl Piece for RowPiece {
    fn parse(&self, reading: &Reading) -> Parsed {
        let mut parsed = Parsed::default();
        let rows = self.batch.num_rows();
        parsed.rows.reserve(rows);
        parsed.places.reserve(rows);
        let mut buffer = Vec::new();
        let leaves = self.leaves();
        for row in 0..rows {
            let event = leaves.as_ref().map_err(Clone::clone).and_then(|leaves| {
                let mut event = Event::default();
                event.properties.reserve(leaves.len());
                leaves.iter().try_for_each(|leaf| leaf.read(row, &mut event))?;
                reading.complete(event)
            });
            let place = Place { line: self.first_row + row as u64, start: row, len: 1 };
            parsed.push(event, place, &mut buffer, || self.row_text(row));
        }
        parsed
    }

    fn text(&self, place: Place) -> String {
        self.row_text(place.start)
    }
}
