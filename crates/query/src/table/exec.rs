//! The scan node of `events`: adds the person and the distinct id to what is stored.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringBuilder, UInt32Array,
};
use datafusion::arrow::compute::{and, filter_record_batch};
use datafusion::arrow::datatypes::{SchemaRef, TimestampMicrosecondType, UInt32Type, UInt64Type};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties, SortOrderPushdownResult,
};
use futures::StreamExt;
use pugmark_store::{Sequence, SubjectId};

use super::events::external;
use crate::columns::as_kind;
use crate::engine::QuerySnapshot;

/// What a column of the table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// A stored column, by place.
    Column(usize),
    /// The person of the subject.
    Person,
    /// The distinct id of the subject.
    DistinctId,
}

/// Where the stored columns are that are read for more than to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Places {
    pub(super) subject: Option<usize>,
    pub(super) sequence: Option<usize>,
    pub(super) timestamp: Option<usize>,
}

/// What a scan left unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Files of the snapshot.
    pub(crate) files: usize,
    /// Files that were opened.
    pub(crate) files_read: usize,
    /// Rows of the tail.
    pub(crate) tail_rows: u64,
}

/// Reads stored columns from its input and makes the others from the subject.
#[derive(Debug)]
pub(crate) struct EventsExec {
    input: Arc<dyn ExecutionPlan>,
    outputs: Arc<[Output]>,
    places: Places,
    schema: SchemaRef,
    /// The order in which its input gives the rows, where it was asked for one.
    order: Arc<[PhysicalSortExpr]>,
    facts: Facts,
    snapshot: QuerySnapshot,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl EventsExec {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        outputs: Vec<Output>,
        places: Places,
        schema: SchemaRef,
        facts: Facts,
        snapshot: QuerySnapshot,
    ) -> Self {
        let properties = Arc::new(properties(&schema, &input, &[]));
        Self {
            input,
            outputs: outputs.into(),
            places,
            schema,
            order: Arc::from([]),
            facts,
            snapshot,
            properties,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    /// What the scan leaves unread.
    pub(crate) fn facts(&self) -> Facts {
        self.facts
    }

    /// The same over another input, whose rows come in this order.
    fn over(&self, input: Arc<dyn ExecutionPlan>, order: &[PhysicalSortExpr]) -> Self {
        Self {
            properties: Arc::new(properties(&self.schema, &input, order)),
            input,
            outputs: Arc::clone(&self.outputs),
            places: self.places,
            schema: Arc::clone(&self.schema),
            order: order.into(),
            facts: self.facts,
            snapshot: self.snapshot.clone(),
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }

    fn maker(&self) -> Maker {
        Maker {
            outputs: Arc::clone(&self.outputs),
            places: self.places,
            schema: Arc::clone(&self.schema),
            snapshot: self.snapshot.clone(),
        }
    }
}

fn properties(schema: &SchemaRef, input: &Arc<dyn ExecutionPlan>, order: &[PhysicalSortExpr]) -> PlanProperties {
    let order = (!order.is_empty()).then(|| order.to_vec());
    PlanProperties::new(
        EquivalenceProperties::new_with_orderings(Arc::clone(schema), order),
        datafusion::physical_plan::Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
        input.pipeline_behavior(),
        input.boundedness(),
    )
}

impl DisplayAs for EventsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { files, files_read, tail_rows } = self.facts;
        write!(f, "EventsExec: files={files}, files_read={files_read}, tail_rows={tail_rows}")
    }
}

impl ExecutionPlan for EventsExec {
    fn name(&self) -> &str {
        "EventsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    // The scan is partitioned as it was planned: its files by size, the tail by batches.
    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("EventsExec has one input");
        };
        Ok(Arc::new(self.over(input, &self.order)))
    }

    fn try_pushdown_sort(&self, order: &[PhysicalSortExpr]) -> Result<SortOrderPushdownResult<Arc<dyn ExecutionPlan>>> {
        let stored = order.iter().map(|expr| {
            let column = expr.expr.downcast_ref::<Column>()?;
            let Output::Column(at) = self.outputs.get(column.index())? else { return None };
            let name = self.input.schema().fields().get(*at)?.name().clone();
            Some(PhysicalSortExpr { expr: Arc::new(Column::new(&name, *at)), options: expr.options })
        });
        let Some(stored) = stored.collect::<Option<Vec<_>>>() else { return Ok(SortOrderPushdownResult::Unsupported) };
        Ok(match self.input.try_pushdown_sort(&stored)? {
            SortOrderPushdownResult::Exact { inner } => {
                SortOrderPushdownResult::Exact { inner: Arc::new(self.over(inner, order)) }
            }
            _ => SortOrderPushdownResult::Unsupported,
        })
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        // Of the first rows some may not be shown.
        let shows_all = self.places.sequence.is_none() && self.places.timestamp.is_none();
        let input = self.input.with_fetch(limit).filter(|_| shows_all)?;
        Some(Arc::new(self.over(input, &self.order)))
    }

    fn fetch(&self) -> Option<usize> {
        self.input.fetch()
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let metrics = BaselineMetrics::new(&self.metrics, partition);
        let maker = self.maker();
        let stream = self.input.execute(partition, context)?.map(move |batch| {
            let timer = metrics.elapsed_compute().timer();
            let made = maker.make(&batch?)?;
            timer.done();
            metrics.record_output(made.num_rows());
            Ok(made)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], _args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.schema)))
    }
}

/// Makes the batches of one partition.
struct Maker {
    outputs: Arc<[Output]>,
    places: Places,
    schema: SchemaRef,
    snapshot: QuerySnapshot,
}

impl Maker {
    fn make(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let shown;
        let batch = match self.shown(batch)? {
            Some(rows) => {
                shown = rows;
                &shown
            }
            None => batch,
        };
        let subjects = self.places.subject.map(|at| batch.column(at));
        let columns = self
            .outputs
            .iter()
            .zip(self.schema.fields())
            .map(|(output, field)| match (output, subjects) {
                // The column may have widened since.
                (Output::Column(at), _) => as_kind(batch.column(*at), field.data_type()).map_err(external),
                (Output::Person, Some(subjects)) => Ok(self.persons(subjects)),
                (Output::DistinctId, Some(subjects)) => self.distinct_ids(subjects),
                (Output::Person | Output::DistinctId, None) => internal_err!("the scan reads no subject"),
            })
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    /// The rows that are not hidden and did not come later, where some may be or have.
    fn shown(&self, batch: &RecordBatch) -> Result<Option<RecordBatch>> {
        let hidden = &self.snapshot.hidden;
        let mut kept: Option<BooleanArray> = None;
        if let (Some(subject), Some(sequence)) = (self.places.subject, self.places.sequence) {
            let last = self.snapshot.sequence;
            let subjects = batch.column(subject).as_primitive::<UInt32Type>().values();
            let sequences = batch.column(sequence).as_primitive::<UInt64Type>().values();
            let shown = subjects.iter().zip(sequences).map(|(subject, sequence)| {
                let (subject, sequence) = (SubjectId::new(*subject), Sequence::new(*sequence));
                Some(sequence <= last && !hidden.hides(subject, sequence))
            });
            kept = Some(shown.collect());
        }
        if let (Some(timestamp), Some(before)) = (self.places.timestamp, hidden.expired_before()) {
            let timestamps = batch.column(timestamp).as_primitive::<TimestampMicrosecondType>().values();
            let young: BooleanArray = timestamps.iter().map(|at| Some(*at >= before.as_microsecond())).collect();
            kept = Some(match kept {
                Some(kept) => and(&kept, &young)?,
                None => young,
            });
        }
        Ok(kept.map(|kept| filter_record_batch(batch, &kept)).transpose()?)
    }

    fn persons(&self, subjects: &ArrayRef) -> ArrayRef {
        let persons = &self.snapshot.persons;
        if !persons.has_links() {
            return Arc::clone(subjects);
        }
        let numbers = subjects.as_primitive::<UInt32Type>().values();
        let made = numbers.iter().map(|subject| persons.person_of(SubjectId::new(*subject)).number());
        Arc::new(UInt32Array::from_iter_values(made))
    }

    fn distinct_ids(&self, subjects: &ArrayRef) -> Result<ArrayRef> {
        let numbers = subjects.as_primitive::<UInt32Type>().values();
        let mut unique: Vec<SubjectId> = numbers.iter().copied().map(SubjectId::new).collect();
        unique.sort_unstable();
        unique.dedup();
        let ids = self.snapshot.subjects.distinct_ids(&unique).map_err(external)?;
        let mut made = StringBuilder::with_capacity(numbers.len(), numbers.len() * 16);
        for number in numbers {
            let at = unique.binary_search(&SubjectId::new(*number));
            made.append_option(at.ok().and_then(|at| ids.get(at)?.as_deref()));
        }
        Ok(Arc::new(made.finish()))
    }
}
