//! The scan of a few subjects: their rows alone, found by the order of the files and of the tail.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{TryStreamExt, stream};

use super::events::external;
use crate::local::{Local, Source, Whole, Work};

/// Bytes that a value takes, nearly.
const VALUE_BYTES: usize = 16;

/// What one thread has gathered, with the number of the part, and the memory that it takes.
type Gathered = (Vec<(usize, RecordBatch)>, MemoryReservation);

/// Reads stored columns of the rows of a few subjects.
#[derive(Debug)]
pub(super) struct SubjectsExec {
    local: Local,
    sources: Arc<[Source]>,
    /// Ascending.
    subjects: Arc<[u32]>,
    /// The only events that are asked for, where they are named.
    events: Option<Arc<[String]>>,
    places: Arc<[usize]>,
    schema: SchemaRef,
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
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        Ok(Self {
            local,
            sources: sources.into(),
            subjects: subjects.into(),
            events: events.map(Into::into),
            places: places.into(),
            schema,
            threads,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        })
    }
}

impl DisplayAs for SubjectsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SubjectsExec: subjects={}, parts={}", self.subjects.len(), self.sources.len())?;
        match &self.events {
            Some(events) => write!(f, ", events=[{}]", events.join(", ")),
            None => Ok(()),
        }
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let bytes_scanned = MetricBuilder::new(&self.metrics).counter("bytes_scanned", partition);
        let (local, sources, subjects) = (self.local.clone(), Arc::clone(&self.sources), Arc::clone(&self.subjects));
        let (events, places, schema) = (self.events.clone(), Arc::clone(&self.places), Arc::clone(&self.schema));
        let (read, count, work) = (Arc::clone(&self.local.read), self.sources.len(), Work::new(self.threads));
        let whole = Whole::default();
        let pool = Arc::clone(context.memory_pool());
        let piece = move |(batches, reservation): &mut Gathered, at: usize| {
            let source = &sources[at];
            for found in local.find(source, &subjects, events.as_deref())? {
                let rows: usize = found.rows.iter().map(ExactSizeIterator::len).sum();
                reservation.try_grow(rows.saturating_mul(places.len() * VALUE_BYTES))?;
                let columns = local.read_found(source, &found, &places, &whole)?;
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let batch = RecordBatch::try_new_with_options(Arc::clone(&schema), columns, &options);
                batches.push((at, batch.map_err(datafusion::error::DataFusionError::from)?));
            }
            Ok(())
        };
        let all = async move {
            let timer = metrics.elapsed_compute().timer();
            let make = || (Vec::new(), MemoryConsumer::new("rows of few subjects").register(&pool));
            let gathered = work.each(count, false, make, piece).await.map_err(external)?;
            let (batches, reservations): (Vec<_>, Vec<_>) = gathered.into_iter().unzip();
            let mut batches: Vec<(usize, RecordBatch)> = batches.into_iter().flatten().collect();
            batches.sort_by_key(|(at, _)| *at);
            timer.done();
            bytes_scanned.add(usize::try_from(read.bytes()).unwrap_or(usize::MAX));
            metrics.record_output(batches.iter().map(|(_, batch)| batch.num_rows()).sum());
            // Until the last of them is taken.
            let batches = batches.into_iter().map(move |(_, batch)| {
                let _held = &reservations;
                Ok(batch)
            });
            Ok::<_, datafusion::error::DataFusionError>(stream::iter(batches))
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
