//! Rows of SQL in the form that a caller takes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::{HeaderMap, StatusCode, header};
use pugmark::arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use pugmark::arrow::compute::cast;
use pugmark::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use pugmark::arrow::json::writer::JsonArray;
use pugmark::arrow::{csv, ipc, json as arrow_json};
use pugmark::parquet::arrow::ArrowWriter;
use pugmark::parquet::file::properties::WriterProperties;

use crate::limits::ROWS_OF_A_GROUP;
use crate::problem::{Answer, Problem};

/// In which form rows are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Json,
    Csv,
    Arrow,
    Parquet,
}

const FORMS: [(&str, Form); 4] = [
    ("application/json", Form::Json),
    ("text/csv", Form::Csv),
    ("application/vnd.apache.arrow.stream", Form::Arrow),
    ("application/vnd.apache.parquet", Form::Parquet),
];

pub(crate) fn form_of(headers: &HeaderMap) -> Answer<(&'static str, Form)> {
    let Some(accept) = headers.get(header::ACCEPT) else { return Ok(FORMS[0]) };
    let accept = accept.to_str().unwrap_or_default().to_ascii_lowercase();
    for one in accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim()) {
        if matches!(one, "*/*" | "application/*" | "") {
            return Ok(FORMS[0]);
        }
        if let Some(form) = FORMS.iter().find(|(kind, _)| *kind == one) {
            return Ok(*form);
        }
    }
    let known = FORMS.map(|(kind, _)| kind).join(", ");
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "unsupported", format!("{accept:?}: expected one of {known}"))
        .on("accept"))
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::internal(format!("writing the rows: {error}"))
}

/// What an answer is told that another form would have a place for.
fn unfit(problem: &Problem) -> Problem {
    let detail = format!("{}: ask for another form by `Accept`, or for other columns", problem.detail);
    Problem::new(StatusCode::NOT_ACCEPTABLE, "unsupported", detail).on("accept")
}

/// Everything that was written since it was last taken.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes rows batch by batch, each of which it gives away at once.
pub(crate) struct RowWriter {
    writer: Writer,
    schema: SchemaRef,
    written: Written,
    is_empty: bool,
}

enum Writer {
    Json(Box<arrow_json::Writer<Written, JsonArray>>),
    Csv(Box<csv::Writer<Written>>),
    Arrow(Box<ipc::writer::StreamWriter<Written>>),
    Parquet(Box<ArrowWriter<Written>>),
}

impl RowWriter {
    /// # Errors
    /// Columns of types that the form has no place for.
    pub(crate) fn new(form: Form, schema: &SchemaRef) -> Answer<Self> {
        Self::try_nulls(form, schema).map_err(|problem| unfit(&problem))?;
        Self::unchecked(form, schema)
    }

    /// Writes one row without values: some types are refused only when they are written.
    fn try_nulls(form: Form, schema: &SchemaRef) -> Answer<()> {
        let nullable = |field: &Arc<Field>| field.as_ref().clone().with_nullable(true);
        let schema = Arc::new(Schema::new(schema.fields().iter().map(nullable).collect::<Vec<_>>()));
        let nulls = schema.fields().iter().map(|field| new_null_array(field.data_type(), 1)).collect();
        let mut trial = Self::unchecked(form, &schema)?;
        let options = RecordBatchOptions::new().with_row_count(Some(1));
        trial.write(&RecordBatch::try_new_with_options(schema, nulls, &options).map_err(failed)?)?;
        trial.finish().map(drop)
    }

    fn unchecked(form: Form, schema: &SchemaRef) -> Answer<Self> {
        let written = Written::default();
        let to = written.clone();
        let writer = match form {
            Form::Json => Writer::Json(Box::new(json_writer(to))),
            Form::Csv => Writer::Csv(Box::new(csv::Writer::new(to))),
            Form::Arrow => Writer::Arrow(Box::new(ipc::writer::StreamWriter::try_new(to, schema).map_err(failed)?)),
            Form::Parquet => {
                let properties = WriterProperties::builder().set_max_row_group_row_count(Some(ROWS_OF_A_GROUP)).build();
                let writer = ArrowWriter::try_new(to, Arc::clone(schema), Some(properties)).map_err(failed)?;
                Writer::Parquet(Box::new(writer))
            }
        };
        Ok(Self { writer, schema: Arc::clone(schema), written, is_empty: true })
    }

    /// What became ready with these rows: of Parquet nothing before a group of rows is full.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Answer<Vec<u8>> {
        self.is_empty = false;
        match &mut self.writer {
            Writer::Json(writer) => writer.write(batch).map_err(failed)?,
            Writer::Csv(writer) => writer.write(&guarded(batch)?).map_err(failed)?,
            Writer::Arrow(writer) => writer.write(batch).map_err(failed)?,
            Writer::Parquet(writer) => writer.write(batch).map_err(failed)?,
        }
        Ok(self.written.take())
    }

    /// The end, and of no rows their columns.
    pub(crate) fn finish(mut self) -> Answer<Vec<u8>> {
        let mut before = Vec::new();
        if self.is_empty {
            before = self.write(&RecordBatch::new_empty(Arc::clone(&self.schema)))?;
        }
        match self.writer {
            Writer::Json(mut writer) => writer.finish().map_err(failed)?,
            Writer::Csv(_) => {}
            Writer::Arrow(mut writer) => writer.finish().map_err(failed)?,
            Writer::Parquet(writer) => drop(writer.close().map_err(failed)?),
        }
        before.extend(self.written.take());
        Ok(before)
    }
}

fn json_writer<W: Write>(to: W) -> arrow_json::Writer<W, JsonArray> {
    arrow_json::WriterBuilder::new().with_explicit_nulls(true).build(to)
}

/// Rows as a list of objects; a NULL is `null`.
pub(crate) fn rows_as_json(rows: &[RecordBatch]) -> Answer<Vec<u8>> {
    let mut writer = json_writer(Vec::new());
    rows.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(writer.into_inner())
}

/// A spreadsheet takes a text that begins with one of these for a formula: an apostrophe keeps it a text.
fn guarded(batch: &RecordBatch) -> Answer<RecordBatch> {
    let is_text = |kind: &DataType| match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => matches!(**value, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        _ => false,
    };
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    let guard = |text: &str| match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        // Names of columns are those of properties, which senders choose.
        let field = &Arc::new(field.as_ref().clone().with_name(guard(field.name())));
        if !is_text(column.data_type()) {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
            continue;
        }
        let texts = cast(column, &DataType::Utf8).map_err(failed)?;
        let texts: StringArray = texts.as_string::<i32>().iter().map(|text| text.map(guard)).collect();
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, texts.is_nullable() || field.is_nullable())));
        columns.push(Arc::new(texts));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)
}
