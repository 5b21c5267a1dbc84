//! Compares columnar files with the log: every byte with its checksum, every value with the event that it is of.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::interleave;
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pugmark_registry::{Registry, RegistryFold, RegistryOptions};
use pugmark_store::{Committed, Findings, Fold, Record, Result, Sequence, Verifier};

use super::build::Slots;
use super::catalog::ColumnFile;
use super::cell::{Cell, Slice};
use super::contents::Contents;
use super::cube::{CubeRows, Declared, build_cube, column_names, read_cube};
use super::error;
use super::guard::{Guarded, Stored};
use super::order::Order;
use super::rollup::read_rollup;
use super::schema::{EventSchema, system};

/// Rows of a chunk, as in the tail.
const CHUNK_ROWS: usize = 65_536;
/// Bytes of a chunk, as in the tail.
const CHUNK_BYTES: usize = 16 << 20;
/// Bytes of a file that are checked at a time.
const READ_BYTES: u64 = 4 << 20;

/// Makes the rows of one file after the other from the log. It takes the memory of one file.
pub(super) struct ColumnsVerifier {
    /// Those to come, by sequence.
    files: VecDeque<Arc<ColumnFile>>,
    declared: Arc<[Declared]>,
    flushed_through: Sequence,
    /// Rows of the tail, and how many events the log has past the files.
    tail_rows: u64,
    tail_events: u64,
    /// Events that are to be in a file and are in none.
    missing: u64,
    types: RegistryFold,
    chunks: Vec<Slice>,
    open: Arc<Cell>,
    open_rows: usize,
    slots: Slots,
}

impl ColumnsVerifier {
    pub(super) fn new(
        files: &[Arc<ColumnFile>],
        declared: &Arc<[Declared]>,
        flushed_through: Sequence,
        tail_rows: u64,
        registry: RegistryOptions,
    ) -> Self {
        let mut files: Vec<Arc<ColumnFile>> = files.to_vec();
        files.sort_by_key(|file| file.first_sequence);
        Self {
            files: files.into(),
            declared: Arc::clone(declared),
            flushed_through,
            tail_rows,
            tail_events: 0,
            missing: 0,
            types: RegistryFold::new(registry),
            chunks: Vec::new(),
            open: Cell::new(),
            open_rows: 0,
            slots: Slots::default(),
        }
    }

    fn seal(&mut self) {
        if self.open_rows > 0 {
            let rows = std::mem::take(&mut self.open_rows);
            self.open.seal();
            self.chunks.push(Slice { chunk: self.open.chunk(rows), rows: 0..rows });
            self.open = Cell::new();
        }
    }

    /// The rows gathered are all that are to be in the next file.
    fn finish_file(&mut self, found: &mut Findings<'_>) -> Result<()> {
        self.seal();
        let slices = std::mem::take(&mut self.chunks);
        let Some(file) = self.files.pop_front() else { return Ok(()) };
        let published = self.types.publish();
        let registry = published.downcast_ref::<Registry>().expect("invariant: a registry fold publishes a registry");
        // One damaged file says nothing about the others.
        let schema = EventSchema::of(registry.schema());
        file.all_stored()
            .try_for_each(check_bytes)
            .and_then(|()| check_rows(&file, &slices, &schema, found))
            .and_then(|()| check_cubes(&file, &slices, &schema, &self.declared, found))
            .or_else(|e| found.add_damage(e))
    }
}

impl Verifier for ColumnsVerifier {
    fn apply(&mut self, batch: &Committed<'_>, found: &mut Findings<'_>) -> Result<()> {
        self.types.apply(batch)?;
        let is_event = |record: &&Record<'_>| matches!(record, Record::Event(_));
        let events = batch.payload.records.iter().filter(is_event).count();
        if batch.last_sequence() > self.flushed_through {
            self.tail_events += events as u64;
            return Ok(());
        }
        // Before the next file begins, or after the last one.
        if self.files.front().is_none_or(|file| file.first_sequence > batch.last_sequence()) {
            self.missing += events as u64;
            return Ok(());
        }
        if events > 0 {
            let extent = self.open.append(batch, Sequence::new(0), &mut self.slots)?;
            self.open_rows = extent.rows;
            if extent.rows >= CHUNK_ROWS || extent.bytes >= CHUNK_BYTES {
                self.seal();
            }
        }
        if self.files.front().is_some_and(|file| file.last_sequence <= batch.last_sequence()) {
            self.finish_file(found)?;
        }
        Ok(())
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        if self.missing > 0 {
            found.add(format!("{} events up to sequence {} are in no file", self.missing, self.flushed_through));
        }
        for file in &self.files {
            found.add(format!("{}: holds sequences that the log does not have", file.path.display()));
        }
        if self.tail_rows != self.tail_events {
            found.add(format!(
                "{} events in memory but the log has {} past sequence {}",
                self.tail_rows, self.tail_events, self.flushed_through
            ));
        }
        Ok(())
    }
}

/// Reads all of a file, the parts that no column is made of included.
fn check_bytes(file: &Arc<Stored>) -> Result<()> {
    let guarded = Guarded::open(Arc::clone(file))?;
    let mut at = 0;
    while at < file.bytes {
        let end = file.bytes.min(at + READ_BYTES);
        guarded.read(at..end)?;
        at = end;
    }
    guarded.check_length()
}

/// Compares a file with the rows that it is to hold, column by column.
fn check_rows(file: &Arc<ColumnFile>, slices: &[Slice], types: &EventSchema, found: &mut Findings<'_>) -> Result<()> {
    let path = file.path.display();
    let Some(order) = Order::of(slices) else {
        found.add(format!("{path}: {} rows but the log has no events there", file.rows));
        return Ok(());
    };
    let mut entry = order.entry.clone();
    entry.bytes = file.bytes;
    entry.decoded_bytes = file.decoded_bytes;
    entry.rollup_bytes = file.rollup.bytes;
    entry.cubes = file.entry().cubes;
    if file.entry() != entry {
        found.add(format!("{path}: the catalog says {:?} but the log {entry:?}", file.entry()));
    }
    if file.rows != order.rows.len() as u64 {
        return Ok(());
    }
    if read_rollup(&file.rollup, file.rows)? != order.rollup(slices) {
        found.add(format!("{}: counts or subjects are not those of the log", file.rollup.path.display()));
    }
    let reader = || {
        let guarded = Guarded::open(Arc::clone(&file.data))?;
        ParquetRecordBatchReaderBuilder::try_new(guarded).map_err(|e| error::reading(&file.path, e))
    };
    let arrow = Arc::clone(reader()?.schema());
    let contents = Contents::of(&arrow).map_err(|what| error::corrupt(&path, what))?;
    let schema = types.as_in(&arrow);
    for field in contents.fields() {
        if schema.arrow().index_of(field.name()).is_err() {
            found.add(format!("{path}: a column {} but the log has no such property", field.name()));
        }
    }
    for (place, field) in schema.arrow().fields().iter().enumerate() {
        let arrays =
            slices.iter().map(|slice| slice.chunk.convert(&schema, place)).collect::<Result<Vec<ArrayRef>>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        let Some(column) = contents.place(field.name()) else {
            // Columns without values are left out of a file.
            let has_values = |(array, slice): (&&dyn Array, &Slice)| {
                let Range { start, end } = slice.rows;
                let own = array.slice(start, end - start);
                own.null_count() < own.len()
            };
            if arrays.iter().zip(slices).any(has_values) {
                found.add(format!("{path}: no column {} but the log has values for it", field.name()));
            }
            continue;
        };
        let expected = interleave(&arrays, &order.rows).map_err(error::arrow)?;
        let builder = reader()?;
        let reads = contents.reads([column]);
        let projection = ProjectionMask::roots(builder.parquet_schema(), reads.iter().copied());
        let batches = builder.with_projection(projection).build().map_err(|e| error::reading(&file.path, e))?;
        let mut at = 0;
        for batch in batches {
            let values = batch.and_then(|batch| contents.column(column, &reads, &batch));
            let values = values.map_err(|e| error::reading_arrow(&file.path, &e))?;
            if at + values.len() > expected.len() || *values != *expected.slice(at, values.len()) {
                found.add(format!(
                    "{path}: column {}: rows {at} to {} are not those of the log",
                    field.name(),
                    at + values.len() - 1
                ));
                break;
            }
            at += values.len();
        }
    }
    Ok(())
}

/// Compares the cubes of a file with those of the rows that it is to hold.
fn check_cubes(
    file: &Arc<ColumnFile>,
    slices: &[Slice],
    types: &EventSchema,
    declared: &[Declared],
    found: &mut Findings<'_>,
) -> Result<()> {
    if file.cubes.is_empty() {
        return Ok(());
    }
    let Some(order) = Order::of(slices) else { return Ok(()) };
    let guarded = Guarded::open(Arc::clone(&file.data))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(guarded).map_err(|e| error::reading(&file.path, e))?;
    let schema = types.as_in(reader.schema());
    let column = |place: usize, rows: &Range<usize>| -> Result<ArrayRef> {
        let arrays = slices.iter().map(|slice| slice.chunk.convert(&schema, place)).collect::<Result<Vec<_>>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        interleave(&arrays, order.rows.get(rows.clone()).unwrap_or_default()).map_err(error::arrow)
    };
    for cube in &file.cubes {
        // Those of a declaration that stands no more are about to go.
        let Some(Declared { declaration, .. }) = declared.iter().find(|declared| declared.number == cube.declared)
        else {
            continue;
        };
        let rollup = order.rollup(slices);
        let expected = build_cube(declaration, rollup.event_rows(), |rows, take| {
            let properties = column_names(declaration);
            let properties = properties.iter().map(|name| schema.arrow().index_of(name).ok());
            take(&CubeRows {
                subjects: column(system::SUBJECT.0, &rows)?,
                timestamps: column(system::TIMESTAMP.0, &rows)?,
                properties: properties
                    .map(|place| place.map(|at| column(at, &rows)).transpose())
                    .collect::<Result<_>>()?,
                overflow: Some(column(schema.overflow(), &rows)?),
            })
        })?;
        let stored = match &cube.stored {
            Some((_, stored)) => Some(read_cube(stored, declaration, file.rows)?),
            None => None,
        };
        if stored != expected {
            let path = cube.stored.as_ref().map_or(&file.path, |(_, stored)| &stored.path);
            let name = &declaration.name;
            found.add(format!("{}: what is declared as {name} is not what the log says", path.display()));
        }
    }
    Ok(())
}
