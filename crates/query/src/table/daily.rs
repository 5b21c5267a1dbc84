//! `rollup_daily`: for each event and day of UTC how many events there were and whose, and the same for any event.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, Date32Array, RecordBatch, RecordBatchOptions, StringArray, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

use super::events::{external, values_of};
use crate::analysis::Daily;
use crate::functions::serialized;
use crate::local::{Local, Work};
use crate::spec::EventNames;

const EVENT: &str = "event";

/// The rollups of one snapshot, united over its files and its tail.
#[derive(Debug)]
pub(crate) struct DailyTable {
    local: Local,
    schema: SchemaRef,
}

impl DailyTable {
    pub(crate) fn new(local: Local) -> Self {
        let schema = Arc::new(Schema::new(vec![
            Field::new("day", DataType::Date32, false),
            // NULL stands for any event.
            Field::new(EVENT, DataType::Utf8, true),
            Field::new("events", DataType::UInt64, false),
            Field::new("people", DataType::UInt64, false),
            Field::new("persons", DataType::Binary, false),
        ]));
        Self { local, schema }
    }
}

#[async_trait]
impl TableProvider for DailyTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // The names of events leave the others unread; rows are tested above the scan.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let named = filters.iter().find_map(|filter| values_of(filter, EVENT));
        let names: Option<Vec<String>> =
            named.and_then(|names| names.iter().map(|name| name.try_as_str()?.map(str::to_owned)).collect());
        let is_null = |filter: &Expr| matches!(filter, Expr::IsNull(inner) if matches!(inner.as_ref(), Expr::Column(column) if column.name == EVENT));
        let registry = &self.local.snapshot.registry;
        let events = match names {
            Some(names) => names.into_iter().map(EventNames::One).collect(),
            None if filters.iter().any(is_null) => vec![EventNames::Any],
            None => {
                let every = registry.events().map(|event| EventNames::One(event.name.to_owned()));
                [EventNames::Any].into_iter().chain(every).collect()
            }
        };
        let people = projection.is_none_or(|columns| columns.iter().any(|column| *column > 2));
        let rows = DailyRows { local: self.local.clone(), schema: Arc::clone(&self.schema), events, people };
        StreamingTable::try_new(self.schema(), vec![Arc::new(rows)])?.scan(state, projection, filters, limit).await
    }
}

/// Some of its rows.
struct DailyRows {
    local: Local,
    schema: SchemaRef,
    events: Vec<EventNames>,
    /// Whether anybody asks who it was.
    people: bool,
}

impl fmt::Debug for DailyRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DailyRows").field("events", &self.events.len()).field("people", &self.people).finish()
    }
}

impl PartitionStream for DailyRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (local, schema, people) = (self.local.clone(), Arc::clone(&self.schema), self.people);
        let work = Work::new(context.session_config().target_partitions());
        let pool = Arc::clone(context.memory_pool());
        let events = self.events.clone().into_iter();
        let batches = stream::unfold((events, None), move |(mut events, daily)| {
            let (local, schema, pool) = (local.clone(), Arc::clone(&schema), Arc::clone(&pool));
            async move {
                let event = events.next()?;
                let daily: Arc<Daily> = match daily {
                    Some(daily) => daily,
                    None => match Daily::new(&local, pool, work) {
                        Ok(daily) => Arc::new(daily),
                        Err(error) => return Some((Err(external(error)), (Vec::new().into_iter(), None))),
                    },
                };
                let batch = match daily.of(&event, people).await {
                    Ok(days) => batch(&schema, &event, days),
                    Err(error) => Err(external(error)),
                };
                Some((batch, (events, Some(daily))))
            }
        });
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), batches))
    }
}

fn batch(schema: &SchemaRef, event: &EventNames, days: Vec<crate::analysis::DailyRow>) -> Result<RecordBatch> {
    let name = event.names().first().map(String::as_str);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Date32Array::from_iter_values(days.iter().map(|row| row.day.number()))),
        Arc::new(days.iter().map(|_| name).collect::<StringArray>()),
        Arc::new(UInt64Array::from_iter_values(days.iter().map(|row| row.count))),
        Arc::new(UInt64Array::from_iter_values(days.iter().map(|row| row.persons.len()))),
        Arc::new(BinaryArray::from_iter_values(days.iter().map(|row| serialized(&row.persons)))),
    ];
    let options = RecordBatchOptions::new().with_row_count(Some(days.len()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}
