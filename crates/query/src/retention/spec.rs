//! The question of a retention table.

use serde::Serialize;
use serde_json::Value;

use super::words::{Cohort, Criterion, PeriodClock, PeriodZero, ReturnMeasure, Returns, RoundTo};
use crate::{
    calendar::{Interval, WeekStart},
    spec::{EventNames, Fields, FromJson, Known, Place, SCOPE_FIELDS, Scope, Selector, SpecError, scope_builders},
};

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
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Retention {
    /// What begins; in JSON by default the same as `return`.
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub start: Selector,
    /// What counts as coming back; in JSON by default the same as `start`.
    #[serde(rename = "return")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub returning: Selector,
    /// The calendar unit of cohorts and periods: hour, day, week or month; a day by default.
    #[cfg_attr(feature = "openapi", schema(required = false))]
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
    /// What the periods of a unit are.
    #[serde(skip_serializing_if = "is_default")]
    pub clock: PeriodClock,
    /// What the times of start and return are floored to, with the rolling clock only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub round_to: Option<RoundTo>,
    /// Which returns are read.
    #[serde(skip_serializing_if = "is_default")]
    pub returns: Returns,
    /// In which periods a return is wanted for a column.
    #[serde(skip_serializing_if = "is_default")]
    pub criterion: Criterion,
    /// Where columns of several periods begin, ascending: each ends where the next begins, and the last never; without any a column is a period.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub brackets: Vec<usize>,
    /// How many return events a period needs; 1 by default.
    #[serde(skip_serializing_if = "is_one")]
    pub min_occurrences: u64,
    /// What a cell tells.
    #[serde(skip_serializing_if = "is_default")]
    pub measure: ReturnMeasure,
    /// The property that a measure other than units is of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub property: Option<String>,
    /// Whether a return must have the breakdown value of its start.
    #[serde(skip_serializing_if = "is_false")]
    pub breakdown_match: bool,
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

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_false(value: &bool) -> bool {
    !value
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
            clock: PeriodClock::default(),
            round_to: None,
            returns: Returns::default(),
            criterion: Criterion::default(),
            brackets: Vec::new(),
            min_occurrences: 1,
            measure: ReturnMeasure::default(),
            property: None,
            breakdown_match: false,
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
    pub fn recurring(self) -> Self {
        self.cohort(Cohort::Recurring)
    }

    /// Chooses which units belong to a cohort.
    #[must_use]
    pub fn cohort(mut self, cohort: Cohort) -> Self {
        self.cohort = cohort;
        self
    }

    /// Counts periods from each unit's own start event: spans of 1 hour, 24 hours, 7 days or 30 days.
    #[must_use]
    pub fn rolling(mut self) -> Self {
        self.clock = PeriodClock::Rolling;
        self
    }

    /// Floors the times of start and return, with the rolling clock.
    #[must_use]
    pub fn round_to(mut self, round_to: RoundTo) -> Self {
        self.round_to = Some(round_to);
        self
    }

    /// Reads returns on until now, after the end of the range too.
    #[must_use]
    pub fn open(mut self) -> Self {
        self.returns = Returns::Open;
        self
    }

    /// Chooses in which periods a return is wanted for a column.
    #[must_use]
    pub fn criterion(mut self, criterion: Criterion) -> Self {
        self.criterion = criterion;
        self
    }

    /// Makes columns of several periods: `[1, 3, 7]` are those from 1 to 2, from 3 to 6, and from 7 on.
    #[must_use]
    pub fn brackets(mut self, starts: impl IntoIterator<Item = usize>) -> Self {
        self.brackets = starts.into_iter().collect();
        self
    }

    /// Adds up a property of the return events in place of counting units.
    #[must_use]
    pub fn sum(self, property: impl Into<String>) -> Self {
        self.measure(ReturnMeasure::Sum, property)
    }

    /// Takes the mean of a property of the return events in place of counting units.
    #[must_use]
    pub fn avg(self, property: impl Into<String>) -> Self {
        self.measure(ReturnMeasure::Avg, property)
    }

    fn measure(mut self, measure: ReturnMeasure, property: impl Into<String>) -> Self {
        (self.measure, self.property) = (measure, Some(property.into()));
        self
    }

    /// Wants the breakdown value of the start on the return, too.
    #[must_use]
    pub fn breakdown_match(mut self) -> Self {
        self.breakdown_match = true;
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

    pub(crate) fn check(&self, place: &Place) -> Result<(), SpecError> {
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
        if self.round_to.is_some() && self.clock == PeriodClock::Calendar {
            return Err(place.child("round_to").invalid("goes with the clock \"rolling\" only"));
        }
        self.check_brackets(&place.child("brackets"))?;
        match (self.measure, &self.property) {
            (ReturnMeasure::Units, Some(_)) => {
                return Err(place.child("property").invalid("goes with the measures sum and avg only"));
            }
            (ReturnMeasure::Sum | ReturnMeasure::Avg, None) => {
                let found = self.measure.name();
                return Err(place.child("property").invalid(format_args!("is missing: the measure {found} needs one")));
            }
            _ => {}
        }
        if self.breakdown_match && self.scope.breakdown.is_empty() {
            return Err(place.child("breakdown_match").invalid("needs a breakdown"));
        }
        self.scope.check(place)
    }

    fn check_brackets(&self, place: &Place) -> Result<(), SpecError> {
        if self.brackets.is_empty() {
            return Ok(());
        }
        if let Some(pair) = self.brackets.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(place.invalid(format_args!("must ascend, found {} before {}", pair[0], pair[1])));
        }
        if self.periods.is_some() {
            return Err(place.invalid("are the columns themselves: leave out periods"));
        }
        if self.criterion != Criterion::On {
            let found = self.criterion.name();
            return Err(place.invalid(format_args!("go with the criterion on only, found {found}")));
        }
        Ok(())
    }
}

impl Retention {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known = Known {
        names: &[
            &["start", "return", "interval", "week_start", "periods", "cohort", "period_zero", "min_occurrences"],
            &["clock", "round_to", "returns", "criterion", "brackets", "measure", "property", "breakdown_match"],
            SCOPE_FIELDS,
        ],
    };
}

impl FromJson for Retention {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
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
            clock: fields.word("clock")?.unwrap_or_default(),
            round_to: fields.word("round_to")?,
            returns: fields.word("returns")?.unwrap_or_default(),
            criterion: fields.word("criterion")?.unwrap_or_default(),
            brackets: fields.read("brackets")?.unwrap_or_default(),
            min_occurrences: fields.read("min_occurrences")?.unwrap_or(1),
            measure: fields.word("measure")?.unwrap_or_default(),
            property: fields.read("property")?,
            breakdown_match: fields.read("breakdown_match")?.unwrap_or(false),
            scope: Scope::read(&fields)?,
        };
        retention.check(place)?;
        Ok(retention)
    }
}

scope_builders!(Retention);
