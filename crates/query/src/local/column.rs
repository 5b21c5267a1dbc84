//! A column of one piece of a part in memory: text of few values as codes.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, RecordBatch, StringViewBuilder, UInt16Array, UInt32Array, new_null_array,
};
use datafusion::arrow::buffer::{BooleanBuffer, ScalarBuffer};
use datafusion::arrow::compute::{cast, concat_batches, take};
use datafusion::arrow::datatypes::{DataType, Field, Int32Type, Schema};
use datafusion::parquet::arrow::ProjectionMask;
use datafusion::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataReader};
use hashbrown::HashMap;
use pugmark_store::Result;

use crate::columns::{ColumnFile, Contents, Guarded, Parts, reading, reading_arrow};

/// Most values that a column in codes may have, NULL included.
const CODES_MAX: usize = 1 << 16;

/// A column of one piece of a part.
#[derive(Debug, Clone)]
pub(crate) enum Column {
    /// The part has no such column: every row is NULL.
    Null,
    /// Text of few values.
    Coded(Coded),
    /// Anything else.
    Array(ArrayRef),
}

/// Text as numbers of its values.
#[derive(Debug, Clone)]
pub(crate) struct Coded {
    /// A place in `values` for each row.
    pub(crate) codes: ScalarBuffer<u16>,
    /// `Utf8View`, each value once; NULL, if it is one, is the last.
    pub(crate) values: ArrayRef,
}

impl Column {
    /// The rows at `rows`, or from `start` on so many, as an array of this type.
    pub(crate) fn slice(&self, start: usize, rows: usize, kind: &DataType) -> Result<ArrayRef> {
        match self {
            Self::Null => Ok(new_null_array(kind, rows)),
            Self::Coded(coded) => {
                let codes = UInt16Array::new(coded.codes.slice(start, rows), None);
                take(&coded.values, &codes, None).map_err(crate::columns::arrow_error)
            }
            Self::Array(array) => Ok(array.slice(start, rows)),
        }
    }

    /// The rows at `rows` as an array of this type.
    pub(crate) fn take(&self, rows: &UInt32Array, kind: &DataType) -> Result<ArrayRef> {
        let taken = match self {
            Self::Null => Ok(new_null_array(kind, rows.len())),
            Self::Coded(coded) => {
                let codes = UInt16Array::from_iter_values(rows.values().iter().map(|row| coded.codes[*row as usize]));
                take(&coded.values, &codes, None)
            }
            Self::Array(array) => take(array, rows, None),
        };
        taken.map_err(crate::columns::arrow_error)
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Coded(coded) => coded.codes.len() * 2 + coded.values.get_array_memory_size(),
            Self::Array(array) => array.get_array_memory_size(),
        }
    }

    /// Text in codes where its values are few.
    pub(crate) fn of(array: ArrayRef) -> Self {
        match array.data_type() {
            DataType::Utf8View => Coded::of_text(&array).map_or(Self::Array(array), Self::Coded),
            _ => Self::Array(array),
        }
    }
}

impl Coded {
    /// `None` when there are too many values for codes to be worth it.
    fn of_text(array: &ArrayRef) -> Option<Self> {
        let texts = array.as_string_view();
        let most = (texts.len() / 4).clamp(64, CODES_MAX - 1);
        let mut numbers: HashMap<&str, u16, foldhash::fast::RandomState> = HashMap::default();
        let mut values = StringViewBuilder::new();
        let mut codes = Vec::with_capacity(texts.len());
        // The code of NULL is known when all values are.
        const NULL: u16 = u16::MAX;
        for row in 0..texts.len() {
            if texts.is_null(row) {
                codes.push(NULL);
                continue;
            }
            let text = texts.value(row);
            let next = numbers.len();
            let code = *numbers.entry(text).or_insert_with(|| {
                values.append_value(text);
                next as u16
            });
            if numbers.len() > most {
                return None;
            }
            codes.push(code);
        }
        if texts.null_count() > 0 {
            let null = numbers.len() as u16;
            values.append_null();
            codes.iter_mut().filter(|code| **code == NULL).for_each(|code| *code = null);
        }
        Some(Self { codes: codes.into(), values: Arc::new(values.finish()) })
    }

    /// `None` for more values than there are codes.
    fn of_dictionary(array: &ArrayRef) -> Result<Option<Self>> {
        let dictionary = array.as_dictionary::<Int32Type>();
        let values = dictionary.values();
        if values.len() >= CODES_MAX || values.null_count() > 0 {
            return Ok(None);
        }
        let keys = dictionary.keys();
        let null = values.len() as u16;
        let code = |key: i32| u16::try_from(key).unwrap_or(null);
        let codes: Vec<u16> = match keys.nulls() {
            None => keys.values().iter().map(|key| code(*key)).collect(),
            Some(valid) => {
                let rows = keys.values().iter().zip(valid.iter());
                rows.map(|(key, valid)| if valid { code(*key) } else { null }).collect()
            }
        };
        let places = (0..values.len() as u32).map(Some).chain((keys.null_count() > 0).then_some(None));
        let values = cast(values, &DataType::Utf8View).and_then(|values| {
            let places: UInt32Array = places.collect();
            take(&values, &places, None)
        });
        Ok(Some(Self { codes: codes.into(), values: values.map_err(crate::columns::arrow_error)? }))
    }

    /// Whether each row's value is one of those in `wanted`, from `start` on so many.
    pub(crate) fn rows_of(&self, wanted: &[bool], start: usize, rows: usize) -> BooleanBuffer {
        let codes = self.codes.slice(start, rows);
        BooleanBuffer::collect_bool(rows, |row| wanted.get(usize::from(codes[row])).copied().unwrap_or(false))
    }
}

/// The footer of a file, as a reader wants it.
#[derive(Debug)]
pub(crate) struct Footer {
    /// Text as it is.
    plain: ArrowReaderMetadata,
    /// Text as dictionaries where the file has one.
    coded: ArrowReaderMetadata,
    contents: Contents,
    /// The rows of each row group.
    pub(crate) groups: Vec<std::ops::Range<usize>>,
}

impl Footer {
    /// Reads it, with the bytes that it takes.
    pub(crate) fn read(file: &ColumnFile) -> Result<(Self, usize)> {
        let guarded = Guarded::open(Arc::clone(&file.data))?;
        let failed = |e| reading(&file.path, e);
        let reader = ParquetMetaDataReader::new().with_page_index_policy(PageIndexPolicy::Optional);
        let metadata = Arc::new(reader.parse_and_finish(&guarded).map_err(failed)?);
        let bytes = metadata.memory_size();
        let plain = ArrowReaderMetadata::try_new(Arc::clone(&metadata), ArrowReaderOptions::new()).map_err(failed)?;
        let contents =
            Contents::of(plain.schema()).map_err(|what| crate::columns::corrupt(file.path.display(), what))?;
        let fields: Vec<Field> = plain
            .schema()
            .fields()
            .iter()
            .enumerate()
            .map(|(at, field)| {
                let group = metadata.row_groups().iter().find_map(|group| group.columns().get(at));
                let has_dictionary = group.is_some_and(|column| column.dictionary_page_offset().is_some());
                if has_dictionary && *field.data_type() == DataType::Utf8View {
                    let text = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8));
                    field.as_ref().clone().with_data_type(text)
                } else {
                    field.as_ref().clone()
                }
            })
            .collect();
        let schema = Schema::new_with_metadata(fields, plain.schema().metadata().clone());
        let options = ArrowReaderOptions::new().with_schema(Arc::new(schema));
        let coded = ArrowReaderMetadata::try_new(Arc::clone(&metadata), options).map_err(failed)?;
        let groups = metadata.row_groups().iter().scan(0, |start, group| {
            let first = *start;
            *start += usize::try_from(group.num_rows()).unwrap_or(0);
            Some(first..*start)
        });
        let groups = groups.collect();
        let bytes = bytes * 2 + contents.arrivals().bytes();
        Ok((Self { plain, coded, contents, groups }, bytes))
    }

    /// The place of a column of the table among those that the file has.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.contents.place(name)
    }

    /// Bytes on disk of what a column is made of in one row group.
    pub(crate) fn column_bytes(&self, group: usize, place: usize) -> u64 {
        self.sizes(group, place, ColumnChunkMetaData::compressed_size)
    }

    /// Bytes before compression of what a column is made of in one row group.
    pub(crate) fn encoded_bytes(&self, group: usize, place: usize) -> u64 {
        self.sizes(group, place, ColumnChunkMetaData::uncompressed_size)
    }

    fn sizes(&self, group: usize, place: usize, size: fn(&ColumnChunkMetaData) -> i64) -> u64 {
        let Some(group) = self.plain.metadata().row_groups().get(group) else { return 0 };
        let own = self.contents.reads([place]);
        own.iter().filter_map(|own| u64::try_from(size(group.columns().get(*own)?)).ok()).sum()
    }

    /// Reads rows of one row group, and no page without one of them: the columns at `places`. Answers with the bytes of those pages, too.
    pub(crate) fn read_rows(
        &self,
        file: &ColumnFile,
        group: usize,
        places: &[usize],
        rows: &[Range<usize>],
    ) -> Result<(Vec<ArrayRef>, u64)> {
        let path = &file.path;
        let all = self.groups.get(group).map_or(0, |rows| rows.len());
        let count: usize = rows.iter().map(|rows| rows.len()).sum();
        let guarded = Guarded::open(Arc::clone(&file.data))?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(guarded, self.plain.clone());
        let reads = self.contents.reads(places.iter().copied());
        let mask = ProjectionMask::roots(builder.parquet_schema(), reads.iter().copied());
        let selection = RowSelection::from_consecutive_ranges(rows.iter().cloned(), all);
        let reader = builder
            .with_projection(mask)
            .with_row_groups(vec![group])
            .with_row_selection(selection)
            .with_batch_size(count.max(1))
            .build();
        let batches = reader.map_err(|e| reading(path, e))?.collect::<std::result::Result<Vec<_>, _>>();
        let batches = batches.map_err(|e| reading_arrow(path, &e))?;
        let found: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let (Some(first), true) = (batches.first(), found == count) else {
            let what = format_args!("row group {group} has {found} of the {count} rows that were looked for");
            return Err(crate::columns::corrupt(path.display(), what));
        };
        let batch = concat_batches(&first.schema(), &batches).map_err(crate::columns::arrow_error)?;
        let columns = places.iter().map(|place| self.contents.column(*place, &reads, &batch));
        let columns = columns.collect::<std::result::Result<_, _>>().map_err(|e| reading_arrow(path, &e))?;
        Ok((columns, reads.iter().map(|own| self.page_bytes(group, *own, rows)).sum()))
    }

    /// Bytes of the pages of a column of the file that have some of `rows`.
    fn page_bytes(&self, group: usize, own: usize, rows: &[Range<usize>]) -> u64 {
        let metadata = self.plain.metadata();
        let Some(index) = metadata.offset_index().and_then(|index| index.get(group)?.get(own)) else {
            let column = metadata.row_groups().get(group).and_then(|group| group.columns().get(own));
            return column.and_then(|column| u64::try_from(column.compressed_size()).ok()).unwrap_or(0);
        };
        let pages = index.page_locations();
        let first_row =
            |at: usize| pages.get(at).map_or(usize::MAX, |page| usize::try_from(page.first_row_index).unwrap_or(0));
        let is_read = |at: &usize| rows.iter().any(|rows| rows.start < first_row(at + 1) && first_row(*at) < rows.end);
        let bytes = |at: usize| pages.get(at).and_then(|page| u64::try_from(page.compressed_page_size).ok());
        (0..pages.len()).filter(is_read).filter_map(bytes).sum()
    }

    /// Reads a column of one row group as `kind`, with the bytes that it takes.
    pub(crate) fn read_column(
        &self,
        file: &ColumnFile,
        group: usize,
        place: usize,
        kind: &DataType,
    ) -> Result<(Column, usize)> {
        let path = &file.path;
        let rows = self.groups.get(group).map_or(0, |rows| rows.len());
        let reads = self.contents.reads([place]);
        let guarded = Guarded::open(Arc::clone(&file.data))?;
        let in_file = self
            .coded
            .metadata()
            .row_groups()
            .get(group)
            .ok_or_else(|| crate::columns::corrupt(path.display(), format_args!("no row group {group}")))?;
        let parts = Parts::of_columns(&guarded, in_file, &reads)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(parts, self.coded.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), reads.iter().copied());
        let reader = builder.with_projection(mask).with_row_groups(vec![group]).with_batch_size(rows.max(1)).build();
        let mut batches = reader.map_err(|e| reading(path, e))?;
        let batch = batches.next().transpose().map_err(|e| reading_arrow(path, &e))?;
        let batch = batch.filter(|batch| batch.num_rows() == rows).ok_or_else(|| {
            crate::columns::corrupt(path.display(), format_args!("row group {group} has not {rows} rows"))
        })?;
        let array = self.contents.column(place, &reads, &batch).map_err(|e| reading_arrow(path, &e))?;
        let column = match array.data_type() {
            DataType::Dictionary(..) => match Coded::of_dictionary(&array)? {
                Some(coded) => Column::Coded(coded),
                None => Column::Array(cast(&array, &DataType::Utf8View).map_err(crate::columns::arrow_error)?),
            },
            // A column that has widened since. One that is asked for as it was before is kept as it is.
            own if own != kind && *kind == DataType::Float64 => {
                Column::Array(cast(&array, kind).map_err(crate::columns::arrow_error)?)
            }
            _ => Column::Array(array),
        };
        let bytes = column.bytes();
        Ok((column, bytes))
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::StringViewArray;

    use super::*;

    #[test]
    fn text_of_few_values_is_coded_and_reads_back() {
        let texts: Vec<Option<&str>> = vec![Some("a"), None, Some("b"), Some("a"), Some(""), None];
        let array: ArrayRef = Arc::new(StringViewArray::from(texts.clone()));
        let Column::Coded(coded) = Column::of(Arc::clone(&array)) else { panic!("few values") };
        assert_eq!((coded.codes.as_ref(), coded.values.len()), ([0, 3, 1, 0, 2, 3].as_slice(), 4));
        let column = Column::Coded(coded);
        assert_eq!(&column.slice(0, 6, &DataType::Utf8View).unwrap(), &array);
        assert_eq!(&column.slice(2, 3, &DataType::Utf8View).unwrap(), &array.slice(2, 3));
        let many: StringViewArray = (0..1_000).map(|n| Some(n.to_string())).collect();
        assert!(matches!(Column::of(Arc::new(many)), Column::Array(_)));
    }
}
