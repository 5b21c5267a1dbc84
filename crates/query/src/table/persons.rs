//! `persons`: everybody of a snapshot, also those without events, and what they did in all.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{Result, internal_err};
use datafusion::datasource::TableType;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::{StreamExt, TryStreamExt, stream};
use pugmark_store::SubjectId;

use super::events::external;
use crate::analysis::AllTotals;
use crate::columns::instant;
use crate::engine::{Engine, QuerySnapshot};
use crate::people::Totals;

/// Places of the columns.
const PERSON: usize = 0;
const NAME: usize = 1;
const DISTINCT_IDS: usize = 2;
const KNOWN: usize = 3;
const FIRST_SEEN: usize = 4;
const LAST_SEEN: usize = 5;
const EVENTS: usize = 6;
const SESSIONS: usize = 7;
const DAYS_ACTIVE: usize = 8;
const REVENUE: usize = 9;
/// Persons in one batch.
const BATCH_ROWS: u32 = 8_192;

/// The persons of one snapshot.
pub(crate) struct PersonsTable {
    engine: Engine,
    snapshot: QuerySnapshot,
    schema: SchemaRef,
}

impl PersonsTable {
    pub(crate) fn new(engine: &Engine, snapshot: &QuerySnapshot) -> Self {
        let schema = Schema::new(vec![
            Field::new("person", DataType::UInt32, false),
            Field::new("name", DataType::Utf8, true),
            Field::new("distinct_ids", DataType::Utf8, false),
            Field::new("known", DataType::Boolean, false),
            Field::new("first_seen", instant(), true),
            Field::new("last_seen", instant(), true),
            Field::new("events", DataType::UInt64, false),
            Field::new("sessions", DataType::UInt32, false),
            Field::new("days_active", DataType::UInt32, false),
            // NULL where nothing is declared as revenue.
            Field::new("revenue", DataType::Float64, true),
        ]);
        Self { engine: engine.clone(), snapshot: snapshot.clone(), schema: Arc::new(schema) }
    }
}

impl fmt::Debug for PersonsTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PersonsTable").field("snapshot", &self.snapshot).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for PersonsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let columns: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&columns)?);
        let lister = Lister {
            engine: self.engine.clone(),
            snapshot: self.snapshot.clone(),
            // Events are read only for what is counted of them.
            counts: columns.iter().any(|column| *column >= FIRST_SEEN),
            columns,
            schema: Arc::clone(&schema),
        };
        StreamingTable::try_new(schema, vec![Arc::new(lister)])?.scan(state, None, filters, limit).await
    }
}

/// Lists the persons.
#[derive(Clone)]
struct Lister {
    engine: Engine,
    snapshot: QuerySnapshot,
    counts: bool,
    columns: Vec<usize>,
    schema: SchemaRef,
}

/// Shown by `EXPLAIN`.
impl fmt::Debug for Lister {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "persons: subjects={}, counts={}", self.snapshot.subject_count, self.counts)
    }
}

impl PartitionStream for Lister {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let lister = self.clone();
        let batches = async move {
            let totals = match lister.counts {
                true => Some(lister.engine.totals(&lister.snapshot).await.map_err(external)?.0),
                false => None,
            };
            let starts = (0..lister.snapshot.subject_count).step_by(BATCH_ROWS as usize);
            let made = move |first| lister.batch(first, totals.as_deref());
            Ok::<_, datafusion::error::DataFusionError>(stream::iter(starts).map(made))
        };
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream::once(batches).try_flatten()))
    }
}

impl Lister {
    fn batch(&self, first: u32, totals: Option<&AllTotals>) -> Result<RecordBatch> {
        let Self { snapshot, columns, schema, .. } = self;
        let persons = &snapshot.persons;
        let end = first.saturating_add(BATCH_ROWS).min(snapshot.subject_count);
        let numbers: Vec<u32> = (first..end).filter(|subject| snapshot.is_somebody(*subject)).collect();
        let people = || numbers.iter().map(|number| persons.person_of(SubjectId::new(*number)));
        let done: Vec<Totals> = totals.map_or_else(Vec::new, |all| numbers.iter().map(|at| all.of(*at)).collect());
        let instants = |instant: fn(&Totals) -> i64| -> ArrayRef {
            let made = done.iter().map(|done| (done.events > 0).then(|| instant(done)));
            Arc::new(TimestampMicrosecondArray::from_iter(made).with_timezone("+00:00"))
        };
        let has_revenue = totals.is_some_and(AllTotals::has_revenue);
        let column = |column: &usize| -> Result<ArrayRef> {
            Ok(match *column {
                PERSON => Arc::new(UInt32Array::from_iter_values(numbers.iter().copied())),
                NAME => {
                    let named: Vec<SubjectId> = people().map(|person| persons.name_subject(person)).collect();
                    Arc::new(StringArray::from(snapshot.subjects.distinct_ids(&named).map_err(external)?))
                }
                DISTINCT_IDS => Arc::new(StringArray::from(self.lists(&numbers)?)),
                KNOWN => {
                    let is_known = |person| persons.is_known(persons.name_subject(person));
                    Arc::new(people().map(|person| Some(is_known(person))).collect::<BooleanArray>())
                }
                FIRST_SEEN => instants(|done| done.first_seen_us),
                LAST_SEEN => instants(|done| done.last_seen_us),
                EVENTS => Arc::new(UInt64Array::from_iter_values(done.iter().map(|done| done.events))),
                SESSIONS => Arc::new(UInt32Array::from_iter_values(done.iter().map(|done| done.sessions))),
                DAYS_ACTIVE => Arc::new(UInt32Array::from_iter_values(done.iter().map(|done| done.days_active))),
                REVENUE => {
                    Arc::new(Float64Array::from_iter(done.iter().map(|done| has_revenue.then_some(done.revenue))))
                }
                other => return internal_err!("persons has no column {other}"),
            })
        };
        let columns = columns.iter().map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
    }

    /// The ids of each person as a JSON array.
    fn lists(&self, numbers: &[u32]) -> Result<Vec<String>> {
        let Self { snapshot, .. } = self;
        let persons = &snapshot.persons;
        let members = |number: &u32| {
            let mut members = persons.members(persons.person_of(SubjectId::new(*number)));
            members.retain(|member| !snapshot.hidden.is_erased(*member));
            members
        };
        let members: Vec<Vec<SubjectId>> = numbers.iter().map(members).collect();
        let flat: Vec<SubjectId> = members.iter().flatten().copied().collect();
        let mut ids = snapshot.subjects.distinct_ids(&flat).map_err(external)?.into_iter();
        let list = |members: &Vec<SubjectId>| {
            let own: Vec<String> = ids.by_ref().take(members.len()).flatten().collect();
            serde_json::Value::from(own).to_string()
        };
        Ok(members.iter().map(list).collect())
    }
}
