//! The choices of a retention that are written as one word.

use serde::Serialize;

use crate::spec::Word;

/// Which units belong to the cohort of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cohort {
    /// Those whose first ever start event, in all history, lies in the bucket.
    #[default]
    FirstTime,
    /// Those whose first ever event of the start's names lies in the bucket and passes the start's filter.
    FirstOfEvent,
    /// Those whose very first event of any kind lies in the bucket and is a start event.
    FirstEver,
    /// Those whose first start event in the range lies in the bucket.
    FirstInRange,
    /// Those with any start event in the bucket; a unit belongs to as many cohorts as it has such buckets.
    Recurring,
}

impl Word for Cohort {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("first_time", Self::FirstTime),
        ("first_of_event", Self::FirstOfEvent),
        ("first_ever", Self::FirstEver),
        ("first_in_range", Self::FirstInRange),
        ("recurring", Self::Recurring),
    ];
}

/// What the periods of a unit are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodClock {
    /// The calendar buckets that follow the cohort's.
    #[default]
    Calendar,
    /// Spans after the unit's own start event: 1 hour, 24 hours, 7 days or 30 days.
    Rolling,
}

impl Word for PeriodClock {
    const WORDS: &'static [(&'static str, Self)] = &[("calendar", Self::Calendar), ("rolling", Self::Rolling)];
}

/// What the times of start and return are floored to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RoundTo {
    /// The full hour, of UTC.
    Hour,
}

impl Word for RoundTo {
    const WORDS: &'static [(&'static str, Self)] = &[("hour", Self::Hour)];
}

/// Which returns are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Returns {
    /// Those before the end of the range.
    #[default]
    InRange,
    /// Those until now, after the end of the range too.
    Open,
}

impl Word for Returns {
    const WORDS: &'static [(&'static str, Self)] = &[("in_range", Self::InRange), ("open", Self::Open)];
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
    const WORDS: &'static [(&'static str, Self)] = &[("cohort_size", Self::CohortSize), ("returned", Self::Returned)];
}

/// In which periods a return is wanted for a column.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// In the period of the column.
    #[default]
    On,
    /// In that period or any later one.
    OnOrAfter,
    /// In any period from 1 to that one.
    OnOrBefore,
    /// In every period from 1 to that one.
    Streak,
}

impl Criterion {
    /// The word of the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "on",
            Self::OnOrAfter => "on_or_after",
            Self::OnOrBefore => "on_or_before",
            Self::Streak => "streak",
        }
    }
}

impl Word for Criterion {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("on", Self::On),
        ("on_or_after", Self::OnOrAfter),
        ("on_or_before", Self::OnOrBefore),
        ("streak", Self::Streak),
    ];
}

/// What a cell tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReturnMeasure {
    /// How many units came back.
    #[default]
    Units,
    /// The sum of a property over their return events.
    Sum,
    /// The mean of a property over their return events; none where no event has a number.
    Avg,
}

impl ReturnMeasure {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
    pub(super) fn is_units(&self) -> bool {
        *self == Self::Units
    }

    /// The word of the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Units => "units",
            Self::Sum => "sum",
            Self::Avg => "avg",
        }
    }
}

impl Word for ReturnMeasure {
    const WORDS: &'static [(&'static str, Self)] = &[("units", Self::Units), ("sum", Self::Sum), ("avg", Self::Avg)];
}
