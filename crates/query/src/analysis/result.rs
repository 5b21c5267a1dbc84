//! The answer to any question.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::side::SideBySide;
use crate::audience::AudienceResult;
use crate::funnel::FunnelResult;
use crate::journey::JourneyResult;
use crate::lifecycle::LifecycleResult;
use crate::paths::PathsResult;
use crate::people::PeopleResult;
use crate::retention::RetentionResult;
use crate::sessions::SessionsResult;
use crate::spec::Header;
use crate::stickiness::StickinessResult;
use crate::trend::TrendResult;

/// The answer to a query; prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum QueryResult {
    /// Counts over time.
    Trend(TrendResult),
    /// How many get how far.
    Funnel(FunnelResult),
    /// How many come back.
    Retention(RetentionResult),
    /// In how many buckets people are active.
    Stickiness(StickinessResult),
    /// Who is new, stays, comes back and stays away.
    Lifecycle(LifecycleResult),
    /// What one person did.
    Journey(JourneyResult),
    /// How many sessions there were, and how long they took.
    Sessions(SessionsResult),
    /// What people do one thing after the other.
    Paths(PathsResult),
    /// How many people are in a segment.
    Audience(AudienceResult),
    /// Who people are and what they did in all.
    People(PeopleResult),
    /// The answers about several segments.
    SideBySide(SideBySide),
}

impl QueryResult {
    /// What every answer says first.
    pub fn header(&self) -> &Header {
        match self {
            Self::Trend(result) => &result.header,
            Self::Funnel(result) => &result.header,
            Self::Retention(result) => &result.header,
            Self::Stickiness(result) => &result.header,
            Self::Lifecycle(result) => &result.header,
            Self::Journey(result) => &result.header,
            Self::Sessions(result) => &result.header,
            Self::Paths(result) => &result.header,
            Self::Audience(result) => &result.header,
            Self::People(result) => &result.header,
            Self::SideBySide(result) => &result.header,
        }
    }

    /// Headings and flat rows, for programs that read tables.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        match self {
            Self::Trend(result) => result.to_table(),
            Self::Funnel(result) => result.to_table(),
            Self::Retention(result) => result.to_table(),
            Self::Stickiness(result) => result.to_table(),
            Self::Lifecycle(result) => result.to_table(),
            Self::Journey(result) => result.to_table(),
            Self::Sessions(result) => result.to_table(),
            Self::Paths(result) => result.to_table(),
            Self::Audience(result) => result.to_table(),
            Self::People(result) => result.to_table(),
            Self::SideBySide(result) => result.to_table(),
        }
    }
}

impl fmt::Display for QueryResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trend(result) => result.fmt(f),
            Self::Funnel(result) => result.fmt(f),
            Self::Retention(result) => result.fmt(f),
            Self::Stickiness(result) => result.fmt(f),
            Self::Lifecycle(result) => result.fmt(f),
            Self::Journey(result) => result.fmt(f),
            Self::Sessions(result) => result.fmt(f),
            Self::Paths(result) => result.fmt(f),
            Self::Audience(result) => result.fmt(f),
            Self::People(result) => result.fmt(f),
            Self::SideBySide(result) => result.fmt(f),
        }
    }
}
