//! The answer of a trend.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::Number;
use crate::spec::{GroupLabel, Header, Listing};

/// One series in one breakdown group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SeriesResult {
    /// The name of the series.
    pub name: String,
    /// The breakdown values; `None` without a breakdown.
    pub breakdown: Option<GroupLabel>,
    /// The measure of each bucket.
    pub values: Vec<Number>,
    /// The measure of the whole range: for uniques the different units, not the sum.
    pub total: Number,
}

/// The answer of a [`Trend`](super::Trend); prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TrendResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// The label of each bucket.
    pub buckets: Vec<String>,
    /// The lines, by series and then by breakdown group.
    pub series: Vec<SeriesResult>,
    /// The headings of the breakdown.
    #[serde(skip)]
    pub titles: Vec<String>,
}

impl TrendResult {
    /// Flat rows, one for each series, group and bucket: `bucket`, `series`, the breakdown, `value`.
    /// Totals are left out, because those of uniques do not belong to any bucket.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
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
}

impl fmt::Display for TrendResult {
    /// A table with a line for each bucket and a column for each series and group, the totals last.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headings = self.series.iter().map(|series| {
            let mut parts = vec![series.name.clone()];
            parts.extend(GroupLabel::cells(series.breakdown.as_ref(), self.titles.len()));
            parts.truncate(1 + if series.breakdown.is_some() { self.titles.len() } else { 0 });
            parts.join(" / ")
        });
        let mut listing = Listing::new(std::iter::once("bucket".to_owned()).chain(headings));
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
