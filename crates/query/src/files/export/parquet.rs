//! Events as Parquet.

use std::io::Write;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field as ArrowField, Schema, SchemaRef, TimeUnit};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;
use pugmark_store::{ErrorKind, ValueRef};

use super::rows::{EventRow, Row};
use super::run::{RowWriter, write_failed};
use super::table::{FIELDS, Kind, REST, TableColumns};
use crate::error::{Error, Result};
use crate::files::mapping::Field;

/// Rows that are handed to the encoder at once.
const BATCH_ROWS: usize = 8_192;
/// Rows of a row group, which is kept in memory, encoded, until it is full.
const ROW_GROUP_ROWS: usize = 256 << 10;
/// Whole numbers up to this one are floats without loss.
const FLOAT_EXACT: u64 = 1 << 53;
const UTC: &str = "+00:00";

/// A column being built. Cells that were not set are null; they are filled up late, so that a row costs by its values only.
enum Cells {
    Bools(BooleanBuilder),
    Ints(Int64Builder),
    Floats(Float64Builder),
    Texts(StringBuilder),
}

macro_rules! each_builder {
    ($cells:expr, $builder:ident => $do:expr) => {
        match $cells {
            Cells::Bools($builder) => $do,
            Cells::Ints($builder) => $do,
            Cells::Floats($builder) => $do,
            Cells::Texts($builder) => $do,
        }
    };
}

impl Cells {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Bool => Self::Bools(BooleanBuilder::new()),
            Kind::Int => Self::Ints(Int64Builder::new()),
            Kind::Float => Self::Floats(Float64Builder::new()),
            Kind::Text => Self::Texts(StringBuilder::new()),
        }
    }

    fn data_type(&self) -> DataType {
        match self {
            Self::Bools(_) => DataType::Boolean,
            Self::Ints(_) => DataType::Int64,
            Self::Floats(_) => DataType::Float64,
            Self::Texts(_) => DataType::Utf8,
        }
    }

    fn fill_to(&mut self, rows: usize) {
        use datafusion::arrow::array::ArrayBuilder;
        each_builder!(self, builder => {
            let missing = rows.saturating_sub(builder.len());
            (0..missing).for_each(|_| builder.append_null());
        });
    }

    /// Sets the value of a row, unless the column holds others.
    fn put(&mut self, row: usize, value: ValueRef<'_>) -> bool {
        match (&mut *self, value) {
            (Self::Floats(_), ValueRef::Int(v)) if v.unsigned_abs() > FLOAT_EXACT => return false,
            (Self::Bools(_), ValueRef::Bool(_))
            | (Self::Ints(_), ValueRef::Int(_))
            | (Self::Floats(_), ValueRef::Float(_) | ValueRef::Int(_))
            | (Self::Texts(_), ValueRef::Text(_)) => {}
            _ => return false,
        }
        self.fill_to(row);
        match (self, value) {
            (Self::Bools(cells), ValueRef::Bool(v)) => cells.append_value(v),
            (Self::Ints(cells), ValueRef::Int(v)) => cells.append_value(v),
            (Self::Floats(cells), ValueRef::Float(v)) => cells.append_value(v),
            (Self::Floats(cells), ValueRef::Int(v)) => cells.append_value(v as f64),
            (Self::Texts(cells), ValueRef::Text(v)) => cells.append_value(v),
            _ => return false,
        }
        true
    }

    fn finish(&mut self) -> ArrayRef {
        each_builder!(self, builder => Arc::new(builder.finish()))
    }
}

pub(super) struct ParquetWriter<W: Write + Send> {
    out: ArrowWriter<W>,
    schema: SchemaRef,
    columns: TableColumns,
    rows: usize,
    timestamps: TimestampMicrosecondBuilder,
    /// The other fields of an event, in the order of [`FIELDS`].
    fields: Vec<StringBuilder>,
    /// By place in [`TableColumns`]; `None` for a property of which no column holds a value.
    properties: Vec<Option<Cells>>,
    rest: StringBuilder,
}

fn parquet_failed(error: ParquetError) -> Error {
    match error {
        ParquetError::External(cause) => match cause.downcast::<std::io::Error>() {
            Ok(cause) => write_failed(*cause),
            Err(cause) => Error::new(ErrorKind::Io, format!("writing the export: {cause}")).caused_by(cause),
        },
        other => Error::new(ErrorKind::Io, format!("writing the export: {other}")).caused_by(other),
    }
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new(out: W, columns: TableColumns) -> Result<Self> {
        let field = |field: &Field| {
            let data_type = match field {
                Field::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
                _ => DataType::Utf8,
            };
            ArrowField::new(field.as_str(), data_type, matches!(field, Field::SessionId | Field::Context))
        };
        let mut schema: Vec<ArrowField> = FIELDS.iter().map(field).collect();
        let properties: Vec<Option<Cells>> = columns.columns().iter().map(|(_, kind)| kind.map(Cells::of)).collect();
        for ((name, _), cells) in columns.columns().iter().zip(&properties) {
            schema.extend(cells.as_ref().map(|cells| ArrowField::new(name, cells.data_type(), true)));
        }
        schema.push(ArrowField::new(REST, DataType::Utf8, true));
        let schema = Arc::new(Schema::new(schema));
        let writing = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let out = ArrowWriter::try_new(out, Arc::clone(&schema), Some(writing)).map_err(parquet_failed)?;
        Ok(Self {
            out,
            schema,
            columns,
            rows: 0,
            timestamps: TimestampMicrosecondBuilder::new().with_timezone(UTC),
            fields: FIELDS.iter().map(|_| StringBuilder::new()).collect(),
            properties,
            rest: StringBuilder::new(),
        })
    }

    fn put(&mut self, event: &EventRow<'_>) -> Result<()> {
        let row = self.rows;
        let properties = &mut self.properties;
        let rest = self.columns.place(event, |place, value| {
            properties.get_mut(place).and_then(Option::as_mut).is_some_and(|cells| cells.put(row, value))
        })?;
        self.rest.append_option(rest);
        self.timestamps.append_value(event.timestamp.as_microsecond());
        let message_id = event.message_id.to_string();
        for (field, cells) in FIELDS.iter().zip(&mut self.fields) {
            match field {
                Field::Event => cells.append_value(event.name),
                Field::DistinctId => cells.append_value(event.distinct_id),
                Field::MessageId => cells.append_value(&message_id),
                Field::SessionId => cells.append_option(event.session_id),
                Field::Context => cells.append_option(event.context),
                Field::Timestamp | Field::Key => {}
            }
        }
        self.rows += 1;
        Ok(())
    }

    fn write_batch(&mut self) -> Result<()> {
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for (field, cells) in FIELDS.iter().zip(&mut self.fields) {
            arrays.push(match field {
                Field::Timestamp => Arc::new(self.timestamps.finish()),
                _ => Arc::new(cells.finish()),
            });
        }
        for cells in self.properties.iter_mut().flatten() {
            cells.fill_to(self.rows);
            arrays.push(cells.finish());
        }
        arrays.push(Arc::new(self.rest.finish()));
        self.rows = 0;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(|e| parquet_failed(e.into()))?;
        self.out.write(&batch).map_err(parquet_failed)
    }
}

impl<W: Write + Send> RowWriter for ParquetWriter<W> {
    fn write(&mut self, row: &Row<'_>) -> Result<()> {
        let Row::Event(event) = row else { return Ok(()) };
        self.put(event)?;
        if self.rows == BATCH_ROWS {
            self.write_batch()?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        if self.rows > 0 {
            self.write_batch()?;
        }
        let mut out = self.out.into_inner().map_err(parquet_failed)?;
        out.flush().map_err(write_failed)
    }
}
