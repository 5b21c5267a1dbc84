//! The calendar buckets of a range: their borders, their labels, and which one an instant lies in.

use jiff::{
    ToSpan,
    civil::{Date, Weekday},
};

use super::{Interval, ResolvedRange, TimeZone, WeekStart};
use crate::spec::SpecError;

/// The most buckets that a range may have.
pub const MAX_BUCKETS: usize = 100_000;

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;

/// The buckets of an interval that touch a range, in order.
///
/// The first and the last keep their full label and border where the range covers only a part of them. Buckets of
/// days and longer begin at the first instant of a local day. Those of hours and minutes begin where the local clock
/// shows a full hour or minute, and where the zone's offset changes: the hour that a clock repeats is two buckets.
///
/// ```
/// use pugmark_query::calendar::{Buckets, Interval, Moment, ResolvedRange, TimeZone, WeekStart};
///
/// let berlin = TimeZone::named("Europe/Berlin")?;
/// let from_us = Moment::from("2025-10-26T00:30:00Z").resolve(&berlin)?;
/// let to_us = Moment::from("2025-10-26T02:30:00Z").resolve(&berlin)?;
/// let hours = Buckets::new(ResolvedRange { from_us, to_us }, Interval::Hour, &berlin, WeekStart::Monday)?;
/// assert_eq!(hours.labels(), ["2025-10-26T02:00+02:00", "2025-10-26T02:00+01:00", "2025-10-26T03:00+01:00"]);
/// assert_eq!(hours.index_of(from_us), Some(0));
/// assert_eq!(hours.index_of(to_us), None);
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Buckets {
    range: ResolvedRange,
    /// The start of every bucket and, last, the end of the last; empty when the range is.
    borders: Vec<i64>,
    labels: Vec<String>,
    buckets_per_us: f64,
    interval: Interval,
    zone: TimeZone,
    week_start: WeekStart,
}

impl Buckets {
    /// Cuts `range` by the calendar of `zone`.
    ///
    /// # Errors
    /// `Invalid` if there would be more than [`MAX_BUCKETS`], or if the range leaves the calendar.
    pub fn new(
        range: ResolvedRange,
        interval: Interval,
        zone: &TimeZone,
        week_start: WeekStart,
    ) -> Result<Self, SpecError> {
        let mut cut = Cut { range, borders: Vec::new(), labels: Vec::new() };
        if range.from_us < range.to_us {
            match interval {
                Interval::Minute => cut.by_clock(MINUTE_US, interval, zone)?,
                Interval::Hour => cut.by_clock(HOUR_US, interval, zone)?,
                _ => cut.by_date(interval, zone, week_start)?,
            }
        }
        Ok(cut.finish(interval, zone.clone(), week_start))
    }

    /// The same buckets and those that follow until `to_us`; none where there are none.
    pub(crate) fn extended(&self, to_us: i64) -> Result<Self, SpecError> {
        if self.is_empty() || to_us <= self.range.to_us {
            return Ok(self.clone());
        }
        Self::new(ResolvedRange { to_us, ..self.range }, self.interval, &self.zone, self.week_start)
    }

    /// The range that was cut.
    pub fn range(&self) -> ResolvedRange {
        self.range
    }

    /// How many buckets there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether the range is empty.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The local start of each bucket: `2025-01-01`, for hours and minutes `2025-10-26T02:00+01:00`.
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The full extent of a bucket, whether or not the range covers it.
    pub fn extent(&self, index: usize) -> Option<ResolvedRange> {
        let (from_us, to_us) = (self.borders.get(index)?, self.borders.get(index + 1)?);
        Some(ResolvedRange { from_us: *from_us, to_us: *to_us })
    }

    /// The bucket of an instant, if that lies in the range.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a first guess, put right below"
    )]
    pub fn index_of(&self, us: i64) -> Option<usize> {
        if !self.range.contains(us) {
            return None;
        }
        // Buckets are nearly of one length, so the guess is off by one at most, save in zones with odd histories.
        let first = *self.borders.first()?;
        let mut index = (((us - first) as f64 * self.buckets_per_us) as usize).min(self.len() - 1);
        while self.borders.get(index).is_some_and(|start| us < *start) {
            index -= 1;
        }
        while self.borders.get(index + 1).is_some_and(|end| us >= *end) {
            index += 1;
        }
        Some(index)
    }
}

struct Cut {
    range: ResolvedRange,
    borders: Vec<i64>,
    labels: Vec<String>,
}

impl Cut {
    fn push(&mut self, start: i64, label: String, interval: Interval) -> Result<(), SpecError> {
        if self.labels.len() == MAX_BUCKETS {
            let name = interval.name();
            return Err(SpecError::invalid(format!(
                "the range has more than {MAX_BUCKETS} buckets of one {name}: shorten the range or widen the interval"
            ))
            .on("interval"));
        }
        self.borders.push(start);
        self.labels.push(label);
        Ok(())
    }

    fn by_clock(&mut self, unit_us: i64, interval: Interval, zone: &TimeZone) -> Result<(), SpecError> {
        let ResolvedRange { from_us, to_us } = self.range;
        let mut offset_us = zone.offset_us(from_us)?;
        let floor = |us: i64, offset_us: i64| (us + offset_us).div_euclid(unit_us) * unit_us - offset_us;
        let mut start = floor(from_us, offset_us);
        let mut changes = zone.offset_changes(start)?.peekable();
        while let Some((change, _)) = changes.next_if(|(change, _)| *change <= from_us) {
            start = change;
        }
        loop {
            self.push(start, zone.clock_label(start)?, interval)?;
            let mut end = floor(start, offset_us) + unit_us;
            if let Some((change, new_us)) = changes.next_if(|(change, _)| *change <= end) {
                (end, offset_us) = (change, new_us);
            }
            if end >= to_us {
                self.borders.push(end);
                return Ok(());
            }
            start = end;
        }
    }

    fn by_date(&mut self, interval: Interval, zone: &TimeZone, week_start: WeekStart) -> Result<(), SpecError> {
        let ResolvedRange { from_us, to_us } = self.range;
        let mut date = first_date(zone.date_of(from_us)?, interval, week_start)?;
        // Where a clock falls back over midnight, a date is shown again after the next one has begun.
        while zone.start_of(next_date(date, interval)?)? <= from_us {
            date = next_date(date, interval)?;
        }
        loop {
            let next = next_date(date, interval)?;
            let (start, end) = (zone.start_of(date)?, zone.start_of(next)?);
            // A day that a zone skipped has no instant and no bucket.
            if start < end {
                self.push(start, date.to_string(), interval)?;
            }
            if end >= to_us {
                self.borders.push(end);
                return Ok(());
            }
            date = next;
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "only a first guess is made of it")]
    fn finish(self, interval: Interval, zone: TimeZone, week_start: WeekStart) -> Buckets {
        let Self { range, borders, labels } = self;
        let length = borders.last().zip(borders.first()).map_or(1, |(last, first)| last - first);
        let buckets_per_us = labels.len() as f64 / length as f64;
        Buckets { range, borders, labels, buckets_per_us, interval, zone, week_start }
    }
}

fn beyond(date: Date) -> SpecError {
    SpecError::invalid(format!("the range leaves the calendar at {date}")).on("range")
}

fn first_date(date: Date, interval: Interval, week_start: WeekStart) -> Result<Date, SpecError> {
    let of_month = |month: i8| Date::new(date.year(), month, 1).map_err(|_| beyond(date));
    match interval {
        Interval::Week => {
            let first = match week_start {
                WeekStart::Monday => Weekday::Monday,
                WeekStart::Sunday => Weekday::Sunday,
            };
            date.checked_sub(i64::from(date.weekday().since(first)).days()).map_err(|_| beyond(date))
        }
        Interval::Month => of_month(date.month()),
        Interval::Quarter => of_month((date.month() - 1) / 3 * 3 + 1),
        Interval::Year => of_month(1),
        Interval::Minute | Interval::Hour | Interval::Day => Ok(date),
    }
}

fn next_date(date: Date, interval: Interval) -> Result<Date, SpecError> {
    let step = match interval {
        Interval::Week => 7.days(),
        Interval::Month => 1.month(),
        Interval::Quarter => 3.months(),
        Interval::Year => 1.year(),
        Interval::Minute | Interval::Hour | Interval::Day => 1.day(),
    };
    date.checked_add(step).map_err(|_| beyond(date))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Moment;

    fn buckets(from: &str, to: &str, interval: Interval, zone: &str) -> Buckets {
        let zone = TimeZone::named(zone).expect("the zone exists");
        let resolve = |text: &str| Moment::from(text).resolve(&zone).expect("the moment can be read");
        let range = ResolvedRange { from_us: resolve(from), to_us: resolve(to) };
        Buckets::new(range, interval, &zone, WeekStart::Monday).expect("the range can be cut")
    }

    fn hours_long(buckets: &Buckets) -> Vec<i64> {
        let extents = (0..buckets.len()).filter_map(|index| buckets.extent(index));
        extents.map(|extent| (extent.to_us - extent.from_us) / HOUR_US).collect()
    }

    #[test]
    fn days_have_the_length_of_their_zone() {
        assert_eq!(hours_long(&buckets("2025-03-29", "2025-04-01", Interval::Day, "Europe/Berlin")), [24, 23, 24]);
        assert_eq!(hours_long(&buckets("2025-10-25", "2025-10-28", Interval::Day, "Europe/Berlin")), [24, 25, 24]);
    }

    #[test]
    fn a_day_without_midnight_begins_after_the_gap() {
        let days = buckets("2018-11-03", "2018-11-05", Interval::Day, "America/Sao_Paulo");
        assert_eq!(days.labels(), ["2018-11-03", "2018-11-04"]);
        assert_eq!(hours_long(&days), [24, 23]);
    }

    #[test]
    fn a_day_that_a_zone_skipped_has_no_bucket() {
        let days = buckets("2011-12-29", "2012-01-01", Interval::Day, "Pacific/Apia");
        assert_eq!(days.labels(), ["2011-12-29", "2011-12-31"]);
    }

    #[test]
    fn a_clock_that_falls_back_over_midnight_shows_a_date_twice_and_counts_it_once() {
        // Havana sets its clock from 01:00 to 00:00; Sao Paulo did so from midnight to 23:00 of the day before.
        let days = buckets("2018-02-17T12:00:00Z", "2018-02-19", Interval::Day, "America/Sao_Paulo");
        assert_eq!((days.labels().len(), hours_long(&days)), (2, vec![25, 24]));
    }

    #[test]
    fn half_an_hour_that_the_clock_repeats_is_a_bucket_of_its_own() {
        let hours = buckets("2025-04-05T14:00:00Z", "2025-04-05T16:30:00Z", Interval::Hour, "Australia/Lord_Howe");
        assert_eq!(hours.labels(), ["2025-04-06T01:00+11:00", "2025-04-06T01:30+10:30", "2025-04-06T02:00+10:30"]);
    }

    #[test]
    fn weeks_quarters_and_years_keep_their_full_label_where_the_range_begins_within() {
        assert_eq!(buckets("2025-01-01", "2025-01-07", Interval::Week, "UTC").labels(), ["2024-12-30", "2025-01-06"]);
        assert_eq!(
            buckets("2025-02-03", "2025-04-02", Interval::Quarter, "UTC").labels(),
            ["2025-01-01", "2025-04-01"]
        );
        assert_eq!(buckets("2025-02-03", "2026-01-01", Interval::Year, "UTC").labels(), ["2025-01-01"]);
    }

    #[test]
    fn every_instant_of_the_range_is_found_by_its_borders() {
        for (interval, zone) in [
            (Interval::Hour, "Australia/Lord_Howe"),
            (Interval::Day, "America/New_York"),
            (Interval::Week, "Asia/Kolkata"),
            (Interval::Month, "Europe/Berlin"),
            (Interval::Year, "UTC"),
        ] {
            let buckets = buckets("2024-02-11T03:00:00Z", "2025-11-30T04:00:00Z", interval, zone);
            let range = buckets.range();
            for index in 0..buckets.len() {
                let extent = buckets.extent(index).expect("the index is one of the buckets");
                for us in [extent.from_us, extent.from_us + 1, extent.to_us - 1] {
                    assert_eq!(buckets.index_of(us), range.contains(us).then_some(index));
                }
            }
        }
    }

    #[test]
    fn too_many_buckets_are_refused() {
        let range = ResolvedRange { from_us: 0, to_us: MINUTE_US * 200_000 };
        let error = Buckets::new(range, Interval::Minute, &TimeZone::utc(), WeekStart::Monday).expect_err("too many");
        assert!(error.message.contains("more than 100000 buckets of one minute"), "{error}");
    }

    #[test]
    fn an_empty_range_has_no_bucket() {
        let buckets = buckets("2025-01-01", "2025-01-01", Interval::Day, "UTC");
        assert!(buckets.is_empty());
        assert_eq!(buckets.index_of(buckets.range().from_us), None);
    }
}
