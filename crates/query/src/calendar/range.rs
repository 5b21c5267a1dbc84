//! Ranges as asked, and as instants.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{Moment, Span, TimeZone, serialize_instant};
use crate::spec::{Fields, FromJson, Known, Place, SpecError};

/// The time that a question is about, as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Range {
    /// From one moment up to, not including, another; a missing end is that of the data.
    Between {
        /// The first instant, or that of the data.
        from: Option<Moment>,
        /// The first instant after the range, or that after the data.
        to: Option<Moment>,
    },
    /// The time of this length that ends now.
    Last(Span),
}

impl Default for Range {
    fn default() -> Self {
        Self::Between { from: None, to: None }
    }
}

impl Range {
    /// From `from` up to, not including, `to`.
    pub fn between(from: impl Into<Moment>, to: impl Into<Moment>) -> Self {
        Self::Between { from: Some(from.into()), to: Some(to.into()) }
    }

    pub(crate) fn starting(self, from: Moment) -> Self {
        let to = if let Self::Between { to, .. } = self { to } else { None };
        Self::Between { from: Some(from), to }
    }

    pub(crate) fn ending(self, to: Moment) -> Self {
        let from = if let Self::Between { from, .. } = self { from } else { None };
        Self::Between { from, to: Some(to) }
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether an end of it is that of the data.
    pub(crate) fn is_of_data(&self) -> bool {
        matches!(self, Self::Between { from: None, .. } | Self::Between { to: None, .. })
    }

    pub(crate) fn check(&self) -> Result<(), SpecError> {
        match self {
            Self::Between { from, to } => from.iter().chain(to).try_for_each(Moment::check),
            Self::Last(_) => Ok(()),
        }
    }

    /// The range as instants. An end that was not asked for is that of `data`.
    ///
    /// # Errors
    /// `Invalid` if a moment cannot be read, or if both ends were asked for and `to` lies before `from`.
    pub fn resolve(&self, zone: &TimeZone, now_us: i64, data: ResolvedRange) -> Result<ResolvedRange, SpecError> {
        let (from, to) = match self {
            Self::Last(span) => return Ok(ResolvedRange { from_us: now_us - span.as_us(), to_us: now_us }),
            Self::Between { from, to } => (from, to),
        };
        let resolve = |moment: &Option<Moment>| moment.as_ref().map(|moment| moment.resolve(zone)).transpose();
        match (resolve(from)?, resolve(to)?) {
            (Some(from_us), Some(to_us)) if to_us < from_us => {
                Err(SpecError::invalid("the range ends before it begins: from must not lie after to").on("range"))
            }
            (Some(from_us), Some(to_us)) => Ok(ResolvedRange { from_us, to_us }),
            (Some(from_us), None) => Ok(ResolvedRange { from_us, to_us: data.to_us.max(from_us) }),
            (None, Some(to_us)) => Ok(ResolvedRange { from_us: data.from_us.min(to_us), to_us }),
            (None, None) => Ok(data),
        }
    }
}

impl Serialize for Range {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Last(span) => map.serialize_entry("last", span)?,
            Self::Between { from, to } => {
                if let Some(from) = from {
                    map.serialize_entry("from", from)?;
                }
                if let Some(to) = to {
                    map.serialize_entry("to", to)?;
                }
            }
        }
        map.end()
    }
}

impl FromJson for Range {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["from", "to", "last"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        match (fields.read("from")?, fields.read("to")?, fields.read("last")?) {
            (from, to, None) => Ok(Self::Between { from, to }),
            (None, None, Some(span)) => Ok(Self::Last(span)),
            _ => Err(place.invalid("has last beside from or to: expected one or the other")),
        }
    }
}

/// A range of instants, the first in it and the last not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ResolvedRange {
    /// The first instant, in microseconds UTC; serialises as an instant.
    #[serde(rename = "from", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub from_us: i64,
    /// The first instant after it, in microseconds UTC; serialises as an instant.
    #[serde(rename = "to", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub to_us: i64,
}

impl ResolvedRange {
    /// Whether the instant lies in the range.
    pub fn contains(&self, us: i64) -> bool {
        self.from_us <= us && us < self.to_us
    }
}

impl fmt::Display for ResolvedRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let write = |f: &mut fmt::Formatter<'_>, us| match Timestamp::from_microsecond(us) {
            Ok(instant) => write!(f, "{instant}"),
            Err(_) => write!(f, "{us} us"),
        };
        write(f, self.from_us)?;
        f.write_str(" to ")?;
        write(f, self.to_us)
    }
}
