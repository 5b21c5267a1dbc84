//! The question of a retention table.

use serde::Serialize;
use serde_json::Value;

use crate::{
    calendar::{Interval, WeekStart},
    spec::{
        EventNames, Fields, FromJson, Known, Later, Place, SCOPE_FIELDS, Scope, Selector, SpecError, Word,
        scope_builders,
    },
};

/// Which units belong to the cohort of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cohort {
    /// Those whose first ever start event, in all history, lies in the bucket.
    #[default]
    FirstTime,
    /// Those with any start event in the bucket; a unit belongs to as many cohorts as it has such buckets.
    Recurring,
}

impl Word for Cohort {
    const BUILT: &'static [(&'static str, Self)] = &[("first_time", Self::FirstTime), ("recurring", Self::Recurring)];
    const LATER: &'static [&'static str] = &["first_of_event", "first_ever", "first_in_range"];
}

/// What period 0 shows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodZero {
    /// The size of the cohort.
    #[default]
    CohortSize,
    /// Those with a return in the same period as the start.
    Returned,
}

impl Word for PeriodZero {
    const BUILT: &'static [(&'static str, Self)] = &[("cohort_size", Self::CohortSize), ("returned", Self::Returned)];
    const LATER: &'static [&'static str] = &[];
}

/// Cohorts by the calendar bucket of a start event, and how many of each come back in later buckets.
///
/// Four events of two people, asked for `Retention::new("signup", "*").daily()` from January 1st to 4th:
///
/// | person | event  | when             |
/// |--------|--------|------------------|
/// | ann    | signup | 2025-01-01 09:00 |
/// | bob    | signup | 2025-01-01 10:00 |
/// | ann    | view   | 2025-01-02 08:00 |
/// | ann    | view   | 2025-01-03 23:00 |
///
/// answer for the cohort of January 1st the size 2 and the values 2, 1, 1; for those of the 2nd and 3rd zeros.
///
/// ```
/// use pugmark_query::retention::Retention;
///
/// let retention = Retention::new("signup", "*").weekly().periods(8).from("2025-01-01");
/// let json = r#"{"start":{"event":"signup"},"return":{"event":"*"},"interval":"week","periods":8,"range":{"from":"2025-01-01"}}"#;
/// assert_eq!(serde_json::to_string(&retention)?, json);
/// assert_eq!(serde_json::from_str::<Retention>(json)?, retention);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// What begins; in JSON by default the same as `return`.
    pub start: Selector,
    /// What counts as coming back; in JSON by default the same as `start`.
    #[serde(rename = "return")]
    pub returning: Selector,
    /// The calendar unit of cohorts and periods: hour, day, week or month; a day by default.
    pub interval: Interval,
    /// The first day of a week; Monday by default.
    #[serde(skip_serializing_if = "is_default")]
    pub week_start: WeekStart,
    /// The number of columns, 0 to this less one; by default until the end of the range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub periods: Option<usize>,
    /// Which units belong to a cohort.
    #[serde(skip_serializing_if = "is_default")]
    pub cohort: Cohort,
    /// What period 0 shows.
    #[serde(skip_serializing_if = "is_default")]
    pub period_zero: PeriodZero,
    /// How many return events a period needs; 1 by default.
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

impl Retention {
    /// The word of the JSON form.
    pub const NAME: &'static str = "retention";

    /// Those who first did `start`, and how many of them did `returning` on which day after.
    pub fn new(start: impl Into<Selector>, returning: impl Into<Selector>) -> Self {
        Self {
            start: start.into(),
            returning: returning.into(),
            interval: Interval::Day,
            week_start: WeekStart::default(),
            periods: None,
            cohort: Cohort::default(),
            period_zero: PeriodZero::default(),
            min_occurrences: 1,
            scope: Scope::default(),
        }
    }

    /// Cohorts and periods of one hour.
    #[must_use]
    pub fn hourly(self) -> Self {
        self.interval(Interval::Hour)
    }

    /// Cohorts and periods of one day.
    #[must_use]
    pub fn daily(self) -> Self {
        self.interval(Interval::Day)
    }

    /// Cohorts and periods of one week.
    #[must_use]
    pub fn weekly(self) -> Self {
        self.interval(Interval::Week)
    }

    /// Cohorts and periods of one month.
    #[must_use]
    pub fn monthly(self) -> Self {
        self.interval(Interval::Month)
    }

    /// Cohorts and periods of this calendar unit: hour, day, week or month.
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

    /// Shows the periods from 0 to `periods` less one.
    #[must_use]
    pub fn periods(mut self, periods: usize) -> Self {
        self.periods = Some(periods);
        self
    }

    /// Makes a unit belong to the cohort of every bucket in which it did the start event.
    #[must_use]
    pub fn recurring(mut self) -> Self {
        self.cohort = Cohort::Recurring;
        self
    }

    /// Chooses what period 0 shows.
    #[must_use]
    pub fn period_zero(mut self, period_zero: PeriodZero) -> Self {
        self.period_zero = period_zero;
        self
    }

    /// Asks for so many return events in a period.
    #[must_use]
    pub fn min_occurrences(mut self, count: u64) -> Self {
        self.min_occurrences = count;
        self
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        for (field, selector) in [("start", &self.start), ("return", &self.returning)] {
            EventNames::check(&selector.event, &place.child(field).child("event"))?;
        }
        if !matches!(self.interval, Interval::Hour | Interval::Day | Interval::Week | Interval::Month) {
            let found = self.interval.name();
            let complaint = format_args!("must be one of hour, day, week, month, found \"{found}\"").to_string();
            return Err(place.child("interval").invalid(complaint));
        }
        if self.periods == Some(0) {
            return Err(place.child("periods").invalid("must be at least 1, found 0"));
        }
        if self.min_occurrences == 0 {
            return Err(place.child("min_occurrences").invalid("must be at least 1, found 0"));
        }
        self.scope.check(place)
    }
}

impl FromJson for Retention {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            built: &[
                &["start", "return", "interval", "week_start", "periods", "cohort", "period_zero", "min_occurrences"],
                SCOPE_FIELDS,
            ],
            later: &[&[
                Later::words("clock", "\"calendar\"", &["rolling"]),
                Later::words("returns", "\"in_range\"", &["open"]),
                Later::words("criterion", "\"on\"", &["on_or_after", "on_or_before", "streak"]),
                Later::words("measure", "\"units\"", &["sum", "avg"]),
                Later::new("property", "null"),
                Later::new("round_to", "null"),
                Later::new("brackets", "null"),
                Later::new("breakdown_match", "false"),
            ]],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        let (start, returning) = match (fields.read("start")?, fields.read("return")?) {
            (Some(start), Some(returning)) => (start, returning),
            (Some(both), None) | (None, Some(both)) => (Selector::clone(&both), both),
            (None, None) => return Err(place.invalid("needs start or return")),
        };
        let retention = Self {
            start,
            returning,
            interval: fields.word("interval")?.unwrap_or_default(),
            week_start: fields.word("week_start")?.unwrap_or_default(),
            periods: fields.read("periods")?,
            cohort: fields.word("cohort")?.unwrap_or_default(),
            period_zero: fields.word("period_zero")?.unwrap_or_default(),
            min_occurrences: fields.read("min_occurrences")?.unwrap_or(1),
            scope: Scope::read(&fields)?,
        };
        retention.check(place)?;
        Ok(retention)
    }
}

scope_builders!(Retention);
