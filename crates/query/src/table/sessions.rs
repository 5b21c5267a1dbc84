//! The table `sessions`: a row for each session, cut when it is read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session as PlanningSession, TableProvider};
use datafusion::datasource::TableType;
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, TryStreamExt, stream};

use super::external;
use crate::analysis::Said;
use crate::engine::{Engine, QuerySnapshot};
use crate::sessions::{Session, Sessions};
use crate::spec::Query;

const BATCH_ROWS: usize = 8_192;
/// What the texts of a row take in memory, about.
const TEXT_BYTES: usize = 256;
/// The columns that are what events say.
const TEXTS: [&str; 3] = ["session", "entry", "exit"];

/// The sessions of everybody whom a question is about.
pub(crate) struct SessionsTable {
    engine: Engine,
    snapshot: QuerySnapshot,
    query: Arc<Query>,
    schema: SchemaRef,
}

impl SessionsTable {
    /// Over a snapshot, by these rules.
    pub(crate) fn new(engine: &Engine, snapshot: &QuerySnapshot, sessions: Sessions) -> Self {
        let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let schema = Schema::new(vec![
            Field::new("person", DataType::UInt32, false),
            Field::new("session", DataType::Utf8, true),
            Field::new("started_at", instant(), false),
            Field::new("ended_at", instant(), false),
            Field::new("seconds", DataType::Float64, false),
            Field::new("events", DataType::Int64, false),
            Field::new("entry", DataType::Utf8, true),
            Field::new("exit", DataType::Utf8, true),
        ]);
        let query = Query { strict_names: true, ..Query::from(sessions) };
        Self { engine: engine.clone(), snapshot: snapshot.clone(), query: Arc::new(query), schema: Arc::new(schema) }
    }
}

impl fmt::Debug for SessionsTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionsTable").field("query", &self.query).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for SessionsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        state: &dyn PlanningSession,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let is_text = |place: &usize| TEXTS.contains(&self.schema.field(*place).name().as_str());
        let rows = Rows {
            engine: self.engine.clone(),
            snapshot: self.snapshot.clone(),
            query: Arc::clone(&self.query),
            schema: Arc::clone(&self.schema),
            texts: projection.is_none_or(|places| places.iter().any(is_text)),
        };
        StreamingTable::try_new(self.schema(), vec![Arc::new(rows)])?.scan(state, projection, filters, limit).await
    }
}

struct Rows {
    engine: Engine,
    snapshot: QuerySnapshot,
    query: Arc<Query>,
    schema: SchemaRef,
    /// Whether what events say is looked up.
    texts: bool,
}

/// Shown by `EXPLAIN`.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let question = serde_json::to_string(&self.query.analysis).unwrap_or_default();
        write!(f, "sessions: {question}, texts={}", self.texts)
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (engine, snapshot, query) = (self.engine.clone(), self.snapshot.clone(), Arc::clone(&self.query));
        let (schema, texts) = (Arc::clone(&self.schema), self.texts);
        let found = async move {
            let (rows, said) = engine.session_rows(&snapshot, &query, texts).await.map_err(external)?;
            let reservation = MemoryConsumer::new("the table of sessions").register(context.memory_pool());
            let of_texts = if texts { TEXT_BYTES } else { 0 };
            reservation.try_grow(rows.len() * (size_of::<Session>() + of_texts))?;
            let starts = (0..rows.len()).step_by(BATCH_ROWS);
            let made = move |start: usize| {
                let _held = &reservation;
                batch(&schema, &rows[start..rows.len().min(start + BATCH_ROWS)], &said)
            };
            Ok::<_, datafusion::error::DataFusionError>(stream::iter(starts).map(made))
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::once(found).try_flatten()))
    }
}

fn batch(schema: &SchemaRef, rows: &[Session], said: &HashMap<u64, Said>) -> Result<RecordBatch> {
    let instants = |of: fn(&Session) -> i64| -> ArrayRef {
        let times = TimestampMicrosecondArray::from_iter_values(rows.iter().map(of));
        Arc::new(times.with_timezone("+00:00"))
    };
    let shown = |of: fn(&Session) -> u64| -> ArrayRef {
        let texts = rows.iter().map(|row| said.get(&of(row)).map(|said| said.shown.as_str()));
        Arc::new(texts.collect::<StringArray>())
    };
    let sessions = rows.iter().map(|row| said.get(&row.first).and_then(|said| said.session.as_deref()));
    #[expect(clippy::cast_precision_loss, reason = "an analysis tells seconds the same way")]
    let seconds = rows.iter().map(|row| (row.to_us - row.from_us) as f64 / 1e6);
    let events = rows.iter().map(|row| i64::try_from(row.events).unwrap_or(i64::MAX));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(UInt32Array::from_iter_values(rows.iter().map(|row| row.unit))),
        Arc::new(sessions.collect::<StringArray>()),
        instants(|row| row.from_us),
        instants(|row| row.to_us),
        Arc::new(Float64Array::from_iter_values(seconds)),
        Arc::new(Int64Array::from_iter_values(events)),
        shown(|row| row.entry),
        shown(|row| row.exit),
    ];
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
