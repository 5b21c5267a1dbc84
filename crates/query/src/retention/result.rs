//! The answer of a retention question.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use super::ReturnMeasure;
use crate::{
    spec::{GroupLabel, Header, Listing, percent},
    trend::Number,
};

/// One cohort: a row of the triangle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct CohortRow {
    /// The label of the bucket in which the cohort began.
    pub cohort: String,
    /// How many units belong to it.
    pub size: u64,
    /// How many of them came back, by period, or the measure of their return events; `None` for a mean of nothing.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Option<f64>>))]
    pub values: Vec<Option<Number>>,
    /// Whether the period has ended, by period; what has not may still grow.
    pub complete: Vec<bool>,
}

/// The mean of each period over all cohorts whose cell is complete, empty ones left out; `None` where there is none.
///
/// Where units are counted it is of the shares that came back, else of the values as they are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Average {
    /// Weighted by cohort size: of shares, all that came back over all that could.
    pub weighted: Vec<Option<f64>>,
    /// Each cohort alike.
    pub simple: Vec<Option<f64>>,
}

impl Average {
    #[expect(clippy::cast_precision_loss, reason = "a share is a float")]
    pub(crate) fn of(rows: &[CohortRow], columns: usize, measure: ReturnMeasure) -> Self {
        let mut average = Self { weighted: Vec::with_capacity(columns), simple: Vec::with_capacity(columns) };
        for column in 0..columns {
            let complete = rows.iter().filter(|row| row.size > 0 && row.complete.get(column) == Some(&true));
            let cells: Vec<(f64, f64)> = complete
                .filter_map(|row| Some((row.values.get(column).copied()??.as_f64(), row.size as f64)))
                .collect();
            let size: f64 = cells.iter().map(|(_, size)| size).sum();
            let is_share = measure == ReturnMeasure::Units;
            let weighted: f64 = cells.iter().map(|(value, size)| if is_share { *value } else { value * size }).sum();
            let sum: f64 = cells.iter().map(|(value, size)| if is_share { value / size } else { *value }).sum();
            average.weighted.push((size > 0.0).then(|| weighted / size));
            average.simple.push((size > 0.0).then(|| sum / cells.len() as f64));
        }
        average
    }
}

/// The table of one breakdown group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionGroup {
    /// The breakdown values; `None` without a breakdown.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub breakdown: Option<GroupLabel>,
    /// The cohorts, one for each bucket of the range.
    pub rows: Vec<CohortRow>,
    /// The averages over the cohorts.
    pub average: Average,
}

/// The answer of a [`Retention`](super::Retention); prints as a table and serialises as `docs/semantics.md`,
/// section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RetentionResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// What the cells tell; written where it is not units.
    #[serde(skip_serializing_if = "ReturnMeasure::is_units")]
    pub measure: ReturnMeasure,
    /// The labels of the columns.
    pub periods: Vec<String>,
    /// One table for each breakdown group; exactly one without a breakdown.
    pub groups: Vec<RetentionGroup>,
    /// The same of the earlier range, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(no_recursion, nullable = false))]
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
                for (period, (value, complete)) in self.periods.iter().zip(row.values.iter().zip(&row.complete)) {
                    let mut cells = label.clone();
                    let period = period.parse::<u64>().map_or_else(|_| json!(period), |period| json!(period));
                    cells.extend([json!(row.cohort), json!(row.size), period, json!(value), json!(complete)]);
                    rows.push(cells);
                }
            }
        }
        (headings, rows)
    }
}

impl fmt::Display for RetentionResult {
    /// A table with a line for each group and cohort and the shares that came back, or the values of the measure; a star marks incomplete cells.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = ["cohort".to_owned(), "size".to_owned()];
        let mut listing = Listing::new(self.titles.iter().chain(&fixed).chain(&self.periods).cloned());
        for group in &self.groups {
            let label = GroupLabel::cells(group.breakdown.as_ref(), self.titles.len());
            for row in &group.rows {
                let mut line = label.clone();
                line.extend([row.cohort.clone(), row.size.to_string()]);
                line.extend(row.values.iter().zip(&row.complete).map(|(value, complete)| {
                    let value = self.shown(*value, row.size);
                    let mark = if *complete || value == "-" { "" } else { " *" };
                    format!("{value}{mark}")
                }));
                listing.row(line);
            }
            let mut line = label;
            line.extend(["average".to_owned(), String::new()]);
            line.extend(group.average.weighted.iter().map(|average| match self.measure {
                ReturnMeasure::Units => percent(*average),
                ReturnMeasure::Sum | ReturnMeasure::Avg => decimal(*average),
            }));
            listing.row(line);
        }
        write!(f, "{listing}")
    }
}

impl RetentionResult {
    /// A cell as text.
    #[expect(clippy::cast_precision_loss, reason = "a share is a float")]
    fn shown(&self, value: Option<Number>, size: u64) -> String {
        let value = value.filter(|_| size > 0).map(Number::as_f64);
        match self.measure {
            ReturnMeasure::Units => percent(value.map(|value| value / size as f64)),
            ReturnMeasure::Sum | ReturnMeasure::Avg => decimal(value),
        }
    }
}

/// A number with two decimals; a dash where there is none.
fn decimal(number: Option<f64>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.2}"))
}
