//! What every answer says first.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::calendar::{ResolvedRange, TimeZone, serialize_instant};

fn serialize_some_instant<S: Serializer>(us: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match us {
        Some(us) => serialize_instant(us, serializer),
        None => serializer.serialize_none(),
    }
}

/// The part that all results share, flattened into each: `docs/semantics.md`, section 6.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Header {
    /// Which analysis this answers, such as `trend`.
    pub kind: &'static str,
    /// The sequence whose state was read.
    pub as_of: u64,
    /// What the query took for now, in microseconds UTC; serialises as an instant.
    #[serde(rename = "now", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub now_us: i64,
    /// The range that was asked about, as instants.
    pub range: ResolvedRange,
    /// The zone whose calendar counted.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub time_zone: TimeZone,
    /// Where the history begins that the store still has, in microseconds UTC, when the question looks further back: what was before has expired.
    #[serde(
        rename = "history_from",
        skip_serializing_if = "Option::is_none",
        serialize_with = "serialize_some_instant"
    )]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime, nullable = false))]
    pub history_from_us: Option<i64>,
    /// What the asker should know, such as a name never seen: each once, sorted.
    pub warnings: Vec<String>,
    /// How the answer was found, when asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<crate::Explain>, nullable = false))]
    pub explain: Option<Value>,
}
