//! The question of stickiness.

use serde::Serialize;
use serde_json::Value;

use crate::{
    calendar::{Interval, WeekStart},
    spec::{EventNames, Fields, FromJson, Known, Place, SCOPE_FIELDS, Scope, Selector, SpecError, scope_builders},
};

/// How many people were active in exactly one bucket of the range, in exactly two, and so on.
///
/// Four events of two people, asked for `Stickiness::new("view")` from January 1st to 4th:
///
/// | person | event | when             |
/// |--------|-------|------------------|
/// | ann    | view  | 2025-01-01 09:00 |
/// | bob    | view  | 2025-01-01 10:00 |
/// | ann    | view  | 2025-01-01 23:00 |
/// | ann    | view  | 2025-01-03 08:00 |
///
/// answer 1, 1, 0: one person was there on one day, one on two, nobody on three. With [`at_least`](Self::at_least) 2, 1, 0.
///
/// ```
/// use pugmark_query::stickiness::Stickiness;
///
/// let stickiness = Stickiness::new("view").weekly().at_least().min_occurrences(3).from("2025-01-01");
/// let json = r#"{"event":{"event":"view"},"interval":"week","at_least":true,"min_occurrences":3,"range":{"from":"2025-01-01"}}"#;
/// assert_eq!(serde_json::to_string(&stickiness)?, json);
/// assert_eq!(serde_json::from_str::<Stickiness>(json)?, stickiness);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Stickiness {
    /// What makes one active.
    pub event: Selector,
    /// The calendar unit of a bucket; a day by default.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub interval: Interval,
    /// The first day of a week; Monday by default.
    #[serde(skip_serializing_if = "is_default")]
    pub week_start: WeekStart,
    /// Whether the k-th number is of those who were active in k buckets or more, in place of exactly k.
    #[serde(skip_serializing_if = "is_default")]
    pub at_least: bool,
    /// How many events make one active in a bucket; 1 by default.
    #[serde(skip_serializing_if = "is_one")]
    pub min_occurrences: u64,
    /// What all analyses share.
    #[serde(flatten)]
    pub scope: Scope,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_one(value: &u64) -> bool {
    *value == 1
}

impl Stickiness {
    /// The word of the JSON form.
    pub const NAME: &'static str = "stickiness";

    /// Those who did `event`, by the number of days on which they did.
    pub fn new(event: impl Into<Selector>) -> Self {
        Self {
            event: event.into(),
            interval: Interval::Day,
            week_start: WeekStart::default(),
            at_least: false,
            min_occurrences: 1,
            scope: Scope::default(),
        }
    }

    /// Counts weeks.
    #[must_use]
    pub fn weekly(self) -> Self {
        self.interval(Interval::Week)
    }

    /// Counts months.
    #[must_use]
    pub fn monthly(self) -> Self {
        self.interval(Interval::Month)
    }

    /// Counts buckets of this calendar unit.
    #[must_use]
    pub fn interval(mut self, interval: Interval) -> Self {
        self.interval = interval;
        self
    }

    /// Begins weeks on this day.
    #[must_use]
    pub fn week_start(mut self, week_start: WeekStart) -> Self {
        self.week_start = week_start;
        self
    }

    /// Counts those who were active in k buckets or more, in place of exactly k.
    #[must_use]
    pub fn at_least(mut self) -> Self {
        self.at_least = true;
        self
    }

    /// Asks for so many events in a bucket.
    #[must_use]
    pub fn min_occurrences(mut self, count: u64) -> Self {
        self.min_occurrences = count;
        self
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        EventNames::check(&self.event.event, &place.child("event").child("event"))?;
        if self.min_occurrences == 0 {
            return Err(place.child("min_occurrences").invalid("must be at least 1, found 0"));
        }
        self.scope.check_alone(place)?;
        self.scope.check(place)
    }
}

impl Stickiness {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known =
        Known { names: &[&["event", "interval", "week_start", "at_least", "min_occurrences"], SCOPE_FIELDS] };
}

impl FromJson for Stickiness {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
        let stickiness = Self {
            event: fields.require("event")?,
            interval: fields.word("interval")?.unwrap_or_default(),
            week_start: fields.word("week_start")?.unwrap_or_default(),
            at_least: fields.read("at_least")?.unwrap_or(false),
            min_occurrences: fields.read("min_occurrences")?.unwrap_or(1),
            scope: Scope::read(&fields)?,
        };
        stickiness.check(place)?;
        Ok(stickiness)
    }
}

scope_builders!(Stickiness);
