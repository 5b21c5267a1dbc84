//! The rollup of a columnar file as a file of its own: one row for each event and day, and for each day of any event.

use std::io::BufWriter;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, Date32Array, RecordBatch, StringArray, UInt32Array,
    UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef, UInt32Type, UInt64Type};
use datafusion::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
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
use super::super::pace::Freely;
use super::{Day, DayCell, EventRollup, EventRows, Rollup};

/// The version of what a rollup holds, in its key-value metadata.
const VERSION: u32 = 1;
/// Bytes of the write buffer.
const BUFFER_BYTES: usize = 1 << 20;
/// Rows that are read at once.
const BATCH_ROWS: usize = 8_192;

pub(in crate::columns) fn schema() -> SchemaRef {
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
        let out = BufWriter::with_capacity(BUFFER_BYTES, Guarding::new(file.writer(), &Freely));
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

/// Opens a file among the rollups that is to have the columns of `expected`.
///
/// # Errors
/// `Corrupt` for a file that has others, or is not Parquet.
pub(in crate::columns) fn open_sets(
    stored: &Arc<Stored>,
    expected: &Schema,
) -> Result<ParquetRecordBatchReaderBuilder<Guarded>> {
    let path = &stored.path;
    let guarded = Guarded::open(Arc::clone(stored))?;
    // Parquet says all of these types itself: what Arrow says beside it is not needed, and its reader stops at types that it does not know.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let open = || ParquetRecordBatchReaderBuilder::try_new_with_options(guarded, options);
    let reader = of_parquet(path, || open().map_err(|e| error::reading(path, e)))?;
    let found = reader.schema();
    if found.fields() != &expected.fields {
        let what = format!("columns {}, expected {}", columns(found), columns(expected));
        return Err(error::corrupt(path.display(), what));
    }
    Ok(reader.with_batch_size(BATCH_ROWS))
}

/// The rows of such a file.
///
/// # Errors
/// `Corrupt` for a file that is not Parquet.
pub(in crate::columns) fn read_batches(
    stored: &Stored,
    reader: ParquetRecordBatchReaderBuilder<Guarded>,
) -> Result<impl Iterator<Item = Result<RecordBatch>>> {
    let path = &stored.path;
    let mut batches = of_parquet(path, || reader.build().map_err(|e| error::reading(path, e)))?;
    let mut next = move || batches.next().transpose().map_err(|e| error::reading_arrow(path, &e));
    Ok(std::iter::from_fn(move || of_parquet(path, &mut next).transpose()))
}

/// What the reader of Parquet answers. It panics at some pages that no writer makes: that is damage of the file, too.
fn of_parquet<T>(path: &Path, read: impl FnOnce() -> Result<T>) -> Result<T> {
    // Nobody reads on where it has panicked.
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(error::corrupt(path.display(), format_args!("no Parquet: {}", said.unwrap_or("its reader panicked"))))
    })
}

fn columns(schema: &Schema) -> String {
    let column = |field: &Arc<Field>| {
        let null = if field.is_nullable() { " or NULL" } else { "" };
        format!("{} {}{null}", field.name(), field.data_type())
    };
    schema.fields().iter().map(column).collect::<Vec<_>>().join(", ")
}

/// The set in `bytes`, of `people` who had `count` events.
///
/// # Errors
/// What is wrong with it.
pub(in crate::columns) fn read_set(
    mut bytes: &[u8],
    people: u32,
    count: u64,
) -> std::result::Result<RoaringBitmap, String> {
    let set = RoaringBitmap::deserialize_from(&mut bytes).map_err(|e| format!("subjects: {e}"))?;
    if !bytes.is_empty() {
        return Err(format!("subjects: {} bytes behind the set", bytes.len()));
    }
    if set.len() != u64::from(people) {
        return Err(format!("a set of {} subjects, expected {people}", set.len()));
    }
    if people == 0 || count < u64::from(people) {
        return Err(format!("{count} events of {people} subjects"));
    }
    Ok(set)
}

/// Reads the rollup of a columnar file of so many rows back.
///
/// # Errors
/// `Corrupt` for a file that is not as it was written.
pub(crate) fn read_rollup(stored: &Arc<Stored>, rows: u64) -> Result<Rollup> {
    let rollup = decode(stored)?;
    check_rows(stored, rollup.events.last().map(|last| &last.rows), rows)?;
    Ok(rollup)
}

/// A rollup, of however many rows.
pub(in crate::columns) fn decode(stored: &Arc<Stored>) -> Result<Rollup> {
    let reader = open_sets(stored, &schema())?;
    decode_rows(stored, read_batches(stored, reader)?)
}

/// The rollup that has these rows.
pub(in crate::columns) fn decode_rows(
    stored: &Stored,
    batches: impl Iterator<Item = Result<RecordBatch>>,
) -> Result<Rollup> {
    let mut rollup = Rollup::default();
    for batch in batches {
        take(&batch?, &mut rollup).map_err(|what| error::corrupt(stored.path.display(), what))?;
    }
    let of_any = rollup.any.iter().try_fold(0, |sum: u64, cell| sum.checked_add(cell.count));
    check_rows(stored, rollup.events.last().map(|last| &last.rows), of_any.unwrap_or(u64::MAX))?;
    Ok(rollup)
}

/// The events of the rollup of a columnar file of so many rows, and the rows of each, without its sets, and the bytes that are read for them.
///
/// # Errors
/// `Corrupt` for a file that is not as it was written.
pub(crate) fn read_rollup_events(stored: &Arc<Stored>, rows: u64) -> Result<(Vec<EventRows>, u64)> {
    let path = &stored.path;
    let reader = open_sets(stored, &schema())?;
    let mask = ProjectionMask::columns(reader.parquet_schema(), ["event", "count"]);
    let columns = reader.metadata().row_groups().iter().flat_map(|group| group.columns().iter().enumerate());
    let read = columns.filter(|(at, _)| mask.leaf_included(*at)).map(|(_, column)| column.compressed_size());
    let bytes = read.filter_map(|bytes| u64::try_from(bytes).ok()).fold(0, u64::saturating_add);
    let mut found: Vec<EventRows> = Vec::new();
    for batch in read_batches(stored, reader.with_projection(mask))? {
        add_events(&batch?, &mut found).map_err(|what| error::corrupt(path.display(), what))?;
    }
    check_rows(stored, found.last().map(|(_, own)| own), rows)?;
    Ok((found, bytes))
}

/// Fails unless the rows of the last event are the last of `rows`.
fn check_rows(stored: &Stored, last: Option<&Range<usize>>, rows: u64) -> Result<()> {
    let found = last.map_or(0, |last| last.end);
    if u64::try_from(found) != Ok(rows) {
        return Err(error::corrupt(stored.path.display(), format_args!("events of {found} rows, expected {rows}")));
    }
    Ok(())
}

/// What is wrong with rows that no rollup has.
type Wrong = String;

const OTHER_COLUMNS: &str = "its columns are not those of a rollup";

fn add_events(batch: &RecordBatch, found: &mut Vec<EventRows>) -> std::result::Result<(), Wrong> {
    let events = batch.column_by_name("event").and_then(|column| column.as_string_opt::<i32>());
    let counts = batch.column_by_name("count").and_then(|column| column.as_primitive_opt::<UInt64Type>());
    let (events, counts) = events.zip(counts).ok_or(OTHER_COLUMNS)?;
    for (name, count) in events.iter().zip(counts.values()) {
        let last = found.last_mut().map(|(last, own)| (&**last, own));
        match place(last, name, *count)? {
            // The rows of any event are those of all.
            RowOf::Any | RowOf::Last => {}
            RowOf::Next(name, rows) => found.push((name.into(), rows)),
        }
    }
    Ok(())
}

fn take(batch: &RecordBatch, rollup: &mut Rollup) -> std::result::Result<(), Wrong> {
    let columns = || {
        let events = batch.column_by_name("event")?.as_string_opt::<i32>()?;
        let days = batch.column_by_name("day")?.as_primitive_opt::<Date32Type>()?.values();
        let counts = batch.column_by_name("count")?.as_primitive_opt::<UInt64Type>()?.values();
        let people = batch.column_by_name("people")?.as_primitive_opt::<UInt32Type>()?.values();
        let subjects: &BinaryArray = batch.column_by_name("subjects")?.as_binary_opt::<i32>()?;
        Some((events, days, counts, people, subjects))
    };
    let (events, days, counts, people, subjects) = columns().ok_or(OTHER_COLUMNS)?;
    for row in 0..batch.num_rows() {
        let name = events.is_valid(row).then(|| events.value(row));
        let (day, count) = (Day::new(days[row]), counts[row]);
        let wrong = |what: Wrong| format!("event {:?}, day {}: {what}", name.unwrap_or("any"), day.number());
        let subjects = read_set(subjects.value(row), people[row], count).map_err(wrong)?;
        let cell = DayCell { day, count, subjects };
        let last = rollup.events.last_mut().map(|last| (&*last.name, &mut last.rows));
        let days = match place(last, name, count)? {
            RowOf::Any => Some(&mut rollup.any),
            RowOf::Last => rollup.events.last_mut().map(|last| &mut last.days),
            RowOf::Next(name, rows) => {
                rollup.events.push(EventRollup { name: name.into(), rows, days: Vec::new() });
                rollup.events.last_mut().map(|last| &mut last.days)
            }
        };
        let days = days.expect("invariant: the row is of any event, or the last one");
        if let Some(last) = days.last().filter(|last| last.day >= day) {
            return Err(wrong(format!("it is behind day {}", last.day.number())));
        }
        days.push(cell);
    }
    Ok(())
}

/// What a row is of.
enum RowOf<'a> {
    Any,
    /// The last event, which has its rows now.
    Last,
    /// An event that follows, with these rows.
    Next(&'a str, Range<usize>),
}

/// What a row of `name`, or of any event, is of that comes behind those of `last`.
fn place<'a>(
    last: Option<(&str, &mut Range<usize>)>,
    name: Option<&'a str>,
    count: u64,
) -> std::result::Result<RowOf<'a>, Wrong> {
    let Some(name) = name else {
        return match last {
            Some((last, _)) => Err(format!("a row of any event behind event {last:?}")),
            None => Ok(RowOf::Any),
        };
    };
    let start = last.as_ref().map_or(0, |(_, own)| own.end);
    let end = usize::try_from(count).ok().and_then(|count| start.checked_add(count)).filter(|end| *end > start);
    let end = end.ok_or_else(|| format!("event {name:?}: {count} events behind {start}"))?;
    match last {
        Some((last, _)) if last > name => Err(format!("event {name:?} behind event {last:?}")),
        Some((last, own)) if last == name => {
            own.end = end;
            Ok(RowOf::Last)
        }
        _ => Ok(RowOf::Next(name, start..end)),
    }
}

#[cfg(test)]
mod tests {
    use pugmark_store::{ErrorKind, SimulatedStorage, Storage};

    use super::*;

    fn dir() -> ColumnDir {
        let storage: Arc<dyn Storage> = Arc::new(SimulatedStorage::new());
        storage.create_dir_all(Path::new("/store")).unwrap();
        ColumnDir::new(storage, Path::new("/store"))
    }

    fn stored(dir: &ColumnDir, (bytes, checksums): (u64, Vec<u32>)) -> Arc<Stored> {
        let path = dir.of(Kind::Rollups).join(FileId::new(1).file_name());
        Arc::new(Stored::new(dir.storage(), path, bytes, checksums))
    }

    #[test]
    fn a_rollup_reads_back_as_it_was_written() {
        let dir = dir();
        let many = (0..20_000_u32).map(|n| (n, i64::from(n) * 40_000_000_000));
        for rollup in [
            Rollup::default(),
            Rollup::of([("a", 2)].into_iter(), [(3, -1), (3, 0)].into_iter()),
            Rollup::of([("", 10_000), ("b", 10_000)].into_iter(), many.clone().take(10_000).chain(many)),
        ] {
            let stored = stored(&dir, write_rollup(&dir, FileId::new(1), &rollup).unwrap());
            let rows = rollup.events().last().map_or(0, |last| last.rows.end as u64);
            assert_eq!(read_rollup(&stored, rows).unwrap(), rollup);
            let events = rollup.events().iter().map(|event| (event.name.clone(), event.rows.clone()));
            assert_eq!(read_rollup_events(&stored, rows).unwrap().0, events.collect::<Vec<_>>());
        }
    }

    #[test]
    fn whole_files_whose_rows_no_rollup_has_are_refused_and_say_why() {
        type Row<'a> = (Option<&'a str>, i32, u64, u32, &'a [u8]);
        let set = |subjects: &[u32]| {
            let mut bytes = Vec::new();
            subjects.iter().collect::<RoaringBitmap>().serialize_into(&mut bytes).unwrap();
            bytes
        };
        let (one, two, none) = (set(&[7]), set(&[7, 1 << 20]), set(&[]));
        let longer = [&one[..], &[0]].concat();
        let mut unsorted = set(&[7, 9]);
        // The subjects come last, two bytes each.
        let end = unsorted.len();
        unsorted[end - 4..].rotate_left(2);
        let any: Row<'_> = (None, 0, 3, 2, &two);
        let (a, b): (Row<'_>, Row<'_>) = ((Some("a"), 0, 2, 1, &one), (Some("b"), 0, 1, 1, &one));
        let (sound, dir) = ([any, a, b], dir());
        let cases: [(&[Row<'_>], u64, &str); 15] = [
            (&sound, 3, ""),
            (&sound, 4, "events of 3 rows, expected 4"),
            (&[], 1, "events of 0 rows, expected 1"),
            (&[any, b, a], 3, r#"event "a" behind event "b""#),
            (&[a, any, b], 3, r#"a row of any event behind event "a""#),
            (&[any, a, (Some("a"), 0, 1, 1, &one)], 3, r#"event "a", day 0: it is behind day 0"#),
            (&[any, (None, -1, 1, 1, &one)], 3, r#"event "any", day -1: it is behind day 0"#),
            (&[any, a], 2, "events of 2 rows, expected 3"),
            (&[any, a, (Some("b"), 0, u64::MAX, 1, &one)], 3, &format!(r#"event "b": {} events behind 2"#, u64::MAX)),
            (&[any, a, (Some("b"), 0, 1, 2, &one)], 3, r#"event "b", day 0: a set of 1 subjects, expected 2"#),
            (&[any, a, (Some("b"), 0, 1, 2, &two)], 3, r#"event "b", day 0: 1 events of 2 subjects"#),
            (&[any, a, (Some("b"), 0, 0, 0, &none)], 2, r#"event "b", day 0: 0 events of 0 subjects"#),
            (&[any, a, (Some("b"), 0, 1, 1, &longer)], 3, r#"event "b", day 0: subjects: 1 bytes behind the set"#),
            (&[any, a, (Some("b"), 0, 2, 2, &unsorted)], 4, r#"event "b", day 0: subjects: "#),
            (&[any, a, (Some("b"), 0, 1, 1, b"no set")], 3, r#"event "b", day 0: subjects: unknown cookie value"#),
        ];
        for (rows, total, expected) in cases {
            let columns: Vec<ArrayRef> = vec![
                Arc::new(rows.iter().map(|row| row.0).collect::<StringArray>()),
                Arc::new(Date32Array::from_iter_values(rows.iter().map(|row| row.1))),
                Arc::new(UInt64Array::from_iter_values(rows.iter().map(|row| row.2))),
                Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.3))),
                Arc::new(BinaryArray::from_iter_values(rows.iter().map(|row| row.4))),
            ];
            let batch = || Ok(RecordBatch::try_new(schema(), columns)?);
            let stored = stored(&dir, write_sets(&dir, FileId::new(1), Vec::new(), batch).unwrap());
            let read = read_rollup(&stored, total);
            if expected.is_empty() {
                assert_eq!(read.unwrap().event_rows(), read_rollup_events(&stored, total).unwrap().0);
                continue;
            }
            let error = read.unwrap_err();
            let place = stored.path.display();
            assert_eq!(error.kind(), ErrorKind::Corrupt);
            assert!(error.to_string().starts_with(&format!("{place}: {expected}")), "{error}, expected {expected}");
        }
    }

    #[test]
    fn a_whole_file_with_other_columns_is_no_rollup() {
        let dir = dir();
        let other = || RecordBatch::try_from_iter([("day", Arc::new(Date32Array::from(vec![1])) as ArrayRef)]);
        let written = write_sets(&dir, FileId::new(1), Vec::new(), || Ok(other()?)).unwrap();
        let stored = stored(&dir, written);
        let errors = [read_rollup(&stored, 1).unwrap_err(), read_rollup_events(&stored, 1).unwrap_err()];
        let expected = "event Utf8 or NULL, day Date32, count UInt64, people UInt32, subjects Binary";
        for error in errors {
            let place = stored.path.display();
            assert_eq!(error.to_string(), format!("{place}: columns day Date32, expected {expected}"));
        }
    }
}
