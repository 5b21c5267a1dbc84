//! A whole query: one analysis and what stands beside it.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Breakdown, Fields, Known, Place, Scope, SpecError, Unit};
use crate::{
    audience::Audience,
    calendar::{Interval, Span, WeekStart},
    funnel::{Funnel, Window},
    journey::Journey,
    lifecycle::Lifecycle,
    paths::{PathWithin, Paths},
    people::People,
    retention::{Cohort, Retention},
    sessions::Sessions,
    stickiness::Stickiness,
    trend::{Measure, Trend},
};

/// The names of all analyses.
pub(crate) const ANALYSES: &[&str] = &[
    Trend::NAME,
    Funnel::NAME,
    Retention::NAME,
    Stickiness::NAME,
    Lifecycle::NAME,
    Journey::NAME,
    Sessions::NAME,
    Paths::NAME,
    Audience::NAME,
    People::NAME,
];

/// The analysis that a query asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Analysis {
    /// Counts over time.
    Trend(Trend),
    /// How many get how far.
    Funnel(Funnel),
    /// How many come back.
    Retention(Retention),
    /// In how many buckets people are active.
    Stickiness(Stickiness),
    /// Who is new, stays, comes back and stays away.
    Lifecycle(Lifecycle),
    /// What one person did.
    Journey(Journey),
    /// How many sessions there were, and how long they took.
    Sessions(Sessions),
    /// What people do one thing after the other.
    Paths(Paths),
    /// How many people are in a segment.
    #[serde(rename = "segment")]
    Audience(Audience),
    /// Who people are and what they did in all.
    People(People),
}

impl Analysis {
    /// The parameters that all analyses share.
    pub fn scope(&self) -> &Scope {
        match self {
            Self::Trend(trend) => &trend.scope,
            Self::Funnel(funnel) => &funnel.scope,
            Self::Retention(retention) => &retention.scope,
            Self::Stickiness(stickiness) => &stickiness.scope,
            Self::Lifecycle(lifecycle) => &lifecycle.scope,
            Self::Journey(journey) => &journey.scope,
            Self::Sessions(sessions) => &sessions.scope,
            Self::Paths(paths) => &paths.scope,
            Self::Audience(audience) => &audience.scope,
            Self::People(people) => &people.scope,
        }
    }

    /// Its name, by which the JSON form calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Trend(_) => Trend::NAME,
            Self::Funnel(_) => Funnel::NAME,
            Self::Retention(_) => Retention::NAME,
            Self::Stickiness(_) => Stickiness::NAME,
            Self::Lifecycle(_) => Lifecycle::NAME,
            Self::Journey(_) => Journey::NAME,
            Self::Sessions(_) => Sessions::NAME,
            Self::Paths(_) => Paths::NAME,
            Self::Audience(_) => Audience::NAME,
            Self::People(_) => People::NAME,
        }
    }
}

impl Analysis {
    pub(crate) fn scope_mut(&mut self) -> &mut Scope {
        match self {
            Self::Trend(trend) => &mut trend.scope,
            Self::Funnel(funnel) => &mut funnel.scope,
            Self::Retention(retention) => &mut retention.scope,
            Self::Stickiness(stickiness) => &mut stickiness.scope,
            Self::Lifecycle(lifecycle) => &mut lifecycle.scope,
            Self::Journey(journey) => &mut journey.scope,
            Self::Sessions(sessions) => &mut sessions.scope,
            Self::Paths(paths) => &mut paths.scope,
            Self::Audience(audience) => &mut audience.scope,
            Self::People(people) => &mut people.scope,
        }
    }

    /// Whether it looks at what happened before its range.
    pub(crate) fn looks_back(&self) -> bool {
        let scope = self.scope();
        let by_segment = scope.breakdown.iter().any(|item| matches!(item, Breakdown::Segment(_)));
        if scope.segment.is_some() || !scope.segments.is_empty() || by_segment || scope.unit == Unit::Session {
            return true;
        }
        match self {
            Self::Trend(trend) => {
                let first_times = trend.series.iter().any(|series| series.measure == Measure::FirstTime);
                first_times || trend.is_attributed() || trend.series.iter().any(|series| series.rolling.is_some())
            }
            Self::Funnel(funnel) => funnel.window == Window::Session,
            Self::Retention(retention) => !matches!(retention.cohort, Cohort::FirstInRange | Cohort::Recurring),
            Self::Paths(paths) => paths.within == PathWithin::Session,
            Self::Stickiness(_) | Self::Journey(_) => false,
            Self::Lifecycle(_) | Self::Sessions(_) | Self::Audience(_) | Self::People(_) => true,
        }
    }

    /// By which calendar unit it cuts its range, and where weeks begin; one that does not is of days.
    pub(crate) fn interval(&self) -> (Interval, WeekStart) {
        match self {
            Self::Trend(trend) => (trend.interval, trend.week_start),
            Self::Funnel(funnel) => (funnel.trend.unwrap_or_default(), funnel.week_start),
            Self::Retention(retention) => (retention.interval, retention.week_start),
            Self::Stickiness(stickiness) => (stickiness.interval, stickiness.week_start),
            Self::Lifecycle(lifecycle) => (lifecycle.interval, lifecycle.week_start),
            Self::Journey(_) | Self::Sessions(_) | Self::Paths(_) | Self::Audience(_) | Self::People(_) => {
                (Interval::default(), WeekStart::default())
            }
        }
    }
}

/// A query in the one JSON form of `docs/semantics.md`, section 6.
///
/// ```
/// use pugmark_query::spec::{Analysis, Query};
///
/// let query = Query::from_json(r#"{"trend": {"series": [{"event": "purchase"}]}, "as_of": 812}"#)?;
/// assert!(matches!(query.analysis, Analysis::Trend(_)));
/// assert_eq!(query.as_of, Some(812));
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// What is asked.
    #[serde(flatten)]
    pub analysis: Analysis,
    /// The sequence whose state is asked about; by default the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<u64>,
    /// Whether a name never seen is an error instead of a warning.
    #[serde(skip_serializing_if = "is_false")]
    pub strict_names: bool,
    /// Whether the answer says how it was found.
    #[serde(skip_serializing_if = "is_false")]
    pub explain: bool,
    /// How long the answer may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Query {
    /// Parses the JSON form.
    ///
    /// # Errors
    /// `Invalid` if the text is not JSON (with the byte offset), if a field is unknown, missing or malformed.
    pub fn from_json(text: &str) -> Result<Self, SpecError> {
        let value = serde_json::from_str(text).map_err(|error| {
            let at = byte_offset(text, error.line(), error.column());
            let message = error.to_string();
            let reason = message.split(" at line ").next().unwrap_or(&message).to_owned();
            SpecError::invalid(format!("the query is not JSON: {reason}")).at(at)
        })?;
        Self::from_value(&value)
    }

    /// Reads the JSON form from a value.
    ///
    /// # Errors
    /// As [`Query::from_json`].
    pub fn from_value(value: &Value) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[ANALYSES, &["as_of", "strict_names", "explain", "timeout"]] };
        let place = Place::root("");
        let fields = Fields::open(value, &place, &KNOWN)?;
        let mut found = ANALYSES.iter().filter_map(|name| fields.value(name).map(|(value, _)| (*name, value)));
        let (name, value) = found.next().ok_or_else(|| {
            SpecError::invalid(format!("the query has no analysis: expected one of {}", ANALYSES.join(", ")))
        })?;
        if let Some((other, _)) = found.next() {
            return Err(SpecError::invalid(format!("the query has two analyses, {name} and {other}: expected one")));
        }
        let analysis = match name {
            Trend::NAME => Analysis::Trend(Trend::from_value(value)?),
            Funnel::NAME => Analysis::Funnel(Funnel::from_value(value)?),
            Stickiness::NAME => Analysis::Stickiness(Stickiness::from_value(value)?),
            Lifecycle::NAME => Analysis::Lifecycle(Lifecycle::from_value(value)?),
            Journey::NAME => Analysis::Journey(Journey::from_value(value)?),
            Sessions::NAME => Analysis::Sessions(Sessions::from_value(value)?),
            Paths::NAME => Analysis::Paths(Paths::from_value(value)?),
            Audience::NAME => Analysis::Audience(Audience::from_value(value)?),
            People::NAME => Analysis::People(People::from_value(value)?),
            _ => Analysis::Retention(Retention::from_value(value)?),
        };
        Ok(Self {
            analysis,
            as_of: fields.read("as_of")?,
            strict_names: fields.read("strict_names")?.unwrap_or(false),
            explain: fields.read("explain")?.unwrap_or(false),
            timeout: fields.read("timeout")?,
        })
    }
}

impl From<Analysis> for Query {
    fn from(analysis: Analysis) -> Self {
        Self { analysis, as_of: None, strict_names: false, explain: false, timeout: None }
    }
}

impl From<Trend> for Query {
    fn from(trend: Trend) -> Self {
        Self::from(Analysis::Trend(trend))
    }
}

impl From<Funnel> for Query {
    fn from(funnel: Funnel) -> Self {
        Self::from(Analysis::Funnel(funnel))
    }
}

impl From<Retention> for Query {
    fn from(retention: Retention) -> Self {
        Self::from(Analysis::Retention(retention))
    }
}

impl From<Stickiness> for Query {
    fn from(stickiness: Stickiness) -> Self {
        Self::from(Analysis::Stickiness(stickiness))
    }
}

impl From<Lifecycle> for Query {
    fn from(lifecycle: Lifecycle) -> Self {
        Self::from(Analysis::Lifecycle(lifecycle))
    }
}

impl From<Journey> for Query {
    fn from(journey: Journey) -> Self {
        Self::from(Analysis::Journey(journey))
    }
}

impl From<Sessions> for Query {
    fn from(sessions: Sessions) -> Self {
        Self::from(Analysis::Sessions(sessions))
    }
}

impl From<Paths> for Query {
    fn from(paths: Paths) -> Self {
        Self::from(Analysis::Paths(paths))
    }
}

impl From<Audience> for Query {
    fn from(audience: Audience) -> Self {
        Self::from(Analysis::Audience(audience))
    }
}

impl From<People> for Query {
    fn from(people: People) -> Self {
        Self::from(Analysis::People(people))
    }
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Self::from_value(&value).map_err(serde::de::Error::custom)
    }
}

fn byte_offset(text: &str, line: usize, column: usize) -> usize {
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    (before + column.saturating_sub(1)).min(text.len())
}
