//! An embeddable event store with a query engine: it keeps every event of an application in one directory, knows who is
//! who, and answers counts, uniques, funnels and retention.
//!
//! ```
//! use pugmark::{Event, Funnel, Pugmark, days};
//!
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path();
//! let db = Pugmark::open(path)?;
//! db.track(Event::new("view", "anon-7").property("country", "DE"))?;
//! db.identify("anon-7", "user-42")?;
//! db.track(Event::new("purchase", "user-42").property("amount", 19.9))?;
//!
//! let funnel = db.blocking()?.funnel(&Funnel::steps(["view", "purchase"]).window(days(7)))?;
//! assert_eq!(funnel.groups[0].steps[1].count, 1);
//! # db.close()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - **Acknowledged is on disk.** [`Pugmark::track`] returns once the event is written and synced.
//! - **Exactly once, for good.** A message id is stored at most once in the life of a store; [`Outcome`] says what became
//!   of each event.
//! - **Exact.** Uniques, funnels and retention are computed from the events themselves and never sampled.
//! - **Fresh.** A query sees every event that was acknowledged before it began, and one state from start to end.
//! - **Identity is retroactive and reversible.** [`Pugmark::identify`] joins the past of an anonymous id to a person, without rewriting it, and
//!   [`Pugmark::split`] takes it back.
//!
//! It is not a server, not a message queue and not a general database: one process at a time opens a directory, and
//! events are not updated. What every analysis means is defined in `docs/semantics.md`.
//!
//! Storing is synchronous. Questions are `async` and run on the caller's Tokio runtime; a program without one asks
//! through [`Pugmark::blocking`].

mod blocking;
mod declare;
mod definitions;
#[cfg(feature = "enrich")]
mod enriching;
pub mod examples {
    #![doc = include_str!("examples.md")]
}
mod groups;
mod info;
mod options;
mod people;
mod pugmark;

pub use blocking::Blocking;
pub use definitions::Defined;
pub use info::{ColumnsInfo, EventInfo, Info, LogInfo, MessageIdsInfo, PropertyInfo, QuarantineInfo};
pub use options::{Options, SharedEngine};
pub use people::SplitPreview;
pub use pugmark::Pugmark;

/// Arrow, in the version of the batches that [`Pugmark::sql`] returns.
pub use datafusion::arrow;
/// Parquet, in the version that goes with [`arrow`].
pub use datafusion::parquet;

#[cfg(feature = "enrich")]
pub use enriching::enrich_event;
#[cfg(feature = "enrich")]
pub use pugmark_enrich as enrich;
pub use pugmark_identity::IdentityOptions;
pub use pugmark_query::audience::{Audience, AudienceResult};
pub use pugmark_query::calendar::{Interval, Moment, Range, Span, WeekStart, days, hours, minutes, weeks};
pub use pugmark_query::columns::{Declaration, FileSize, MAX_DECLARATIONS, MergePolicy, SizeTiered};
pub use pugmark_query::files::{
    Batch, BatchReader, Export, ExportFormat, Exported, Field, Import, ImportFormat, Mapping, Prepare, Progress,
    Reject, Source, Summary,
};
pub use pugmark_query::funnel::{
    After, BreakdownAt, Completion, Exclusion, ExclusionOutcome, Funnel, FunnelEntry, FunnelResult, HistogramOf, Like,
    PeopleOf, Pick, Repeats, Step, StepOrder, StepOutcome, Ties, Window,
};
pub use pugmark_query::journey::{Cursor, Journey, JourneyEvent, JourneyResult, JourneySession, Order as JourneyOrder};
pub use pugmark_query::lifecycle::{Lifecycle, LifecycleResult};
pub use pugmark_query::paths::{Direction, PathCount, PathEdge, PathWithin, Paths, PathsResult, TravelledPath};
pub use pugmark_query::people::{
    Cursor as PeopleCursor, Direction as SortDirection, Found, Match, People, PeopleResult, PersonRow, Search,
    SearchIn, SortBy, Totals,
};
pub use pugmark_query::person::{Person, PersonEvent, PersonEventKind, PersonId, PersonLink, Suspect, SuspectLimits};
pub use pugmark_query::retention::{
    Cohort, Criterion, PeriodClock, PeriodZero, Retention, RetentionResult, ReturnMeasure, Returns, RoundTo,
};
pub use pugmark_query::saved::{Definition, MAX_COHORT, Saved};
pub use pugmark_query::sessions::{SessionRow, Sessions, SessionsResult};
pub use pugmark_query::spec::{
    Analysis, AtEnd, Breakdown, Did, End, EventNames, GroupLabel, GroupValue, InSegment, NamedSegment, OfFunnel,
    OfRetention, Query, Segment, Selector, SpecError, Times, Unit,
};
pub use pugmark_query::stickiness::{Stickiness, StickinessResult};
pub use pugmark_query::trend::{Attribution, AttributionModel, Measure, Number, Series, Trend, TrendResult};
pub use pugmark_query::{
    EngineOptions, Error, Group, OfSegment, QueryResult, Result, Rows, Sampling, SideBySide, change_group, check_filter,
};
pub use pugmark_registry::{DefinitionKind, RegistryOptions};
pub use pugmark_store::{
    AppendOptions, BackupReport, Clock, Durability, Entry, ErrorKind, Event, EventBlock, EventDraft, EventView,
    Expired, Finding, ImportId, ManualClock, Note, Operation, Options as StoreOptions, Outcome, PackedEvent, Pending,
    ProfileChange, ProfileUpdate, QuarantineStats, Quarantined, Receipt, Refusal, Rejection, Sequence, Settle, SplitOf,
    SystemClock, Timestamp, Value, ValueRef, VerifyProgress, VerifyReport, WhenFull,
};

/// The code in the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
