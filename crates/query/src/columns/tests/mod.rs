//! Inputs and readings that the tests of the columns share.

mod files;
mod store;
mod tail;

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Float64Type, Int64Type, Schema, TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pugmark_registry::{Registry, RegistryFold, RegistryOptions};
use pugmark_store::{Committed, EventRecord, Fold, MessageId, Payload, Record, Sequence, Value};
use tempfile::TempDir;

use super::*;

/// Most columns for properties in these tests, so that some properties have none.
const COLUMNS_MAX: usize = 4;

#[derive(Debug, Clone, PartialEq)]
struct Given {
    event: String,
    subject: u32,
    timestamp: i64,
    message_id: String,
    session_id: Option<String>,
    context: Option<String>,
    properties: Vec<(String, Value)>,
}

fn given(event: &str, subject: u32, timestamp: i64) -> Given {
    Given {
        event: event.to_owned(),
        subject,
        timestamp,
        message_id: format!("{event}-{subject}-{timestamp}"),
        session_id: None,
        context: None,
        properties: Vec::new(),
    }
}

impl Given {
    fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.properties.push((name.to_owned(), value.into()));
        self
    }
}

/// Registry and columns, fed as a store feeds them.
struct Feed {
    dir: TempDir,
    registry: RegistryFold,
    columns: ColumnsFold,
    next: Sequence,
}

impl Feed {
    fn new(flush_rows: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let registry = RegistryOptions { columns_max: COLUMNS_MAX };
        let options = ColumnsOptions { flush_rows, registry, ..ColumnsOptions::default() };
        let columns = ColumnsFold::new(dir.path(), options);
        Self { dir, registry: RegistryFold::new(registry), columns, next: Sequence::FIRST }
    }

    fn commit(&mut self, events: &[Given]) {
        let received_at = received_at(self.next.number());
        with_payload(events, received_at, |payload| {
            let batch = Committed { first_sequence: self.next, payload };
            self.registry.apply(&batch).unwrap();
            self.columns.apply(&batch).unwrap();
        });
        self.next = self.next.plus(events.len() as u64);
    }

    fn columns(&mut self) -> Arc<Columns> {
        self.columns.publish().downcast().unwrap()
    }

    fn registry(&mut self) -> Arc<Registry> {
        self.registry.publish().downcast().unwrap()
    }

    fn schema(&mut self) -> Arc<EventSchema> {
        let registry = self.registry();
        self.columns().event_schema(registry.schema())
    }

    fn tail(&mut self) -> Vec<Row> {
        let schema = self.schema();
        self.columns().tail().batches(&schema, None).unwrap().iter().flat_map(rows).collect()
    }
}

/// When the batch with this sequence was received: several neighbours at once.
fn received_at(sequence: u64) -> i64 {
    1_000 + (sequence as i64) / 8
}

fn with_payload<R>(events: &[Given], received_at: i64, work: impl FnOnce(&Payload<'_>) -> R) -> R {
    let mut names: Vec<&str> = Vec::new();
    let mut place = |name| {
        let at = names.iter().position(|known| *known == name).unwrap_or_else(|| {
            names.push(name);
            names.len() - 1
        });
        at as u32
    };
    let base_time = 7;
    let records = events
        .iter()
        .map(|event| {
            Record::Event(EventRecord {
                name: place(&event.event),
                subject: event.subject,
                time: event.timestamp - base_time,
                time_sent: true,
                message_id: MessageId::from_text(&event.message_id),
                session_id: event.session_id.as_deref(),
                properties: event.properties.iter().map(|(name, value)| (place(name), value.borrowed())).collect(),
                context: event.context.as_deref(),
            })
        })
        .collect();
    work(&Payload { received_at, import: None, base_time, names, subjects: vec![], records })
}

/// A value as a column shows it.
#[derive(Debug, Clone, PartialEq)]
enum Shown {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

/// An event as the table shows it.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    sequence: u64,
    event: String,
    subject: u32,
    timestamp: i64,
    received_at: i64,
    message_id: String,
    session_id: Option<String>,
    context: Option<String>,
    /// Columns of properties that are not NULL.
    properties: BTreeMap<String, Shown>,
    /// Name and JSON text, by name; those of one name in their order.
    overflow: Vec<(String, String)>,
}

fn rows(batch: &RecordBatch) -> Vec<Row> {
    let text = |name: &str, row: usize| {
        let column = batch.column_by_name(name)?.as_string_view();
        column.is_valid(row).then(|| column.value(row).to_owned())
    };
    let instant = |name: &str, row: usize| {
        let column = batch.column_by_name(name).unwrap().as_primitive::<TimestampMicrosecondType>();
        assert_eq!(column.timezone(), Some("+00:00"));
        column.value(row)
    };
    let row = |row: usize| Row {
        sequence: batch.column_by_name("sequence").unwrap().as_primitive::<UInt64Type>().value(row),
        event: text("event", row).unwrap(),
        subject: batch.column_by_name("subject").unwrap().as_primitive::<UInt32Type>().value(row),
        timestamp: instant("timestamp", row),
        received_at: instant("received_at", row),
        message_id: text("message_id", row).unwrap(),
        session_id: text("session_id", row),
        context: text("context", row),
        properties: properties(batch, row),
        overflow: overflow(text("overflow", row)),
    };
    (0..batch.num_rows()).map(row).collect()
}

fn properties(batch: &RecordBatch, row: usize) -> BTreeMap<String, Shown> {
    let schema = batch.schema();
    let columns = schema.fields().iter().zip(batch.columns());
    let shown = columns.filter(|(field, column)| {
        !pugmark_registry::SYSTEM_COLUMNS.contains(&field.name().as_str()) && column.is_valid(row)
    });
    shown
        .map(|(field, column)| {
            let value = match column.data_type() {
                DataType::Boolean => Shown::Bool(column.as_boolean().value(row)),
                DataType::Int64 => Shown::Int(column.as_primitive::<Int64Type>().value(row)),
                DataType::Float64 => Shown::Float(column.as_primitive::<Float64Type>().value(row)),
                _ => Shown::Text(column.as_string_view().value(row).to_owned()),
            };
            (field.name().clone(), value)
        })
        .collect()
}

fn overflow(text: Option<String>) -> Vec<(String, String)> {
    let Some(text) = text else { return Vec::new() };
    let mut pairs: Vec<_> = Overflow::new(&text).map(|(name, value)| (name.into_owned(), value.to_owned())).collect();
    let parsed: Vec<(String, serde::de::IgnoredAny)> = serde_json::from_str(&text).unwrap();
    assert_eq!(pairs.len(), parsed.len(), "{text}");
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

fn read(file: &ColumnFile) -> Vec<Row> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&file.path).unwrap()).unwrap();
    let contents = Contents::of(reader.schema()).unwrap();
    let batches = reader.build().unwrap();
    batches.flat_map(|batch| rows(&of_the_table(&contents, &batch.unwrap()))).collect()
}

/// The columns of the table, of all columns of a file.
fn of_the_table(contents: &Contents, batch: &RecordBatch) -> RecordBatch {
    let places = 0..contents.fields().len();
    let reads = contents.reads(places.clone());
    assert_eq!(reads, (0..batch.num_columns()).collect::<Vec<_>>(), "every column is of use");
    let columns = places.map(|place| contents.column(place, &reads, batch).unwrap()).collect();
    RecordBatch::try_new(Arc::new(Schema::new(contents.fields().to_vec())), columns).unwrap()
}

/// Every sequence that a state shows, from files and tail.
fn sequences(columns: &Columns, schema: &EventSchema) -> Vec<u64> {
    let files = columns.files().iter().flat_map(|file| read(file)).map(|row| row.sequence);
    let batches = columns.tail().batches(schema, Some(&[system::SEQUENCE.0])).unwrap();
    let tail = batches.iter().flat_map(|batch| batch.column(0).as_primitive::<UInt64Type>().values().to_vec());
    let mut all: Vec<u64> = files.chain(tail).collect();
    all.sort_unstable();
    all
}

/// How many cases a property is tested with.
fn cases() -> u32 {
    std::env::var("PUGMARK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(256)
}
