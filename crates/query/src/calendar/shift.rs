//! How far back the range lies that a range is compared with.

use jiff::{Span as CivilSpan, ToSpan, civil::Date};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{Buckets, Interval, ResolvedRange, Span, TimeZone, WeekStart};
use crate::spec::{Fields, FromJson, Known, Place, SpecError};

/// Which earlier range a question is asked of besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    /// The one of the same length that ends where this begins.
    Previous,
    /// The one that lies so far back.
    Shift(Shift),
}

/// A distance in time: a duration, or so many calendar months.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shift {
    /// So long; of whole days where the range begins and ends with a local day.
    Span(Span),
    /// So many calendar months: `mo`, `q` or `y` of the JSON form.
    Months(u32),
}

/// The longest distance in months: a thousand years.
const MAX_MONTHS: u32 = 12_000;
const DAY_US: i64 = 86_400_000_000;

impl Compare {
    /// The earlier range. Where both ends of `range` lie on borders of its intervals it is moved by whole ones, else by its length.
    ///
    /// # Errors
    /// `Invalid` if it would begin before the calendar does, or has more buckets than a range may have.
    pub fn earlier(
        self,
        range: ResolvedRange,
        interval: Interval,
        zone: &TimeZone,
        week_start: WeekStart,
    ) -> Result<ResolvedRange, SpecError> {
        let moved = |by_us: i64| {
            let from_us = range.from_us.checked_sub(by_us);
            let range = from_us.map(|from_us| ResolvedRange { from_us, to_us: range.to_us - by_us });
            range.ok_or_else(|| SpecError::invalid("the range to compare with lies beyond the calendar"))
        };
        match self {
            Self::Previous => {
                let buckets = Buckets::new(range, interval, zone, week_start)?;
                let (first, last) = (buckets.extent(0), buckets.extent(buckets.len().saturating_sub(1)));
                let is_whole = first.is_some_and(|first| first.from_us == range.from_us)
                    && last.is_some_and(|last| last.to_us == range.to_us);
                let count = i64::try_from(buckets.len()).unwrap_or(i64::MAX);
                match units_of(interval, count).filter(|_| is_whole) {
                    Some(back) => {
                        let from_us = zone.start_of(earlier_date(zone.date_of(range.from_us)?, back)?)?;
                        Ok(ResolvedRange { from_us, to_us: range.from_us })
                    }
                    None => moved(range.to_us - range.from_us),
                }
            }
            Self::Shift(shift) => {
                let back = match (shift, interval) {
                    // A year of weeks is 52 of them, so that each is compared with a whole one.
                    (Shift::Months(months), Interval::Week) if months % 12 == 0 => {
                        units_of(Interval::Week, i64::from(months / 12) * 52)
                    }
                    (Shift::Months(months), _) => Some(i64::from(months).months()),
                    (Shift::Span(span), _) if span.as_us() % DAY_US == 0 => Some((span.as_us() / DAY_US).days()),
                    (Shift::Span(_), _) => None,
                };
                let begins_day = |us: i64| Ok::<_, SpecError>(zone.start_of(zone.date_of(us)?)? == us);
                match (back, shift) {
                    (Some(back), _) if begins_day(range.from_us)? && begins_day(range.to_us)? => {
                        let earlier = |us: i64| zone.start_of(earlier_date(zone.date_of(us)?, back)?);
                        Ok(ResolvedRange { from_us: earlier(range.from_us)?, to_us: earlier(range.to_us)? })
                    }
                    (Some(back), Shift::Months(_)) => {
                        let earlier = |us: i64| zone.earlier(us, back);
                        Ok(ResolvedRange { from_us: earlier(range.from_us)?, to_us: earlier(range.to_us)? })
                    }
                    (_, Shift::Span(span)) => moved(span.as_us()),
                    (None, Shift::Months(_)) => moved(0),
                }
            }
        }
    }
}

/// So many calendar units of days and longer.
fn units_of(interval: Interval, count: i64) -> Option<CivilSpan> {
    match interval {
        Interval::Minute | Interval::Hour => None,
        Interval::Day => Some(count.days()),
        Interval::Week => Some((count * 7).days()),
        Interval::Month => Some(count.months()),
        Interval::Quarter => Some((count * 3).months()),
        Interval::Year => Some((count * 12).months()),
    }
}

fn earlier_date(date: Date, back: CivilSpan) -> Result<Date, SpecError> {
    date.checked_sub(back).map_err(|_| SpecError::invalid("the range to compare with lies beyond the calendar"))
}

impl Serialize for Compare {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let shift = match self {
            Self::Previous => return serializer.serialize_str("previous"),
            Self::Shift(Shift::Span(span)) => span.to_string(),
            Self::Shift(Shift::Months(months)) => format!("{months}mo"),
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("shift", &shift)?;
        map.end()
    }
}

impl FromJson for Compare {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["shift"]] };
        if let Some(word) = value.as_str() {
            return match word {
                "previous" => Ok(Self::Previous),
                other => {
                    Err(place.invalid(format_args!("must be previous or {{\"shift\": \"1y\"}}, found \"{other}\"")))
                }
            };
        }
        let fields = Fields::open(value, place, &KNOWN)?;
        Ok(Self::Shift(fields.require("shift")?))
    }
}

impl FromJson for Shift {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let text = String::from_json(value, place)?;
        let months = [("mo", 1), ("q", 3), ("y", 12)].into_iter().find_map(|(unit, months)| {
            let count: u32 = text.strip_suffix(unit)?.parse().ok()?;
            count.checked_mul(months)
        });
        let shift = match months {
            Some(months) if months > MAX_MONTHS => {
                return Err(place.invalid(format_args!("must be at most {MAX_MONTHS} months, found \"{text}\"")));
            }
            Some(months) => Self::Months(months),
            None => Self::Span(text.parse().map_err(|_| {
                place.invalid(format_args!("must be a number and ms, s, m, h, d, w, mo, q or y, found \"{text}\""))
            })?),
        };
        if matches!(shift, Self::Months(0)) || shift == Self::Span(Span::default()) {
            return Err(place.invalid("must not be nothing"));
        }
        Ok(shift)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Moment, days, hours};

    fn earlier(compare: Compare, from: &str, to: &str, interval: Interval) -> [String; 2] {
        let zone = TimeZone::named("Europe/Berlin").expect("it is known");
        let us = |text: &str| Moment::from(text).resolve(&zone).expect("it is a moment");
        let range = ResolvedRange { from_us: us(from), to_us: us(to) };
        let found = compare.earlier(range, interval, &zone, WeekStart::Monday).expect("it is in the calendar");
        let local = |us: i64| jiff::Timestamp::from_microsecond(us).expect("it is an instant").to_string();
        [local(found.from_us), local(found.to_us)]
    }

    #[test]
    fn whole_intervals_move_by_the_calendar_and_the_rest_by_its_length() {
        let march = earlier(Compare::Previous, "2025-03-01", "2025-04-01", Interval::Month);
        assert_eq!(march, ["2025-01-31T23:00:00Z", "2025-02-28T23:00:00Z"]);
        // The clock changes on March 30th: a day of 23 hours is compared with one of 24.
        let days_before = earlier(Compare::Previous, "2025-03-30", "2025-03-31", Interval::Day);
        assert_eq!(days_before, ["2025-03-28T23:00:00Z", "2025-03-29T23:00:00Z"]);
        let part = earlier(Compare::Previous, "2025-03-30T10:00:00Z", "2025-03-30T16:00:00Z", Interval::Day);
        assert_eq!(part, ["2025-03-30T04:00:00Z", "2025-03-30T10:00:00Z"]);
    }

    #[test]
    fn shifts_are_of_days_months_and_lengths() {
        let year = Compare::Shift(Shift::Months(12));
        let leap = earlier(year, "2025-02-01", "2025-03-01", Interval::Day);
        assert_eq!(leap, ["2024-01-31T23:00:00Z", "2024-02-29T23:00:00Z"]);
        let weeks = earlier(year, "2025-01-06", "2025-01-13", Interval::Week);
        assert_eq!(weeks, ["2024-01-07T23:00:00Z", "2024-01-14T23:00:00Z"]);
        let week = earlier(Compare::Shift(Shift::Span(days(7))), "2025-03-30", "2025-04-01", Interval::Day);
        assert_eq!(week, ["2025-03-22T23:00:00Z", "2025-03-24T23:00:00Z"]);
        let hour = earlier(Compare::Shift(Shift::Span(hours(1))), "2025-03-30", "2025-03-31", Interval::Hour);
        assert_eq!(hour, ["2025-03-29T22:00:00Z", "2025-03-30T21:00:00Z"]);
    }
}
