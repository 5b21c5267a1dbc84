//! `registry_events` and `registry_properties`: what the store has seen.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::arrow::util::display::array_value_to_string;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use pugmark_registry::{ColumnType, KindCounts, Registry};
use pugmark_store::Timestamp;

use super::events::external;
use crate::columns::instant;
use crate::engine::QuerySnapshot;
use crate::error::Error;
use crate::local::Local;

/// How many values of a property are shown.
const SAMPLES: usize = 5;
/// Rows that are looked at for them, of each of so many files and pieces of the tail.
const SAMPLE_ROWS: usize = 4_096;
const SAMPLE_SOURCES: usize = 3;

/// `registry_events`: a row for each event name.
pub(crate) fn events(snapshot: &QuerySnapshot) -> Result<Arc<dyn TableProvider>> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("event", DataType::Utf8, false),
        Field::new("events", DataType::UInt64, false),
        Field::new("first_seen", instant(), false),
        Field::new("last_seen", instant(), false),
    ]));
    let (snapshot, own) = (snapshot.clone(), Arc::clone(&schema));
    table(schema, move || {
        let registry = counted(&snapshot)?;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(registry.events().map(|event| Some(event.name)).collect::<StringArray>()),
            Arc::new(registry.events().map(|event| Some(event.count)).collect::<UInt64Array>()),
            instants(registry.events().map(|event| event.first_seen)),
            instants(registry.events().map(|event| event.last_seen)),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&own), columns)?)
    })
}

/// `registry_properties`: a row for each property.
pub(crate) fn properties(local: Local) -> Result<Arc<dyn TableProvider>> {
    let count = |name| Field::new(name, DataType::UInt64, false);
    let schema = Arc::new(Schema::new(vec![
        Field::new("property", DataType::Utf8, false),
        // NULL for one whose values are in the overflow only.
        Field::new("column_name", DataType::Utf8, true),
        Field::new("type", DataType::Utf8, true),
        count("count"),
        count("bools"),
        count("ints"),
        count("floats"),
        count("texts"),
        count("jsons"),
        Field::new("first_seen", instant(), false),
        Field::new("last_seen", instant(), false),
        Field::new("samples", DataType::Utf8, false),
    ]));
    let own = Arc::clone(&schema);
    table(schema, move || {
        let registry = counted(&local.snapshot)?;
        let each = || registry.properties();
        let column = each().map(|property| property.definition.column.map(|_| property.definition.column_name()));
        let kind = each().map(|property| property.definition.column.map(ColumnType::as_str));
        let kinds = |of: fn(&KindCounts) -> u64| -> ArrayRef {
            Arc::new(each().map(|property| Some(of(&property.kinds))).collect::<UInt64Array>())
        };
        let samples = each().map(|property| samples(&local, property.definition.name));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(each().map(|property| Some(property.definition.name)).collect::<StringArray>()),
            Arc::new(column.collect::<StringArray>()),
            Arc::new(kind.collect::<StringArray>()),
            kinds(KindCounts::total),
            kinds(|kinds| kinds.bool),
            kinds(|kinds| kinds.int),
            kinds(|kinds| kinds.float),
            kinds(|kinds| kinds.text),
            kinds(|kinds| kinds.json),
            instants(each().map(|property| property.first_seen)),
            instants(each().map(|property| property.last_seen)),
            Arc::new(StringArray::from(samples.collect::<Result<Vec<_>>>()?)),
        ];
        Ok(RecordBatch::try_new(Arc::clone(&own), columns)?)
    })
}

/// Some of the newest values in the column of a property, as a JSON array of texts. Of what is hidden none is shown.
fn samples(local: &Local, property: &str) -> Result<String> {
    let mut found: Vec<String> = Vec::new();
    let Some(place) = local.schema.property(property) else { return Ok("[]".to_owned()) };
    let parts = local.parts().map_err(external)?;
    for part in parts.iter().rev().filter(|part| local.shows_all(part)).take(SAMPLE_SOURCES) {
        let groups = local.groups(&part.source).map_err(external)?;
        for (group, rows) in groups.iter().enumerate() {
            let column = local.column(&part.source, group, place).map_err(external)?;
            let array = column.slice(0, rows.len().min(SAMPLE_ROWS), local.kind(place)).map_err(external)?;
            for row in (0..array.len()).filter(|row| array.is_valid(*row)) {
                let text = array_value_to_string(&array, row)?;
                if !found.contains(&text) {
                    found.push(text);
                }
                if found.len() == SAMPLES {
                    return Ok(serde_json::Value::from(found).to_string());
                }
            }
            if array.null_count() < array.len() {
                break;
            }
        }
    }
    Ok(serde_json::Value::from(found).to_string())
}

/// The registry, where what it has counted is of the snapshot too.
fn counted(snapshot: &QuerySnapshot) -> Result<&Arc<Registry>> {
    if snapshot.is_past() {
        let message = "the registry counts what is there now: registry_events and registry_properties cannot be read as of an earlier sequence";
        return Err(external(Error::unsupported(message).on("as_of")));
    }
    Ok(&snapshot.registry)
}

pub(super) fn instants(instants: impl Iterator<Item = Timestamp>) -> ArrayRef {
    let instants = instants.map(|instant| Some(instant.as_microsecond()));
    Arc::new(instants.collect::<TimestampMicrosecondArray>().with_timezone("+00:00"))
}

/// A table of one batch, which is made when it is asked for.
pub(super) fn table(
    schema: SchemaRef,
    make: impl Fn() -> Result<RecordBatch> + Send + Sync + 'static,
) -> Result<Arc<dyn TableProvider>> {
    let rows = OneBatch { schema: Arc::clone(&schema), make: Arc::new(make) };
    Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(rows)])?))
}

struct OneBatch {
    schema: SchemaRef,
    make: Arc<dyn Fn() -> Result<RecordBatch> + Send + Sync>,
}

impl fmt::Debug for OneBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneBatch").finish_non_exhaustive()
    }
}

impl PartitionStream for OneBatch {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let make = Arc::clone(&self.make);
        let batches = stream::once(async move { make() });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}
