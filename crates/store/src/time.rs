//! Instants in microseconds.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z, the earliest that an event may carry.
    pub const EPOCH: Self = Self(0);

    /// From microseconds since the epoch.
    pub const fn from_microsecond(microseconds: i64) -> Self {
        Self(microseconds)
    }

    /// Microseconds since the epoch.
    pub const fn as_microsecond(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, as many fractional digits as the instant has; a number of microseconds outside the years -9999 to 9999.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(instant) => instant.fmt(f),
            Err(_) => write!(f, "{} us", self.0),
        }
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Reads an instant: RFC 3339 (`2025-01-01T10:00:00Z`, `2025-01-01 10:00:00+01:00`), the same without an offset
    /// (UTC), or a date (its midnight in UTC).
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for anything else.
    ///
    /// # Example
    /// ```
    /// use pugmark_store::Timestamp;
    /// let at: Timestamp = "2025-01-01T01:00:00+01:00".parse()?;
    /// assert_eq!(at.to_string(), "2025-01-01T00:00:00Z");
    /// assert_eq!("2025-01-01".parse::<Timestamp>()?, at);
    /// # Ok::<(), pugmark_store::Error>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, Error> {
        let text = text.trim();
        if let Ok(instant) = text.parse::<jiff::Timestamp>() {
            return Ok(Self(instant.as_microsecond()));
        }
        let civil = text
            .parse::<jiff::civil::DateTime>()
            .or_else(|_| text.parse::<jiff::civil::Date>().map(jiff::civil::DateTime::from))
            .ok()
            .and_then(|civil| jiff::tz::TimeZone::UTC.to_timestamp(civil).ok());
        match civil {
            Some(instant) => Ok(Self(instant.as_microsecond())),
            None => Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "timestamp \"{text}\" is not an instant: expected RFC 3339 such as 2025-01-01T10:00:00Z or a date such as 2025-01-01"
                ),
            )),
        }
    }
}
