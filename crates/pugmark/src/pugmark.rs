//! The one page: a store, its folds, its flusher and its engine.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use pugmark_identity::{IdentityFold, ProfileFold};
use pugmark_query::columns::{ColumnsFold, Flusher};
use pugmark_query::files::{Export, Exported, Import, Progress, Reject, Source, Summary};
use pugmark_query::{Engine, Error, ErrorKind, QueryResult, QuerySnapshot, Result, Rows};
use pugmark_registry::{DefinitionFold, RegistryFold};
use pugmark_store::{
    AppendOptions, BackupReport, Entry, Event, Expired, ImportId, Outcome, Pending, ProfileUpdate, Quarantined,
    Receipt, Sequence, Settle, Store, Timestamp, VerifyProgress, VerifyReport,
};

use crate::arrow::array::RecordBatch;
use crate::blocking::{Blocking, LazyRuntime};
use crate::info::{Info, info};
use crate::options::Options;
use crate::{
    Audience, AudienceResult, Funnel, FunnelResult, Journey, JourneyResult, Lifecycle, LifecycleResult, Paths,
    PathsResult, Query, Retention, RetentionResult, Sessions, SessionsResult, Stickiness, StickinessResult, Trend,
    TrendResult,
};

/// A directory of events, open: stores what happened, and answers questions about it.
///
/// Share it between threads by reference or in an `Arc`: every method takes `&self`. Appends of several threads share
/// one sync. One process at a time may have a directory open.
///
/// Dropping it closes it and can report nothing; [`close`](Self::close) says what went wrong.
///
/// # Example
/// ```
/// use pugmark::{Event, Outcome, Pugmark};
/// # let dir = tempfile::tempdir()?;
/// let db = Pugmark::open(dir.path())?;
/// let purchase = || Event::new("purchase", "user-42").property("amount", 19.9).message_id("order-17").at(pugmark::Timestamp::EPOCH);
/// assert!(matches!(db.track(purchase())?, Outcome::Accepted(_)));
/// assert_eq!(db.track(purchase())?, Outcome::Duplicate);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Pugmark {
    // Fields are dropped in this order: whoever uses the store goes before it.
    runtime: LazyRuntime,
    engine: Arc<Engine>,
    engine_threads: usize,
    flusher: Flusher,
    pub(crate) store: Arc<Store>,
    /// Who defines holds it, so that versions are given out one after the other.
    pub(crate) defining: Mutex<()>,
}

impl Pugmark {
    /// Opens the store in a directory, and makes one where the directory is missing or empty. An erasure or a retraction that was interrupted is finished
    /// first.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] while another process has it open; [`ErrorKind::Invalid`] if the directory holds something
    /// else; [`ErrorKind::Unsupported`] if a newer version wrote it; [`ErrorKind::Corrupt`] if something acknowledged is
    /// damaged, with file and offset; [`ErrorKind::Io`] and [`ErrorKind::Full`] from the disk.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(dir, Options::default())
    }

    /// Opens the store in a directory, as the options say.
    ///
    /// # Errors
    /// As [`open`](Self::open); with [`Options::existing`] also [`ErrorKind::Invalid`] if the directory is no store.
    pub fn open_with(dir: impl AsRef<Path>, options: Options) -> Result<Self> {
        let dir = dir.as_ref();
        let engine = match &options.shared_engine {
            Some(shared) => Arc::clone(&shared.0),
            None => Arc::new(Engine::new(options.engine)?),
        };
        // The query engine names columnar files by URL, which a relative path has none.
        let columns_of = std::path::absolute(dir)
            .map_err(|e| Error::new(ErrorKind::Io, format!("opening {}: {e}", dir.display())).caused_by(e))?;
        let columns = options.columns();
        let store = Arc::new(Store::open(
            dir,
            options.store,
            vec![
                Box::new(RegistryFold::new(options.registry)),
                Box::new(IdentityFold::new(options.identity)),
                Box::new(ProfileFold::default()),
                Box::new(DefinitionFold::default()),
                Box::new(ColumnsFold::new(&columns_of, columns)),
            ],
        )?);
        // What a stop interrupted. Nothing, as a rule.
        store.finish_removals()?;
        let flusher = Flusher::start(Arc::clone(&store))?;
        let (runtime, engine_threads, defining) = (LazyRuntime::default(), options.engine.threads, Mutex::default());
        Ok(Self { runtime, engine, engine_threads, flusher, store, defining })
    }

    /// Stores an event and says what became of it. When this returns, the event is on disk and queries see it.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] and [`ErrorKind::Full`] from the disk; [`ErrorKind::Poisoned`] after an earlier failed write:
    /// open the store again. An event that breaks a rule is no error but [`Outcome::Rejected`].
    pub fn track(&self, event: Event) -> Result<Outcome> {
        self.one(event.into())
    }

    /// Stores events in one step, and says what became of each, in the order given.
    ///
    /// # Errors
    /// As [`track`](Self::track), and [`ErrorKind::Invalid`] for more than 65,536 events or 16 MiB at once.
    pub fn track_many(&self, events: Vec<Event>) -> Result<Vec<Outcome>> {
        self.append(events.into_iter().map(Entry::from).collect())
    }

    /// Changes what is known about somebody beside what they did: traits such as a plan or a country, of the person whose id this is, under whatever ids.
    /// `profile('plan')` reads it in filters, breakdowns and SQL, `profile_at('plan')` what it was when an event happened.
    ///
    /// How changes of several ids come together is defined in `docs/semantics.md`, Identity.
    ///
    /// # Errors
    /// As [`track`](Self::track). A change that breaks a rule is no error but [`Outcome::Rejected`].
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, ProfileUpdate, Pugmark, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.update_profile(ProfileUpdate::set("ann").with("plan", "free").at("2025-01-01T00:00:00Z".parse()?))?;
    /// db.update_profile(ProfileUpdate::set("ann").with("plan", "pro").at("2025-02-01T00:00:00Z".parse()?))?;
    /// db.track(Event::new("view", "ann").at("2025-01-15T00:00:00Z".parse()?))?;
    /// let views = |filter| db.blocking()?.trend(&Trend::of("view").filter(filter)).map(|trend| trend.series[0].total);
    /// assert_eq!(views("profile('plan') = 'pro'")?, 1);
    /// assert_eq!(views("profile_at('plan') = 'pro'")?, 0);
    /// assert_eq!(views("profile_at('plan') = 'free'")?, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update_profile(&self, update: ProfileUpdate) -> Result<Outcome> {
        self.one(update.into())
    }

    /// Stores events and operations in one step, in the order given, and says what became of each.
    ///
    /// # Errors
    /// As [`track_many`](Self::track_many).
    pub fn append(&self, entries: Vec<Entry>) -> Result<Vec<Outcome>> {
        Ok(self.store.append(entries)?)
    }

    /// Hands events and operations over and returns at once, so that several appends can be under way; what is returned can be waited for, or awaited on any
    /// runtime. The options say what an acknowledgement promises, what becomes of it when too much waits, and which import it is part of.
    ///
    /// # Errors
    /// As [`track_many`](Self::track_many), and [`ErrorKind::Busy`] when the queue is full and the options say to refuse.
    ///
    /// # Example
    /// ```
    /// use pugmark::{AppendOptions, Durability, Event, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// let buffered = AppendOptions { durability: Durability::Buffered, ..AppendOptions::default() };
    /// let view = db.submit(vec![Event::new("view", "ann").into()], &buffered)?;
    /// let order = db.submit(vec![Event::new("order", "ann").into()], &AppendOptions::default())?;
    /// assert!(view.wait()?[0].is_stored() && order.wait()?[0].is_stored());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn submit(&self, entries: Vec<Entry>, options: &AppendOptions) -> Result<Pending> {
        Ok(self.store.submit(entries, options)?)
    }

    pub(crate) fn one(&self, entry: Entry) -> Result<Outcome> {
        let mut outcomes = self.append(vec![entry])?;
        Ok(outcomes.pop().expect("invariant: the store answers once for each entry"))
    }

    /// Counts or uniques over time.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn trend(&self, trend: &Trend) -> Result<TrendResult> {
        match self.query(&Query::from(trend.clone())).await? {
            QueryResult::Trend(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// How many people get how far through a series of steps.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn funnel(&self, funnel: &Funnel) -> Result<FunnelResult> {
        match self.query(&Query::from(funnel.clone())).await? {
            QueryResult::Funnel(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// How many of those who start come back, period by period.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn retention(&self, retention: &Retention) -> Result<RetentionResult> {
        match self.query(&Query::from(retention.clone())).await? {
            QueryResult::Retention(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// How many people are active in one bucket of the range, in two, and so on.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn stickiness(&self, stickiness: &Stickiness) -> Result<StickinessResult> {
        match self.query(&Query::from(stickiness.clone())).await? {
            QueryResult::Stickiness(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// Who is new, who stays, who comes back and who stays away, bucket by bucket.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub async fn lifecycle(&self, lifecycle: &Lifecycle) -> Result<LifecycleResult> {
        match self.query(&Query::from(lifecycle.clone())).await? {
            QueryResult::Lifecycle(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// What one person did, under all ids, session by session and page by page.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Example
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pugmark::{Event, Journey, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// for name in ["view", "cart", "purchase"] {
    ///     db.track(Event::new(name, "ann").property("country", "DE"))?;
    /// }
    /// let page = db.journey(&Journey::of("ann").limit(2)).await?;
    /// assert_eq!(page.sessions[0].events[0].event, "purchase");
    /// let next = page.next.ok_or("there is more")?;
    /// let page = db.journey(&Journey::of("ann").limit(2).cursor(next)).await?;
    /// assert_eq!(page.sessions[0].events[0].event, "view");
    /// assert_eq!(page.next, None);
    /// # Ok(()) }
    /// ```
    pub async fn journey(&self, journey: &Journey) -> Result<JourneyResult> {
        match self.query(&Query::from(journey.clone())).await? {
            QueryResult::Journey(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// How many sessions begin in the range, how long they take, and how many are of one event.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark, Sessions, Timestamp};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// for minute in [0, 30, 40, 71] {
    ///     db.track(Event::new("view", "ann").at(Timestamp::from_microsecond(minute * 60_000_000)).property("url", format!("/{minute}")))?;
    /// }
    /// let sessions = db.blocking()?.sessions(&Sessions::new().rows())?;
    /// assert_eq!((sessions.count, sessions.bounce_rate), (2, Some(0.5)));
    /// let rows = sessions.rows.unwrap_or_default();
    /// assert_eq!((rows[0].entry.as_str(), rows[0].exit.as_str(), rows[0].seconds), ("/0", "/40", 2_400.0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn sessions(&self, sessions: &Sessions) -> Result<SessionsResult> {
        match self.query(&Query::from(sessions.clone())).await? {
            QueryResult::Sessions(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// What people do one thing after the other: how many go from where to where at each position, and the most travelled paths.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Paths, Pugmark, Timestamp};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// for (minute, event) in [(0, "signup"), (1, "view"), (2, "view"), (11, "purchase")] {
    ///     db.track(Event::new(event, "ann").at(Timestamp::from_microsecond(minute * 60_000_000)))?;
    /// }
    /// let paths = db.blocking()?.paths(&Paths::after("signup"))?;
    /// assert_eq!(paths.paths[0].nodes, ["signup".into(), "view".into(), "purchase".into()]);
    /// assert_eq!((paths.edges[1].position, paths.edges[1].mean_seconds), (2, Some(600.0)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn paths(&self, paths: &Paths) -> Result<PathsResult> {
        match self.query(&Query::from(paths.clone())).await? {
            QueryResult::Paths(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// How many people are in a segment and, on request, who they are.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pugmark::{Audience, Did, Event, ProfileUpdate, Pugmark, Segment};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("buy", "ann"), Event::new("buy", "bob"), Event::new("refund", "bob")])?;
    /// db.update_profile(ProfileUpdate::set("ann").with("country", "US"))?;
    /// let segment = Segment::from(Did::event("buy")) & Segment::profile("country = 'US'") & !Segment::from(Did::event("refund"));
    /// assert_eq!(db.audience(&Audience::of(segment).people()).await?.people, Some(vec!["ann".to_owned()]));
    /// # Ok(()) }
    /// ```
    pub async fn audience(&self, audience: &Audience) -> Result<AudienceResult> {
        match self.query(&Query::from(audience.clone())).await? {
            QueryResult::Audience(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// Answers any analysis, over one state of the store: every event acknowledged before the call, none after.
    ///
    /// Dropping the future ends the query.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a question that contradicts itself or a filter that does not read, with the field and
    /// the byte; [`ErrorKind::Unsupported`] for what is not built; [`ErrorKind::Full`] when the memory does not suffice;
    /// [`ErrorKind::Io`] and [`ErrorKind::Corrupt`] from columnar files.
    ///
    /// # Panics
    /// Outside of a Tokio runtime: ask through [`blocking`](Self::blocking) there.
    pub async fn query(&self, query: &Query) -> Result<QueryResult> {
        let snapshot = match query.as_of {
            Some(sequence) => QuerySnapshot::as_of(&self.store, Sequence::new(sequence))?,
            None => self.query_snapshot()?,
        };
        self.engine.run(&snapshot, query).await
    }

    /// Answers a question in the JSON form of `docs/semantics.md`, section 6.
    ///
    /// # Errors
    /// As [`query`](Self::query), and [`ErrorKind::Invalid`] for what is not JSON or has an unknown field, with the
    /// nearest known.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pugmark::{Event, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track(Event::new("view", "u1"))?;
    /// let answer = db.query_json(r#"{"trend": {"series": [{"event": "view", "measure": "uniques"}]}}"#).await?;
    /// assert_eq!(serde_json::to_value(&answer)?["series"][0]["total"], 1);
    /// # Ok(()) }
    /// ```
    pub async fn query_json(&self, query: &str) -> Result<QueryResult> {
        self.query(&Query::from_json(query)?).await
    }

    /// Runs one `SELECT` over the tables `events` (one column for each property) and `persons`; without rows the answer
    /// is one empty batch, which has the columns.
    ///
    /// Names keep their case; `page.url` and `$browser` are columns like any other.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what is not one `SELECT`, and for unknown columns, with the nearest known; else as
    /// [`query`](Self::query).
    ///
    /// # Panics
    /// Outside of a Tokio runtime: ask through [`blocking`](Self::blocking) there.
    pub async fn sql(&self, statement: &str) -> Result<Vec<RecordBatch>> {
        self.engine.sql(&self.query_snapshot()?, statement).await
    }

    /// As [`sql`](Self::sql), over what the store held at an earlier sequence: see [`QuerySnapshot::as_of`] for what is of then, and what is not.
    ///
    /// # Errors
    /// As [`sql`](Self::sql); [`ErrorKind::Invalid`] for a sequence that the store does not have or that has expired; [`ErrorKind::Unsupported`] for the tables
    /// `registry_events` and `registry_properties`, which count what is there now.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Outcome, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// let Outcome::Accepted(first) = db.track(Event::new("view", "anon-7"))? else { panic!("it is new") };
    /// db.track(Event::new("view", "ann"))?;
    /// db.identify("anon-7", "ann")?;
    /// let count = "SELECT count(*) AS views FROM events";
    /// # let number = |rows: Vec<pugmark::arrow::array::RecordBatch>| -> i64 {
    /// #     pugmark::arrow::array::AsArray::as_primitive::<pugmark::arrow::datatypes::Int64Type>(rows[0].column(0)).value(0) };
    /// assert_eq!(number(db.blocking()?.sql(count)?), 2);
    /// assert_eq!(number(db.blocking()?.sql_as_of(count, first)?), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// As [`sql`](Self::sql).
    pub async fn sql_as_of(&self, statement: &str, sequence: Sequence) -> Result<Vec<RecordBatch>> {
        self.engine.sql(&QuerySnapshot::as_of(&self.store, sequence)?, statement).await
    }

    /// As [`sql`](Self::sql) or, with a sequence, [`sql_as_of`](Self::sql_as_of), of a statement that has so many rows at most: for whoever answers others.
    ///
    /// # Errors
    /// As these, and [`ErrorKind::Full`] as soon as there are more rows.
    ///
    /// # Panics
    /// As [`sql`](Self::sql).
    pub async fn sql_up_to(
        &self,
        statement: &str,
        as_of: Option<Sequence>,
        rows_max: usize,
    ) -> Result<Vec<RecordBatch>> {
        self.engine.sql_up_to(&self.snapshot_at(as_of)?, statement, rows_max).await
    }

    /// As [`sql`](Self::sql) or, with a sequence, [`sql_as_of`](Self::sql_as_of), with the rows as they are found: however many there are, few are in memory.
    ///
    /// # Errors
    /// As these; those of the computation come with the rows.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pugmark::{Event, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "ann"), Event::new("view", "bob")])?;
    /// let mut rows = db.sql_stream("SELECT event, distinct_id FROM events", None).await?;
    /// let mut count = 0;
    /// while let Some(batch) = rows.next().await? {
    ///     count += batch.num_rows();
    /// }
    /// assert_eq!(count, 2);
    /// # Ok(()) }
    /// ```
    ///
    /// # Panics
    /// As [`sql`](Self::sql).
    pub async fn sql_stream(&self, statement: &str, as_of: Option<Sequence>) -> Result<Rows> {
        self.engine.sql_stream(&self.snapshot_at(as_of)?, statement).await
    }

    /// The same questions for programs without a runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] on a thread of a Tokio runtime, which it would hold up; [`ErrorKind::Io`] if threads cannot
    /// be started.
    pub fn blocking(&self) -> Result<Blocking<'_>> {
        Blocking::new(self, &self.runtime, self.engine_threads)
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.engine
    }

    pub(crate) fn query_snapshot(&self) -> Result<QuerySnapshot> {
        QuerySnapshot::new(&self.store.snapshot(), self.store.clock().now())
    }

    /// Reads a file of events to its end. When this returns, everything counted is on disk; what was not taken has been
    /// given to `on_reject`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if the source is not what its format says or lacks a column that the mapping names; errors
    /// of reading it, and of [`track_many`](Self::track_many). What was stored before the error stays: importing the same
    /// again adds the rest.
    pub fn import(
        &self,
        import: &Import,
        source: Source,
        on_progress: impl FnMut(&Progress),
        on_reject: impl FnMut(Reject),
    ) -> Result<Summary> {
        import.run(&self.store, source, on_progress, on_reject)
    }

    /// Writes the events out, in a form that [`import`](Self::import) reads, and says how many.
    ///
    /// # Errors
    /// Errors of reading the log and of writing to `out`.
    pub fn export<W: Write + Send>(
        &self,
        export: &Export,
        out: W,
        on_progress: impl FnMut(&Exported),
    ) -> Result<Exported> {
        export.run(&self.store, out, on_progress)
    }

    /// The events that came with a message id under which another content is stored, and about which nobody has decided: each of them was
    /// answered with [`Outcome::Conflict`] and is kept aside, part of no answer.
    ///
    /// # Errors
    /// Errors of reading the log.
    pub fn quarantine(&self) -> Result<Vec<Quarantined>> {
        Ok(self.store.quarantine()?.collect::<pugmark_store::Result<_>>()?)
    }

    /// Decides about an event of the [quarantine](Self::quarantine), durably: it is dropped, or stored under a message id of its own. The answer is the sequence
    /// of the event, or of the record that it was dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if nothing waits under `sequence`, or the message id is taken too; else as [`track`](Self::track).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Outcome, Pugmark, Settle};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// let order = |amount| Event::new("purchase", "user-42").message_id("order-1").property("amount", amount);
    /// db.track(order(5))?;
    /// let Outcome::Conflict(Some(sequence)) = db.track(order(7))? else { panic!("other content") };
    /// db.settle(sequence, Settle::Drop)?;
    /// assert!(db.quarantine()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle(&self, sequence: Sequence, settle: Settle) -> Result<Sequence> {
        Ok(self.store.settle(sequence, settle)?)
    }

    /// Erases people: everybody who is known by one of these distinct ids, under all of their ids. When this returns, no byte of their ids and events is in any
    /// file of the store. Nobody of that name is no error, and erases nobody: the receipt says how many subjects were erased.
    ///
    /// It takes about the same time for one person as for a thousand: name them together. A message id of theirs stays taken for good, and an id that comes back
    /// is somebody new. What was exported or backed up before is not this store's to erase, and a query that is under way keeps the columnar files that it reads
    /// until it ends.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] and [`ErrorKind::Full`] from the disk. Once the people are hidden an error takes nothing back: the next call, or the next
    /// [`open`](Self::open), goes on.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "anon-7"), Event::new("view", "ann"), Event::new("view", "bob")])?;
    /// db.identify("anon-7", "ann")?;
    /// assert_eq!(db.erase(&["ann"])?.subjects, 2);
    /// assert_eq!(db.blocking()?.trend(&Trend::of("view"))?.series[0].total, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "forget")]
    pub fn erase(&self, distinct_ids: &[impl AsRef<str>]) -> Result<Receipt> {
        let snapshot = self.query_snapshot()?;
        let ids: Vec<&str> = distinct_ids.iter().map(AsRef::as_ref).collect();
        let subjects = snapshot.everybody_known_as(&ids)?;
        if !subjects.is_empty() {
            self.store.erase(&subjects)?;
        }
        self.finish_removals()
    }

    fn finish_removals(&self) -> Result<Receipt> {
        let receipt = self.store.finish_removals()?;
        // A file that was being written of what they had before it was removed.
        self.flusher.wait_for_present();
        self.engine.forget_people(&self.query_snapshot()?);
        Ok(receipt)
    }

    /// Lets events expire that happened before an instant, for good: no answer shows them from now on, none that happened earlier is accepted any more, and segments of the log and columnar
    /// files of their age go. Their message ids stay taken, and people and links stay.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a time that has not come; [`ErrorKind::Io`] and [`ErrorKind::Full`] from the disk; [`ErrorKind::Corrupt`] for damage in the log. What expired stays hidden, and the next call goes on.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark, Timestamp, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track(Event::new("view", "ann").at("2024-05-01T00:00:00Z".parse()?))?;
    /// db.track(Event::new("view", "ann").at("2025-05-01T00:00:00Z".parse()?))?;
    /// db.expire("2025-01-01T00:00:00Z".parse()?)?;
    /// assert_eq!(db.blocking()?.trend(&Trend::of("view"))?.series[0].total, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn expire(&self, before: Timestamp) -> Result<Expired> {
        let expired = self.store.expire(before)?;
        // A file that was being written of what has gone.
        self.flusher.wait_for_present();
        Ok(expired)
    }

    /// Withdraws the events that a filter matches, such as `"event = 'purchase' and amount > 1000000"`: when this returns, they are in no file, and their message
    /// ids are free again. A name in the filter that was never seen is an error.
    ///
    /// # Errors
    /// As [`query`](Self::query) and [`erase`](Self::erase).
    ///
    /// # Panics
    /// Outside of a Tokio runtime: call it through [`blocking`](Self::blocking) there.
    pub async fn retract(&self, filter: &str) -> Result<Receipt> {
        let rows = self.engine.matching(&self.query_snapshot()?, filter).await?;
        if !rows.is_empty() {
            self.store.retract(Some(filter), rows)?;
        }
        self.finish_removals()
    }

    /// Withdraws every event and every change of traits that an import brought, as if the file had not been loaded: when this returns, they are in no file, and
    /// their message ids are free again, so that the right file can be imported. Links that the file made stay.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an import that brought nothing which is still there; as [`erase`](Self::erase).
    #[doc(alias = "undo")]
    pub fn retract_import(&self, import: ImportId) -> Result<Receipt> {
        self.store.retract_import(import)?;
        self.finish_removals()
    }

    /// Writes all events that are in memory and in the log only to a columnar file, and waits for it. Answers do not
    /// change.
    ///
    /// # Errors
    /// Errors of the disk and of the index.
    pub fn flush(&self) -> Result<()> {
        Ok(self.flusher.flush_now()?)
    }

    /// Writes what is in no columnar file to one, merges files until there is no more to merge, and waits for it; otherwise both happen by themselves, when there is
    /// enough of it. Answers do not change.
    ///
    /// # Errors
    /// Errors of the disk and of the index.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// for n in 0..5 {
    ///     db.track(Event::new("view", format!("user-{n}")))?;
    ///     db.flush()?;
    /// }
    /// db.compact()?;
    /// assert!(db.info()?.columns.files < 5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compact(&self) -> Result<()> {
        self.flusher.flush_now()?;
        Ok(self.flusher.merge_now()?)
    }

    /// Proves that every byte is as it was written, and that what is derived (ids, registry, people, columns) is what the log says. Appends wait meanwhile.
    ///
    /// With `repair`, what is derived and wrong is forgotten: the next [`open`](Self::open) derives it again, and until then it stays as it is. The log is never touched; where it is damaged,
    /// the report says which sequences are lost.
    ///
    /// # Errors
    /// Errors of the disk and of the index. What is wrong is in the report.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track(Event::new("view", "u1"))?;
    /// assert!(db.verify(false, |_| {})?.is_clean());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn verify(&self, repair: bool, mut on_progress: impl FnMut(&VerifyProgress)) -> Result<VerifyReport> {
        Ok(self.store.verify(repair, &mut on_progress)?)
    }

    /// Reads the log of a directory that may be damaged so far that it does not open, and says what is left of it.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] while it is open; [`ErrorKind::Invalid`] if it is no store; errors of the disk. What is wrong is in the report.
    pub fn verify_log(dir: impl AsRef<Path>) -> Result<VerifyReport> {
        Ok(Store::verify_log(dir.as_ref(), &pugmark_store::Options::default().storage)?)
    }

    /// Copies everything that is acknowledged to the directory `to` while the store is in use. The copy is a store without what is derived: to restore it, copy it
    /// and open the copy, which derives the rest again.
    ///
    /// Into a directory with an earlier backup of this store only what has changed is copied; one that was interrupted is completed by the next.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if `to` holds something else, another store, or what was stored there since it was opened itself; [`ErrorKind::Locked`] while it is
    /// open; [`ErrorKind::Corrupt`] for damage in the log, which is not copied; errors of the disk.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark};
    /// # let (dir, to) = (tempfile::tempdir()?, tempfile::tempdir()?);
    /// let db = Pugmark::open(dir.path())?;
    /// db.track(Event::new("view", "u1"))?;
    /// db.backup(to.path())?;
    /// assert_eq!(Pugmark::open(to.path())?.info()?.events, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn backup(&self, to: impl AsRef<Path>) -> Result<BackupReport> {
        Ok(self.store.backup(to.as_ref())?)
    }

    /// What the store holds.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if the size of a file cannot be read.
    pub fn info(&self) -> Result<Info> {
        info(&self.store)
    }

    /// The last sequence that answers see.
    ///
    /// ```
    /// use pugmark::{Event, Pugmark, Sequence};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track(Event::new("view", "ann"))?;
    /// assert_eq!(db.sequence(), Sequence::new(1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn sequence(&self) -> Sequence {
        self.store.snapshot().sequence()
    }

    /// The time by the clock that the store was opened with.
    pub fn now(&self) -> Timestamp {
        self.store.clock().now()
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        self.store.dir()
    }

    /// Writes what is in memory to its files and seals the log, so that the next open is quick.
    ///
    /// # Errors
    /// Errors of the disk and of the index. What was acknowledged is durable all the same.
    pub fn close(self) -> Result<()> {
        let Self { store, flusher, .. } = self;
        let flushed = flusher.close();
        let store = Arc::into_inner(store)
            .ok_or_else(|| Error::new(ErrorKind::Busy, "the store is in use: something still reads or writes it"))?;
        store.close()?;
        Ok(flushed?)
    }
}

pub(crate) fn mismatch() -> Error {
    Error::new(
        ErrorKind::Invalid,
        "several segments have several answers: ask them by query, which has them side by side",
    )
}

impl fmt::Debug for Pugmark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pugmark").field("dir", &self.dir()).finish_non_exhaustive()
    }
}
