//! Answers for programs, and the choice between those and tables for people.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use clap::ValueEnum;
use pugmark::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray};
use pugmark::arrow::datatypes::{DataType, Field, Schema};
use pugmark::arrow::{csv, ipc, json};
use pugmark::parquet::arrow::ArrowWriter;
use serde_json::Value;

use crate::failure::{Failure, Result};
use crate::render::{ColorChoice, Style};

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    Json,
    Csv,
    Parquet,
    /// An Arrow IPC stream.
    Arrow,
}

/// The form of an answer and where it goes.
#[derive(Debug, clap::Args)]
pub(crate) struct Output {
    /// A table for people, or a form for programs
    #[arg(long, value_enum, default_value = "table", help_heading = "Answer")]
    pub(crate) format: Format,
    /// Write the answer to a file instead of standard output
    #[arg(long, short, value_name = "FILE", help_heading = "Answer")]
    pub(crate) out: Option<PathBuf>,
}

impl Output {
    /// What can be shown where the answer goes.
    pub(crate) fn style(&self, color: ColorChoice) -> Style {
        if self.out.is_some() { Style::plain() } else { Style::of_stdout(color) }
    }

    /// Refuses bytes that would garble a terminal.
    pub(crate) fn check(&self) -> Result {
        let binary = matches!(self.format, Format::Parquet | Format::Arrow);
        if binary && self.out.is_none() && io::stdout().is_terminal() {
            return Err(Failure::Usage(
                "a terminal cannot show this format: add --out FILE or redirect standard output".to_owned(),
            ));
        }
        Ok(())
    }

    /// Writes the answer by `write`, then makes sure that all of it has arrived.
    pub(crate) fn write(&self, write: impl FnOnce(&mut (dyn Write + Send)) -> anyhow::Result<()>) -> Result {
        write_to(self.out.as_deref(), write)
    }

    /// Writes Arrow batches in a form for programs.
    pub(crate) fn write_batches(&self, batches: &[RecordBatch]) -> Result {
        self.write(|out| batches_as(self.format, batches, out))
    }
}

/// Refuses a file inside a store: it would overwrite what answers are made of.
pub(crate) fn outside_of_stores(path: &Path) -> Result {
    let Ok(path) = std::path::absolute(path) else { return Ok(()) };
    let inside = path.ancestors().skip(1).find(|dir| dir.join("log").is_dir() && dir.join("LOCK").is_file());
    match inside {
        Some(dir) => {
            Err(Failure::Usage(format!("{} lies inside the store {}: write elsewhere", path.display(), dir.display())))
        }
        None => Ok(()),
    }
}

/// Writes to a file, or to standard output without one.
pub(crate) fn write_to(
    path: Option<&Path>,
    write: impl FnOnce(&mut (dyn Write + Send)) -> anyhow::Result<()>,
) -> Result {
    let (target, name): (Box<dyn Write + Send>, _) = match path {
        Some(path) => {
            outside_of_stores(path)?;
            let file = File::create(path).with_context(|| format!("creating {}", path.display())).map_err(flatten)?;
            (Box::new(file), path.display().to_string())
        }
        None => (Box::new(io::stdout()), "standard output".to_owned()),
    };
    let mut out = Tap { out: BufWriter::new(target), failure: None };
    let written = write(&mut out).and_then(|()| Ok(out.flush()?));
    match out.failure {
        // Writers of formats keep of it no more than its text.
        Some(failure) => {
            let line = format!("writing {name}: {failure}");
            Err(anyhow::Error::from(failure).context(line).into())
        }
        None => Ok(written?),
    }
}

/// Keeps the first error of writing.
struct Tap<W> {
    out: W,
    failure: Option<io::Error>,
}

impl<W> Tap<W> {
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted && self.failure.is_none() {
                self.failure = Some(error);
            }
            kind.into()
        })
    }
}

impl<W: Write> Write for Tap<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let result = self.out.write(bytes);
        self.keep(result)
    }

    fn flush(&mut self) -> io::Result<()> {
        let result = self.out.flush();
        self.keep(result)
    }
}

/// Puts a cause into the one line that is shown.
pub(crate) fn flatten(error: anyhow::Error) -> anyhow::Error {
    let line = format!("{error:#}");
    error.context(line)
}

fn batches_as(format: Format, batches: &[RecordBatch], out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let schema = batches.first().map_or_else(|| Arc::new(Schema::empty()), RecordBatch::schema);
    match format {
        Format::Json | Format::Table => {
            let mut writer =
                json::WriterBuilder::new().with_explicit_nulls(true).build::<_, json::writer::JsonArray>(&mut *out);
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.finish()?;
            writeln!(out)?;
        }
        Format::Csv => {
            let mut writer = csv::WriterBuilder::new().with_header(false).build(&mut *out);
            // The heading is there also when no row is.
            let names: Vec<ArrayRef> = schema
                .fields()
                .iter()
                .map(|field| Arc::new(StringArray::from(vec![field.name().as_str()])) as ArrayRef)
                .collect();
            if !names.is_empty() {
                let texts: Vec<Field> =
                    schema.fields().iter().map(|field| Field::new(field.name(), DataType::Utf8, false)).collect();
                writer.write(&RecordBatch::try_new(Arc::new(Schema::new(texts)), names)?)?;
            }
            batches.iter().try_for_each(|batch| writer.write(batch))?;
        }
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(&mut *out, schema, None)?;
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.close()?;
        }
        Format::Arrow => {
            let mut writer = ipc::writer::StreamWriter::try_new(&mut *out, &schema)?;
            batches.iter().try_for_each(|batch| writer.write(batch))?;
            writer.finish()?;
        }
    }
    Ok(())
}

/// Flat rows of JSON values as one Arrow batch; a column has the type that all its values share, else text.
pub(crate) fn to_batch(headings: &[String], rows: &[Vec<Value>]) -> anyhow::Result<RecordBatch> {
    let mut fields = Vec::with_capacity(headings.len());
    let mut columns = Vec::with_capacity(headings.len());
    for (place, heading) in headings.iter().enumerate() {
        let values: Vec<&Value> = rows.iter().map(|row| row.get(place).unwrap_or(&Value::Null)).collect();
        let column = column(&values);
        fields.push(Field::new(heading, column.data_type().clone(), true));
        columns.push(column);
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

fn column(values: &[&Value]) -> ArrayRef {
    let all = |is: fn(&Value) -> bool| values.iter().all(|value| value.is_null() || is(value));
    let any = values.iter().any(|value| !value.is_null());
    if any && all(Value::is_boolean) {
        return Arc::new(values.iter().map(|value| value.as_bool()).collect::<BooleanArray>());
    }
    if any && all(Value::is_i64) {
        return Arc::new(values.iter().map(|value| value.as_i64()).collect::<Int64Array>());
    }
    if any && all(Value::is_number) {
        return Arc::new(values.iter().map(|value| value.as_f64()).collect::<Float64Array>());
    }
    let text = |value: &&Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    Arc::new(values.iter().map(text).collect::<StringArray>())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn csv_of(rows: &[Vec<Value>]) -> String {
        let batch = to_batch(&["name".to_owned(), "n".to_owned()], rows).unwrap();
        let mut out = Vec::new();
        batches_as(Format::Csv, &[batch], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_take_the_type_that_their_values_share() {
        let rows = [vec![json!("a"), json!(1)], vec![json!(2), json!(2.5)], vec![json!(null), json!(null)]];
        let batch = to_batch(&["mixed".to_owned(), "number".to_owned()], &rows).unwrap();
        assert_eq!(batch.schema().field(0).data_type(), &DataType::Utf8);
        assert_eq!(batch.schema().field(1).data_type(), &DataType::Float64);
    }

    #[test]
    fn csv_has_a_heading_also_without_rows() {
        assert_eq!(csv_of(&[]), "name,n\n");
        assert_eq!(csv_of(&[vec![json!("a,b"), json!(null)]]), "name,n\n\"a,b\",\n");
    }
}
