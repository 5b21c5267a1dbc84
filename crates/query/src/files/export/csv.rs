//! Events as CSV.

use std::io::Write;

use csv::{Writer, WriterBuilder};
use pugmark_store::ValueRef;

use super::rows::Row;
use super::run::{RowWriter, write_failed};
use super::table::{FIELDS, REST, TableColumns};
use crate::error::{Error, Result};

pub(super) struct CsvWriter<W: Write> {
    out: Writer<W>,
    columns: TableColumns,
    cells: Vec<String>,
}

fn csv_failed(error: csv::Error) -> Error {
    let message = format!("writing the export: {error}");
    match error.into_kind() {
        csv::ErrorKind::Io(error) => write_failed(error),
        _ => Error::invalid(message),
    }
}

impl<W: Write> CsvWriter<W> {
    pub(super) fn new(out: W, columns: TableColumns) -> Result<Self> {
        let mut out = WriterBuilder::new().from_writer(out);
        let fields = FIELDS.iter().map(|field| field.as_str());
        let properties = columns.columns().iter().map(|(name, _)| name.as_str());
        out.write_record(fields.chain(properties).chain([REST])).map_err(csv_failed)?;
        let cells = vec![String::new(); columns.columns().len()];
        Ok(Self { out, columns, cells })
    }
}

impl<W: Write> RowWriter for CsvWriter<W> {
    fn write(&mut self, row: &Row<'_>) -> Result<()> {
        let Row::Event(event) = row else { return Ok(()) };
        self.cells.iter_mut().for_each(String::clear);
        let rest = self.columns.place(event, |place, value| {
            // An empty cell is an absent value: an empty text goes with the rest.
            let Some(cell) = self.cells.get_mut(place).filter(|_| value != ValueRef::Text("")) else { return false };
            match value {
                ValueRef::Text(text) | ValueRef::Number(text) | ValueRef::Json(text) => cell.push_str(text),
                other => cell.push_str(&other.to_json().to_string()),
            }
            true
        })?;
        let (timestamp, message_id) = (event.timestamp.to_string(), event.message_id.to_string());
        let fields = [
            event.name,
            event.distinct_id,
            &timestamp,
            &message_id,
            event.session_id.unwrap_or_default(),
            event.context.unwrap_or_default(),
        ];
        let cells = self.cells.iter().map(String::as_str);
        let rest = rest.as_deref().unwrap_or_default();
        self.out.write_record(fields.into_iter().chain(cells).chain([rest])).map_err(csv_failed)
    }

    fn finish(mut self) -> Result<()> {
        self.out.flush().map_err(write_failed)
    }
}
