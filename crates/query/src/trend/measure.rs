//! What is measured of the events of a series.

use serde::Serialize;

use crate::spec::Word;

/// What is measured of the events of a series.
///
/// Of numbers, those that are none and NULL are left out; a measure of no number is NULL, of no event or unit 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Measure {
    /// How many events.
    #[default]
    Count,
    /// How many different units had one.
    Uniques,
    /// How many events for each unit that had one; 0 of nobody.
    CountPerUser,
    /// What the values of a property come to.
    Sum,
    /// The sum for each unit that had an event, with a number or without; 0 of nobody.
    SumPerUser,
    /// The mean of the numbers of a property.
    Avg,
    /// The least number of a property.
    Min,
    /// The largest number of a property.
    Max,
    /// The 50th percentile of the numbers of a property, interpolated linearly between the closest ranks.
    Median,
    /// The 75th percentile.
    P75,
    /// The 90th percentile.
    P90,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// How many different values a property has, of whatever type; NULL is none.
    Distinct,
    /// How many units had their first such event of all history.
    FirstTime,
    /// How many units had exactly so many events, over the whole range.
    Frequency,
}

impl Word for Measure {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("count", Self::Count),
        ("uniques", Self::Uniques),
        ("count_per_user", Self::CountPerUser),
        ("sum", Self::Sum),
        ("sum_per_user", Self::SumPerUser),
        ("avg", Self::Avg),
        ("min", Self::Min),
        ("max", Self::Max),
        ("median", Self::Median),
        ("p75", Self::P75),
        ("p90", Self::P90),
        ("p95", Self::P95),
        ("p99", Self::P99),
        ("distinct", Self::Distinct),
        ("first_time", Self::FirstTime),
        ("frequency", Self::Frequency),
    ];
}

impl Measure {
    /// The word of the JSON form.
    pub fn name(self) -> &'static str {
        Self::WORDS.iter().find(|(_, own)| *own == self).map_or("", |(name, _)| name)
    }

    /// Whether it is one of a property.
    pub fn takes_property(self) -> bool {
        self.reads_numbers() || self == Self::Distinct
    }

    /// Whether it is one of the numbers of a property.
    pub fn reads_numbers(self) -> bool {
        matches!(self, Self::Sum | Self::SumPerUser | Self::Avg | Self::Min | Self::Max) || self.share().is_some()
    }

    /// Whether it can be told of all buckets so far.
    pub fn takes_cumulative(self) -> bool {
        matches!(self, Self::Count | Self::Uniques | Self::Sum | Self::FirstTime)
    }

    /// The share of the numbers that lie at or below a percentile.
    pub(crate) fn share(self) -> Option<f64> {
        match self {
            Self::Median => Some(0.5),
            Self::P75 => Some(0.75),
            Self::P90 => Some(0.9),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            _ => None,
        }
    }
}
