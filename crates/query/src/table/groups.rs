//! `groups`: a row for each group that has a profile.

use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, StringArray, UInt64Array};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::error::DataFusionError;

use super::registry::{instants, table};
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
    let (made, snapshot) = (Arc::clone(&schema), snapshot.clone());
    table(schema, move || batch(&made, &snapshot))
}

fn batch(schema: &SchemaRef, snapshot: &QuerySnapshot) -> Result<RecordBatch> {
    let groups: Vec<Group> = snapshot.groups(None).collect();
    let texts = |of: fn(&Group) -> String| StringArray::from_iter_values(groups.iter().map(of));
    RecordBatch::try_new(
        Arc::clone(schema),
        vec![
            Arc::new(texts(|group| group.property.clone())),
            Arc::new(texts(|group| group.id.clone())),
            Arc::new(texts(|group| serde_json::Value::Object(group.traits.clone()).to_string())),
            Arc::new(UInt64Array::from_iter_values(groups.iter().map(|group| group.changes as u64))),
            instants(groups.iter().map(|group| group.first_changed)),
            instants(groups.iter().map(|group| group.last_changed)),
        ],
    )
    .map_err(DataFusionError::from)
}
