//! Time zones by IANA name.

use std::fmt;

use jiff::{Timestamp, civil::Date, tz};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::instant::{timestamp, timestamp_us};
use crate::spec::{SpecError, nearest};

/// A time zone of the IANA database.
///
/// ```
/// use pugmark_query::calendar::TimeZone;
///
/// assert_eq!(TimeZone::named("Europe/Berlin")?.name(), "Europe/Berlin");
/// assert_eq!(TimeZone::named("Europe/Berln").unwrap_err().nearest[0], "Europe/Berlin");
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeZone(tz::TimeZone);

impl TimeZone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self(tz::TimeZone::UTC)
    }

    /// The zone of this IANA name.
    ///
    /// # Errors
    /// `Invalid`, with the nearest known names, if there is none of that name.
    pub fn named(name: &str) -> Result<Self, SpecError> {
        tz::TimeZone::get(name).map(Self).map_err(|_| {
            let known: Vec<String> = tz::db().available().map(|name| name.to_string()).collect();
            SpecError::invalid(format!("\"{name}\" is not a known time zone"))
                .nearest(nearest(name, known.iter().map(String::as_str)))
        })
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// The instant so much of the calendar earlier, at the same local time of day.
    pub(super) fn earlier(&self, us: i64, back: jiff::Span) -> Result<i64, SpecError> {
        let earlier = timestamp(us)?.to_zoned(self.0.clone()).checked_sub(back);
        let earlier = earlier.map_err(|_| SpecError::invalid("the range to compare with lies beyond the calendar"))?;
        Ok(timestamp_us(earlier.timestamp()))
    }

    pub(super) fn date_of(&self, us: i64) -> Result<Date, SpecError> {
        Ok(self.0.to_datetime(timestamp(us)?).date())
    }

    /// The first instant of a local day: midnight, or where the clock skips midnight, the instant after the gap.
    pub(super) fn start_of(&self, date: Date) -> Result<i64, SpecError> {
        // Noon is skipped only where a whole day is, and then the first instant is that of the day after.
        let noon = self.0.to_zoned(date.at(12, 0, 0, 0));
        let start = noon.and_then(|noon| noon.start_of_day());
        let start = start.map_err(|_| SpecError::invalid(format!("{date} is beyond the calendar")))?;
        Ok(timestamp_us(start.timestamp()))
    }

    /// The first instant of the local day after that of an instant; `None` at the end of the calendar.
    pub(crate) fn end_of_day(&self, us: i64) -> Option<i64> {
        let mut date = self.date_of(us).ok()?;
        // Where a clock falls back over midnight, a date is shown again after the next one has begun.
        loop {
            date = date.tomorrow().ok()?;
            let start = self.start_of(date).ok()?;
            if start > us {
                return Some(start);
            }
        }
    }

    pub(super) fn offset_us(&self, us: i64) -> Result<i64, SpecError> {
        Ok(i64::from(self.0.to_offset(timestamp(us)?).seconds()) * 1_000_000)
    }

    /// The instants after `us` at which the offset from UTC changes, with the new offset.
    pub(super) fn offset_changes(&self, us: i64) -> Result<impl Iterator<Item = (i64, i64)>, SpecError> {
        let mut offset_us = self.offset_us(us)?;
        Ok(self.0.following(timestamp(us)?).filter_map(move |transition| {
            let new_us = i64::from(transition.offset().seconds()) * 1_000_000;
            let changed = new_us != offset_us;
            offset_us = new_us;
            changed.then(|| (timestamp_us(transition.timestamp()), new_us))
        }))
    }

    pub(super) fn clock_label(&self, us: i64) -> Result<String, SpecError> {
        let at: Timestamp = timestamp(us)?;
        Ok(at.to_zoned(self.0.clone()).strftime("%Y-%m-%dT%H:%M%:z").to_string())
    }
}

impl Default for TimeZone {
    fn default() -> Self {
        Self::utc()
    }
}

impl fmt::Display for TimeZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for TimeZone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for TimeZone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::named(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}
