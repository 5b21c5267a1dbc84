//! What a segment asks of people.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::super::{Place, Selector, SpecError, Unit};
use crate::calendar::Range;
use crate::funnel::{Funnel, PeopleOf, StepOutcome};
use crate::retention::Retention;

/// How many times certain events are to have happened to a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Did {
    /// The events.
    pub selector: Selector,
    /// How many of them.
    pub times: Times,
    /// Which time they are counted in; by default all history.
    pub range: Range,
}

/// How many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// So many or more.
    AtLeast(u64),
    /// So many or fewer, none included.
    AtMost(u64),
    /// So many, no more and no fewer.
    Exactly(u64),
}

impl Times {
    /// Whether `count` is so many.
    pub fn holds(self, count: u64) -> bool {
        match self {
            Self::AtLeast(least) => count >= least,
            Self::AtMost(most) => count <= most,
            Self::Exactly(exactly) => count == exactly,
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::AtLeast(1)
    }
}

impl Did {
    /// At least one of these events, ever.
    pub fn event(selector: impl Into<Selector>) -> Self {
        Self { selector: selector.into(), times: Times::default(), range: Range::default() }
    }

    /// So many of them or more.
    #[must_use]
    pub fn at_least(self, times: u64) -> Self {
        Self { times: Times::AtLeast(times), ..self }
    }

    /// So many of them or fewer, none included.
    #[must_use]
    pub fn at_most(self, times: u64) -> Self {
        Self { times: Times::AtMost(times), ..self }
    }

    /// So many of them, no more and no fewer.
    #[must_use]
    pub fn exactly(self, times: u64) -> Self {
        Self { times: Times::Exactly(times), ..self }
    }

    /// Counts those in this range alone.
    #[must_use]
    pub fn range(self, range: Range) -> Self {
        Self { range, ..self }
    }
}

impl Serialize for Did {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("did", &self.selector)?;
        if self.times != Times::default() {
            map.serialize_entry("times", &self.times)?;
        }
        if !self.range.is_default() {
            map.serialize_entry("range", &self.range)?;
        }
        map.end()
    }
}

/// Which of a person's events is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The earliest by (timestamp, sequence).
    First,
    /// The latest by (timestamp, sequence).
    Last,
}

impl End {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
        }
    }
}

/// What a person's first or last event is to be, of all that they have in a range.
///
/// ```
/// use pugmark_query::spec::{AtEnd, Segment};
///
/// let came_by_ad = Segment::from(AtEnd::first("ad"));
/// assert_eq!(serde_json::to_string(&came_by_ad)?, r#"{"first":{"event":"ad"}}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AtEnd {
    /// Whether it is the first or the last.
    pub end: End,
    /// The events of which it is to be one.
    pub selector: Selector,
    /// Among the events of which time it is the first or the last; by default all history.
    pub range: Range,
}

impl AtEnd {
    /// Those whose first event ever is one of these.
    pub fn first(selector: impl Into<Selector>) -> Self {
        Self { end: End::First, selector: selector.into(), range: Range::default() }
    }

    /// Those whose last event is one of these.
    pub fn last(selector: impl Into<Selector>) -> Self {
        Self { end: End::Last, selector: selector.into(), range: Range::default() }
    }

    /// Looks among the events in this range alone.
    #[must_use]
    pub fn range(self, range: Range) -> Self {
        Self { range, ..self }
    }
}

impl Serialize for AtEnd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.end.name(), &self.selector)?;
        if !self.range.is_default() {
            map.serialize_entry("range", &self.range)?;
        }
        map.end()
    }
}

/// The people of a funnel: those who did a step, or who stopped before it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OfFunnel {
    /// The funnel; of persons, with a range and a segment of its own.
    pub funnel: Funnel,
    /// Which of its people.
    #[serde(flatten)]
    pub people: PeopleOf,
}

impl OfFunnel {
    /// Those who did a step, counted from 1.
    pub fn converted(funnel: Funnel, step: usize) -> Self {
        Self { funnel, people: PeopleOf { step, outcome: StepOutcome::Converted } }
    }

    /// Those who did the step before this one and not this one, counted from 1.
    pub fn dropped(funnel: Funnel, step: usize) -> Self {
        Self { funnel, people: PeopleOf { step, outcome: StepOutcome::Dropped } }
    }

    pub(super) fn check(&self, place: &Place) -> Result<(), SpecError> {
        let own = place.child("funnel");
        self.funnel.check(&own)?;
        check_inner(&self.funnel.scope, &own)?;
        if self.funnel.people.is_some() {
            return Err(own.child("people").invalid("is said beside the funnel, by step and outcome"));
        }
        self.people.check(self.funnel.steps.len(), place)
    }
}

/// The people who count in one cell of a retention table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfRetention {
    /// The table; of persons, with a range and a segment of its own.
    pub retention: Retention,
    /// The label of the cohort, such as `2025-01-01`.
    pub cohort: String,
    /// The label of the column: the number of a period, or a bracket such as `1-2`.
    pub period: String,
}

impl OfRetention {
    /// Those of a cohort who count in a period.
    pub fn new(retention: Retention, cohort: impl Into<String>, period: usize) -> Self {
        Self { retention, cohort: cohort.into(), period: period.to_string() }
    }

    pub(super) fn check(&self, place: &Place) -> Result<(), SpecError> {
        let own = place.child("retention");
        self.retention.check(&own)?;
        check_inner(&self.retention.scope, &own)
    }
}

impl Serialize for OfRetention {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("retention", &self.retention)?;
        map.serialize_entry("cohort", &self.cohort)?;
        match self.period.parse::<u64>() {
            Ok(number) => map.serialize_entry("period", &number)?,
            Err(_) => map.serialize_entry("period", &self.period)?,
        }
        map.end()
    }
}

/// A number, or the label of a column.
pub(super) fn period(value: &Value, place: &Place) -> Result<String, SpecError> {
    match (value.as_u64(), value.as_str()) {
        (Some(number), _) => Ok(number.to_string()),
        (_, Some(label)) => Ok(label.to_owned()),
        _ => {
            Err(place.invalid(format_args!("must be the number of a period or the label of a bracket, found {value}")))
        }
    }
}

/// Whether a question can say who is in a segment.
fn check_inner(scope: &super::super::Scope, place: &Place) -> Result<(), SpecError> {
    if !scope.segments.is_empty() {
        return Err(place.child("segment").invalid("must be one: the people of several are several"));
    }
    if scope.compare.is_some() {
        return Err(place.child("compare").invalid("has no people: a segment asks one range"));
    }
    if scope.unit != Unit::Person {
        return Err(place.child("unit").invalid("must be person: a segment is of persons"));
    }
    Ok(())
}
