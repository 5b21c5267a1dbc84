//! Makes one columnar file of several neighbours, column by column.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, new_null_array};
use datafusion::arrow::compute::{cast, concat, interleave};
use datafusion::arrow::datatypes::{DataType, Field, TimestampMicrosecondType, UInt32Type, UInt64Type};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder,
};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::metadata::RowGroupMetaData;
use datafusion::parquet::file::statistics::Statistics;
use pugmark_store::Result;

use super::arrivals::{Arrivals, Batches, Knots, is_worth_it};
use super::catalog::{ColumnFile, EVENT_NAMES_MAX, Entry, FileId};
use super::contents::Contents;
use super::dir::ColumnDir;
use super::error;
use super::guard::{Guarded, Parts, external};
use super::order::row_groups;
use super::pace::Pace;
use super::policy::FileSize;
use super::rollup::{Rollup, read_rollup};
use super::schema::{EventSchema, system};
use super::writer::{Column, Plan, ROWS_AT_ONCE, are_milliseconds};

/// Every whole number up to here, and down to its opposite, is a double.
const EXACT_MAX: i64 = 1 << 53;
/// Most files that are merged at once.
pub(super) const FILES_MAX: usize = 64;

/// Writes the rows of `files`, which are neighbours in the order of their sequences, to one file. `None` once `pace` says that nobody wants it, and for a column of whole numbers
/// that has widened and holds some that no double is equal to: digits that the overflow would have to take stay where they are.
pub(super) fn merge_files(
    dir: &ColumnDir,
    id: impl FnOnce() -> FileId,
    files: &[Arc<ColumnFile>],
    schema: &EventSchema,
    pace: &Arc<dyn Pace>,
) -> Result<Option<ColumnFile>> {
    let inputs = files.iter().map(|file| Input::open(file, pace)).collect::<Result<Vec<_>>>()?;
    let Some(fields) = fields(&inputs, schema) else { return Ok(None) };
    let Some(order) = Merged::of(&inputs, pace.as_ref())? else { return Ok(None) };
    let size = files.iter().fold(FileSize::default(), |size, file| size.and(file.size()));
    let row_groups = row_groups(&order.events, size);
    let rows_at_once = size.rows_at_once(ROWS_AT_ONCE);
    let entry = order.entry(files);
    let columns = |at: usize| -> Result<Column<'_>> {
        let field = fields.get(at).expect("invariant: columns are asked for by their place");
        let source = |input| Source::new(input, field, rows_at_once.div_ceil(inputs.len()));
        let mut sources: Vec<Source<'_>> = inputs.iter().map(source).collect();
        let rows = &order.rows;
        Ok(Box::new(move |group: Range<usize>| gather(&mut sources, rows.get(group).unwrap_or_default())))
    };
    let plan = Plan {
        fields: fields.clone(),
        row_groups: &row_groups,
        entry: &entry,
        rollup: &order.rollup,
        arrivals: &order.arrivals,
        in_milliseconds: order.in_milliseconds,
        rows_at_once,
    };
    plan.write(dir, id(), &columns, pace.as_ref())
}

/// A file to be merged.
struct Input {
    file: Arc<ColumnFile>,
    footer: ArrowReaderMetadata,
    contents: Contents,
    rollup: Rollup,
    guarded: Guarded,
}

impl Input {
    fn open(file: &Arc<ColumnFile>, pace: &Arc<dyn Pace>) -> Result<Self> {
        let guarded = Guarded::open(Arc::clone(&file.data))?.paced(pace);
        let footer = ArrowReaderMetadata::load(&guarded, ArrowReaderOptions::new());
        let footer = footer.map_err(|e| error::reading(&file.path, e))?;
        let contents = Contents::of(footer.schema()).map_err(|what| error::corrupt(file.path.display(), what))?;
        let rollup = read_rollup(&file.rollup, file.rows)?;
        Ok(Self { file: Arc::clone(file), footer, contents, rollup, guarded })
    }

    /// The column of the table at this place of the file's, so many rows at a time.
    fn reader(&self, place: usize, rows_at_once: usize) -> Reader<'_> {
        let groups = 0..self.footer.metadata().num_row_groups();
        Reader { input: self, place, reads: self.contents.reads([place]), rows_at_once, groups, batches: None }
    }

    /// Whether a double is equal to each of the whole numbers in a column.
    fn are_exact(&self, name: &str) -> bool {
        let bounds = |group: &RowGroupMetaData| -> Option<(i64, i64)> {
            let column = group.columns().get(self.footer.schema().index_of(name).ok()?)?;
            match column.statistics()? {
                Statistics::Int64(bounds) => match (bounds.min_opt(), bounds.max_opt()) {
                    (Some(low), Some(high)) => Some((*low, *high)),
                    // Only NULL.
                    _ => (bounds.null_count_opt() == u64::try_from(column.num_values()).ok()).then_some((0, 0)),
                },
                _ => None,
            }
        };
        let groups = self.footer.metadata().row_groups();
        groups.iter().all(|group| bounds(group).is_some_and(|(low, high)| low >= -EXACT_MAX && high <= EXACT_MAX))
    }

    /// All values of a column that every row has.
    fn whole(&self, name: &str) -> Result<ArrayRef> {
        let path = &self.file.path;
        let place = self.contents.place(name);
        let place = place.ok_or_else(|| error::corrupt(path.display(), format_args!("no column {name}")))?;
        let arrays = self.reader(place, ROWS_AT_ONCE).collect::<Result<Vec<_>>>()?;
        let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
        concat(&arrays).map_err(|e| error::reading_arrow(path, &e))
    }
}

/// Reads one column of the table, row group by row group.
struct Reader<'a> {
    input: &'a Input,
    place: usize,
    reads: Vec<usize>,
    rows_at_once: usize,
    /// Those to come.
    groups: Range<usize>,
    batches: Option<ParquetRecordBatchReader>,
}

impl Reader<'_> {
    fn open(&self, group: usize) -> Result<ParquetRecordBatchReader> {
        let Input { file, footer, guarded, .. } = self.input;
        let parts = Parts::of_columns(guarded, footer.metadata().row_group(group), &self.reads)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(parts, footer.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), self.reads.iter().copied());
        let batches = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(self.rows_at_once);
        batches.build().map_err(|e| error::reading(&file.path, e))
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<ArrayRef>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                let column = batch.and_then(|batch| self.input.contents.column(self.place, &self.reads, &batch));
                return Some(column.map_err(|e| error::reading_arrow(&self.input.file.path, &e)));
            }
            let group = self.groups.next()?;
            match self.open(group) {
                Ok(batches) => self.batches = Some(batches),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// The columns that some file has, in the order of `schema`; `None` if one of them cannot be of one type.
fn fields(inputs: &[Input], schema: &EventSchema) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    for field in schema.arrow().fields() {
        let of = |input: &Input| Some(input.contents.field(field.name())?.data_type().clone());
        let mut kinds = inputs.iter().filter_map(of);
        let Some(first) = kinds.next() else { continue };
        let kind = if kinds.all(|other| other == first) {
            first
        } else {
            let are_exact = |input: &Input| of(input) != Some(DataType::Int64) || input.are_exact(field.name());
            if !inputs.iter().all(are_exact) {
                return None;
            }
            DataType::Float64
        };
        fields.push(field.as_ref().clone().with_data_type(kind));
    }
    Some(fields)
}

/// The rows of several files in the order of one.
struct Merged {
    /// The file of each row: the rows of each file keep their order.
    rows: Vec<u8>,
    events: Vec<(String, usize)>,
    rollup: Rollup,
    arrivals: Arrivals,
    in_milliseconds: bool,
}

impl Merged {
    fn of(inputs: &[Input], pace: &dyn Pace) -> Result<Option<Self>> {
        let mut keys: Vec<(ArrayRef, ArrayRef)> = Vec::with_capacity(inputs.len());
        let mut events: BTreeMap<&str, Vec<(u8, Range<usize>)>> = BTreeMap::new();
        for (number, input) in (0_u8..).zip(inputs) {
            if pace.gives_up() {
                return Ok(None);
            }
            keys.push((input.whole(system::SUBJECT.1)?, input.whole(system::TIMESTAMP.1)?));
            for event in input.rollup.events() {
                events.entry(&event.name).or_default().push((number, event.rows.clone()));
            }
        }
        let keys: Vec<(&[u32], &[i64])> = keys
            .iter()
            .map(|(subjects, timestamps)| {
                let subjects = subjects.as_primitive::<UInt32Type>().values();
                (subjects.as_ref(), timestamps.as_primitive::<TimestampMicrosecondType>().values().as_ref())
            })
            .collect();
        let total = inputs.iter().map(|input| usize::try_from(input.file.rows).unwrap_or(0)).sum();
        let mut rows: Vec<u8> = Vec::with_capacity(total);
        let mut counts = Vec::with_capacity(events.len());
        for (name, mut sources) in events {
            let before = rows.len();
            // Of rows with one subject and timestamp, those of the first file have the lower sequences.
            while let Some((_, number, at)) = sources
                .iter()
                .enumerate()
                .map(|(at, (number, rows))| {
                    let (subjects, timestamps) = keys[usize::from(*number)];
                    ((subjects[rows.start], timestamps[rows.start]), *number, at)
                })
                .min()
            {
                rows.push(number);
                let left = &mut sources[at].1;
                left.start += 1;
                if left.start >= left.end {
                    sources.remove(at);
                }
            }
            counts.push((name.to_owned(), rows.len() - before));
        }
        let mut next = vec![0_usize; keys.len()];
        let key = rows.iter().map(|number| {
            let number = usize::from(*number);
            let at = next[number];
            next[number] += 1;
            (keys[number].0[at], keys[number].1[at])
        });
        let rollup = Rollup::of(counts.iter().map(|(name, rows)| (name.as_str(), *rows)), key);
        let timestamps: Vec<&[i64]> = keys.iter().map(|(_, timestamps)| *timestamps).collect();
        let in_milliseconds = timestamps.iter().all(|timestamps| are_milliseconds(timestamps));
        let arrivals = arrivals(inputs, &timestamps, &rows)?;
        Ok(Some(Self { rows, events: counts, rollup, arrivals, in_milliseconds }))
    }

    fn entry(&self, files: &[Arc<ColumnFile>]) -> Entry {
        let entries: Vec<Entry> = files.iter().map(|file| file.entry()).collect();
        let least = |of: fn(&Entry) -> i128| entries.iter().map(of).min().unwrap_or_default();
        let most = |of: fn(&Entry) -> i128| entries.iter().map(of).max().unwrap_or_default();
        let names = || self.events.iter().map(|(name, _)| name.clone()).collect();
        Entry {
            rows: self.rows.len() as u64,
            bytes: 0,
            decoded_bytes: 0,
            rollup_bytes: 0,
            first_sequence: least(|entry| entry.first_sequence.into()) as u64,
            last_sequence: most(|entry| entry.last_sequence.into()) as u64,
            first_subject: least(|entry| entry.first_subject.into()) as u32,
            last_subject: most(|entry| entry.last_subject.into()) as u32,
            min_timestamp: least(|entry| entry.min_timestamp.into()) as i64,
            max_timestamp: most(|entry| entry.max_timestamp.into()) as i64,
            events: (self.events.len() <= EVENT_NAMES_MAX).then(names),
            cubes: Vec::new(),
        }
    }
}

/// What the order of arrival tells of all rows, as far as it is worth it; `rows` gives the file of each.
fn arrivals(inputs: &[Input], timestamps: &[&[i64]], rows: &[u8]) -> Result<Arrivals> {
    let batches = Batches::merged(inputs.iter().map(|input| input.contents.arrivals().batches()), rows.len());
    let sequences = inputs.iter().map(|input| input.whole(system::SEQUENCE.1)).collect::<Result<Vec<_>>>()?;
    let sequences: Vec<&[u64]> =
        sequences.iter().map(|sequences| sequences.as_primitive::<UInt64Type>().values().as_ref()).collect();
    let mut knots = Knots::new(timestamps.iter().copied().flatten().copied().collect());
    for sequences in &sequences {
        let mut sequences = sequences.to_vec();
        sequences.sort_unstable();
        knots.add(sequences.into_iter());
    }
    let arrivals = Arrivals::new(Some(knots), batches.clone());
    let mut columns: Vec<_> = timestamps
        .iter()
        .zip(&sequences)
        .map(|(timestamps, sequences)| timestamps.iter().copied().zip(sequences.iter().copied()))
        .collect();
    let in_order = rows.iter().filter_map(|number| columns.get_mut(usize::from(*number))?.next());
    Ok(if is_worth_it(&arrivals, in_order) { arrivals } else { Arrivals::new(None, batches) })
}

/// One column of one file, from its beginning to its end.
struct Source<'a> {
    /// `None` where the file has no such column.
    reader: Option<Reader<'a>>,
    kind: DataType,
    /// Decoded, and not taken yet.
    left: Option<ArrayRef>,
}

impl<'a> Source<'a> {
    fn new(input: &'a Input, field: &Field, rows_at_once: usize) -> Self {
        let reader = input.contents.place(field.name()).map(|place| input.reader(place, rows_at_once));
        Self { reader, kind: field.data_type().clone(), left: None }
    }

    fn take(&mut self, rows: usize) -> std::result::Result<ArrayRef, ParquetError> {
        let Some(reader) = &mut self.reader else { return Ok(new_null_array(&self.kind, rows)) };
        let mut pieces: Vec<ArrayRef> = Vec::new();
        let mut wanted = rows;
        while wanted > 0 {
            let array = match self.left.take() {
                Some(left) => left,
                None => {
                    let array = reader.next().transpose().map_err(external)?;
                    let array = array.ok_or_else(|| {
                        let what = format!("ends {wanted} rows early");
                        external(error::corrupt(reader.input.file.path.display(), what))
                    })?;
                    // Whole numbers of a column that has widened.
                    cast(&array, &self.kind)?
                }
            };
            let own = array.len().min(wanted);
            if own < array.len() {
                self.left = Some(array.slice(own, array.len() - own));
            }
            pieces.push(array.slice(0, own));
            wanted -= own;
        }
        match pieces.as_slice() {
            [] => Ok(new_null_array(&self.kind, 0)),
            [one] => Ok(Arc::clone(one)),
            many => Ok(concat(&many.iter().map(AsRef::as_ref).collect::<Vec<&dyn Array>>())?),
        }
    }
}

/// The next rows, from the files that `rows` names.
fn gather(sources: &mut [Source<'_>], rows: &[u8]) -> std::result::Result<ArrayRef, ParquetError> {
    let mut counts = vec![0; sources.len()];
    let places: Vec<(usize, usize)> = rows
        .iter()
        .map(|number| {
            let number = usize::from(*number);
            let at = counts[number];
            counts[number] += 1;
            (number, at)
        })
        .collect();
    let arrays = sources.iter_mut().zip(counts).map(|(source, rows)| source.take(rows));
    let arrays = arrays.collect::<std::result::Result<Vec<_>, _>>()?;
    let arrays: Vec<&dyn Array> = arrays.iter().map(AsRef::as_ref).collect();
    Ok(interleave(&arrays, &places)?)
}
