//! The engine: sessions over snapshots, within one budget of memory.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use datafusion::arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, MemoryCatalogProvider, MemoryCatalogProviderList, MemorySchemaProvider,
    SchemaProvider, TableProvider,
};
use datafusion::execution::memory_pool::{FairSpillPool, MemoryPool, TrackConsumersPool};
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;
use pugmark_identity::{IdentityFold, Persons, Profiles};
use pugmark_registry::{Definitions, Registry, Schema, Version};
use pugmark_store::{Hidden, Sequence, Snapshot, Store, SubjectId, Subjects, Timestamp};

use crate::columns::Columns;
use crate::error::{Error, Result};
use crate::functions::{self, Bounds, Types};
use crate::local::{ColumnCache, Kept, Local, YieldingPool};
use crate::names::Vocabulary;
use crate::once::ReadOnce;
use crate::saved::{Definition, Names};
use crate::sessions::Sessions;
use crate::spec::{ANALYSES, Query};
use crate::table::{
    AnswerFunction, DailyTable, EventsTable, PersonsTable, SessionsTable, groups, identities, registry,
};

/// Names that every session uses; nobody sees them but in a plan.
pub(crate) const CATALOG: &str = "pugmark";
pub(crate) const SCHEMA: &str = "public";
/// How many consumers an error about memory names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2);

/// Bounds of an [`Engine`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineOptions {
    /// Memory for the state of all queries together: what does not fit is spilled or refused. 1 GiB by default.
    pub memory_bytes: usize,
    /// Parts that a query is cut into to be computed at once; by default as many as there are cores, at least 2.
    pub threads: usize,
    /// Memory for the footers and page indexes of columnar files, least recently used dropped. 64 MiB by default.
    pub metadata_cache_bytes: usize,
    /// How much of `memory_bytes` may be kept of what was decoded from columnar files, least recently used dropped; queries that need the memory have it.
    /// All but an eighth by default.
    pub cache_bytes: usize,
    /// Whether analyses may be answered by operators of this machine's own, over rollups and decoded columns in their order; `true` by default. Without them every
    /// question runs as a plan of standard operators, slower, with the same answer.
    pub local_operators: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 1 << 30,
            threads: std::thread::available_parallelism().map_or(2, NonZeroUsize::get).max(2),
            metadata_cache_bytes: 64 << 20,
            cache_bytes: (1 << 30) - (1 << 27),
            local_operators: true,
        }
    }
}

/// What one query sees: the state of everything at one sequence, and the instant that it takes for now.
#[derive(Clone)]
pub struct QuerySnapshot {
    pub(crate) registry: Arc<Registry>,
    /// As columns are stored by now: with properties that came later, and with columns that have widened since.
    pub(crate) stored: Arc<Schema>,
    pub(crate) persons: Arc<Persons>,
    pub(crate) profiles: Arc<Profiles>,
    pub(crate) definitions: Arc<Definitions>,
    pub(crate) columns: Arc<Columns>,
    pub(crate) hidden: Arc<Hidden>,
    pub(crate) subjects: Arc<Subjects>,
    pub(crate) subject_count: u32,
    pub(crate) sequence: Sequence,
    pub(crate) now: Timestamp,
    /// Whether what the registry counts is of this sequence.
    dated: bool,
}

impl QuerySnapshot {
    /// The state that a store published, asked at the instant `now`. Of a store that was opened without the fold of profiles nobody has traits, and without that of definitions nothing is saved.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the store was opened without the folds of registry,
    /// identity and columns.
    pub fn new(snapshot: &Snapshot, now: Timestamp) -> Result<Self> {
        let without = |fold: &str| Error::invalid(format!("the store was opened without its {fold}"));
        let registry: Arc<Registry> = snapshot.state().ok_or_else(|| without("registry"))?;
        Ok(Self {
            stored: Arc::clone(registry.schema()),
            registry,
            persons: snapshot.state().ok_or_else(|| without("identity"))?,
            profiles: snapshot.state().unwrap_or_default(),
            definitions: snapshot.state().unwrap_or_default(),
            columns: snapshot.state().ok_or_else(|| without("columns"))?,
            hidden: snapshot.state().unwrap_or_default(),
            subjects: Arc::clone(snapshot.subjects()),
            subject_count: snapshot.subject_count(),
            sequence: snapshot.sequence(),
            now,
            dated: true,
        })
    }

    /// The state of a store as of an earlier sequence: the events up to it, the links that stood, the names that had been seen and the types that columns had
    /// then; now is when it was received. What has been erased, withdrawn or has expired since is in no answer of any sequence. The same sequence gives the same
    /// answers at any time, unless something of it was removed in between.
    ///
    /// Of a property of whole numbers whose column has widened to doubles since, numbers beyond 2^53 may be rounded.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a sequence that the store does not have, or that has expired; as [`new`](Self::new).
    pub fn as_of(store: &Store, sequence: Sequence) -> Result<Self> {
        let snapshot = store.snapshot();
        let moment = store.moment(&snapshot, sequence).map_err(|error| Error::from(error).on("as_of"))?;
        let present = Self::new(&snapshot, moment.received_at)?;
        let past = store.look(|fold: &IdentityFold| fold.past(sequence))?;
        Ok(Self {
            registry: Arc::new(present.registry.at(sequence)),
            persons: Arc::new(past.into_persons()),
            subject_count: moment.subject_count,
            sequence,
            dated: false,
            ..present
        })
    }

    /// Whether the store holds events that came later.
    pub(crate) fn is_past(&self) -> bool {
        let last_in_files = self.columns.files().iter().map(|file| file.last_sequence).max();
        let tail = self.columns.tail();
        let last_in_tail = tail.parts().last().map(|part| part.through);
        last_in_files.max(last_in_tail).is_some_and(|last| last > self.sequence)
    }

    /// The last sequence that is in the answers.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// Every subject of the persons who are known by one of these distinct ids, each once; ids that nobody has are passed over.
    ///
    /// # Errors
    /// Errors of the index and of the runs of distinct ids.
    pub fn everybody_known_as(&self, distinct_ids: &[&str]) -> Result<Vec<SubjectId>> {
        let mut everybody: Vec<SubjectId> = Vec::new();
        for subject in self.subjects.resolve_many(distinct_ids)?.into_iter().flatten() {
            everybody.extend(self.persons.members(self.persons.person_of(subject)));
        }
        everybody.sort_unstable();
        everybody.dedup();
        Ok(everybody)
    }

    /// The persons who are known by these distinct ids, each as one subject, ascending.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an id that was never seen; errors of the index and of the runs of distinct ids.
    pub fn persons_known_as(&self, distinct_ids: &[&str]) -> Result<Vec<SubjectId>> {
        let found = self.subjects.resolve_many(distinct_ids)?;
        let strange: Vec<&str> =
            distinct_ids.iter().zip(&found).filter(|(_, subject)| subject.is_none()).map(|(id, _)| *id).collect();
        if let Some(first) = strange.first() {
            let (count, all) = (strange.len(), distinct_ids.len());
            return Err(Error::invalid(format!("{count} of {all} ids were never seen, the first is \"{first}\"")));
        }
        let persons = found.into_iter().flatten().map(|subject| self.persons.person_of(subject).number());
        let mut persons: Vec<SubjectId> = persons.map(SubjectId::new).collect();
        persons.sort_unstable();
        persons.dedup();
        Ok(persons)
    }

    /// What is saved under which name.
    pub(crate) fn names(&self) -> Names<'_> {
        Names { definitions: &self.definitions, through: self.sequence }
    }

    /// The question that is saved under a name; of a segment or a cohort, how many people are in it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that nothing is saved under, with the nearest.
    pub fn question(&self, name: &str) -> Result<Query> {
        self.names().question(name)
    }

    /// Whether a definition can be saved: what it names is saved, and it is not made of itself.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) otherwise, with the field.
    pub fn check_definition(&self, definition: &Definition) -> Result<()> {
        self.names().check(definition)
    }

    /// What a name stands for.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a name that nothing is saved under, with the nearest.
    pub fn defined(&self, name: &str) -> Result<&Version> {
        self.names().version(name)
    }

    /// The last version that a name had, also where that was removed; 0 for one that never had any.
    pub fn last_version(&self, name: &str) -> u32 {
        self.definitions.last(name, self.sequence).map_or(0, |last| last.version)
    }

    /// What is saved, by name.
    pub fn definitions(&self) -> impl Iterator<Item = (&str, &Version)> {
        self.definitions.all(self.sequence)
    }

    pub(crate) fn vocabulary(&self) -> Vocabulary<'_> {
        Vocabulary {
            registry: &self.registry,
            profiles: &self.profiles,
            definitions: &self.definitions,
            through: self.sequence,
            dated: self.dated,
        }
    }

    /// What queries take for now.
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

impl fmt::Debug for QuerySnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QuerySnapshot")
            .field("sequence", &self.sequence)
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Answers questions over snapshots: SQL and analyses.
///
/// It holds no data and no state of queries, only their common bounds: one pool of memory and one cache of file
/// footers. Queries run on the caller's Tokio runtime, whose time driver must be enabled for timeouts; dropping the
/// future of a query ends it. A clone has the same bounds and the same cache.
#[derive(Clone)]
pub struct Engine {
    base: SessionState,
    threads: usize,
    cache: Arc<ColumnCache>,
    pool: Arc<dyn MemoryPool>,
    bounds: Bounds,
    local_operators: bool,
    turns: Arc<Turns>,
}

/// What is kept of a whole store is made by one question at a time.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    pub(crate) counting: tokio::sync::Mutex<()>,
    pub(crate) indexing: Mutex<()>,
}

impl Engine {
    /// An engine within these bounds.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for bounds that nothing fits in.
    ///
    /// # Example
    /// ```
    /// use pugmark_query::{Engine, EngineOptions};
    /// let engine = Engine::new(EngineOptions { memory_bytes: 256 << 20, ..EngineOptions::default() })?;
    /// # Ok::<(), pugmark_query::Error>(())
    /// ```
    pub fn new(options: EngineOptions) -> Result<Self> {
        if options.threads == 0 || options.memory_bytes == 0 {
            return Err(Error::invalid(format!(
                "an engine needs memory and threads, found {} bytes and {} threads",
                options.memory_bytes, options.threads
            )));
        }
        let pool: Arc<dyn MemoryPool> =
            Arc::new(TrackConsumersPool::new(FairSpillPool::new(options.memory_bytes), CONSUMERS_NAMED));
        let cache = Arc::new(ColumnCache::new(&pool, options.cache_bytes));
        let pool: Arc<dyn MemoryPool> = Arc::new(YieldingPool::new(pool, Arc::clone(&cache)));
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::clone(&pool))
            .with_metadata_cache_limit(options.metadata_cache_bytes)
            .build_arc()?;
        let mut config = SessionConfig::new()
            .with_target_partitions(options.threads)
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_create_default_catalog_and_schema(false)
            .with_information_schema(false)
            .with_parquet_pruning(true)
            .with_parquet_page_index_pruning(true);
        config.options_mut().sql_parser.enable_ident_normalization = false;
        // now() is an instant, as timestamps are.
        config.options_mut().execution.time_zone = Some("+00:00".to_owned());
        let bounds = Bounds::new(&pool);
        // Before the planners that come with the features.
        let mut base = SessionStateBuilder::new()
            .with_config(config)
            .with_runtime_env(runtime)
            .with_expr_planners(vec![Arc::new(bounds.clone())])
            .with_default_features()
            .with_type_planner(Arc::new(Types))
            .with_physical_optimizer_rule(Arc::new(ReadOnce))
            .build();
        bounds.apply(&mut base)?;
        functions::register_common(&mut base)?;
        let (threads, local_operators, turns) = (options.threads, options.local_operators, Arc::default());
        Ok(Self { base, threads, cache, pool, bounds, local_operators, turns })
    }

    /// The table `events` of `snapshot`, for sessions of DataFusion's own: what a [`PortablePlan`](crate::PortablePlan) reads.
    pub fn events_table(snapshot: &QuerySnapshot) -> Arc<dyn TableProvider> {
        Arc::new(EventsTable::new(snapshot.clone()))
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads
    }

    pub(crate) fn takes_local_road(&self) -> bool {
        self.local_operators
    }

    pub(crate) fn cache(&self) -> &ColumnCache {
        &self.cache
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.turns
    }

    /// Drops what is kept in memory of people of the store of `snapshot`: what they did, and by which texts they are found. After an erasure nothing of who is gone is left there, either.
    pub fn forget_people(&self, snapshot: &QuerySnapshot) {
        for kept in [Kept::Totals, Kept::Ids, Kept::Values] {
            self.cache.forget(&snapshot.subjects, kept);
        }
    }

    /// The pool that the memory of queries comes from.
    pub(crate) fn pool(&self) -> &Arc<dyn MemoryPool> {
        &self.pool
    }

    /// The bounds of what functions make.
    pub(crate) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    /// The local road over `snapshot`.
    pub(crate) fn local(&self, snapshot: &QuerySnapshot) -> Local {
        Local::new(snapshot.clone(), snapshot.registry.schema(), Arc::clone(&self.cache))
    }

    /// The table `events` of `snapshot`, as it is fastest here.
    pub(crate) fn events(&self, snapshot: &QuerySnapshot) -> EventsTable {
        let stored = || Local::new(snapshot.clone(), &snapshot.stored, Arc::clone(&self.cache));
        EventsTable::new(snapshot.clone()).with_local(self.takes_local_road().then(stored))
    }

    /// A session in which the tables are those of `snapshot`.
    pub(crate) fn session(&self, snapshot: &QuerySnapshot) -> Result<SessionState> {
        let schema = MemorySchemaProvider::new();
        schema.register_table("events".to_owned(), Arc::new(self.events(snapshot)))?;
        schema.register_table("rollup_daily".to_owned(), Arc::new(DailyTable::new(self.local(snapshot))))?;
        schema.register_table("registry_events".to_owned(), registry::events(snapshot)?)?;
        schema.register_table("registry_properties".to_owned(), registry::properties(self.local(snapshot))?)?;
        schema.register_table("persons".to_owned(), Arc::new(PersonsTable::new(self, snapshot)))?;
        schema.register_table("identities".to_owned(), identities::identities(snapshot)?)?;
        schema.register_table("groups".to_owned(), groups::groups(snapshot)?)?;
        schema.register_table("identity_refusals".to_owned(), identities::refusals(snapshot)?)?;
        let sessions = SessionsTable::new(self, snapshot, Sessions::new());
        schema.register_table("sessions".to_owned(), Arc::new(sessions))?;
        let catalog = MemoryCatalogProvider::new();
        catalog.register_schema(SCHEMA, Arc::new(schema))?;
        let list = MemoryCatalogProviderList::new();
        list.register_catalog(CATALOG.to_owned(), Arc::new(catalog));
        let mut state = self.base.clone();
        functions::register_profiles(&mut state, snapshot, &self.pool, Some(&self.cache))?;
        for name in ANALYSES {
            state.register_udtf(name, Arc::new(AnswerFunction::new(name, self, snapshot)));
        }
        state.register_catalog_list(Arc::new(list));
        let now = timestamp_us_to_datetime(snapshot.now.as_microsecond())
            .ok_or_else(|| Error::invalid(format!("the instant {} lies beyond the calendar", snapshot.now)))?;
        state.execution_props_mut().query_execution_start_time = Some(now.and_utc());
        Ok(state)
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("threads", &self.threads).finish_non_exhaustive()
    }
}
