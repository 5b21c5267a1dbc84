//! `groups`: a row for each group that has a profile.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;
use pugmark_store::Timestamp;

use crate::columns::instant;
use crate::engine::QuerySnapshot;
use crate::group::Group;

/// The table of a snapshot.
pub(crate) fn groups(snapshot: &QuerySnapshot) -> Result<Arc<dyn TableProvider>> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("property", DataType::Utf8, false),
        Field::new("id", DataType::Utf8, false),
        Field::new("traits", DataType::Utf8, false),
        Field::new("changes", DataType::UInt64, false),
        Field::new("first_changed", instant(), false),
        Field::new("last_changed", instant(), false),
    ]));
    let rows = Rows { schema: Arc::clone(&schema), snapshot: snapshot.clone() };
    Ok(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(rows)])?))
}

#[derive(Clone)]
struct Rows {
    schema: SchemaRef,
    snapshot: QuerySnapshot,
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").finish_non_exhaustive()
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self.clone();
        let batch = stream::once(async move { rows.batch() });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batch))
    }
}

impl Rows {
    fn batch(&self) -> Result<RecordBatch> {
        let groups: Vec<Group> = self.snapshot.groups(None).collect();
        let texts = |of: fn(&Group) -> String| StringArray::from_iter_values(groups.iter().map(of));
        let instants = |of: fn(&Group) -> Timestamp| {
            let all = groups.iter().map(|group| of(group).as_microsecond());
            TimestampMicrosecondArray::from_iter_values(all).with_timezone("+00:00")
        };
        let changes = UInt64Array::from_iter_values(groups.iter().map(|group| group.changes as u64));
        let columns: Vec<datafusion::arrow::array::ArrayRef> = vec![
            Arc::new(texts(|group| group.property.clone())),
            Arc::new(texts(|group| group.id.clone())),
            Arc::new(texts(|group| serde_json::Value::Object(group.traits.clone()).to_string())),
            Arc::new(changes),
            Arc::new(instants(|group| group.first_changed)),
            Arc::new(instants(|group| group.last_changed)),
        ];
        RecordBatch::try_new(Arc::clone(&self.schema), columns).map_err(DataFusionError::from)
    }
}
