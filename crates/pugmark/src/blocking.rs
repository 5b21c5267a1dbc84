//! Questions for programs without a runtime.

use std::sync::OnceLock;

use pugmark_query::{Error, ErrorKind, QueryResult, Result};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::arrow::array::RecordBatch;
use crate::{
    Audience, AudienceResult, Funnel, FunnelResult, Journey, JourneyResult, Lifecycle, LifecycleResult, Paths,
    PathsResult, People, PeopleResult, Pugmark, Query, Receipt, Retention, RetentionResult, Sequence, Sessions,
    SessionsResult, Stickiness, StickinessResult, Suspect, SuspectLimits, Trend, TrendResult,
};

/// The runtime behind [`Blocking`], made when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct LazyRuntime(OnceLock<Runtime>);

impl LazyRuntime {
    fn started(&self, threads: usize) -> Result<&Runtime> {
        if Handle::try_current().is_ok() {
            return Err(Error::invalid(
                "blocking() was called within a Tokio runtime, which it would hold up: await the question itself",
            ));
        }
        if let Some(runtime) = self.0.get() {
            return Ok(runtime);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("pugmark-query")
            .enable_time()
            .build()
            .map_err(|e| {
                Error::new(ErrorKind::Io, format!("starting the threads of the query engine: {e}")).caused_by(e)
            })?;
        Ok(self.0.get_or_init(|| runtime))
    }
}

impl Drop for LazyRuntime {
    fn drop(&mut self) {
        // A runtime that is dropped waits for its threads, which an async caller must not.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// The questions of a [`Pugmark`] for programs without a runtime: each call returns when the answer is there.
///
/// # Example
/// ```
/// use pugmark::{Event, Pugmark, Trend};
/// # let dir = tempfile::tempdir()?;
/// let db = Pugmark::open(dir.path())?;
/// db.track(Event::new("view", "u1"))?;
/// assert_eq!(db.blocking()?.trend(&Trend::of("view"))?.series[0].total, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Blocking<'a> {
    db: &'a Pugmark,
    runtime: &'a Runtime,
}

impl<'a> Blocking<'a> {
    pub(crate) fn new(db: &'a Pugmark, runtime: &'a LazyRuntime, threads: usize) -> Result<Self> {
        Ok(Self { db, runtime: runtime.started(threads)? })
    }

    /// As [`Pugmark::trend`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn trend(&self, trend: &Trend) -> Result<TrendResult> {
        self.runtime.block_on(self.db.trend(trend))
    }

    /// As [`Pugmark::funnel`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn funnel(&self, funnel: &Funnel) -> Result<FunnelResult> {
        self.runtime.block_on(self.db.funnel(funnel))
    }

    /// As [`Pugmark::retention`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn retention(&self, retention: &Retention) -> Result<RetentionResult> {
        self.runtime.block_on(self.db.retention(retention))
    }

    /// As [`Pugmark::stickiness`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn stickiness(&self, stickiness: &Stickiness) -> Result<StickinessResult> {
        self.runtime.block_on(self.db.stickiness(stickiness))
    }

    /// As [`Pugmark::lifecycle`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn lifecycle(&self, lifecycle: &Lifecycle) -> Result<LifecycleResult> {
        self.runtime.block_on(self.db.lifecycle(lifecycle))
    }

    /// As [`Pugmark::journey`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn journey(&self, journey: &Journey) -> Result<JourneyResult> {
        self.runtime.block_on(self.db.journey(journey))
    }

    /// As [`Pugmark::sessions`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn sessions(&self, sessions: &Sessions) -> Result<SessionsResult> {
        self.runtime.block_on(self.db.sessions(sessions))
    }

    /// As [`Pugmark::people`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn people(&self, people: &People) -> Result<PeopleResult> {
        self.runtime.block_on(self.db.people(people))
    }

    /// As [`Pugmark::suspects`].
    ///
    /// # Errors
    /// As [`Pugmark::sql`].
    pub fn suspects(&self, limits: SuspectLimits) -> Result<Vec<Suspect>> {
        self.runtime.block_on(self.db.suspects(limits))
    }

    /// As [`Pugmark::paths`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn paths(&self, paths: &Paths) -> Result<PathsResult> {
        self.runtime.block_on(self.db.paths(paths))
    }

    /// As [`Pugmark::audience`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn audience(&self, audience: &Audience) -> Result<AudienceResult> {
        self.runtime.block_on(self.db.audience(audience))
    }

    /// As [`Pugmark::save_people`].
    ///
    /// # Errors
    /// As [`Pugmark::save_people`].
    pub fn save_people(&self, name: &str, people: &Audience) -> Result<u32> {
        self.runtime.block_on(self.db.save_people(name, people))
    }

    /// As [`Pugmark::ask`].
    ///
    /// # Errors
    /// As [`Pugmark::ask`].
    pub fn ask(&self, name: &str) -> Result<QueryResult> {
        self.runtime.block_on(self.db.ask(name))
    }

    /// As [`Pugmark::ask_as_of`].
    ///
    /// # Errors
    /// As [`Pugmark::ask_as_of`].
    pub fn ask_as_of(&self, name: &str, sequence: Sequence) -> Result<QueryResult> {
        self.runtime.block_on(self.db.ask_as_of(name, sequence))
    }

    /// As [`Pugmark::query`].
    ///
    /// # Errors
    /// As [`Pugmark::query`].
    pub fn query(&self, query: &Query) -> Result<QueryResult> {
        self.runtime.block_on(self.db.query(query))
    }

    /// As [`Pugmark::query_json`].
    ///
    /// # Errors
    /// As [`Pugmark::query_json`].
    pub fn query_json(&self, query: &str) -> Result<QueryResult> {
        self.runtime.block_on(self.db.query_json(query))
    }

    /// As [`Pugmark::sql`].
    ///
    /// # Errors
    /// As [`Pugmark::sql`].
    pub fn sql(&self, statement: &str) -> Result<Vec<RecordBatch>> {
        self.runtime.block_on(self.db.sql(statement))
    }

    /// As [`Pugmark::sql_as_of`].
    ///
    /// # Errors
    /// As [`Pugmark::sql_as_of`].
    pub fn sql_as_of(&self, statement: &str, sequence: Sequence) -> Result<Vec<RecordBatch>> {
        self.runtime.block_on(self.db.sql_as_of(statement, sequence))
    }

    /// As [`Pugmark::retract`].
    ///
    /// # Errors
    /// As [`Pugmark::retract`].
    pub fn retract(&self, filter: &str) -> Result<Receipt> {
        self.runtime.block_on(self.db.retract(filter))
    }
}
