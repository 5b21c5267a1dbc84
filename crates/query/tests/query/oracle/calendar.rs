//! The calendar, walked step by step.

use jiff::{Timestamp, ToSpan, civil::Date, tz::TimeZone};
use serde_json::Value;

use super::{Flip, Rules, Surroundings};

const MINUTE_US: i64 = 60_000_000;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;

/// The range, the zone and the buckets of a question.
pub(crate) struct Time {
    pub(crate) from_us: i64,
    pub(crate) to_us: i64,
    pub(crate) now_us: i64,
    pub(crate) interval: String,
    pub(crate) rules: Rules,
    sunday: bool,
    zone: TimeZone,
}

fn zoned(us: i64, zone: &TimeZone) -> jiff::Zoned {
    Timestamp::from_microsecond(us).expect("the instant is in the calendar").to_zoned(zone.clone())
}

/// The date that the clocks of a zone show.
pub(crate) fn local_date(us: i64, zone: &str) -> String {
    zoned(us, &TimeZone::get(zone).expect("the zone exists")).date().to_string()
}

/// The first instant at which the clocks of a zone show this date or a later one, to the quarter of an hour.
pub(crate) fn first_instant_of(date: &str, zone: &str) -> i64 {
    first_instant(date.parse().expect("the text is a date"), &TimeZone::get(zone).expect("the zone exists"))
}

fn first_instant(date: Date, zone: &TimeZone) -> i64 {
    let utc = date.to_zoned(TimeZone::UTC).expect("the date is in the calendar").timestamp().as_microsecond();
    let quarters = (-15 * 4..15 * 4).map(|quarter| utc + quarter * 15 * MINUTE_US);
    quarters.into_iter().find(|us| zoned(*us, zone).date() >= date).expect("no zone is further from UTC than 15 hours")
}

impl Time {
    pub(crate) fn of(analysis: &Value, around: Surroundings, rules: Rules) -> Self {
        let utc = rules.flip(Flip::CalendarOfUtc);
        let name = analysis["time_zone"].as_str().filter(|_| !utc).unwrap_or("UTC");
        let zone = TimeZone::get(name).expect("the zone exists");
        let end = |name: &str, missing: i64| match analysis["range"][name].as_str() {
            Some(text) if text.contains('T') => text.parse::<Timestamp>().expect("an instant").as_microsecond(),
            Some(text) => first_instant(text.parse().expect("a date"), &zone),
            None => missing,
        };
        let (from_us, to_us) = (end("from", around.data_us.0), end("to", around.data_us.1));
        Self {
            from_us,
            to_us,
            now_us: around.now_us,
            interval: analysis["interval"].as_str().unwrap_or("day").to_owned(),
            rules,
            sunday: (analysis["week_start"] == "sunday") != rules.flip(Flip::WeekStartsOtherDay),
            zone,
        }
    }

    pub(crate) fn in_range(&self, us: i64) -> bool {
        let after = if self.rules.flip(Flip::RangeStartExclusive) { us > self.from_us } else { us >= self.from_us };
        let before = if self.rules.flip(Flip::RangeEndInclusive) { us <= self.to_us } else { us < self.to_us };
        after && before
    }

    /// The label of the bucket of an instant: the start of its local minute, hour, day, week and so on.
    pub(crate) fn bucket_of(&self, us: i64) -> String {
        match self.interval.as_str() {
            "minute" => self.start_of_clock_unit(us, true),
            "hour" => self.start_of_clock_unit(us, false),
            "day" if self.rules.flip(Flip::DayOf24Hours) => {
                let first = zoned(self.from_us, &self.zone).date();
                let days = (us - first_instant(first, &self.zone)).div_euclid(DAY_US);
                first.checked_add(days.days()).expect("the date is in the calendar").to_string()
            }
            interval => self.start_of_date(zoned(us, &self.zone).date(), interval).to_string(),
        }
    }

    fn start_of_date(&self, mut date: Date, interval: &str) -> Date {
        let is_start = |date: Date| match interval {
            "day" => true,
            "week" if self.sunday => date.weekday() == jiff::civil::Weekday::Sunday,
            "week" => date.weekday() == jiff::civil::Weekday::Monday,
            "month" => date.day() == 1,
            "quarter" => date.day() == 1 && [1, 4, 7, 10].contains(&date.month()),
            "year" => date.day() == 1 && date.month() == 1,
            other => panic!("the oracle knows no interval {other}"),
        };
        while !is_start(date) {
            date = date.yesterday().expect("the date is in the calendar");
        }
        date
    }

    /// Goes back by the minute as long as the clock shows the same hour (or minute) at the same offset.
    fn start_of_clock_unit(&self, us: i64, by_minute: bool) -> String {
        let shown = |us: i64| {
            let at = zoned(us, &self.zone);
            (at.date(), at.hour(), by_minute.then_some(at.minute()), at.offset())
        };
        let (here, mut start) = (shown(us), us - us.rem_euclid(MINUTE_US));
        while shown(start - MINUTE_US) == here {
            start -= MINUTE_US;
        }
        zoned(start, &self.zone).strftime("%Y-%m-%dT%H:%M%:z").to_string()
    }

    /// The labels of all buckets that touch the range, in order.
    pub(crate) fn buckets(&self) -> Vec<String> {
        self.buckets_until(self.to_us)
    }

    /// The same, of the time until an instant.
    pub(crate) fn buckets_until(&self, to_us: i64) -> Vec<String> {
        let step = match self.interval.as_str() {
            "minute" => MINUTE_US,
            "hour" => 15 * MINUTE_US,
            _ => 6 * HOUR_US,
        };
        let mut labels: Vec<String> = Vec::new();
        let mut at = self.from_us;
        while at < to_us {
            labels.push(self.bucket_of(at));
            at += step;
        }
        if self.from_us < to_us {
            labels.push(self.bucket_of(to_us - 1));
        }
        labels.dedup();
        labels
    }

    /// The labels of so many buckets before the first one that touches the range, in order.
    pub(crate) fn buckets_before(&self, count: usize) -> Vec<String> {
        let step = match self.interval.as_str() {
            "minute" => MINUTE_US,
            "hour" => 15 * MINUTE_US,
            _ => 6 * HOUR_US,
        };
        let (mut at, mut labels) = (self.from_us, vec![self.bucket_of(self.from_us)]);
        while labels.len() <= count {
            at -= step;
            let label = self.bucket_of(at);
            if labels.last() != Some(&label) {
                labels.push(label);
            }
        }
        labels.remove(0);
        labels.reverse();
        labels
    }

    /// The local date or time of an instant, untruncated.
    pub(crate) fn label_of_instant(&self, us: i64) -> String {
        let at = zoned(us, &self.zone);
        match self.interval.as_str() {
            "minute" | "hour" => at.strftime("%Y-%m-%dT%H:%M%:z").to_string(),
            _ => at.date().to_string(),
        }
    }

    pub(crate) fn end_of_local_day(&self, us: i64) -> i64 {
        first_instant(zoned(us, &self.zone).date().tomorrow().expect("the date is in the calendar"), &self.zone)
    }

    /// The last instant of the range in a bucket, which is found by halves as time goes from bucket to bucket.
    pub(crate) fn last_us_of(&self, row: usize, buckets: &[String]) -> i64 {
        let is_later = |us: i64| {
            let label = self.bucket_of(us);
            buckets.iter().position(|other| *other == label).is_some_and(|bucket| bucket > row)
        };
        let (mut last, mut after) = (self.from_us, self.to_us);
        while after - last > 1 {
            let middle = last + (after - last) / 2;
            if is_later(middle) { after = middle } else { last = middle }
        }
        last
    }

    /// The length of the interval where periods are spans.
    pub(crate) fn span_us(&self) -> i64 {
        match self.interval.as_str() {
            "hour" => HOUR_US,
            "day" => DAY_US,
            "week" => 7 * DAY_US,
            _ => 30 * DAY_US,
        }
    }
}

/// Microseconds of a duration such as `7d`.
pub(crate) fn duration_us(text: &str) -> i64 {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).expect("a duration has a unit");
    let number: i64 = text[..unit_at].parse().expect("a duration has a number");
    number
        * match &text[unit_at..] {
            "ms" => 1_000,
            "s" => 1_000_000,
            "m" => MINUTE_US,
            "h" => HOUR_US,
            "d" => DAY_US,
            "w" => 7 * DAY_US,
            other => panic!("the oracle knows no unit {other}"),
        }
}
