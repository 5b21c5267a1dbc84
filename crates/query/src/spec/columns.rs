//! An answer as a table: its columns and their types, which follow from the question alone.

use super::{Analysis, Breakdown};
use crate::people::COLUMNS;
use crate::trend::Measure;

/// The type of a column of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// Text, also what has several types, such as the values of a breakdown.
    Text,
    /// A whole number.
    Count,
    /// A double.
    Number,
    Bool,
}

impl Analysis {
    /// The columns of the answer's `to_table`, in its order.
    pub(crate) fn columns(&self) -> Vec<(String, ColumnKind)> {
        use ColumnKind::{Bool, Count, Number, Text};
        let titles = || self.scope().breakdown.iter().map(|item: &Breakdown| (item.title(), Text));
        let columns: Vec<(&str, ColumnKind)> = match self {
            Self::Trend(trend) => {
                let is_frequency = trend.series.iter().any(|series| series.measure == Measure::Frequency);
                let (first, last) = match is_frequency {
                    true => (("times", Count), ("people", Count)),
                    false => (("bucket", Text), ("value", Number)),
                };
                [first, ("series", Text)].into_iter().chain(titles()).chain([last]).collect()
            }
            Self::Funnel(_) => {
                let fixed = [
                    ("step", Count),
                    ("name", Text),
                    ("count", Count),
                    ("from_first", Number),
                    ("from_previous", Number),
                    ("dropped", Count),
                    ("seconds_from_previous_mean", Number),
                    ("seconds_from_previous_median", Number),
                    ("seconds_from_previous_p90", Number),
                    ("seconds_from_first_mean", Number),
                    ("seconds_from_first_median", Number),
                    ("seconds_from_first_p90", Number),
                ];
                titles().chain(fixed).collect()
            }
            Self::Retention(retention) => {
                let period = if retention.brackets.is_empty() { Count } else { Text };
                let fixed =
                    [("cohort", Text), ("size", Count), ("period", period), ("value", Number), ("complete", Bool)];
                titles().chain(fixed).collect()
            }
            Self::Stickiness(_) => titles().chain([("intervals", Count), ("people", Count)]).collect(),
            Self::Lifecycle(_) => {
                let states = ["new", "returning", "resurrecting", "dormant"].map(|state| (state, Count));
                std::iter::once(("bucket", Text)).chain(states).collect()
            }
            Self::Journey(_) => vec![
                ("number", Count),
                ("session", Text),
                ("sequence", Count),
                ("event", Text),
                ("timestamp", Text),
                ("distinct_id", Text),
                ("properties", Text),
            ],
            Self::Audience(audience) => vec![if audience.people { ("person", Text) } else { ("people", Count) }],
            Self::Paths(_) => {
                vec![("position", Count), ("from", Text), ("to", Text), ("count", Count), ("mean_seconds", Number)]
            }
            Self::People(people) => {
                let kind = |name| match name {
                    "number" | "ids" | "events" | "sessions" | "days_active" => Count,
                    "revenue" => Number,
                    "known" => Bool,
                    _ => Text,
                };
                let traits = people.traits.iter().map(|name| (name.as_str(), Text));
                COLUMNS.iter().map(|name| (*name, kind(name))).chain(traits).collect()
            }
            // In SQL they are a table of their own, with a row for each.
            Self::Sessions(_) => Vec::new(),
        };
        let of_segments = (!self.scope().segments.is_empty()).then_some(("segment", Text));
        of_segments.into_iter().chain(columns).map(|(name, kind)| (name.to_owned(), kind)).collect()
    }
}
