//! The scan of a few subjects: their rows alone, found by the order of the files and of the tail.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, SortOrderPushdownResult};
use futures::{TryStreamExt, stream};

use super::few::Reading;
use crate::columns::system;
use crate::local::{Direction, Local, Source, Work};

/// Reads stored columns of the rows of a few subjects.
#[derive(Debug, Clone)]
pub(super) struct SubjectsExec {
    local: Local,
    sources: Arc<[Source]>,
    /// Ascending.
    subjects: Arc<[u32]>,
    /// The only events that are asked for, where they are named.
    events: Option<Arc<[String]>>,
    places: Arc<[usize]>,
    schema: SchemaRef,
    /// The order of (timestamp, sequence) that is asked for, and how many rows of it.
    direction: Option<Direction>,
    fetch: Option<usize>,
    threads: usize,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SubjectsExec {
    pub(super) fn new(
        local: Local,
        sources: Vec<Source>,
        subjects: Vec<u32>,
        events: Option<Vec<String>>,
        places: &[usize],
        threads: usize,
    ) -> Result<Self> {
        let schema = Arc::new(local.schema.arrow().project(places)?);
        let properties = properties(&schema, &[]);
        Ok(Self {
            local,
            sources: sources.into(),
            subjects: subjects.into(),
            events: events.map(Into::into),
            places: places.into(),
            schema,
            direction: None,
            fetch: None,
            threads,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

fn properties(schema: &SchemaRef, order: &[PhysicalSortExpr]) -> Arc<PlanProperties> {
    let order = (!order.is_empty()).then(|| order.to_vec());
    Arc::new(PlanProperties::new(
        EquivalenceProperties::new_with_orderings(Arc::clone(schema), order),
        Partitioning::UnknownPartitioning(1),
        EmissionType::Incremental,
        Boundedness::Bounded,
    ))
}

impl DisplayAs for SubjectsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectsExec: subjects={}, parts={}", self.subjects.len(), self.sources.len())?;
        if let Some(events) = &self.events {
            write!(f, ", events=[{}]", events.join(", "))?;
        }
        match self.direction {
            Some(Direction::Ascending) => f.write_str(", order=ascending")?,
            Some(Direction::Descending) => f.write_str(", order=descending")?,
            None => {}
        }
        self.fetch.map_or(Ok(()), |fetch| write!(f, ", fetch={fetch}"))
    }
}

impl ExecutionPlan for SubjectsExec {
    fn name(&self) -> &str {
        "SubjectsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if !children.is_empty() {
            return internal_err!("SubjectsExec has no input");
        }
        Ok(self)
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let direction = match order.first() {
            Some(first) if first.options.descending => Direction::Descending,
            _ => Direction::Ascending,
        };
        let by: Option<Vec<usize>> = order
            .iter()
            .map(|expr| {
                let column = expr.expr.downcast_ref::<Column>()?;
                let same = expr.options.descending == (direction == Direction::Descending);
                self.places.get(column.index()).copied().filter(|_| same)
            })
            .collect();
        // A sequence is one event's alone.
        if !by.is_some_and(|by| [system::TIMESTAMP.0, system::SEQUENCE.0].starts_with(&by) && !by.is_empty()) {
            return Ok(SortOrderPushdownResult::Unsupported);
        }
        let inner = Self {
            direction: Some(direction),
            properties: properties(&self.schema, order),
            metrics: ExecutionPlanMetricsSet::new(),
            ..self.clone()
        };
        Ok(SortOrderPushdownResult::Exact { inner: Arc::new(inner) })
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        self.direction?;
        Some(Arc::new(Self { fetch: limit, metrics: ExecutionPlanMetricsSet::new(), ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.fetch
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let bytes_scanned = MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition);
        let reading = Reading {
            local: self.local.clone(),
            sources: Arc::clone(&self.sources),
            subjects: Arc::clone(&self.subjects),
            events: self.events.clone(),
            places: Arc::clone(&self.places),
            schema: Arc::clone(&self.schema),
            whole: Arc::default(),
            pool: Arc::clone(context.memory_pool()),
            work: Work::new(self.threads),
        };
        let (direction, fetch) = (self.direction, self.fetch);
        let read = Arc::clone(&self.local.read);
        let all = async move {
            let timer = metrics.elapsed_compute().timer();
            let (batches, held) = match direction {
                Some(direction) => reading.in_order(direction, fetch).await?,
                None => reading.unordered().await?,
            };
            timer.done();
            bytes_scanned.add(usize::try_from(read.bytes()).unwrap_or(usize::MAX));
            metrics.record_output(batches.iter().map(RecordBatch::num_rows).sum());
            // Until the last of them is taken.
            let batches = batches.into_iter().map(move |batch| {
                let _held = &held;
                Ok(batch)
            });
            Ok::<_, DataFusionError>(stream::iter(batches))
        };
        let stream = stream::once(all).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], _args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.schema)))
    }
}
