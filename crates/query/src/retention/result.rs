//! The answer of a retention question.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::spec::{GroupLabel, Header, Listing, percent};

/// One cohort: a row of the triangle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CohortRow {
    /// The label of the bucket in which the cohort began.
    pub cohort: String,
    /// How many units belong to it.
    pub size: u64,
    /// How many of them came back, by period.
    pub values: Vec<u64>,
    /// Whether the period has ended, by period; what has not may still grow.
    pub complete: Vec<bool>,
}

/// The shares that came back in each period, over all cohorts whose cell is complete; `None` where there is none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Average {
    /// Weighted by cohort size: all that came back over all that could.
    pub weighted: Vec<Option<f64>>,
    /// The mean of the cohorts' shares, empty cohorts left out.
    pub simple: Vec<Option<f64>>,
}

impl Average {
    #[expect(clippy::cast_precision_loss, reason = "a share is a float")]
    pub(crate) fn of(rows: &[CohortRow], periods: usize) -> Self {
        let mut average = Self { weighted: Vec::with_capacity(periods), simple: Vec::with_capacity(periods) };
        for period in 0..periods {
            let cells = rows.iter().filter(|row| row.size > 0 && row.complete.get(period) == Some(&true));
            let cells: Vec<(u64, u64)> = cells.filter_map(|row| Some((*row.values.get(period)?, row.size))).collect();
            let size: u64 = cells.iter().map(|(_, size)| size).sum();
            let returned: u64 = cells.iter().map(|(returned, _)| returned).sum();
            let shares: f64 = cells.iter().map(|(returned, size)| *returned as f64 / *size as f64).sum();
            average.weighted.push((size > 0).then(|| returned as f64 / size as f64));
            average.simple.push((size > 0).then(|| shares / cells.len() as f64));
        }
        average
    }
}

/// The table of one breakdown group.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionGroup {
    /// The breakdown values; `None` without a breakdown.
    pub breakdown: Option<GroupLabel>,
    /// The cohorts, one for each bucket of the range.
    pub rows: Vec<CohortRow>,
    /// The averages over the cohorts.
    pub average: Average,
}

/// The answer of a [`Retention`](super::Retention); prints as a table and serialises as `docs/semantics.md`,
/// section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetentionResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// The labels of the columns.
    pub periods: Vec<String>,
    /// One table for each breakdown group; exactly one without a breakdown.
    pub groups: Vec<RetentionGroup>,
    /// The same of the earlier range, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compare: Option<Box<Self>>,
    /// The headings of the breakdown.
    #[serde(skip)]
    pub titles: Vec<String>,
}

impl RetentionResult {
    /// Flat rows, one for each group, cohort and period.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let mut headings = self.titles.clone();
        headings.extend(["cohort", "size", "period", "value", "complete"].map(str::to_owned));
        let mut rows = Vec::new();
        for group in &self.groups {
            let label = GroupLabel::values(group.breakdown.as_ref(), self.titles.len());
            for row in &group.rows {
                for (period, (value, complete)) in row.values.iter().zip(&row.complete).enumerate() {
                    let mut cells = label.clone();
                    cells.extend([json!(row.cohort), json!(row.size), json!(period), json!(value), json!(complete)]);
                    rows.push(cells);
                }
            }
        }
        (headings, rows)
    }
}

impl fmt::Display for RetentionResult {
    /// A table with a line for each group and cohort and the shares that came back; a star marks incomplete cells.
    #[expect(clippy::cast_precision_loss, reason = "a share is a float")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = ["cohort".to_owned(), "size".to_owned()];
        let mut listing = Listing::new(self.titles.iter().chain(&fixed).chain(&self.periods).cloned());
        for group in &self.groups {
            let label = GroupLabel::cells(group.breakdown.as_ref(), self.titles.len());
            for row in &group.rows {
                let mut line = label.clone();
                line.extend([row.cohort.clone(), row.size.to_string()]);
                line.extend(row.values.iter().zip(&row.complete).map(|(value, complete)| {
                    let share = (row.size > 0).then(|| *value as f64 / row.size as f64);
                    let mark = if *complete || share.is_none() { "" } else { " *" };
                    format!("{}{mark}", percent(share))
                }));
                listing.row(line);
            }
            let mut line = label;
            line.extend(["average".to_owned(), String::new()]);
            line.extend(group.average.weighted.iter().map(|share| percent(*share)));
            listing.row(line);
        }
        write!(f, "{listing}")
    }
}
