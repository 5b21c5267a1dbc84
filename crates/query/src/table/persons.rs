//! `persons`: everybody of a snapshot, also those without events.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
    UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType, UInt32Type,
};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, Statistics, internal_err};
use datafusion::datasource::TableType;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Expr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};
use hashbrown::HashMap;
use pugmark_store::SubjectId;

use super::EventsTable;
use super::events::external;
use crate::engine::QuerySnapshot;

/// Places of the columns.
const PERSON: usize = 0;
const NAME: usize = 1;
const DISTINCT_IDS: usize = 2;
const KNOWN: usize = 3;
const FIRST_SEEN: usize = 4;
const LAST_SEEN: usize = 5;
const EVENTS: usize = 6;
/// Persons in one batch.
const BATCH_ROWS: u32 = 8_192;

/// The persons of one snapshot.
#[derive(Debug)]
pub(crate) struct PersonsTable {
    snapshot: QuerySnapshot,
    schema: SchemaRef,
}

impl PersonsTable {
    pub(crate) fn new(snapshot: QuerySnapshot) -> Self {
        let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let schema = Schema::new(vec![
            Field::new("person", DataType::UInt32, false),
            Field::new("name", DataType::Utf8, true),
            Field::new("distinct_ids", DataType::Utf8, false),
            Field::new("known", DataType::Boolean, false),
            Field::new("first_seen", instant(), true),
            Field::new("last_seen", instant(), true),
            Field::new("events", DataType::UInt64, false),
        ]);
        Self { snapshot, schema: Arc::new(schema) }
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
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.schema.fields().len()).collect());
        let schema = Arc::new(self.schema.project(&wanted)?);
        // Events are read only for what is counted of them.
        let input = if wanted.iter().any(|column| [FIRST_SEEN, LAST_SEEN, EVENTS].contains(column)) {
            let events = EventsTable::new(self.snapshot.clone());
            let columns = [events.schema().index_of("subject")?, events.schema().index_of("timestamp")?].to_vec();
            Some(events.scan(state, Some(&columns), &[], None).await?)
        } else {
            None
        };
        Ok(Arc::new(PersonsExec::new(input, wanted, schema, self.snapshot.clone())))
    }
}

/// Lists the persons; its input, if any, has the subject and timestamp of every event.
#[derive(Debug)]
struct PersonsExec {
    input: Option<Arc<dyn ExecutionPlan>>,
    columns: Vec<usize>,
    schema: SchemaRef,
    snapshot: QuerySnapshot,
    properties: Arc<PlanProperties>,
}

impl PersonsExec {
    fn new(
        input: Option<Arc<dyn ExecutionPlan>>,
        columns: Vec<usize>,
        schema: SchemaRef,
        snapshot: QuerySnapshot,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self { input, columns, schema, snapshot, properties: Arc::new(properties) }
    }
}

impl DisplayAs for PersonsExec {
    fn fmt_as(&self, _format: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonsExec: subjects={}", self.snapshot.subject_count)
    }
}

impl ExecutionPlan for PersonsExec {
    fn name(&self) -> &str {
        "PersonsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.input.iter().collect()
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn apply_expressions(
        &self,
        _apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.len() != self.children().len() {
            return internal_err!("PersonsExec has {} inputs, found {}", self.children().len(), children.len());
        }
        let made = Self::new(children.pop(), self.columns.clone(), Arc::clone(&self.schema), self.snapshot.clone());
        Ok(Arc::new(made))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("PersonsExec has one partition, asked for {partition}");
        }
        let lister =
            Lister { columns: self.columns.clone(), schema: Arc::clone(&self.schema), snapshot: self.snapshot.clone() };
        let input = self.input.clone();
        let batches = async move {
            let seen = match input {
                Some(input) => Some(Seen::read(&input, &context, lister.snapshot.subject_count as usize).await?),
                None => None,
            };
            let merged = lister.merged();
            let starts = (0..lister.snapshot.subject_count).step_by(BATCH_ROWS as usize);
            let made = starts.map(move |first| lister.batch(first, &merged, seen.as_ref()));
            Ok::<_, datafusion::error::DataFusionError>(stream::iter(made))
        };
        let stream = stream::once(batches).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&self.schema), stream)))
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], _args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        Ok(Arc::new(Statistics::new_unknown(&self.schema)))
    }
}

/// When and how often each subject was seen.
struct Seen {
    rows: Vec<SeenRow>,
    // Held as long as the rows are.
    _reservation: datafusion::execution::memory_pool::MemoryReservation,
}

#[derive(Clone, Copy)]
struct SeenRow {
    first: i64,
    last: i64,
    events: u64,
}

impl SeenRow {
    const NEVER: Self = Self { first: i64::MAX, last: i64::MIN, events: 0 };

    fn add(&mut self, other: Self) {
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
        self.events += other.events;
    }
}

impl Seen {
    async fn read(input: &Arc<dyn ExecutionPlan>, context: &Arc<TaskContext>, subjects: usize) -> Result<Self> {
        let reservation = MemoryConsumer::new("persons").register(context.memory_pool());
        reservation.try_grow(subjects * size_of::<SeenRow>())?;
        let mut rows = vec![SeenRow::NEVER; subjects];
        for partition in 0..input.output_partitioning().partition_count() {
            let mut batches = input.execute(partition, Arc::clone(context))?;
            while let Some(batch) = batches.next().await.transpose()? {
                let subjects = batch.column(0).as_primitive::<UInt32Type>().values();
                let timestamps = batch.column(1).as_primitive::<TimestampMicrosecondType>().values();
                for (subject, at) in subjects.iter().zip(timestamps) {
                    if let Some(row) = rows.get_mut(*subject as usize) {
                        row.add(SeenRow { first: *at, last: *at, events: 1 });
                    }
                }
            }
        }
        Ok(Self { rows, _reservation: reservation })
    }

    fn of(&self, members: &[SubjectId]) -> SeenRow {
        let mut sum = SeenRow::NEVER;
        for member in members {
            if let Some(row) = self.rows.get(member.number() as usize) {
                sum.add(*row);
            }
        }
        sum
    }
}

struct Lister {
    columns: Vec<usize>,
    schema: SchemaRef,
    snapshot: QuerySnapshot,
}

impl Lister {
    /// The subjects of every person that has more than one.
    fn merged(&self) -> HashMap<u32, Vec<SubjectId>> {
        let mut merged: HashMap<u32, Vec<SubjectId>> = HashMap::new();
        for (subject, person) in self.snapshot.persons.merged_subjects() {
            let person = person.number();
            merged.entry(person).or_insert_with(|| vec![SubjectId::new(person)]).push(subject);
        }
        merged
    }

    fn batch(&self, first: u32, merged: &HashMap<u32, Vec<SubjectId>>, seen: Option<&Seen>) -> Result<RecordBatch> {
        let persons = &self.snapshot.persons;
        let end = first.saturating_add(BATCH_ROWS).min(self.snapshot.subject_count);
        let hidden = &self.snapshot.hidden;
        let (numbers, members): (Vec<u32>, Vec<Vec<SubjectId>>) = (first..end)
            .filter(|subject| persons.person_of(SubjectId::new(*subject)).number() == *subject)
            .map(|person| (person, merged.get(&person).cloned().unwrap_or_else(|| vec![SubjectId::new(person)])))
            .filter_map(|(person, mut members)| {
                members.retain(|member| !hidden.is_erased(*member));
                (!members.is_empty()).then_some((person, members))
            })
            .unzip();
        let names: Vec<SubjectId> =
            numbers.iter().map(|person| persons.name_subject(persons.person_of(SubjectId::new(*person)))).collect();
        let seen: Vec<SeenRow> =
            members.iter().map(|members| seen.map_or(SeenRow::NEVER, |seen| seen.of(members))).collect();
        let instants = |instant: fn(&SeenRow) -> i64| -> ArrayRef {
            let made = seen.iter().map(|row| (row.events > 0).then(|| instant(row)));
            Arc::new(TimestampMicrosecondArray::from_iter(made).with_timezone("+00:00"))
        };
        let columns = self
            .columns
            .iter()
            .map(|column| -> Result<ArrayRef> {
                Ok(match *column {
                    PERSON => Arc::new(UInt32Array::from_iter_values(numbers.iter().copied())),
                    NAME => Arc::new(StringArray::from(self.distinct_ids(&names)?)),
                    DISTINCT_IDS => Arc::new(StringArray::from(self.lists(&members)?)),
                    KNOWN => Arc::new(names.iter().map(|name| Some(persons.is_known(*name))).collect::<BooleanArray>()),
                    FIRST_SEEN => instants(|row| row.first),
                    LAST_SEEN => instants(|row| row.last),
                    EVENTS => Arc::new(UInt64Array::from_iter_values(seen.iter().map(|row| row.events))),
                    other => return internal_err!("persons has no column {other}"),
                })
            })
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(numbers.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }

    fn distinct_ids(&self, subjects: &[SubjectId]) -> Result<Vec<Option<String>>> {
        self.snapshot.subjects.distinct_ids(subjects).map_err(external)
    }

    /// The ids of each person as a JSON array.
    fn lists(&self, members: &[Vec<SubjectId>]) -> Result<Vec<String>> {
        let flat: Vec<SubjectId> = members.iter().flatten().copied().collect();
        let mut ids = self.distinct_ids(&flat)?.into_iter();
        Ok(members
            .iter()
            .map(|members| {
                let own: Vec<String> = ids.by_ref().take(members.len()).flatten().collect();
                serde_json::Value::from(own).to_string()
            })
            .collect())
    }
}
