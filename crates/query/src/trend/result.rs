//! The answer of a trend.

use std::collections::BTreeMap;
use std::fmt;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::Number;
use crate::spec::{GroupLabel, Header, Listing};

/// One series in one breakdown group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SeriesResult {
    /// The name of the series.
    pub name: String,
    /// The breakdown values; `None` without a breakdown.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub breakdown: Option<GroupLabel>,
    /// The measure of each bucket; none of a frequency.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Option<f64>>, required = false))]
    pub values: Vec<Number>,
    /// How many units had an event how often, where that is the measure.
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub frequency: Option<Frequency>,
    /// The measure of the whole range: for uniques the different units, not the sum; for a frequency all units; for a formula NULL.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<f64>, required = true))]
    pub total: Number,
}

impl Serialize for SeriesResult {
    /// A frequency stands in the place of the values.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut own = serializer.serialize_struct("SeriesResult", 4)?;
        own.serialize_field("name", &self.name)?;
        own.serialize_field("breakdown", &self.breakdown)?;
        match &self.frequency {
            Some(frequency) => own.serialize_field("frequency", frequency)?,
            None => own.serialize_field("values", &self.values)?,
        }
        own.serialize_field("total", &self.total)?;
        own.end()
    }
}

/// How many units had an event exactly so often.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Frequency {
    /// How often, ascending: what nobody did is left out.
    pub times: Vec<u64>,
    /// How many units, for each of `times`.
    pub people: Vec<u64>,
}

impl FromIterator<(u64, u64)> for Frequency {
    /// Of pairs of how often and how many, in any order.
    fn from_iter<I: IntoIterator<Item = (u64, u64)>>(pairs: I) -> Self {
        let mut all: BTreeMap<u64, u64> = BTreeMap::new();
        for (times, people) in pairs {
            *all.entry(times).or_default() += people;
        }
        let (times, people) = all.into_iter().filter(|(times, people)| *times > 0 && *people > 0).unzip();
        Self { times, people }
    }
}

impl Frequency {
    /// How many units had it exactly so often.
    pub fn of(&self, times: u64) -> u64 {
        self.times.binary_search(&times).ok().and_then(|at| self.people.get(at)).copied().unwrap_or(0)
    }

    /// How many units had it at all.
    pub fn total(&self) -> u64 {
        self.people.iter().sum()
    }
}

/// The answer of a [`Trend`](super::Trend); prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TrendResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// The label of each bucket; none of frequencies.
    pub buckets: Vec<String>,
    /// The lines, by series and then by breakdown group.
    pub series: Vec<SeriesResult>,
    /// The same of the earlier range, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(no_recursion, nullable = false))]
    pub compare: Option<Box<Self>>,
    /// The headings of the breakdown.
    #[serde(skip)]
    pub titles: Vec<String>,
}

impl TrendResult {
    /// Flat rows, one for each series, group and bucket: `bucket`, `series`, the breakdown, `value`.
    /// Totals are left out, because those of uniques do not belong to any bucket. Of frequencies the rows are `times`, `series`, the breakdown, `people`.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        if self.is_frequency() {
            return self.frequencies();
        }
        let mut headings = vec!["bucket".to_owned(), "series".to_owned()];
        headings.extend(self.titles.iter().cloned());
        headings.push("value".to_owned());
        let mut rows = Vec::with_capacity(self.series.len() * self.buckets.len());
        for series in &self.series {
            let group = GroupLabel::values(series.breakdown.as_ref(), self.titles.len());
            for (bucket, value) in self.buckets.iter().zip(&series.values) {
                let mut row = vec![bucket.clone().into(), series.name.clone().into()];
                row.extend(group.iter().cloned());
                row.push(serde_json::to_value(value).unwrap_or(Value::Null));
                rows.push(row);
            }
        }
        (headings, rows)
    }

    fn is_frequency(&self) -> bool {
        self.series.iter().any(|series| series.frequency.is_some())
    }

    fn frequencies(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let mut headings = vec!["times".to_owned(), "series".to_owned()];
        headings.extend(self.titles.iter().cloned());
        headings.push("people".to_owned());
        let mut rows = Vec::new();
        for series in &self.series {
            let group = GroupLabel::values(series.breakdown.as_ref(), self.titles.len());
            let Some(Frequency { times, people }) = &series.frequency else { continue };
            for (times, people) in times.iter().zip(people) {
                let mut row = vec![(*times).into(), series.name.clone().into()];
                row.extend(group.iter().cloned());
                row.push((*people).into());
                rows.push(row);
            }
        }
        (headings, rows)
    }

    /// How often something was done, of all series.
    fn times(&self) -> Vec<u64> {
        let all = self.series.iter().filter_map(|series| series.frequency.as_ref());
        let mut times: Vec<u64> = all.flat_map(|own| own.times.iter().copied()).collect();
        times.sort_unstable();
        times.dedup();
        times
    }
}

impl fmt::Display for TrendResult {
    /// A table with a line for each bucket, or for how often, and a column for each series and group, the totals last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = self.series.iter().map(|series| {
            let mut parts = vec![series.name.clone()];
            parts.extend(GroupLabel::cells(series.breakdown.as_ref(), self.titles.len()));
            parts.truncate(1 + if series.breakdown.is_some() { self.titles.len() } else { 0 });
            parts.join(" / ")
        });
        let first = if self.is_frequency() { "times" } else { "bucket" };
        let mut listing = Listing::new(std::iter::once(first.to_owned()).chain(headings));
        for times in self.times() {
            let people = self.series.iter().map(|series| series.frequency.as_ref().map_or(0, |own| own.of(times)));
            listing.row(std::iter::once(times.to_string()).chain(people.map(|people| people.to_string())).collect());
        }
        for (index, bucket) in self.buckets.iter().enumerate() {
            let values =
                self.series.iter().map(|series| series.values.get(index).map_or(String::new(), Number::to_string));
            listing.row(std::iter::once(bucket.clone()).chain(values).collect());
        }
        let totals = self.series.iter().map(|series| series.total.to_string());
        listing.row(std::iter::once("total".to_owned()).chain(totals).collect());
        write!(f, "{listing}")
    }
}
