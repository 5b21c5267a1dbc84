//! The answer of a question about stickiness.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::spec::{GroupLabel, Header, Listing};

/// The numbers of one breakdown group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StickinessGroup {
    /// The breakdown values; `None` without a breakdown.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub breakdown: Option<GroupLabel>,
    /// How many units were active in so many buckets, in the order of the answer's `intervals`.
    pub values: Vec<u64>,
}

/// The answer of a [`Stickiness`](super::Stickiness); prints as a table and serialises as `docs/semantics.md`,
/// section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StickinessResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// The numbers of buckets: 1 to how many there are in the range.
    pub intervals: Vec<usize>,
    /// The numbers of each breakdown group; exactly one without a breakdown.
    pub groups: Vec<StickinessGroup>,
    /// Whether whoever was active in more buckets counts in fewer, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub at_least: bool,
    /// The headings of the breakdown.
    #[serde(skip)]
    pub titles: Vec<String>,
}

impl StickinessResult {
    /// Flat rows, one for each group and number of buckets.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let mut headings = self.titles.clone();
        headings.extend(["intervals", "people"].map(str::to_owned));
        let rows = self.groups.iter().flat_map(|group| {
            let label = GroupLabel::values(group.breakdown.as_ref(), self.titles.len());
            self.intervals.iter().zip(&group.values).map(move |(intervals, people)| {
                let mut cells = label.clone();
                cells.extend([json!(intervals), json!(people)]);
                cells
            })
        });
        (headings, rows.collect())
    }
}

impl fmt::Display for StickinessResult {
    /// A table with a line for each group and number of buckets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = ["intervals".to_owned(), "people".to_owned()];
        let mut listing = Listing::new(self.titles.iter().chain(&fixed).cloned());
        for group in &self.groups {
            let label = GroupLabel::cells(group.breakdown.as_ref(), self.titles.len());
            for (intervals, people) in self.intervals.iter().zip(&group.values) {
                let mut line = label.clone();
                line.extend([intervals.to_string(), people.to_string()]);
                listing.row(line);
            }
        }
        write!(f, "{listing}")
    }
}
