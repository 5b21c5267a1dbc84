//! Instants and local dates as the JSON form writes them.

use std::fmt;

use jiff::{Timestamp, civil::Date};
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::TimeZone;
use crate::spec::{FromJson, Place, SpecError};

/// An end of a range: an instant such as `2025-01-01T00:00:00Z`, or a local date such as `2025-01-01`, which means
/// the first instant of that day in the zone of the question.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Moment {
    text: String,
}

impl Moment {
    /// The instant meant, in microseconds UTC.
    ///
    /// # Errors
    /// `Invalid` if the text is neither an instant with an offset nor a date.
    pub fn resolve(&self, zone: &TimeZone) -> Result<i64, SpecError> {
        match self.parse()? {
            Parsed::Date(date) => zone.start_of(date),
            Parsed::Instant(us) => Ok(us),
        }
    }

    pub(super) fn check(&self) -> Result<(), SpecError> {
        self.parse().map(|_| ())
    }

    fn parse(&self) -> Result<Parsed, SpecError> {
        // jiff reads a date out of any longer timestamp as well, so the length decides what is meant.
        if self.text.len() <= DATE_CHARS
            && let Ok(date) = self.text.parse()
        {
            return Ok(Parsed::Date(date));
        }
        let instant: Timestamp = self.text.parse().map_err(|_| {
            SpecError::invalid(format!(
                "\"{}\" is neither a date such as 2025-01-01 nor an instant such as 2025-01-01T00:00:00Z",
                self.text
            ))
        })?;
        Ok(Parsed::Instant(timestamp_us(instant)))
    }
}

const DATE_CHARS: usize = "2025-01-01".len();

enum Parsed {
    Date(Date),
    Instant(i64),
}

impl From<&str> for Moment {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned() }
    }
}

impl From<String> for Moment {
    fn from(text: String) -> Self {
        Self { text }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromJson for Moment {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let moment = Self::from(String::from_json(value, place)?);
        moment.check().map_err(|error| place.locate(error))?;
        Ok(moment)
    }
}

pub(super) fn timestamp(us: i64) -> Result<Timestamp, SpecError> {
    Timestamp::from_microsecond(us)
        .map_err(|_| SpecError::invalid(format!("{us} microseconds are beyond the calendar")))
}

pub(super) fn timestamp_us(timestamp: Timestamp) -> i64 {
    timestamp.as_microsecond()
}

/// An instant as the JSON form writes it; the number where the calendar does not reach.
pub(crate) fn instant_text(us: i64) -> String {
    Timestamp::from_microsecond(us).map_or_else(|_| us.to_string(), |instant| instant.to_string())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
pub(crate) fn serialize_instant<S: Serializer>(us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    let instant = Timestamp::from_microsecond(*us).map_err(serde::ser::Error::custom)?;
    serializer.collect_str(&instant)
}
