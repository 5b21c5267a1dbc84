//! The answer of a funnel.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeSeq};
use serde_json::{Value, json};

use super::{Done, Seconds};
use crate::calendar::serialize_instant;
use crate::spec::{GroupLabel, Header, Listing, human_seconds, percent};

/// One step in one breakdown group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepResult {
    /// The name of the step.
    pub name: String,
    /// Whether the steps after it may be done without it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// How many units did it.
    pub count: u64,
    /// That as a share of those who did step 1; `None` where nobody did.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub from_first: Option<f64>,
    /// That as a share of those who did the previous required step (step 1: of itself); `None` where nobody did.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub from_previous: Option<f64>,
    /// How many did the previous required step and not this one; 0 for step 1.
    pub dropped: u64,
    /// The time since the previous step; `None` for step 1 and where nobody reached this.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub seconds_from_previous: Option<Seconds>,
    /// The time since step 1; `None` for step 1 and where nobody reached this.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub seconds_from_first: Option<Seconds>,
}

/// How long it took from one step to another, for those who did both.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Histogram {
    /// Where each bar begins, in seconds; it ends where the next begins, the last with the window.
    #[serde(serialize_with = "whole_or_not")]
    pub from_seconds: Vec<f64>,
    /// How many units each bar holds.
    pub count: Vec<u64>,
}

/// Whole numbers without a fraction.
#[expect(clippy::cast_possible_truncation, reason = "whole, and of a size that seconds have")]
fn whole_or_not<S: Serializer>(numbers: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(numbers.len()))?;
    for number in numbers {
        match number.fract() == 0.0 {
            true => list.serialize_element(&(*number as i64))?,
            false => list.serialize_element(number)?,
        }
    }
    list.end()
}

/// How many attempts got how far, by the bucket in which they began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepTrend {
    /// The labels of the buckets.
    pub buckets: Vec<String>,
    /// By step, the counts of each bucket.
    pub steps: Vec<Vec<u64>>,
}

/// The matched events of one unit, or of one of its attempts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnitRow {
    /// The number of the unit.
    #[serde(skip)]
    pub unit: u32,
    /// Who it is.
    pub person: String,
    /// By step: the event that did it, if one did.
    pub steps: Vec<Option<MatchedEvent>>,
}

/// The event that did a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct MatchedEvent {
    /// Its message id.
    pub message_id: String,
    /// When it happened, in microseconds UTC; serialises as an instant.
    #[serde(rename = "timestamp", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp_us: i64,
    /// Its place in the log.
    #[serde(skip)]
    pub sequence: u64,
}

impl From<Done> for MatchedEvent {
    fn from(done: Done) -> Self {
        Self { message_id: String::new(), timestamp_us: done.timestamp, sequence: done.sequence }
    }
}

/// The funnel of one breakdown group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelGroup {
    /// The breakdown values; `None` without a breakdown.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub breakdown: Option<GroupLabel>,
    /// The steps, in order.
    pub steps: Vec<StepResult>,
    /// The time from the first step to the last, or between those that were asked for.
    pub histogram: Histogram,
    /// The same by bucket, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub trend: Option<StepTrend>,
    /// The matched events, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub rows: Option<Vec<UnitRow>>,
}

/// The answer of a [`Funnel`](super::Funnel); prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FunnelResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// One funnel for each breakdown group; exactly one without a breakdown.
    pub groups: Vec<FunnelGroup>,
    /// Who did a step or stopped before it, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub people: Option<Vec<String>>,
    /// The same of the earlier range, when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(no_recursion, nullable = false))]
    pub compare: Option<Box<Self>>,
    /// The headings of the breakdown.
    #[serde(skip)]
    pub titles: Vec<String>,
}

impl FunnelResult {
    /// Flat rows, one for each group and step.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let mut headings = self.titles.clone();
        headings.extend(["step", "name", "count", "from_first", "from_previous", "dropped"].map(str::to_owned));
        for from in ["previous", "first"] {
            headings.extend(["mean", "median", "p90"].map(|what| format!("seconds_from_{from}_{what}")));
        }
        let mut rows = Vec::new();
        for group in &self.groups {
            let label = GroupLabel::values(group.breakdown.as_ref(), self.titles.len());
            for (index, step) in group.steps.iter().enumerate() {
                let mut row = label.clone();
                row.extend([
                    json!(index + 1),
                    json!(step.name),
                    json!(step.count),
                    json!(step.from_first),
                    json!(step.from_previous),
                    json!(step.dropped),
                ]);
                for seconds in [step.seconds_from_previous, step.seconds_from_first] {
                    row.extend([
                        json!(seconds.map(|seconds| seconds.mean)),
                        json!(seconds.map(|seconds| seconds.median)),
                        json!(seconds.map(|seconds| seconds.p90)),
                    ]);
                }
                rows.push(row);
            }
        }
        (headings, rows)
    }
}

impl fmt::Display for FunnelResult {
    /// A table with a line for each group and step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut headings = self.titles.clone();
        let fixed =
            ["step", "count", "of first", "of previous", "dropped", "median from previous", "median from first"];
        headings.extend(fixed.map(str::to_owned));
        let mut listing = Listing::new(headings);
        for group in &self.groups {
            let label = GroupLabel::cells(group.breakdown.as_ref(), self.titles.len());
            for (index, step) in group.steps.iter().enumerate() {
                let mut row = label.clone();
                row.extend([
                    format!("{}. {}", index + 1, step.name),
                    step.count.to_string(),
                    percent(step.from_first),
                    percent(step.from_previous),
                    step.dropped.to_string(),
                    human_seconds(step.seconds_from_previous.map(|seconds| seconds.median)),
                    human_seconds(step.seconds_from_first.map(|seconds| seconds.median)),
                ]);
                listing.row(row);
            }
        }
        write!(f, "{listing}")
    }
}
