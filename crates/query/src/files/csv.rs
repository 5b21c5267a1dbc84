//! Rows of CSV.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use csv::{ByteRecord, Reader, ReaderBuilder};
use pugmark_store::{Event, Value};

use super::mapping::Field;
use super::ndjson::{LINE_MAX_BYTES, compact, read_properties};
use super::pipeline::{Parsed, Piece, PieceReader, Place, REJECT_TEXT_MAX_BYTES, Reading, RowResult, push_property};
use super::source::{Source, failed};
use super::timestamp;
use crate::error::{Error, Result};

/// Records that are parsed at once.
const PIECE_RECORDS: usize = 4_096;
/// Bytes of records that are parsed at once, if that is less.
const PIECE_BYTES: usize = 1 << 20;
/// How much of the first line tells the delimiter.
const HEADER_PEEK_BYTES: usize = 64 << 10;

/// What a column feeds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Column {
    Field(Field),
    /// A JSON object, or list of pairs, of properties; other text is a property of that name.
    Properties,
    Property(String),
}

/// What the columns of a table feed. A column without a name is called by its place.
pub(super) fn columns(names: &[String], reading: &Reading, place: &str) -> Result<Arc<[Column]>> {
    reading.mapping.check_columns(names, reading.default_event.is_some(), place)?;
    let column = |(at, name): (usize, &String)| match reading.mapping.field_of(name) {
        Some(field) => Column::Field(field),
        None if name == "properties" => Column::Properties,
        None if name.trim().is_empty() => Column::Property(format!("column_{}", at + 1)),
        None => Column::Property(name.clone()),
    };
    Ok(names.iter().enumerate().map(column).collect())
}

/// Stops an input whose record does not end: one quote that is not closed would else take all of it into memory. It also ends the last
/// line, so that every record ends in the same way.
struct Bounded<R> {
    input: R,
    since_record: Arc<AtomicUsize>,
    /// What is still to be given behind the input's end.
    line_end: &'static [u8],
    last: u8,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_record.load(Ordering::Relaxed) > LINE_MAX_BYTES {
            let message = format!("a record of more than {LINE_MAX_BYTES} bytes; is a quote not closed?");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let read = match self.input.read(buffer)? {
            0 if self.last == b'\n' => 0,
            0 => self.line_end.read(buffer)?,
            read => {
                self.last = buffer.get(read - 1).copied().unwrap_or(self.last);
                read
            }
        };
        self.since_record.fetch_add(read, Ordering::Relaxed);
        Ok(read)
    }
}

/// Reads records below a header row.
pub(super) struct CsvReader {
    name: String,
    reader: Reader<Bounded<Source>>,
    since_record: Arc<AtomicUsize>,
    columns: Arc<[Column]>,
    delimiter: u8,
    /// Whether the reader has counted the end of a record's line when it gives the record; of `\\r\\n` it has read the first byte only.
    counted_line_end: bool,
    record: ByteRecord,
}

impl CsvReader {
    pub(super) fn new(mut source: Source, reading: &Reading) -> Result<Self> {
        source.skip_byte_order_mark()?;
        let beginning = source.peek(HEADER_PEEK_BYTES)?;
        let delimiter = delimiter(beginning);
        let header = beginning.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
        let line_end: &[u8] = if header.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
        let name = source.name().to_owned();
        let since_record = Arc::new(AtomicUsize::new(0));
        let bounded = Bounded { input: source, since_record: Arc::clone(&since_record), line_end, last: b'\n' };
        let mut reader =
            ReaderBuilder::new().delimiter(delimiter).flexible(true).has_headers(true).from_reader(bounded);
        let header = reader.byte_headers().map_err(|e| csv_failed(&name, e))?;
        let names =
            header.iter().map(|name| String::from_utf8(name.to_vec())).collect::<std::result::Result<Vec<_>, _>>();
        let names = names.map_err(|_| Error::invalid(format!("{name}: the header is not UTF-8")))?;
        // A file without a byte holds no event, and that is no error.
        let columns = if names.is_empty() { Arc::from([]) } else { columns(&names, reading, &name)? };
        Ok(Self {
            name,
            reader,
            since_record,
            columns,
            delimiter,
            counted_line_end: line_end == b"\n",
            record: ByteRecord::new(),
        })
    }
}

/// The delimiter of a header: a comma, unless the line has none and another usual one.
fn delimiter(beginning: &[u8]) -> u8 {
    let header = beginning.split(|b| *b == b'\n').next().unwrap_or_default();
    [b',', b'\t', b';', b'|'].into_iter().find(|delimiter| header.contains(delimiter)).unwrap_or(b',')
}

fn csv_failed(name: &str, error: csv::Error) -> Error {
    let message = format!("reading {name}: {error}");
    match error.into_kind() {
        csv::ErrorKind::Io(error) => failed(name, error),
        _ => Error::invalid(message),
    }
}

impl PieceReader for CsvReader {
    type Piece = CsvPiece;

    fn next_piece(&mut self) -> Result<Option<CsvPiece>> {
        let mut records = Vec::new();
        let mut bytes = 0;
        while records.len() < PIECE_RECORDS && bytes < PIECE_BYTES {
            self.since_record.store(0, Ordering::Relaxed);
            if !self.reader.read_byte_record(&mut self.record).map_err(|e| csv_failed(&self.name, e))? {
                break;
            }
            // The position that the record brings lies before blank lines.
            let inner_lines = self.record.as_slice().iter().filter(|b| **b == b'\n').count() as u64;
            let end = self.reader.position().line();
            let line = end.saturating_sub(inner_lines + u64::from(self.counted_line_end)).max(1);
            bytes += self.record.as_slice().len();
            records.push((line, self.record.clone()));
        }
        let piece = CsvPiece { columns: Arc::clone(&self.columns), records, delimiter: self.delimiter };
        Ok((!piece.records.is_empty()).then_some(piece))
    }
}

/// Some records.
pub(super) struct CsvPiece {
    columns: Arc<[Column]>,
    records: Vec<(u64, ByteRecord)>,
    delimiter: u8,
}

impl CsvPiece {
    fn event(&self, record: &ByteRecord, reading: &Reading) -> RowResult<Event> {
        if record.len() != self.columns.len() {
            return Err(format!("a record of {} fields, the header has {}", record.len(), self.columns.len()));
        }
        let mut event = Event::default();
        event.properties.reserve(self.columns.len());
        for (cell, column) in record.iter().zip(self.columns.iter()) {
            if cell.is_empty() {
                continue;
            }
            let name = match column {
                Column::Field(field) => field.as_str(),
                Column::Properties => "properties",
                Column::Property(name) => name,
            };
            let text = std::str::from_utf8(cell).map_err(|_| format!("{name}: not UTF-8"))?;
            match column {
                Column::Field(field) => set_field(&mut event, *field, text)?,
                Column::Properties => set_properties(&mut event, text)?,
                Column::Property(name) => push_property(&mut event, name, typed(text))?,
            }
        }
        reading.complete(event)
    }

    fn row_text(&self, record: &ByteRecord) -> String {
        let mut writer = csv::WriterBuilder::new().delimiter(self.delimiter).flexible(true).from_writer(Vec::new());
        writer.write_byte_record(record).expect("invariant: a record is written to memory without error");
        let mut bytes = writer.into_inner().expect("invariant: a record is written to memory without error");
        bytes.truncate(bytes.trim_ascii_end().len().min(REJECT_TEXT_MAX_BYTES));
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// Sets a field of the event from a text that is not empty.
pub(super) fn set_field(event: &mut Event, field: Field, text: &str) -> RowResult<()> {
    match field {
        Field::Event => event.name = text.to_owned(),
        Field::DistinctId => event.distinct_id = text.to_owned(),
        Field::Timestamp => {
            event.timestamp = Some(timestamp::from_text(text).map_err(|reason| format!("timestamp: {reason}"))?);
        }
        Field::MessageId => event.message_id = Some(text.to_owned()),
        Field::SessionId => event.session_id = Some(text.to_owned()),
        Field::Key => event.key = Some(text.to_owned()),
        Field::Context => event.context = Some(compact(text).unwrap_or_else(|| text.to_owned())),
    }
    Ok(())
}

/// Adds the properties that a column named `properties` holds.
pub(super) fn set_properties(event: &mut Event, text: &str) -> RowResult<()> {
    if text.trim_start().starts_with(['{', '[']) {
        read_properties(text, event)
    } else {
        push_property(event, "properties", typed(text))
    }
}

/// The value that a text stands for: a whole number, a number, `true`, `false`, or itself. Only what a number would be written as is one: a
/// leading zero or plus sign makes it text.
pub(super) fn typed(text: &str) -> Value {
    let number = text.strip_prefix('-').unwrap_or(text);
    match number.as_bytes() {
        [b'0'..=b'9', ..] => numeric(text, number).unwrap_or_else(|| Value::Text(text.to_owned())),
        _ if text == "true" => Value::Bool(true),
        _ if text == "false" => Value::Bool(false),
        _ => Value::Text(text.to_owned()),
    }
}

/// The value of a number, given also without its sign.
fn numeric(text: &str, unsigned: &str) -> Option<Value> {
    if unsigned.len() > 1 && unsigned.starts_with('0') && !unsigned.starts_with("0.") {
        return None;
    }
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse::<i64>() {
            Ok(_) if text == "-0" => None,
            Ok(number) => Some(Value::Int(number)),
            Err(_) => Some(Value::Number(text.to_owned())),
        };
    }
    let last_is_digit = unsigned.ends_with(|c: char| c.is_ascii_digit());
    let usual = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !usual || !last_is_digit || unsigned.contains(".e") || unsigned.contains(".E") {
        return None;
    }
    text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::Float)
}

impl Piece for CsvPiece {
    fn parse(&self, reading: &Reading) -> Parsed {
        let mut parsed = Parsed::default();
        let mut buffer = Vec::new();
        for (at, (line, record)) in self.records.iter().enumerate() {
            let place = Place { line: *line, start: at, len: 1 };
            parsed.push(self.event(record, reading), place, &mut buffer, || self.row_text(record));
        }
        parsed
    }

    fn text(&self, place: Place) -> String {
        self.records.get(place.start).map(|(_, record)| self.row_text(record)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_have_the_type_that_their_text_has_and_leading_zeros_stay_text() {
        let text = |text: &str| Value::Text(text.to_owned());
        for (cell, value) in [
            ("0", Value::Int(0)),
            ("-7", Value::Int(-7)),
            ("9223372036854775807", Value::Int(i64::MAX)),
            ("9223372036854775808", Value::Number("9223372036854775808".to_owned())),
            ("29.33", Value::Float(29.33)),
            ("0.5", Value::Float(0.5)),
            ("-1e-5", Value::Float(-1e-5)),
            ("1e+16", Value::Float(1e16)),
            ("true", Value::Bool(true)),
            ("false", Value::Bool(false)),
            ("00004", text("00004")),
            ("-0", text("-0")),
            ("00.5", text("00.5")),
            ("+5", text("+5")),
            ("1.", text("1.")),
            (".5", text(".5")),
            ("1.e5", text("1.e5")),
            ("1e400", text("1e400")),
            ("nan", text("nan")),
            ("inf", text("inf")),
            ("-inf", text("-inf")),
            ("1-2", text("1-2")),
            ("2025-01-01", text("2025-01-01")),
            ("1.2.3", text("1.2.3")),
            ("True", text("True")),
            (" 5", text(" 5")),
            ("DE", text("DE")),
        ] {
            assert_eq!(typed(cell), value, "{cell}");
        }
    }

    #[test]
    fn the_delimiter_is_a_comma_unless_the_header_has_none() {
        assert_eq!(delimiter(b"a,b;c\n1\t2"), b',');
        assert_eq!(delimiter(b"a;b|c\n1,2"), b';');
        assert_eq!(delimiter(b"a\tb\n"), b'\t');
        assert_eq!(delimiter(b"a\n"), b',');
        assert_eq!(delimiter(b""), b',');
    }
}
