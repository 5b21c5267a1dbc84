//! The rollup of a columnar file as a file of its own: one row for each event and day, and for each day of any event.

use std::io::BufWriter;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Date32Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, UInt64Type};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use datafusion::parquet::arrow::{ArrowWriter, ProjectionMask};
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::KeyValue;
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties};
use pugmark_store::Result;
use roaring::RoaringBitmap;

use super::super::catalog::FileId;
use super::super::dir::{ColumnDir, Kind};
use super::super::error;
use super::super::guard::{Guarded, Guarding, Stored};
use super::{Day, DayCell, EventRollup, EventRows, Rollup};

/// The version of what a rollup holds, in its key-value metadata.
const VERSION: u32 = 1;
/// Bytes of the write buffer.
const BUFFER_BYTES: usize = 1 << 20;
/// Rows that are read at once.
const BATCH_ROWS: usize = 8_192;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        // NULL stands for any event.
        Field::new("event", DataType::Utf8, true),
        Field::new("day", DataType::Date32, false),
        Field::new("count", DataType::UInt64, false),
        Field::new("people", DataType::UInt32, false),
        Field::new("subjects", DataType::Binary, false),
    ]))
}

/// Writes `rollup` under `id`, and answers with its size and the checksums of its blocks. Once this returns it is durable under its name.
pub(crate) fn write_rollup(dir: &ColumnDir, id: FileId, rollup: &Rollup) -> Result<(u64, Vec<u32>)> {
    let version = KeyValue::new("pugmark.version".to_owned(), VERSION.to_string());
    write_sets(dir, id, vec![version], || batch(rollup))
}

/// Writes the one batch of a file among the rollups, as [`write_rollup`] does. Its sets are in a column called `subjects`.
pub(in crate::columns) fn write_sets(
    dir: &ColumnDir,
    id: FileId,
    metadata: Vec<KeyValue>,
    batch: impl FnOnce() -> std::result::Result<RecordBatch, ParquetError>,
) -> Result<(u64, Vec<u32>)> {
    let file = dir.begin(Kind::Rollups, id)?;
    let write = || -> std::result::Result<Vec<u32>, ParquetError> {
        let properties = WriterProperties::builder()
            .set_created_by(concat!("pugmark ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(metadata))
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::None)
            .set_column_dictionary_enabled("subjects".into(), false)
            .build();
        let batch = batch()?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, Guarding::new(file.writer()));
        let mut writer = ArrowWriter::try_new(out, batch.schema(), Some(properties))?;
        writer.write(&batch)?;
        let out = writer.into_inner()?;
        let out = out.into_inner().map_err(|e| ParquetError::External(Box::new(e.into_error())))?;
        Ok(out.finish())
    };
    let checksums = write().map_err(|e| error::parquet("writing", file.path(), e))?;
    Ok((file.finish()?, checksums))
}

fn batch(rollup: &Rollup) -> std::result::Result<RecordBatch, ParquetError> {
    let any = rollup.any().iter().map(|cell| (None, cell));
    let events = rollup.events().iter();
    let cells: Vec<(Option<&str>, &DayCell)> =
        any.chain(events.flat_map(|event| event.days.iter().map(|cell| (Some(event.name.as_ref()), cell)))).collect();
    let mut subjects = BinaryBuilder::new();
    let mut bytes = Vec::new();
    for (_, cell) in &cells {
        bytes.clear();
        cell.subjects.serialize_into(&mut bytes)?;
        subjects.append_value(&bytes);
    }
    let people = |cell: &DayCell| u32::try_from(cell.subjects.len()).unwrap_or(u32::MAX);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(cells.iter().map(|(event, _)| *event).collect::<StringArray>()),
        Arc::new(Date32Array::from_iter_values(cells.iter().map(|(_, cell)| cell.day.number()))),
        Arc::new(UInt64Array::from_iter_values(cells.iter().map(|(_, cell)| cell.count))),
        Arc::new(UInt32Array::from_iter_values(cells.iter().map(|(_, cell)| people(cell)))),
        Arc::new(subjects.finish()),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

/// Reads a rollup back.
///
/// # Errors
/// `Corrupt` for a file that is not as it was written.
pub(crate) fn read_rollup(stored: &Arc<Stored>) -> Result<Rollup> {
    let path = &stored.path;
    let guarded = Guarded::open(Arc::clone(stored))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(guarded).map_err(|e| error::reading(path, e))?;
    let reader = reader.with_batch_size(BATCH_ROWS).build().map_err(|e| error::reading(path, e))?;
    let mut rollup = Rollup::default();
    for batch in reader {
        let batch = batch.map_err(|e| error::reading_arrow(path, &e))?;
        take(&batch, &mut rollup)
            .ok_or_else(|| error::corrupt(path.display(), "its rows are not those of a rollup"))?;
    }
    Ok(rollup)
}

/// The events of a rollup and their rows, without its sets, and the bytes that are read for them.
///
/// # Errors
/// `Corrupt` for a file that is not as it was written.
pub(crate) fn read_rollup_events(stored: &Arc<Stored>) -> Result<(Vec<EventRows>, u64)> {
    let path = &stored.path;
    let guarded = Guarded::open(Arc::clone(stored))?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(guarded).map_err(|e| error::reading(path, e))?;
    let mask = ProjectionMask::columns(reader.parquet_schema(), ["event", "count"]);
    let columns = reader.metadata().row_groups().iter().flat_map(|group| group.columns().iter().enumerate());
    let read = columns.filter(|(at, _)| mask.leaf_included(*at)).map(|(_, column)| column.compressed_size());
    let bytes = read.filter_map(|bytes| u64::try_from(bytes).ok()).sum();
    let reader = reader.with_projection(mask).with_batch_size(BATCH_ROWS).build();
    let mut found: Vec<EventRows> = Vec::new();
    for batch in reader.map_err(|e| error::reading(path, e))? {
        let batch = batch.map_err(|e| error::reading_arrow(path, &e))?;
        add_events(&batch, &mut found)
            .ok_or_else(|| error::corrupt(path.display(), "its rows are not those of a rollup"))?;
    }
    Ok((found, bytes))
}

/// `None` for rows that no rollup has.
fn add_events(batch: &RecordBatch, found: &mut Vec<EventRows>) -> Option<()> {
    let events = batch.column_by_name("event")?.as_string_opt::<i32>()?;
    let counts = batch.column_by_name("count")?.as_primitive_opt::<UInt64Type>()?.values();
    for (name, count) in events.iter().zip(counts) {
        // The rows of any event are those of all.
        let Some(name) = name else { continue };
        let rows = usize::try_from(*count).ok()?;
        match found.last_mut() {
            Some((last, own)) if last.as_ref() == name => own.end += rows,
            last => {
                let start = last.map_or(0, |(_, own)| own.end);
                found.push((name.into(), start..start + rows));
            }
        }
    }
    Some(())
}

/// `None` for rows that no rollup has.
fn take(batch: &RecordBatch, rollup: &mut Rollup) -> Option<()> {
    let events = batch.column_by_name("event")?.as_string_opt::<i32>()?;
    let days = batch.column_by_name("day")?.as_primitive_opt::<Date32Type>()?.values();
    let counts = batch.column_by_name("count")?.as_primitive_opt::<UInt64Type>()?.values();
    let subjects: &BinaryArray = batch.column_by_name("subjects")?.as_binary_opt::<i32>()?;
    for row in 0..batch.num_rows() {
        let count = *counts.get(row)?;
        let rows = usize::try_from(count).ok()?;
        let subjects = RoaringBitmap::deserialize_from(subjects.value(row)).ok()?;
        let cell = DayCell { day: Day::new(*days.get(row)?), count, subjects };
        if events.is_null(row) {
            rollup.any.push(cell);
            continue;
        }
        let name = events.value(row);
        match rollup.events.last_mut() {
            Some(last) if last.name.as_ref() == name => {
                last.rows.end += rows;
                last.days.push(cell);
            }
            last => {
                let start = last.map_or(0, |last| last.rows.end);
                rollup.events.push(EventRollup { name: name.into(), rows: start..start + rows, days: vec![cell] });
            }
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use pugmark_store::{SimulatedStorage, Storage};

    use super::*;

    #[test]
    fn a_rollup_reads_back_as_it_was_written() {
        let storage: Arc<dyn Storage> = Arc::new(SimulatedStorage::new());
        storage.create_dir_all(Path::new("/store")).unwrap();
        let dir = ColumnDir::new(Arc::clone(&storage), Path::new("/store"));
        let many = (0..20_000_u32).map(|n| (n, i64::from(n) * 40_000_000_000));
        for rollup in [
            Rollup::default(),
            Rollup::of([("a", 2)].into_iter(), [(3, -1), (3, 0)].into_iter()),
            Rollup::of([("", 10_000), ("b", 10_000)].into_iter(), many.clone().take(10_000).chain(many)),
        ] {
            let (bytes, checksums) = write_rollup(&dir, FileId::new(1), &rollup).unwrap();
            let path = dir.of(Kind::Rollups).join(FileId::new(1).file_name());
            let stored = Arc::new(Stored::new(&storage, path, bytes, checksums));
            assert_eq!(read_rollup(&stored).unwrap(), rollup);
            let events = rollup.events().iter().map(|event| (event.name.clone(), event.rows.clone()));
            assert_eq!(read_rollup_events(&stored).unwrap().0, events.collect::<Vec<_>>());
        }
    }
}
