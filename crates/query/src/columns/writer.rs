//! Writes sorted rows as one Parquet file, column by column, so that only a few columns at a time are in memory.

use std::io::BufWriter;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::{cast, interleave};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Schema as ArrowSchema, TimeUnit};
use datafusion::parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use datafusion::parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use datafusion::parquet::basic::{Compression, Encoding, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::{KeyValue, SortingColumn};
use datafusion::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesPtr};
use datafusion::parquet::file::writer::SerializedFileWriter;
use datafusion::parquet::schema::types::ColumnPath;
use pugmark_store::{FileWriter, Result};

use super::arrivals::{Arrivals, Batches, Knots, is_worth_it};
use super::catalog::{Checksums, ColumnFile, Entry, FileId};
use super::cell::{Part, Slice};
use super::contents::{ARRIVALS_KEY, DISTANCE, VERSION, VERSION_KEY};
use super::dir::{ColumnDir, Kind};
use super::error;
use super::guard::Guarding;
use super::order::{Order, row_groups};
use super::pace::{Freely, Pace};
use super::policy::FileSize;
use super::rollup::{Rollup, write_rollup};
use super::schema::{EventSchema, UTC, system};

/// Rows of a data page: what a query reads at least of a column.
const PAGE_ROWS: usize = 8_192;
const PAGE_ROWS_U64: u64 = PAGE_ROWS as u64;
/// Rows that are made at once of a column, where they are not large.
pub(super) const ROWS_AT_ONCE: usize = 16_384;
/// Most columns that are encoded at once: each takes a thread, and memory for its values.
const COLUMNS_AT_ONCE: usize = 4;
/// Bytes of the write buffer.
const BUFFER_BYTES: usize = 1 << 20;

/// Writes the rows of `parts` to a new file in `dir`. Once this returns the file is durable under its name; the catalog does not name it yet.
///
/// `None` when there are no rows.
pub(crate) fn write_file(
    dir: &ColumnDir,
    id: FileId,
    parts: &[Part],
    schema: &EventSchema,
) -> Result<Option<ColumnFile>> {
    let slices: Vec<Slice> = parts.iter().map(Part::slice).collect();
    let slices = slices.as_slice();
    let size = FileSize {
        rows: slices.iter().map(|slice| slice.rows.len() as u64).sum(),
        decoded_bytes: parts.iter().map(|part| part.bytes as u64).sum(),
    };
    let Some(order) = Order::of(slices) else { return Ok(None) };
    let overflow =
        slices.iter().map(|slice| slice.chunk.convert(schema, schema.overflow())).collect::<Result<Vec<_>>>()?;
    let overflows = overflow.iter().zip(slices).any(|(array, slice)| {
        let own = array.slice(slice.rows.start, slice.rows.len());
        own.null_count() < own.len()
    });
    let mut places: Vec<usize> = (0..schema.overflow())
        .filter(|place| slices.iter().any(|slice| slice.chunk.has_values(schema, *place)))
        .collect();
    places.extend(overflows.then_some(schema.overflow()));
    let fields: Vec<Field> = places.iter().map(|place| schema.arrow().field(*place).clone()).collect();
    let columns = |at: usize| -> Result<Column<'_>> {
        let place = places.get(at).copied().unwrap_or(schema.overflow());
        let arrays: Vec<ArrayRef> = if place == schema.overflow() {
            overflow.clone()
        } else {
            slices.iter().map(|slice| slice.chunk.convert(schema, place)).collect::<Result<_>>()?
        };
        let rows = &order.rows;
        Ok(Box::new(move |group: Range<usize>| {
            let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
            Ok(interleave(&arrays, rows.get(group).unwrap_or_default())?)
        }))
    };
    let rollup = order.rollup(slices);
    let plan = Plan {
        fields,
        row_groups: &row_groups(&order.events, size),
        entry: &order.entry,
        rollup: &rollup,
        arrivals: &arrivals(slices, &order),
        in_milliseconds: slices.iter().all(|slice| are_milliseconds(timestamps(slice))),
        rows_at_once: size.rows_at_once(ROWS_AT_ONCE),
    };
    plan.write(dir, id, &columns, &Freely)
}

fn timestamps(slice: &Slice) -> &[i64] {
    slice.chunk.timestamps.values().get(slice.rows.clone()).unwrap_or_default()
}

/// Whether no timestamp has a fraction of a millisecond.
pub(super) fn are_milliseconds(timestamps: &[i64]) -> bool {
    timestamps.iter().all(|timestamp| timestamp % 1_000 == 0)
}

/// What the order of arrival tells of the rows of `slices`, as far as it is worth it.
fn arrivals(slices: &[Slice], order: &Order) -> Arrivals {
    let sequences = || {
        slices
            .iter()
            .flat_map(|slice| slice.chunk.sequences.values().get(slice.rows.clone()).unwrap_or_default())
            .copied()
    };
    let received =
        slices.iter().flat_map(|slice| slice.chunk.received.values().get(slice.rows.clone()).unwrap_or_default());
    let batches = Batches::of(sequences().zip(received.copied()));
    let mut knots = Knots::new(slices.iter().flat_map(timestamps).copied().collect());
    knots.add(sequences());
    let arrivals = Arrivals::new(Some(knots), batches.clone());
    let columns: Vec<(&[i64], &[u64])> = slices
        .iter()
        .map(|slice| (slice.chunk.timestamps.values().as_ref(), slice.chunk.sequences.values().as_ref()))
        .collect();
    let rows = order.rows.iter().map(|(slice, row)| (columns[*slice].0[*row], columns[*slice].1[*row]));
    match is_worth_it(&arrivals, rows) {
        true => arrivals,
        false => Arrivals::new(None, batches),
    }
}

/// Gives the rows of one column after the other, a row group at a time.
pub(super) type Column<'a> = Box<dyn FnMut(Range<usize>) -> std::result::Result<ArrayRef, ParquetError> + 'a>;

/// A column of every row group.
type EncodedColumn = Vec<Vec<ArrowColumnChunk>>;

/// A file to be written: its columns of the table are those that have values in it.
pub(super) struct Plan<'a> {
    pub(super) fields: Vec<Field>,
    pub(super) row_groups: &'a [Range<usize>],
    pub(super) entry: &'a Entry,
    pub(super) rollup: &'a Rollup,
    pub(super) arrivals: &'a Arrivals,
    pub(super) in_milliseconds: bool,
    /// Rows that are made at once of a column.
    pub(super) rows_at_once: usize,
}

/// How a column of the file is made of those of the table, which are told by their places.
#[derive(Debug, Clone, Copy)]
enum Made {
    As(usize),
    InMilliseconds(usize),
    Distance { timestamp: usize, sequence: usize },
}

impl Plan<'_> {
    /// Writes the file and its rollup, and makes both durable. `columns` makes the columns by their place among the fields. `None` once `pace` says that nobody wants it, which is
    /// asked between two columns.
    pub(super) fn write<'c>(
        &'c self,
        dir: &ColumnDir,
        id: FileId,
        columns: &(dyn Fn(usize) -> Result<Column<'c>> + Sync),
        pace: &dyn Pace,
    ) -> Result<Option<ColumnFile>> {
        let (rollup_bytes, rollup) = write_rollup(dir, id, self.rollup)?;
        let decoded_bytes = AtomicU64::new(0);
        let written = self.write_data(dir, id, columns, &decoded_bytes, pace);
        if !matches!(written, Ok(Some(_))) {
            // It would be of a file that is not there.
            dir.remove(Kind::Rollups, id);
        }
        Ok(written?.map(|(bytes, data)| {
            let entry = Entry { bytes, decoded_bytes: decoded_bytes.into_inner(), rollup_bytes, ..self.entry.clone() };
            ColumnFile::new(dir, id, entry, Checksums { data, rollup, cubes: Vec::new() })
        }))
    }

    /// Writes the file, and answers with its size and the checksums of its blocks.
    fn write_data<'c>(
        &'c self,
        dir: &ColumnDir,
        id: FileId,
        columns: &(dyn Fn(usize) -> Result<Column<'c>> + Sync),
        decoded_bytes: &AtomicU64,
        pace: &dyn Pace,
    ) -> Result<Option<(u64, Vec<u32>)>> {
        let file = dir.begin(Kind::Columns, id)?;
        let written = self.write_columns(file.writer(), columns, decoded_bytes, pace);
        let Some(data) = written.map_err(|e| error::parquet("writing", file.path(), e))? else { return Ok(None) };
        Ok(Some((file.finish()?, data)))
    }

    fn write_columns<'c>(
        &'c self,
        file: FileWriter,
        columns: &(dyn Fn(usize) -> Result<Column<'c>> + Sync),
        decoded_bytes: &AtomicU64,
        pace: &dyn Pace,
    ) -> std::result::Result<Option<Vec<u32>>, ParquetError> {
        let own = self.own_columns();
        let arrow = ArrowSchema::new(own.iter().map(|(field, _)| field.clone()).collect::<Vec<_>>());
        let properties = Arc::new(properties(&arrow, self.entry, self.arrivals));
        let mut groups: Vec<Vec<ArrowColumnChunk>> = self.row_groups.iter().map(|_| Vec::new()).collect();
        let Some(encoded) = self.encode_all(&own, &properties, columns, decoded_bytes, pace)? else { return Ok(None) };
        for column in encoded {
            for (group, chunks) in groups.iter_mut().zip(column) {
                group.extend(chunks);
            }
        }
        let descriptor = ArrowSchemaConverter::new().convert(&arrow)?;
        let out = BufWriter::with_capacity(BUFFER_BYTES, Guarding::new(file, pace));
        let mut writer = SerializedFileWriter::new(out, descriptor.root_schema_ptr(), properties)?;
        for group in groups {
            let mut into = writer.next_row_group()?;
            for column in group {
                column.append_to_row_group(&mut into)?;
            }
            into.close()?;
        }
        let out = writer.into_inner()?;
        let out = out.into_inner().map_err(|e| ParquetError::External(Box::new(e.into_error())))?;
        Ok(Some(out.finish()))
    }

    /// The columns of the file.
    fn own_columns(&self) -> Vec<(Field, Made)> {
        let place = |name: &str| self.fields.iter().position(|field| field.name() == name);
        let mut own = Vec::with_capacity(self.fields.len());
        for (at, field) in self.fields.iter().enumerate() {
            let name = field.name().as_str();
            if let (true, true, Some(timestamp)) =
                (name == system::SEQUENCE.1, self.arrivals.has_curve(), place(system::TIMESTAMP.1))
            {
                let made = Made::Distance { timestamp, sequence: at };
                own.push((Field::new(DISTANCE, DataType::UInt32, false), made));
            } else if name == system::TIMESTAMP.1 && self.in_milliseconds {
                let kind = DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into()));
                own.push((field.clone().with_data_type(kind), Made::InMilliseconds(at)));
            } else if name != system::RECEIVED_AT.1 || !self.arrivals.has_batches() {
                own.push((field.clone(), Made::As(at)));
            }
        }
        own
    }

    /// A column of the file, of those of the table that `columns` makes.
    fn make<'c>(
        &'c self,
        (field, made): &(Field, Made),
        columns: &(dyn Fn(usize) -> Result<Column<'c>> + Sync),
    ) -> Result<Column<'c>> {
        Ok(match made {
            Made::As(at) => columns(*at)?,
            Made::InMilliseconds(at) => {
                let (mut column, kind) = (columns(*at)?, field.data_type().clone());
                Box::new(move |group| Ok(cast(&column(group)?, &kind)?))
            }
            Made::Distance { timestamp, sequence } => {
                let (mut timestamps, mut sequences) = (columns(*timestamp)?, columns(*sequence)?);
                Box::new(move |group| Ok(self.arrivals.distances(&timestamps(group.clone())?, &sequences(group)?)))
            }
        })
    }

    /// The columns in their order. Those of many rows are encoded by as many threads as there are processors.
    fn encode_all<'c>(
        &'c self,
        own: &[(Field, Made)],
        properties: &WriterPropertiesPtr,
        columns: &(dyn Fn(usize) -> Result<Column<'c>> + Sync),
        decoded_bytes: &AtomicU64,
        pace: &dyn Pace,
    ) -> std::result::Result<Option<Vec<EncodedColumn>>, ParquetError> {
        let next = AtomicUsize::new(0);
        let work = || -> std::result::Result<Vec<(usize, EncodedColumn)>, ParquetError> {
            let mut done = Vec::new();
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some(made) = own.get(at).filter(|_| !pace.gives_up()) else { return Ok(done) };
                let column = self.make(made, columns).map_err(|e| ParquetError::External(Box::new(e)))?;
                done.push((at, self.encode(&Arc::new(made.0.clone()), properties, column, decoded_bytes)?));
            }
        };
        let threads = match self.entry.rows {
            0..PAGE_ROWS_U64 => 1,
            _ => thread::available_parallelism().map_or(1, usize::from).min(COLUMNS_AT_ONCE),
        };
        let done = thread::scope(|scope| {
            // Where no thread can be started there are only fewer of them.
            let others: Vec<_> =
                (1..threads).filter_map(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
            let mut done = vec![work()];
            for other in others {
                done.push(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            }
            done
        });
        let mut columns = Vec::with_capacity(own.len());
        for part in done {
            columns.extend(part?);
        }
        if columns.len() < own.len() {
            return Ok(None);
        }
        columns.sort_unstable_by_key(|(at, _)| *at);
        Ok(Some(columns.into_iter().map(|(_, column)| column).collect()))
    }

    fn encode(
        &self,
        field: &FieldRef,
        properties: &WriterPropertiesPtr,
        mut column: Column<'_>,
        decoded_bytes: &AtomicU64,
    ) -> std::result::Result<EncodedColumn, ParquetError> {
        let writers = writers_of(field, properties)?;
        let mut groups = Vec::with_capacity(self.row_groups.len());
        for (at, rows) in self.row_groups.iter().enumerate() {
            let mut own = writers.create_column_writers(at)?;
            let mut start = rows.start;
            while start < rows.end {
                let end = rows.end.min(start + self.rows_at_once);
                let array = column(start..end)?;
                decoded_bytes.fetch_add(bytes_of(&array), Ordering::Relaxed);
                for (writer, leaf) in own.iter_mut().zip(compute_leaves(field, &array)?) {
                    writer.write(&leaf)?;
                }
                start = end;
            }
            let chunks = own.into_iter().map(|writer| writer.close()).collect::<std::result::Result<_, _>>()?;
            groups.push(chunks);
        }
        Ok(groups)
    }
}

/// What the values of `array` take in memory; NULL takes none.
fn bytes_of(array: &ArrayRef) -> u64 {
    let texts = array.as_string_view_opt().map_or(0, |texts| texts.lengths().map(u64::from).sum());
    // A text has the bytes of its length beside its own.
    let width = array.data_type().primitive_width().unwrap_or(size_of::<u32>());
    texts + ((array.len() - array.null_count()) * width) as u64
}

/// What makes the writers of one column, for one row group after the other.
fn writers_of(
    field: &Field,
    properties: &WriterPropertiesPtr,
) -> std::result::Result<ArrowRowGroupWriterFactory, ParquetError> {
    let schema = Arc::new(ArrowSchema::new(vec![field.clone()]));
    let descriptor = ArrowSchemaConverter::new().convert(&schema)?;
    let alone = SerializedFileWriter::new(std::io::sink(), descriptor.root_schema_ptr(), Arc::clone(properties))?;
    Ok(ArrowRowGroupWriterFactory::new(&alone, schema))
}

fn properties(arrow: &ArrowSchema, entry: &Entry, arrivals: &Arrivals) -> WriterProperties {
    let path = |(_, name): (usize, &str)| ColumnPath::from(name);
    let number = |key: &str, value: u64| KeyValue::new(key.to_owned(), value.to_string());
    let mut metadata = vec![
        number(VERSION_KEY, u64::from(VERSION)),
        number("pugmark.first_sequence", entry.first_sequence),
        number("pugmark.last_sequence", entry.last_sequence),
    ];
    metadata.extend(arrivals.write().map(|text| KeyValue::new(ARRIVALS_KEY.to_owned(), text)));
    let sorted_by = [system::EVENT, system::SUBJECT, system::TIMESTAMP, system::SEQUENCE];
    let sorting = sorted_by
        .iter()
        .filter_map(|(_, name)| arrow.index_of(name).ok())
        .filter_map(|place| i32::try_from(place).ok())
        .map(|column_idx| SortingColumn { column_idx, descending: false, nulls_first: false })
        .collect();
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("pugmark ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(metadata))
        .set_sorting_columns(Some(sorting))
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_max_row_group_row_count(None);
    // Numbers that are near their neighbours'.
    for column in [system::SEQUENCE, system::SUBJECT, system::TIMESTAMP] {
        properties = properties
            .set_column_dictionary_enabled(path(column), false)
            .set_column_encoding(path(column), Encoding::DELTA_BINARY_PACKED);
    }
    // Small ones without an order: their high bytes, put together, are nearly all zero.
    properties = properties
        .set_column_dictionary_enabled(DISTANCE.into(), false)
        .set_column_encoding(DISTANCE.into(), Encoding::BYTE_STREAM_SPLIT);
    // Few different ones in bulk, ascending ones from single appends.
    properties = properties.set_column_encoding(path(system::RECEIVED_AT), Encoding::DELTA_BINARY_PACKED);
    // All different: a dictionary would only be given up later.
    properties = properties
        .set_column_dictionary_enabled(path(system::MESSAGE_ID), false)
        .set_column_encoding(path(system::MESSAGE_ID), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    // In the order of a file these are as good as random: no bounds would rule out a page.
    for name in [system::MESSAGE_ID.1, system::SESSION_ID.1, system::CONTEXT.1, system::OVERFLOW, DISTANCE] {
        properties = properties.set_column_statistics_enabled(ColumnPath::from(name), EnabledStatistics::None);
    }
    // Often made of the subject and a time, as neighbours are.
    properties = properties
        .set_column_dictionary_enabled(path(system::SESSION_ID), false)
        .set_column_encoding(path(system::SESSION_ID), Encoding::DELTA_BYTE_ARRAY);
    let mut properties = properties.build();
    add_encoded_arrow_schema_to_metadata(arrow, &mut properties);
    properties
}
