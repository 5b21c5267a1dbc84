//! The question of a lifecycle.

use serde::Serialize;
use serde_json::Value;

use crate::{
    calendar::{Interval, WeekStart},
    spec::{EventNames, Fields, FromJson, Known, Place, SCOPE_FIELDS, Scope, Selector, SpecError, scope_builders},
};

/// Who is new in each bucket, who was there in the one before too, who comes back after a longer time, and who of the
/// bucket before stays away.
///
/// Five events of two people, asked for `Lifecycle::new("view")` from January 1st to 5th:
///
/// | person | event | when             |
/// |--------|-------|------------------|
/// | ann    | view  | 2025-01-01 09:00 |
/// | bob    | view  | 2025-01-01 10:00 |
/// | ann    | view  | 2025-01-02 23:00 |
/// | ann    | view  | 2025-01-03 08:00 |
/// | bob    | view  | 2025-01-04 08:00 |
///
/// answer `new` 2, 0, 0, 0, `returning` 0, 1, 1, 0, `resurrecting` 0, 0, 0, 1 and `dormant` 0, 1, 0, 1.
///
/// ```
/// use pugmark_query::lifecycle::Lifecycle;
///
/// let lifecycle = Lifecycle::new("*").weekly().from("2025-01-01");
/// let json = r#"{"event":{"event":"*"},"interval":"week","range":{"from":"2025-01-01"}}"#;
/// assert_eq!(serde_json::to_string(&lifecycle)?, json);
/// assert_eq!(serde_json::from_str::<Lifecycle>(json)?, lifecycle);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Lifecycle {
    /// What makes one active.
    pub event: Selector,
    /// The calendar unit of a bucket; a day by default.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub interval: Interval,
    /// The first day of a week; Monday by default.
    #[serde(skip_serializing_if = "is_default")]
    pub week_start: WeekStart,
    /// What all analyses share; a lifecycle has no breakdown.
    #[serde(flatten)]
    pub scope: Scope,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Lifecycle {
    /// The word of the JSON form.
    pub const NAME: &'static str = "lifecycle";

    /// Those who did `event`, day by day.
    pub fn new(event: impl Into<Selector>) -> Self {
        Self { event: event.into(), interval: Interval::Day, week_start: WeekStart::default(), scope: Scope::default() }
    }

    /// Week by week.
    #[must_use]
    pub fn weekly(self) -> Self {
        self.interval(Interval::Week)
    }

    /// Month by month.
    #[must_use]
    pub fn monthly(self) -> Self {
        self.interval(Interval::Month)
    }

    /// By this calendar unit.
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

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        EventNames::check(&self.event.event, &place.child("event").child("event"))?;
        if !self.scope.breakdown.is_empty() {
            let complaint = "is not for a lifecycle: one whose value changes has no bucket before; ask with a filter or a segment for each value";
            return Err(place.child("breakdown").invalid(complaint));
        }
        self.scope.check_alone(place)?;
        self.scope.check(place)
    }
}

impl Lifecycle {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known = Known { names: &[&["event", "interval", "week_start"], SCOPE_FIELDS] };
}

impl FromJson for Lifecycle {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
        let lifecycle = Self {
            event: fields.require("event")?,
            interval: fields.word("interval")?.unwrap_or_default(),
            week_start: fields.word("week_start")?.unwrap_or_default(),
            scope: Scope::read(&fields)?,
        };
        lifecycle.check(place)?;
        Ok(lifecycle)
    }
}

scope_builders!(Lifecycle);
