//! The whole way out.

use std::collections::BTreeSet;
use std::io::{BufWriter, Write};

use pugmark_store::{ErrorKind, Sequence, Snapshot, Store, Timestamp};

use super::csv::CsvWriter;
use super::ndjson::NdjsonWriter;
use super::parquet::ParquetWriter;
use super::rows::{Row, each_row};
use super::table::TableColumns;
use crate::error::{Error, Result};

/// Rows between two reports of progress.
const REPORT_EVERY: u64 = 8_192;

/// The form of an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFormat {
    /// One JSON object a line: events, identity operations and changes of traits in the order of the log, exactly. Imported into an empty store it gives the
    /// same answers.
    #[default]
    Ndjson,
    /// A header row, then events; a column for each property. Values are written as text: a text that looks like a number comes back as one.
    Csv,
    /// Apache Parquet: events; a typed column for each property.
    Parquet,
}

/// Writes a store out. Events that are kept aside because their message id was taken are no events, and not written, and neither is
/// what is declared: it changes no answer.
///
/// In CSV and Parquet the column `properties` holds as JSON what no other column does: a second value of one name, a value of another type than
/// its column, an empty text, a name that is an event's field, and the properties past the first 2,000.
///
/// # Example
/// ```
/// use pugmark_query::files::Export;
/// use pugmark_store::{Event, Options, Store};
/// let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), Options::default(), Vec::new())?;
/// let event = Event::new("purchase", "user-42").at("2025-01-01".parse()?).message_id("order-1").property("amount", 19.9);
/// store.append(vec![event.into()])?;
/// let mut out = Vec::new();
/// let exported = Export::default().run(&store, &mut out, |_| {})?;
/// assert_eq!(exported.events, 1);
/// assert_eq!(
///     String::from_utf8(out)?.trim_end(),
///     r#"{"event":"purchase","distinct_id":"user-42","timestamp":"2025-01-01T00:00:00Z","message_id":"order-1","properties":{"amount":19.9}}"#
/// );
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Export {
    /// The form of the output.
    pub format: ExportFormat,
    /// Only events of this instant and later. Operations are always written.
    pub from: Option<Timestamp>,
    /// Only events before this instant.
    pub to: Option<Timestamp>,
    /// Only what was stored after this sequence: with [`Exported::through`] of the export before, what is new. What was removed since is not told.
    pub since: Option<Sequence>,
    /// Only what is of these distinct ids, such as those of one person: their events, changes of their traits, and operations that name no other id.
    pub only_of: Option<BTreeSet<String>>,
}

/// What an export has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Exported {
    /// Events.
    pub events: u64,
    /// Operations; none in CSV and Parquet.
    pub operations: u64,
    /// Everything up to here is written, by this export and those before that it goes on from. What was appended buffered may be in it and lost by a
    /// crash soon after, and its sequences are given out again: [`Store::checkpoint`] before an export that others go on from.
    pub through: Sequence,
}

/// Takes in rows and writes them.
pub(super) trait RowWriter {
    fn write(&mut self, row: &Row<'_>) -> Result<()>;

    fn finish(self) -> Result<()>;
}

/// An error of writing the output.
pub(super) fn write_failed(error: std::io::Error) -> Error {
    let kind = match error.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("writing the export: {error}")).caused_by(error)
}

impl Export {
    /// Writes what the store held at the call to `out`, and flushes it. Memory is bounded by a frame of the log and, in CSV and Parquet, by
    /// the names of properties, for which the log is read twice.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] and [`ErrorKind::Full`] from `out`, errors of [`Store::replay`], [`ErrorKind::Invalid`] for a `since` past the end of the store, and [`ErrorKind::Unsupported`] for a record of a kind that this
    /// version does not write.
    pub fn run<W: Write + Send>(&self, store: &Store, out: W, on_progress: impl FnMut(&Exported)) -> Result<Exported> {
        let snapshot = store.snapshot();
        if let Some(since) = self.since.filter(|since| *since > snapshot.sequence()) {
            let message = format!(
                "the export is to go on after sequence {since}, but the store ends with {}",
                snapshot.sequence()
            );
            return Err(Error::invalid(message));
        }
        let out = BufWriter::with_capacity(256 << 10, out);
        match self.format {
            ExportFormat::Ndjson => self.write(store, &snapshot, NdjsonWriter::new(out), on_progress),
            ExportFormat::Csv => {
                let columns = self.columns(store, &snapshot)?;
                self.write(store, &snapshot, CsvWriter::new(out, columns)?, on_progress)
            }
            ExportFormat::Parquet => {
                let columns = self.columns(store, &snapshot)?;
                self.write(store, &snapshot, ParquetWriter::new(out, columns)?, on_progress)
            }
        }
    }

    fn takes(&self, row: &Row<'_>) -> bool {
        if self.only_of.as_ref().is_some_and(|ids| !row.is_of(ids)) {
            return false;
        }
        match row {
            Row::Event(event) => {
                self.from.is_none_or(|from| event.timestamp >= from) && self.to.is_none_or(|to| event.timestamp < to)
            }
            Row::Operation(_) | Row::Profile(_) => true,
        }
    }

    fn first(&self) -> Sequence {
        self.since.map_or(Sequence::FIRST, |since| since.plus(1))
    }

    fn columns(&self, store: &Store, snapshot: &Snapshot) -> Result<TableColumns> {
        let mut columns = TableColumns::default();
        each_row(store, snapshot, self.first(), |row| {
            if let (true, Row::Event(event)) = (self.takes(row), row) {
                columns.observe(event)?;
            }
            Ok(())
        })?;
        Ok(columns)
    }

    fn write(
        &self,
        store: &Store,
        snapshot: &Snapshot,
        mut writer: impl RowWriter,
        mut on_progress: impl FnMut(&Exported),
    ) -> Result<Exported> {
        let mut exported = Exported { through: snapshot.sequence(), ..Exported::default() };
        let only_events = self.format != ExportFormat::Ndjson;
        each_row(store, snapshot, self.first(), |row| {
            if !self.takes(row) || (only_events && !matches!(row, Row::Event(_))) {
                return Ok(());
            }
            writer.write(row)?;
            match row {
                Row::Event(_) => exported.events += 1,
                Row::Operation(_) | Row::Profile(_) => exported.operations += 1,
            }
            if (exported.events + exported.operations).is_multiple_of(REPORT_EVERY) {
                on_progress(&exported);
            }
            Ok(())
        })?;
        writer.finish()?;
        on_progress(&exported);
        Ok(exported)
    }
}

impl std::fmt::Display for ExportFormat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Parquet => "parquet",
        })
    }
}

impl std::str::FromStr for ExportFormat {
    type Err = Error;

    /// Reads `ndjson`, `csv` or `parquet`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for anything else.
    fn from_str(text: &str) -> Result<Self> {
        [Self::Ndjson, Self::Csv, Self::Parquet].into_iter().find(|format| format.to_string() == text).ok_or_else(
            || Error::invalid(format!("\"{text}\" is no format of an export, expected ndjson, csv or parquet")),
        )
    }
}
