//! Questions as plans of standard operators and registered functions, which run anywhere.

mod audience;
mod funnel;
mod journey;
mod lifecycle;
mod paths;
mod retention;
mod segment;
mod sessions;
mod stickiness;
mod trend;
pub(super) mod units;

use std::collections::HashMap;
use std::fmt;

use datafusion::arrow::array::{ArrayRef, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{ArrowPrimitiveType, DataType};
use datafusion::common::JoinType;
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, col, lit};
use datafusion::scalar::ScalarValue;
use futures::future::BoxFuture;

use super::QueryResult;
use super::lowering::{Begun, Reading};
use super::run::{Asked, resolved};
use crate::calendar::{Interval, ResolvedRange, TimeZone, WeekStart};
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::functions::{CALENDAR_BUCKET, read_values, word_of};
use crate::spec::{Analysis, Groups, Query};

/// A question as a plan: a scan of `events`, standard operators, and the functions of [`register_functions`](crate::register_functions).
///
/// The plan says everything by literal arguments, so that it can be written, read and run in another session that knows the functions and has the same events; its
/// rows, in any order and in batches of any size, become the answer by [`answer`](Self::answer). The engine itself answers by operators that use the order of its
/// files; both come to the same.
#[derive(Clone)]
pub struct PortablePlan {
    plan: LogicalPlan,
    query: Query,
    snapshot: QuerySnapshot,
    zone: TimeZone,
    range: ResolvedRange,
    warnings: Vec<String>,
}

impl Engine {
    /// The question as a plan over the snapshot.
    ///
    /// # Errors
    /// Those of [`run`](Self::run) for the question itself.
    ///
    /// # Example
    /// ```
    /// # use pugmark_identity::{IdentityFold, IdentityOptions};
    /// # use pugmark_query::columns::{ColumnsFold, ColumnsOptions};
    /// # use pugmark_registry::{RegistryFold, RegistryOptions};
    /// use datafusion::prelude::SessionContext;
    /// use pugmark_query::{Engine, EngineOptions, QuerySnapshot, register_functions, spec::Query};
    /// use pugmark_store::{Event, Options, Store};
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let folds: Vec<Box<dyn pugmark_store::Fold>> = vec![Box::new(RegistryFold::new(RegistryOptions::default())),
    /// #     Box::new(IdentityFold::new(IdentityOptions::default())), Box::new(ColumnsFold::new(dir.path(), ColumnsOptions::default()))];
    /// let store = Store::open(dir.path(), Options::default(), folds)?;
    /// store.append(vec![Event::new("view", "ann").into(), Event::new("buy", "ann").into(), Event::new("view", "bob").into()])?;
    /// let snapshot = QuerySnapshot::new(&store.snapshot(), store.clock().now())?;
    /// let question = Query::from_json(r#"{"funnel": {"steps": [{"event": "view"}, {"event": "buy"}], "window": "1h"}}"#)?;
    /// let portable = Engine::new(EngineOptions::default())?.portable(&snapshot, &question).await?;
    ///
    /// let session = SessionContext::new();
    /// register_functions(&mut *session.state_ref().write(), &snapshot)?;
    /// let rows = session.execute_logical_plan(portable.plan().clone()).await?.collect().await?;
    /// let answer = serde_json::to_value(portable.answer(&rows)?)?;
    /// assert_eq!(answer["groups"][0]["steps"][1]["count"], 1);
    /// # Ok(()) }
    /// ```
    pub async fn portable(&self, snapshot: &QuerySnapshot, query: &Query) -> Result<PortablePlan> {
        let planned: BoxFuture<'_, Result<PortablePlan>> = Box::pin(async move {
            let query = Query { explain: false, ..resolved(snapshot, query)?.into_owned() };
            if query.analysis.scope().compare.is_some() {
                let message = "a plan answers over one range: plan the earlier one by itself";
                return Err(Error::unsupported(message).on("compare"));
            }
            if matches!(&query.analysis, Analysis::Trend(trend) if trend.is_attributed()) {
                let message = "a plan shares nothing out among what led to an event: ask the engine";
                return Err(Error::unsupported(message).on("series[0].attribution"));
            }
            if matches!(&query.analysis, Analysis::Sessions(sessions) if !sessions.touch.is_empty()) {
                let message = "a plan does not say where sessions came from: ask the engine";
                return Err(Error::unsupported(message).on("touch"));
            }
            let named = match &query.analysis {
                Analysis::Funnel(funnel) if funnel.people.is_some() => Some("people"),
                Analysis::Sessions(sessions) if sessions.rows => Some("rows"),
                _ => None,
            };
            if let Some(field) = named.filter(|_| !query.analysis.scope().unit.is_of_subjects()) {
                let message = "a plan numbers sessions and groups, and has no names of them";
                return Err(Error::unsupported(message).on(field));
            }
            if !query.analysis.scope().segments.is_empty() {
                let message = "a plan answers about one segment: plan the others by themselves";
                return Err(Error::unsupported(message).on("segment"));
            }
            let asked = Asked::new(self, snapshot, &query).await?;
            let Begun { plan, warnings, .. } = match &query.analysis {
                Analysis::Trend(trend) => self.trend_plan(&asked, trend)?,
                Analysis::Funnel(funnel) => self.funnel_plan(&asked, funnel)?,
                Analysis::Retention(retention) => self.retention_plan(&asked, retention)?,
                Analysis::Stickiness(stickiness) => self.stickiness_plan(&asked, stickiness)?,
                Analysis::Lifecycle(lifecycle) => self.lifecycle_plan(&asked, lifecycle)?,
                Analysis::Journey(journey) => self.journey_plan(&asked, journey)?,
                Analysis::Sessions(sessions) => self.sessions_plan(&asked, sessions)?,
                Analysis::Paths(paths) => self.paths_plan(&asked, paths)?,
                Analysis::Audience(audience) => self.audience_plan(&asked, audience)?,
                Analysis::People(_) => return Err(no_plan_of_people()),
            };
            let Asked { zone, range, .. } = asked;
            Ok(PortablePlan { plan, snapshot: snapshot.clone(), zone, range, warnings, query })
        });
        planned.await
    }

    /// The rows of `reading`, of the people of the question's segment.
    fn rows(&self, asked: &Asked<'_>, reading: &Reading<'_>) -> Result<Begun> {
        let (people, warnings) = match &asked.scope().segment {
            Some(segment) => {
                let (plan, join, warnings) = self.segment_plan(asked, segment)?;
                (Some((plan, join)), warnings)
            }
            None => (None, Vec::new()),
        };
        let mut begun = self.begin(asked, reading, people)?;
        let mut all = warnings;
        all.append(&mut begun.warnings);
        Ok(Begun { warnings: all, ..begun })
    }
}

impl PortablePlan {
    /// The plan.
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// The answer, of all rows that the plan has.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for rows that are not of this plan, and for an answer of too many cells.
    pub fn answer(&self, rows: &[RecordBatch]) -> Result<QueryResult> {
        let Self { query, snapshot, zone, range, warnings, .. } = self;
        let (people, units, cuts) = (None, None, Vec::new());
        let asked = Asked { snapshot, query, zone: zone.clone(), range: *range, people, units, cuts };
        let warnings = warnings.clone();
        Ok(match &query.analysis {
            Analysis::Trend(trend) => QueryResult::Trend(trend::answer(&asked, trend, rows, warnings)?),
            Analysis::Funnel(funnel) => QueryResult::Funnel(funnel::answer(&asked, funnel, rows, warnings)?),
            Analysis::Retention(of) => QueryResult::Retention(retention::answer(&asked, of, rows, warnings)?),
            Analysis::Stickiness(of) => QueryResult::Stickiness(stickiness::answer(&asked, of, rows, warnings)?),
            Analysis::Lifecycle(of) => QueryResult::Lifecycle(lifecycle::answer(&asked, of, rows, warnings)?),
            Analysis::Journey(of) => QueryResult::Journey(journey::answer(&asked, of, rows, warnings)?),
            Analysis::Sessions(of) => QueryResult::Sessions(sessions::answer(&asked, of, rows, warnings)?),
            Analysis::Paths(of) => QueryResult::Paths(paths::answer(&asked, of, rows, warnings)?),
            Analysis::Audience(of) => QueryResult::Audience(audience::answer(&asked, of, rows, warnings)?),
            Analysis::People(_) => return Err(no_plan_of_people()),
        })
    }
}

impl fmt::Debug for PortablePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PortablePlan").field("plan", &self.plan).finish_non_exhaustive()
    }
}

fn no_plan_of_people() -> Error {
    Error::unsupported("a list of people is no plan: ask the engine, or the table persons").on("people")
}

/// An aggregate function of our own.
fn aggregate(state: &SessionState, name: &str, arguments: Vec<Expr>) -> Expr {
    let function = state.aggregate_functions().get(name);
    function.expect("invariant: every session has our functions").call(arguments)
}

/// The number of the bucket of `range` in which a row lies; NULL outside of it.
fn calendar_bucket(
    state: &SessionState,
    asked: &Asked<'_>,
    interval: Interval,
    week_start: WeekStart,
    range: ResolvedRange,
) -> Expr {
    let function = state.scalar_functions().get(CALENDAR_BUCKET);
    function.expect("invariant: every session has our functions").call(vec![
        lit(word_of(interval)),
        lit(asked.zone.name()),
        lit(word_of(week_start)),
        instant(range.from_us),
        instant(range.to_us),
        col("timestamp"),
    ])
}

fn instant(us: i64) -> Expr {
    lit(ScalarValue::TimestampMicrosecond(Some(us), Some("+00:00".into())))
}

/// A column of the rows of a plan, of the type that it is to have.
fn column<'a>(batch: &'a RecordBatch, name: &str, is_type: impl Fn(&DataType) -> bool) -> Result<&'a ArrayRef> {
    let column = batch.column_by_name(name).filter(|column| is_type(column.data_type()));
    column.ok_or_else(|| Error::invalid(format!("the rows have no column {name} of the plan's: {}", batch.schema())))
}

fn numbers<'a, T: ArrowPrimitiveType>(batch: &'a RecordBatch, name: &str) -> Result<&'a [T::Native]> {
    Ok(column(batch, name, |kind| *kind == T::DATA_TYPE)?.as_primitive::<T>().values())
}

/// The groups of the texts of breakdown values.
struct Values {
    groups: Groups,
    numbers: HashMap<String, u32>,
    /// How many values of a text are those of the breakdown; others come after them.
    count: usize,
}

impl Default for Values {
    fn default() -> Self {
        Self::of_first(usize::MAX)
    }
}

impl Values {
    /// Of texts of which the first values are those of the breakdown.
    fn of_first(count: usize) -> Self {
        Self { groups: Groups::default(), numbers: HashMap::new(), count }
    }

    fn group(&mut self, text: &str) -> Result<u32> {
        if let Some(number) = self.numbers.get(text) {
            return Ok(*number);
        }
        let mut values = read_values(text)?;
        values.truncate(self.count);
        let number = self.groups.intern(&values);
        self.numbers.insert(text.to_owned(), number);
        Ok(number)
    }
}

/// Whether those are taken who are among the people of a plan, or those who are not.
fn join(among: bool) -> JoinType {
    if among { JoinType::LeftSemi } else { JoinType::LeftAnti }
}
