//! `count(DISTINCT person)` in SQL, counted from decoded columns in their order as the analyses count.
//!
//! It is a rewriting of plans: an aggregate over `events` that counts rows and different persons, cut by texts, becomes the scan of a table that holds its result. Any
//! other aggregate stays what it was.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::error::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, SessionState, TaskContext};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator};
use datafusion::optimizer::simplify_expressions::{ExprSimplifier, SimplifyContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::stream;

use super::trend::group_totals;
use crate::calendar::ResolvedRange;
use crate::columns::system;
use crate::engine::QuerySnapshot;
use crate::error::Result;
use crate::local::{Local, Predicate, Reads, RunItem, RunValue, Selected, Wants, Work};
use crate::spec::{EventNames, GroupValue, MAX_BREAKDOWNS, Unit};
use crate::table::{EventsTable, external, values_of};

const EVENTS: &str = "events";
/// What `EXPLAIN` calls the table that holds a result.
const RESULT: &str = "local_counts";

/// What one column of the result counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Count {
    Rows,
    Units,
}

/// The plan, with the aggregates over `events` that can be counted from decoded columns counted so.
pub(crate) fn rewrite(
    plan: LogicalPlan,
    state: &SessionState,
    snapshot: &QuerySnapshot,
    local: &Local,
) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|plan| {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let counted = counted(aggregate, state, snapshot, local);
        match counted.map_err(external)? {
            Some(counted) => Ok(Transformed::yes(counted)),
            None => Ok(Transformed::no(plan)),
        }
    });
    Ok(rewritten?.data)
}

fn counted(
    aggregate: &Aggregate,
    state: &SessionState,
    snapshot: &QuerySnapshot,
    local: &Local,
) -> Result<Option<LogicalPlan>> {
    let Some(predicates) = of_events(&aggregate.input) else { return Ok(None) };
    let Some((counts, unit)) = counts(&aggregate.aggr_expr) else { return Ok(None) };
    let columns = &local.schema;
    let mut items = Vec::new();
    for key in &aggregate.group_expr {
        let Expr::Column(key) = key else { return Ok(None) };
        let is_text = |place: &usize| *columns.arrow().field(*place).data_type() == DataType::Utf8View;
        let is_key = [system::MESSAGE_ID.1, system::SESSION_ID.1, system::CONTEXT.1].contains(&key.name.as_str());
        let place = columns.arrow().index_of(&key.name).ok().filter(is_text).filter(|_| !is_key);
        let Some(place) = place else { return Ok(None) };
        items.push(RunItem { value: RunValue::Column(place), overflow_name: None });
    }
    if items.len() > MAX_BREAKDOWNS {
        return Ok(None);
    }
    let table = EventsTable::new(snapshot.clone());
    let events = DFSchema::try_from_qualified_schema(EVENTS, &table.schema())?;
    let Some((event, range, filter)) = selection(predicates, state, &events)? else { return Ok(None) };
    let filter = match filter {
        Some(filter) => match Predicate::of(state, &events, columns, &filter)? {
            Some(filter) => Some(filter),
            None => return Ok(None),
        },
        None => None,
    };
    let selected = vec![Selected { event, filter: None, bits: 1, since_us: range.from_us }];
    let wants = Wants { selected, filter, people: None, items, reads: Reads::default() };
    // The columns of the table are those of the aggregate under other names, which it then has again.
    let fields: Vec<Field> = aggregate
        .schema
        .fields()
        .iter()
        .enumerate()
        .map(|(at, field)| Field::new(format!("c{at}"), field.data_type().clone(), field.is_nullable()))
        .collect();
    let schema = Arc::new(Schema::new(fields));
    let rows = Rows { local: local.clone(), wants: Arc::new(wants), range, counts, unit, schema: Arc::clone(&schema) };
    let provider = provider_as_source(Arc::new(StreamingTable::try_new(schema, vec![Arc::new(rows)])?));
    let named = aggregate.schema.iter().enumerate().map(|(at, (qualifier, field))| {
        let own = Expr::Column(Column::new(Some(RESULT), format!("c{at}")));
        own.alias_qualified(qualifier.cloned(), field.name())
    });
    Ok(Some(LogicalPlanBuilder::scan(RESULT, provider, None)?.project(named)?.build()?))
}

/// The filters over the scan of `events` that `plan` is; `None` where it is something else.
fn of_events(plan: &LogicalPlan) -> Option<Vec<Expr>> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => of_events(&alias.input),
        LogicalPlan::Filter(filter) => {
            let mut predicates = of_events(&filter.input)?;
            predicates.push(filter.predicate.clone());
            Some(predicates)
        }
        LogicalPlan::TableScan(scan) => {
            let provider = source_as_provider(&scan.source).ok()?;
            let is_whole = scan.filters.is_empty() && scan.fetch.is_none();
            (is_whole && provider.downcast_ref::<EventsTable>().is_some()).then(Vec::new)
        }
        _ => None,
    }
}

/// What each aggregate counts, and whom; `None` where one of them does something else, or none counts whom.
fn counts(aggregates: &[Expr]) -> Option<(Vec<Count>, Unit)> {
    let mut unit = None;
    let mut counts = Vec::with_capacity(aggregates.len());
    for aggregate in aggregates {
        let Expr::AggregateFunction(AggregateFunction { func, params }) = aggregate.clone().unalias() else {
            return None;
        };
        let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment, .. } = params;
        if func.name() != "count" || filter.is_some() || !order_by.is_empty() || null_treatment.is_some() {
            return None;
        }
        counts.push(match (args.as_slice(), distinct) {
            ([Expr::Literal(value, _)], false) if !value.is_null() => Count::Rows,
            ([Expr::Column(column)], true) => {
                let own = match column.name.as_str() {
                    "person" => Unit::Person,
                    name if name == system::SUBJECT.1 => Unit::DistinctId,
                    _ => return None,
                };
                if unit.is_some_and(|unit| unit != own) {
                    return None;
                }
                unit = Some(own);
                Count::Units
            }
            _ => return None,
        });
    }
    Some((counts, unit?))
}

/// Which events these predicates leave: their names, their time, and what is left to test.
fn selection(
    predicates: Vec<Expr>,
    state: &SessionState,
    events: &DFSchema,
) -> Result<Option<(EventNames, ResolvedRange, Option<Expr>)>> {
    let mut names = EventNames::Any;
    let mut range = ResolvedRange { from_us: i64::MIN, to_us: i64::MAX };
    let Some(predicate) = conjunction(predicates) else { return Ok(Some((names, range, None))) };
    // By whatever name the table goes in the query.
    let own = predicate.transform(|expr| {
        Ok(match expr {
            Expr::Column(column) => Transformed::yes(Expr::Column(Column::new(Some(EVENTS), column.name))),
            other => Transformed::no(other),
        })
    })?;
    let schema = Arc::new(events.clone());
    let context = SimplifyContext::builder()
        .with_schema(Arc::clone(&schema))
        .with_config_options(Arc::clone(state.config_options()))
        .with_query_execution_start_time(state.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    // What cannot be told here is told by the plan as it was.
    let Ok(predicate) = simplifier.coerce(own.data, &schema).and_then(|own| simplifier.simplify(own)) else {
        return Ok(None);
    };
    let mut rest = Vec::new();
    for part in split_conjunction(&predicate) {
        if names == EventNames::Any
            && let Some(values) = values_of(part, system::EVENT.1)
        {
            let values: Option<Vec<String>> =
                values.iter().map(|value| value.try_as_str()?.map(str::to_owned)).collect();
            let Some(values) = values.filter(|values| !values.is_empty()) else { return Ok(None) };
            names = EventNames::Many(values);
            continue;
        }
        if let Some(own) = time_of(part) {
            range.from_us = range.from_us.max(own.from_us);
            range.to_us = range.to_us.min(own.to_us);
            continue;
        }
        rest.push(part.clone());
    }
    Ok(Some((names, range, conjunction(rest))))
}

/// The time that `expr` leaves, where it says nothing else.
fn time_of(expr: &Expr) -> Option<ResolvedRange> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else { return None };
    let instant = |expr: &Expr| match expr {
        Expr::Literal(ScalarValue::TimestampMicrosecond(Some(us), _), _) => Some(*us),
        _ => None,
    };
    let is_time = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == system::TIMESTAMP.1);
    let (op, us) = match (instant(left), instant(right)) {
        (None, Some(us)) if is_time(left) => (*op, us),
        (Some(us), None) if is_time(right) => (op.swap()?, us),
        _ => return None,
    };
    let all = ResolvedRange { from_us: i64::MIN, to_us: i64::MAX };
    Some(match op {
        Operator::GtEq => ResolvedRange { from_us: us, ..all },
        Operator::Gt => ResolvedRange { from_us: us.checked_add(1)?, ..all },
        Operator::Lt => ResolvedRange { to_us: us, ..all },
        Operator::LtEq => ResolvedRange { to_us: us.checked_add(1)?, ..all },
        Operator::Eq => ResolvedRange { from_us: us, to_us: us.checked_add(1)? },
        _ => return None,
    })
}

/// The result of an aggregate.
struct Rows {
    local: Local,
    wants: Arc<Wants>,
    range: ResolvedRange,
    counts: Vec<Count>,
    unit: Unit,
    schema: SchemaRef,
}

/// Shown by `EXPLAIN`.
impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wants, counts, unit, .. } = self;
        let event = wants.selected.first().map(|selected| selected.event.to_string()).unwrap_or_default();
        write!(f, "{RESULT}: events={event}, counts={counts:?}, unit={unit:?}, groups={}", wants.items.len())
    }
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let (local, wants, range) = (self.local.clone(), Arc::clone(&self.wants), self.range);
        let (counts, unit, schema) = (self.counts.clone(), self.unit.clone(), Arc::clone(&self.schema));
        let work = Work::new(context.session_config().target_partitions());
        let pool = Arc::clone(context.memory_pool());
        let made = async move {
            let keys = wants.items.len();
            let parts = local.parts().map_err(external)?;
            let runs = local.runs(&parts, wants, range, &pool, work).await.map_err(external)?;
            let merged = local.merged(&unit);
            let subjects = local.snapshot.subject_count;
            let mut totals = group_totals(runs, subjects, merged, &pool, work).await.map_err(external)?;
            // Without keys there is a row also of no events.
            totals.retain(|total| keys == 0 || total.rows > 0);
            batch(&schema, keys, &counts, &totals)
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::once(made)))
    }
}

/// How many events a combination of values has, and how many different units.
pub(super) struct GroupTotal {
    pub(super) values: Vec<GroupValue>,
    pub(super) rows: u64,
    pub(super) units: u64,
}

fn batch(
    schema: &SchemaRef,
    keys: usize,
    counts: &[Count],
    totals: &[GroupTotal],
) -> datafusion::error::Result<RecordBatch> {
    let text = |at: usize| {
        move |total: &GroupTotal| match total.values.get(at) {
            Some(GroupValue::Text(text)) => Some(Arc::clone(text)),
            _ => None,
        }
    };
    let keys = (0..keys).map(|at| Arc::new(totals.iter().map(text(at)).collect::<StringViewArray>()) as ArrayRef);
    let counts = counts.iter().map(|count| {
        let number = |total: &GroupTotal| match count {
            Count::Rows => i64::try_from(total.rows),
            Count::Units => i64::try_from(total.units),
        };
        Arc::new(Int64Array::from_iter_values(totals.iter().map(|total| number(total).unwrap_or(i64::MAX)))) as ArrayRef
    });
    let options = RecordBatchOptions::new().with_row_count(Some(totals.len()));
    RecordBatch::try_new_with_options(Arc::clone(schema), keys.chain(counts).collect(), &options)
        .map_err(DataFusionError::from)
}
