//! Rollups: for each event and day, how many events there were and of which subjects.
//!
//! Counts add and sets unite, so that rollups of parts answer for the whole, whatever the parts are.

mod file;

use std::collections::BTreeMap;
use std::ops::Range;

use roaring::RoaringBitmap;

pub(in crate::columns) use file::{decode, decode_rows, open_sets, read_batches, read_set, schema, write_sets};
pub(crate) use file::{read_rollup, read_rollup_events, write_rollup};

/// Microseconds of a day of UTC.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// Days since 1970-01-01 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(i32);

impl Day {
    pub(crate) const fn new(number: i32) -> Self {
        Self(number)
    }

    /// The day of an instant.
    pub(crate) fn of(us: i64) -> Self {
        // 2^63 microseconds are some 10^8 days.
        Self(i32::try_from(us.div_euclid(DAY_US)).expect("invariant: every instant lies within 2^31 days"))
    }

    pub(crate) const fn number(self) -> i32 {
        self.0
    }

    /// Its first instant.
    pub(crate) fn start_us(self) -> i64 {
        i64::from(self.0) * DAY_US
    }
}

/// The rollup of some rows that are sorted by event, subject and timestamp.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Rollup {
    /// By name, ascending.
    events: Vec<EventRollup>,
    /// Of any event, by day, ascending.
    any: Vec<DayCell>,
}

/// The part of a rollup about one event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EventRollup {
    pub(crate) name: Box<str>,
    /// Its rows, of all those that the rollup is about.
    pub(crate) rows: Range<usize>,
    /// By day, ascending.
    pub(crate) days: Vec<DayCell>,
}

/// An event and its rows, of all those that a rollup is about.
pub(crate) type EventRows = (Box<str>, Range<usize>);

/// One day.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct DayCell {
    pub(crate) day: Day,
    /// How many events.
    pub(crate) count: u64,
    /// Who had them.
    pub(crate) subjects: RoaringBitmap,
}

impl Rollup {
    /// Of rows that `events` tells the names and numbers of, in their order; `rows` are the subject and the timestamp of each.
    pub(crate) fn of<'a>(
        events: impl Iterator<Item = (&'a str, usize)>,
        mut rows: impl Iterator<Item = (u32, i64)>,
    ) -> Self {
        let mut start = 0;
        let mut made = Vec::new();
        for (name, count) in events {
            let mut days: BTreeMap<Day, (u64, Vec<u32>)> = BTreeMap::new();
            for (subject, timestamp) in rows.by_ref().take(count) {
                let (events, subjects) = days.entry(Day::of(timestamp)).or_default();
                *events += 1;
                if subjects.last() != Some(&subject) {
                    subjects.push(subject);
                }
            }
            let days = days.into_iter().map(|(day, (count, subjects))| {
                let subjects = RoaringBitmap::from_sorted_iter(subjects);
                DayCell { day, count, subjects: subjects.expect("invariant: rows of an event are sorted by subject") }
            });
            made.push(EventRollup { name: name.into(), rows: start..start + count, days: days.collect() });
            start += count;
        }
        Self::from_events(made)
    }

    fn from_events(events: Vec<EventRollup>) -> Self {
        let mut any: BTreeMap<Day, (u64, RoaringBitmap)> = BTreeMap::new();
        for cell in events.iter().flat_map(|event| &event.days) {
            let (count, subjects) = any.entry(cell.day).or_default();
            *count += cell.count;
            *subjects |= &cell.subjects;
        }
        let any = any.into_iter().map(|(day, (count, subjects))| DayCell { day, count, subjects }).collect();
        Self { events, any }
    }

    /// By name, ascending.
    pub(crate) fn events(&self) -> &[EventRollup] {
        &self.events
    }

    /// Its events and their rows.
    pub(crate) fn event_rows(&self) -> Vec<EventRows> {
        self.events.iter().map(|event| (event.name.clone(), event.rows.clone())).collect()
    }

    pub(crate) fn event(&self, name: &str) -> Option<&EventRollup> {
        self.events.get(self.place(name)?)
    }

    /// The place of an event among all.
    pub(crate) fn place(&self, name: &str) -> Option<usize> {
        self.events.binary_search_by(|event| event.name.as_ref().cmp(name)).ok()
    }

    /// Of any event, by day, ascending.
    pub(crate) fn any(&self) -> &[DayCell] {
        &self.any
    }

    /// The cells of the days in `days`.
    pub(crate) fn within(cells: &[DayCell], days: &Range<Day>) -> Range<usize> {
        let start = cells.partition_point(|cell| cell.day < days.start);
        let end = cells.partition_point(|cell| cell.day < days.end);
        start..end.max(start)
    }

    /// Bytes in memory, nearly.
    pub(crate) fn bytes(&self) -> usize {
        let cells = self.events.iter().flat_map(|event| &event.days).chain(&self.any);
        let cells: usize = cells.map(|cell| size_of::<DayCell>() + cell.subjects.serialized_size()).sum();
        cells + self.events.len() * (size_of::<EventRollup>() + 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_subjects_are_by_day_for_each_event_and_for_any() {
        let day = |day: i32, hour: i64| Day::new(day).start_us() + hour * 3_600_000_000;
        let rows = [(1, day(0, 3)), (1, day(0, 4)), (7, day(-1, 23)), (1, day(1, 0)), (9, day(0, 23))];
        let rollup = Rollup::of([("cart", 3), ("view", 2)].into_iter(), rows.into_iter());
        let shown = |cells: &[DayCell]| -> Vec<(i32, u64, Vec<u32>)> {
            cells.iter().map(|cell| (cell.day.number(), cell.count, cell.subjects.iter().collect())).collect()
        };
        assert_eq!(shown(rollup.any()), [(-1, 1, vec![7]), (0, 3, vec![1, 9]), (1, 1, vec![1])]);
        let view = rollup.event("view").expect("it is there");
        assert_eq!((view.rows.clone(), shown(&view.days)), (3..5, vec![(0, 1, vec![9]), (1, 1, vec![1])]));
        assert_eq!(rollup.event("buy"), None);
        assert_eq!(Rollup::within(rollup.any(), &(Day::new(0)..Day::new(9))), 1..3);
        assert_eq!(Rollup::within(rollup.any(), &(Day::new(2)..Day::new(0))), 3..3);
    }
}
