//! Interval and week start: how a range is cut into buckets.

use serde::{Deserialize, Serialize};

use crate::spec::Word;

/// The calendar unit of a bucket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interval {
    /// A minute of the local clock.
    Minute,
    /// An hour of the local clock.
    Hour,
    /// A local day, 23 to 25 hours long.
    #[default]
    Day,
    /// Seven local days from the week's first day.
    Week,
    /// A calendar month.
    Month,
    /// Three calendar months from January, April, July or October.
    Quarter,
    /// A calendar year.
    Year,
}

impl Interval {
    /// The word of the JSON form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Quarter => "quarter",
            Self::Year => "year",
        }
    }
}

impl Word for Interval {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("minute", Self::Minute),
        ("hour", Self::Hour),
        ("day", Self::Day),
        ("week", Self::Week),
        ("month", Self::Month),
        ("quarter", Self::Quarter),
        ("year", Self::Year),
    ];
}

/// The first day of a week.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WeekStart {
    /// Weeks begin on Monday.
    #[default]
    Monday,
    /// Weeks begin on Sunday.
    Sunday,
}

impl Word for WeekStart {
    const WORDS: &'static [(&'static str, Self)] = &[("monday", Self::Monday), ("sunday", Self::Sunday)];
}
