//! A real store in a directory of its own, with the engine over it.
#![allow(dead_code, reason = "each test file uses the part that it needs")]

use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use pugmark_identity::{IdentityFold, IdentityOptions, ProfileFold};
use pugmark_query::columns::{ColumnsFold, ColumnsOptions, Flusher};
use pugmark_query::saved::Definition;
use pugmark_query::spec::Query;
use pugmark_query::{Engine, EngineOptions, Error, QueryResult, QuerySnapshot, Result};
use pugmark_registry::{DefinitionFold, RegistryFold, RegistryOptions};
use pugmark_store::{Entry, Event, ManualClock, Operation, Options, Outcome, Sequence, Store, Timestamp};
use tempfile::TempDir;
use tokio::runtime::Runtime;

pub(crate) struct Db {
    pub(crate) engine: Engine,
    pub(crate) store: Arc<Store>,
    pub(crate) clock: Arc<ManualClock>,
    flusher: Flusher,
    runtime: Runtime,
    _dir: TempDir,
}

/// The instant of a text such as `2025-01-31T10:00:00Z`.
pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

impl Db {
    /// An empty store on 2025-06-01.
    pub(crate) fn new() -> Self {
        Self::with(EngineOptions::default(), RegistryOptions::default())
    }

    pub(crate) fn with(options: EngineOptions, registry: RegistryOptions) -> Self {
        Self::made(options, registry, at("2025-06-01"), Options::default())
    }

    /// An empty store at `now`, to which events may come from as far in the future.
    pub(crate) fn receiving(now: Timestamp, future_limit: Duration) -> Self {
        let store = Options { future_limit, ..Options::default() };
        Self::made(EngineOptions::default(), RegistryOptions::default(), now, store)
    }

    fn made(options: EngineOptions, registry: RegistryOptions, now: Timestamp, store: Options) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let clock = Arc::new(ManualClock::new(now));
        let folds: Vec<Box<dyn pugmark_store::Fold>> = vec![
            Box::new(RegistryFold::new(registry)),
            Box::new(IdentityFold::new(IdentityOptions::default())),
            Box::new(ProfileFold::default()),
            Box::new(DefinitionFold::default()),
            Box::new(ColumnsFold::new(dir.path(), ColumnsOptions { registry, ..ColumnsOptions::default() })),
        ];
        let store_options = Options { clock: Arc::clone(&clock) as _, ..store };
        let store = Arc::new(Store::open(dir.path(), store_options, folds).expect("it opens"));
        let flusher = Flusher::start(Arc::clone(&store)).expect("it starts");
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().expect("a runtime");
        Self { engine: Engine::new(options).expect("an engine"), store, clock, flusher, runtime, _dir: dir }
    }

    /// Stores events, all of which must be accepted.
    pub(crate) fn track(&self, events: impl IntoIterator<Item = Event>) {
        let entries: Vec<Entry> = events.into_iter().map(Entry::from).collect();
        for outcome in self.store.append(entries).expect("it is stored") {
            assert!(matches!(outcome, Outcome::Accepted(_)), "{outcome}");
        }
    }

    pub(crate) fn identify(&self, anonymous_id: &str, user_id: &str) {
        let operation = Operation::identify(anonymous_id, user_id);
        self.store.append(vec![Entry::from(operation)]).expect("it is decided");
    }

    /// Saves what is saved first under its name.
    pub(crate) fn define(&self, definition: &Definition) {
        let (name, body) = (definition.name.clone(), Some(definition.body()));
        let operation = Operation::Define { kind: definition.kind().name().to_owned(), name, version: 1, body };
        self.store.append(vec![Entry::from(operation)]).expect("it is decided");
    }

    /// Writes the tail to a file.
    pub(crate) fn flush(&self) {
        self.flusher.flush_now().expect("it is written");
    }

    pub(crate) fn snapshot(&self) -> QuerySnapshot {
        QuerySnapshot::new(&self.store.snapshot(), self.store.clock().now()).expect("the folds are there")
    }

    /// The rows of a statement, values joined by `|`, NULL as nothing.
    pub(crate) fn sql(&self, statement: &str) -> Vec<String> {
        self.try_sql(statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
    }

    pub(crate) fn try_sql(&self, statement: &str) -> Result<Vec<String>> {
        self.try_sql_at(&self.snapshot(), statement)
    }

    pub(crate) fn try_sql_at(&self, snapshot: &QuerySnapshot, statement: &str) -> Result<Vec<String>> {
        self.try_sql_with(&self.engine, snapshot, statement)
    }

    pub(crate) fn try_sql_with(
        &self,
        engine: &Engine,
        snapshot: &QuerySnapshot,
        statement: &str,
    ) -> Result<Vec<String>> {
        let batches = self.runtime.block_on(engine.sql(snapshot, statement))?;
        let mut lines = Vec::new();
        for batch in &batches {
            let options = FormatOptions::default();
            let columns: Vec<ArrayFormatter<'_>> = batch
                .columns()
                .iter()
                .map(|column| ArrayFormatter::try_new(column, &options).expect("it prints"))
                .collect();
            for row in 0..batch.num_rows() {
                let values: Vec<String> = columns.iter().map(|column| column.value(row).to_string()).collect();
                lines.push(values.join("|"));
            }
        }
        Ok(lines)
    }

    pub(crate) fn refused(&self, statement: &str) -> Error {
        match self.try_sql(statement) {
            Err(error) => error,
            Ok(rows) => panic!("{statement} gave {rows:?}"),
        }
    }

    pub(crate) fn try_run(&self, query: &Query) -> Result<QueryResult> {
        let snapshot = match query.as_of {
            Some(sequence) => QuerySnapshot::as_of(&self.store, Sequence::new(sequence))?,
            None => self.snapshot(),
        };
        self.runtime.block_on(self.engine.run(&snapshot, query))
    }

    /// The answer to a query in JSON, as JSON.
    pub(crate) fn ask(&self, query: &str) -> serde_json::Value {
        let result = self.try_ask(query).unwrap_or_else(|error| panic!("{query}: {error}"));
        serde_json::to_value(result).expect("it serialises")
    }

    pub(crate) fn try_ask(&self, query: &str) -> Result<QueryResult> {
        self.try_run(&Query::from_json(query)?)
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}
