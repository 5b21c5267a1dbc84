//! Durations as the JSON form writes them: a number and a unit.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::spec::{FromJson, Place, SpecError};

const MILLISECOND_US: i64 = 1_000;
/// Units from the largest, as they are read; a week is written in days.
const UNITS: [(&str, i64); 6] = [
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", MILLISECOND_US),
];
/// A thousand years: no question is longer, and sums with a timestamp cannot overflow.
const LONGEST_US: i64 = 366_000 * 86_400_000_000;

/// A duration of whole milliseconds; a day is 24 hours.
///
/// ```
/// use pugmark_query::calendar::{Span, days};
///
/// assert_eq!("7d".parse::<Span>()?, days(7));
/// assert_eq!("1.5h".parse::<Span>()?.to_string(), "90m");
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    us: i64,
}

impl Span {
    /// The length in microseconds.
    pub fn as_us(self) -> i64 {
        self.us
    }

    fn of(count: u32, unit_us: i64) -> Self {
        Self { us: i64::from(count).saturating_mul(unit_us).min(LONGEST_US) }
    }
}

/// That many seconds, at most a thousand years.
pub fn seconds(count: u32) -> Span {
    Span::of(count, 1_000_000)
}

/// That many minutes, at most a thousand years.
pub fn minutes(count: u32) -> Span {
    Span::of(count, 60_000_000)
}

/// That many hours, at most a thousand years.
pub fn hours(count: u32) -> Span {
    Span::of(count, 3_600_000_000)
}

/// That many times 24 hours, at most a thousand years.
pub fn days(count: u32) -> Span {
    Span::of(count, 86_400_000_000)
}

/// That many times 168 hours, at most a thousand years.
pub fn weeks(count: u32) -> Span {
    Span::of(count, 604_800_000_000)
}

impl FromStr for Span {
    type Err = SpecError;

    fn from_str(text: &str) -> Result<Self, SpecError> {
        let malformed = || {
            SpecError::invalid(format!(
                "\"{text}\" is no duration: expected a number and ms, s, m, h, d or w, such as 7d"
            ))
        };
        let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(malformed)?;
        let (number, unit) = text.split_at(unit_at);
        let (_, unit_us) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
        if whole.is_empty() || fraction.is_empty() || fraction.contains('.') {
            return Err(malformed());
        }
        let too_long = || SpecError::invalid(format!("{text} is too long: a duration is at most a thousand years"));
        let too_fine = || SpecError::invalid(format!("{text} is too fine: a duration is in whole milliseconds"));
        let whole: i64 = whole.parse().map_err(|_| too_long())?;
        let digits = u32::try_from(fraction.len()).map_err(|_| too_fine())?;
        let scale = 10_i64.checked_pow(digits).ok_or_else(too_fine)?;
        let fraction: i64 = fraction.parse().map_err(|_| too_fine())?;
        let scaled = i128::from(fraction) * i128::from(unit_us);
        if scaled % (i128::from(scale) * i128::from(MILLISECOND_US)) != 0 {
            return Err(too_fine());
        }
        let total = i128::from(whole) * i128::from(unit_us) + scaled / i128::from(scale);
        let us = i64::try_from(total).ok().filter(|us| *us <= LONGEST_US).ok_or_else(too_long)?;
        Ok(Self { us })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.us == 0 {
            return f.write_str("0s");
        }
        let written = UNITS.into_iter().filter(|(name, _)| *name != "w");
        let fitting = written.into_iter().find(|(_, unit_us)| self.us % unit_us == 0);
        let (name, unit_us) = fitting.expect("a span is in whole milliseconds: checked where one is made");
        write!(f, "{}{name}", self.us / unit_us)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl FromJson for Span {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        String::from_json(value, place)?.parse().map_err(|error| place.locate(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_written_in_the_largest_that_fits() {
        for (text, us, written) in [
            ("0s", 0, "0s"),
            ("250ms", 250_000, "250ms"),
            ("90s", 90_000_000, "90s"),
            ("120s", 120_000_000, "2m"),
            ("2w", 14 * 86_400_000_000, "14d"),
            ("0.5d", 43_200_000_000, "12h"),
        ] {
            let span: Span = text.parse().expect("the text is a duration");
            assert_eq!((span.as_us(), span.to_string().as_str()), (us, written), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "7", "d", "7 d", "-7d", "7y", "1.2.3d", ".5d", "5.d", "0.1ms", "99999999999999999999d", "999999999w"]
        {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
