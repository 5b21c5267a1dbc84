//! `events`: the columnar files and the tail of a snapshot as one table, with the columns that are made at the scan.

use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, Result, ScalarValue};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::DataFusionError;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, col, lit};
use datafusion::object_store::path::Path as ObjectPath;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::union::UnionExec;
use pugmark_identity::PersonId;
use pugmark_store::SubjectId;

use super::exec::{EventsExec, Facts, Output, Places};
use super::made::Adapters;
use super::prune;
use super::reader::Readers;
use super::subjects::SubjectsExec;
use crate::columns::{ColumnFile, EventSchema, system};
use crate::engine::QuerySnapshot;
use crate::local::Local;

/// Name of the column with the person.
pub(crate) const PERSON: &str = "person";
/// Name of the column with the distinct id.
const DISTINCT_ID: &str = "distinct_id";
/// More subjects than this are a scan like any other: they are in most pages.
const FEW_SUBJECTS: usize = 1_000;

/// The events of one snapshot.
#[derive(Debug)]
pub(crate) struct EventsTable {
    snapshot: QuerySnapshot,
    /// The columns as they are stored by now.
    columns: Arc<EventSchema>,
    schema: SchemaRef,
    /// What each column of `schema` shows.
    outputs: Vec<Output>,
    /// How the rows of a few subjects are read, where operators of this machine's own may be used.
    local: Option<Local>,
}

impl EventsTable {
    pub(crate) fn new(snapshot: QuerySnapshot) -> Self {
        let columns = snapshot.columns.event_schema(&snapshot.stored);
        let shown = match Arc::ptr_eq(&snapshot.stored, snapshot.registry.schema()) {
            true => Arc::clone(&columns),
            false => EventSchema::of(snapshot.registry.schema()),
        };
        let order = [
            Output::Column(system::SEQUENCE.0),
            Output::Column(system::EVENT.0),
            Output::Column(system::TIMESTAMP.0),
            Output::DistinctId,
            Output::Person,
            Output::Column(system::SUBJECT.0),
            Output::Column(system::RECEIVED_AT.0),
            Output::Column(system::MESSAGE_ID.0),
            Output::Column(system::SESSION_ID.0),
            Output::Column(system::CONTEXT.0),
        ];
        // Later columns stand behind earlier ones, and before the overflow.
        let properties = (system::COUNT..shown.overflow()).map(Output::Column);
        let overflow = Output::Column(columns.overflow());
        let outputs: Vec<Output> = order.into_iter().chain(properties).chain([overflow]).collect();
        let fields: Vec<Arc<Field>> = outputs
            .iter()
            .map(|output| match output {
                Output::Column(at) if *at == columns.overflow() => {
                    Arc::clone(&shown.arrow().fields()[shown.overflow()])
                }
                Output::Column(at) => Arc::clone(&shown.arrow().fields()[*at]),
                Output::Person => Arc::new(Field::new(PERSON, DataType::UInt32, false)),
                // An erased id is NULL.
                Output::DistinctId => Arc::new(Field::new(DISTINCT_ID, DataType::Utf8, true)),
            })
            .collect();
        Self { snapshot, columns, schema: Arc::new(Schema::new(fields)), outputs, local: None }
    }

    /// With the local road for the rows of a few subjects.
    pub(crate) fn with_local(self, local: Option<Local>) -> Self {
        Self { local, ..self }
    }

    /// The part of `filter` that the stored columns can decide: never narrower than `filter`.
    fn stored_filter(&self, filter: &Expr) -> Result<Option<Expr>> {
        let named = filter.column_refs();
        let kind = |schema: &SchemaRef, name: &str| schema.field_with_name(name).map(|field| field.data_type().clone());
        let has_widened = |column: &&Column| {
            let (shown, stored) = (kind(&self.schema, &column.name), kind(self.columns.arrow(), &column.name));
            shown.ok().zip(stored.ok()).is_some_and(|(shown, stored)| shown != stored)
        };
        if named.iter().any(has_widened) {
            return Ok(None);
        }
        let of = |name: &str| named.iter().any(|column| column.name == name);
        if !of(PERSON) && !of(DISTINCT_ID) {
            return Ok(Some(filter.clone()));
        }
        if of(PERSON) && !of(DISTINCT_ID) && !self.snapshot.persons.has_links() {
            // Everybody is a person of their own.
            let renamed = filter.clone().transform(|expr| {
                Ok(match expr {
                    Expr::Column(column) if column.name == PERSON => Transformed::yes(col(system::SUBJECT.1)),
                    other => Transformed::no(other),
                })
            })?;
            return Ok(Some(renamed.data));
        }
        let Some(subjects) = self.subjects(filter)? else { return Ok(None) };
        let list: Vec<Expr> = subjects.into_iter().map(lit).collect();
        Ok(Some(if list.is_empty() { lit(false) } else { col(system::SUBJECT.1).in_list(list, false) }))
    }

    /// The only subjects that `filter` allows, ascending, where it names persons, distinct ids or subjects and nothing else.
    fn subjects(&self, filter: &Expr) -> Result<Option<Vec<u32>>> {
        let mut subjects: Vec<u32> = Vec::new();
        if let Some(values) = values_of(filter, PERSON) {
            for value in values {
                if let ScalarValue::UInt32(Some(person)) = value.cast_to(&DataType::UInt32)? {
                    let (person, persons) = (PersonId::new(person), &self.snapshot.persons);
                    // A number that is somebody else's by now is in no row.
                    if persons.person_of(SubjectId::new(person.number())) == person {
                        subjects.extend(persons.members(person).into_iter().map(|subject| subject.number()));
                    }
                }
            }
        } else if let Some(values) = values_of(filter, DISTINCT_ID) {
            for value in values {
                if let ScalarValue::Utf8(Some(id)) = value.cast_to(&DataType::Utf8)? {
                    let found = self.snapshot.subjects.resolve(&id).map_err(external)?;
                    subjects.extend(found.map(|subject| subject.number()));
                }
            }
        } else if let Some(values) = values_of(filter, system::SUBJECT.1) {
            for value in values {
                if let ScalarValue::UInt32(Some(subject)) = value.cast_to(&DataType::UInt32)? {
                    subjects.push(subject);
                }
            }
        } else {
            return Ok(None);
        }
        subjects.sort_unstable();
        subjects.dedup();
        Ok(Some(subjects))
    }

    /// The only subjects that `filter` allows, where they are few and their rows can be found by the order of the files.
    fn few_of(&self, filter: &Expr) -> Result<Option<Vec<u32>>> {
        let named = [PERSON, DISTINCT_ID, system::SUBJECT.1].into_iter().find_map(|column| values_of(filter, column));
        match &self.local {
            // Many names are not looked up only to be told that they are many.
            Some(local) if named.is_some_and(|named| named.len() <= FEW_SUBJECTS) && local.keeps_subjects() => {
                Ok(self.subjects(filter)?.filter(|subjects| subjects.len() <= FEW_SUBJECTS))
            }
            _ => Ok(None),
        }
    }

    /// The scan of a few subjects, where `filters` name them and their rows can be found by the order of the files.
    fn few(&self, state: &dyn Session, filters: &[Expr], places: &[usize]) -> Result<Option<SubjectsExec>> {
        let Some(local) = &self.local else { return Ok(None) };
        let mut few: Option<Vec<u32>> = None;
        let mut events: Option<Vec<String>> = None;
        for filter in filters {
            if let Some(subjects) = self.few_of(filter)? {
                few = Some(match few {
                    Some(few) => few.into_iter().filter(|one| subjects.binary_search(one).is_ok()).collect(),
                    None => subjects,
                });
            } else if events.is_none() {
                let names = values_of(filter, system::EVENT.1);
                events =
                    names.and_then(|names| names.iter().map(|name| name.try_as_str()?.map(str::to_owned)).collect());
            }
        }
        let Some(few) = few else { return Ok(None) };
        let threads = state.config().target_partitions();
        SubjectsExec::new(local.clone(), local.sources(), few, events, places, threads).map(Some)
    }

    fn parquet(
        &self,
        state: &dyn Session,
        files: &[&Arc<ColumnFile>],
        places: Vec<usize>,
        predicate: Option<&Arc<dyn PhysicalExpr>>,
        limit: Option<usize>,
        batch_rows: usize,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let url = ObjectStoreUrl::local_filesystem();
        let mut readers = Readers::new(state.runtime_env().cache_manager.get_file_metadata_cache());
        let mut group = Vec::with_capacity(files.len());
        for file in files {
            let mut partitioned = PartitionedFile::new(String::new(), file.bytes);
            partitioned.object_meta.location =
                ObjectPath::from_absolute_path(&file.path).map_err(|error| external(Box::new(error)))?;
            readers.add(partitioned.object_meta.location.clone(), file);
            group.push(partitioned);
        }
        let mut source = ParquetSource::new(Arc::clone(self.columns.arrow()))
            .with_parquet_file_reader_factory(Arc::new(readers))
            .with_enable_page_index(true);
        if let Some(predicate) = predicate {
            source = source.with_predicate(Arc::clone(predicate));
        }
        let config = FileScanConfigBuilder::new(url, Arc::new(source))
            .with_batch_size(Some(batch_rows))
            .with_file_group(FileGroup::new(group))
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(Adapters)))
            .with_projection_indices(Some(places))?
            .build();
        let scan: Arc<dyn ExecutionPlan> = DataSourceExec::from_data_source(config);
        let partitions = state.config().target_partitions();
        Ok(scan.repartitioned(partitions, state.config_options())?.unwrap_or(scan))
    }

    fn tail(&self, state: &dyn Session, places: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = self.snapshot.columns.tail().batches(&self.columns, Some(places)).map_err(external)?;
        let schema = Arc::new(self.columns.arrow().project(places)?);
        let partitions = state.config().target_partitions().min(batches.len()).max(1);
        let mut parts = vec![Vec::new(); partitions];
        for (number, batch) in batches.into_iter().enumerate() {
            parts[number % partitions].push(batch);
        }
        Ok(MemorySourceConfig::try_new_exec(&parts, schema, None)?)
    }
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Filters prune files, row groups and pages; rows are tested above the scan. But of few subjects only their rows are read.
        let of = |filter: &&Expr| {
            Ok(match self.few_of(filter)? {
                Some(_) => TableProviderFilterPushDown::Exact,
                None => TableProviderFilterPushDown::Inexact,
            })
        };
        filters.iter().map(of).collect()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..self.outputs.len()).collect());
        let schema = Arc::new(self.schema.project(&wanted)?);
        // The stored columns to read, and each output as a place among them.
        let mut places: Vec<usize> = Vec::new();
        let mut place_of = |column: usize| {
            places.iter().position(|place| *place == column).unwrap_or_else(|| {
                places.push(column);
                places.len() - 1
            })
        };
        let mut made_at = Places::default();
        let outputs: Vec<Output> = wanted
            .iter()
            .map(|output| match self.outputs[*output] {
                Output::Column(column) => Output::Column(place_of(column)),
                made => {
                    made_at.subject = Some(place_of(system::SUBJECT.0));
                    made
                }
            })
            .collect();
        let is_past = self.snapshot.is_past();
        let hides = self.snapshot.hidden.hides_events() || is_past;
        if hides {
            made_at.subject = Some(place_of(system::SUBJECT.0));
            made_at.sequence = Some(place_of(system::SEQUENCE.0));
        }
        let expired_before = self.snapshot.hidden.expired_before();
        if expired_before.is_some() {
            made_at.timestamp = Some(place_of(system::TIMESTAMP.0));
        }
        // Of the first rows some may be hidden.
        let limit = limit.filter(|_| !hides && expired_before.is_none());

        let mut stored: Vec<Expr> =
            filters.iter().filter_map(|filter| self.stored_filter(filter).transpose()).collect::<Result<_>>()?;
        // What has expired, and what came later, is pruned like anything else that is not asked for.
        stored.extend(expired_before.map(|before| {
            let before = ScalarValue::TimestampMicrosecond(Some(before.as_microsecond()), Some("+00:00".into()));
            col(system::TIMESTAMP.1).gt_eq(lit(before))
        }));
        stored.extend(is_past.then(|| col(system::SEQUENCE.1).lt_eq(lit(self.snapshot.sequence.number()))));
        let stored_schema = DFSchema::try_from(Arc::clone(self.columns.arrow()))?;
        let predicate =
            conjunction(stored).map(|filter| state.create_physical_expr(filter, &stored_schema)).transpose()?;

        let columns = &self.snapshot.columns;
        if let Some(few) = self.few(state, filters, &places)? {
            let files = columns.files().len();
            let facts = Facts { files, files_read: files, tail_rows: columns.tail().rows() };
            let input = Arc::new(few);
            return Ok(Arc::new(EventsExec::new(input, outputs, made_at, schema, facts, self.snapshot.clone())));
        }
        let kept = prune::files(columns.files(), predicate.as_ref(), self.columns.arrow())?;
        let facts = Facts { files: columns.files().len(), files_read: kept.len(), tail_rows: columns.tail().rows() };
        let mut inputs = Vec::with_capacity(3);
        // Of large events few at a time: batches that are under way are in no pool.
        let most = state.config().batch_size();
        let at_once = |file: &Arc<ColumnFile>| file.size().rows_at_once(most);
        let (small, large): (Vec<_>, Vec<_>) = kept.into_iter().partition(|file| at_once(file) == most);
        for files in [small, large] {
            if let Some(rows) = files.iter().map(|file| at_once(file)).min() {
                inputs.push(self.parquet(state, &files, places.clone(), predicate.as_ref(), limit, rows)?);
            }
        }
        if columns.tail().rows() > 0 {
            inputs.push(self.tail(state, &places)?);
        }
        let input: Arc<dyn ExecutionPlan> = match (inputs.len(), inputs.pop()) {
            (1, Some(only)) => only,
            (_, Some(last)) => UnionExec::try_new(inputs.into_iter().chain([last]).collect())?,
            (_, None) => Arc::new(EmptyExec::new(Arc::new(self.columns.arrow().project(&places)?))),
        };
        Ok(Arc::new(EventsExec::new(input, outputs, made_at, schema, facts, self.snapshot.clone())))
    }
}

/// The values that `filter` allows for the column, where it says nothing else: `column = v`, `column IN (…)`, or these
/// joined by OR.
pub(crate) fn values_of(filter: &Expr, column: &str) -> Option<Vec<ScalarValue>> {
    let is_column = |expr: &Expr| matches!(expr, Expr::Column(Column { name, .. }) if name == column);
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => match (left.as_ref(), right.as_ref()) {
            (named, Expr::Literal(value, _)) | (Expr::Literal(value, _), named) if is_column(named) => {
                Some(vec![value.clone()])
            }
            _ => None,
        },
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            let mut values = values_of(left, column)?;
            values.extend(values_of(right, column)?);
            Some(values)
        }
        Expr::InList(list) if !list.negated && is_column(&list.expr) => list
            .list
            .iter()
            .map(|item| match item {
                Expr::Literal(value, _) => Some(value.clone()),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}

pub(crate) fn external(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> DataFusionError {
    DataFusionError::External(error.into())
}
