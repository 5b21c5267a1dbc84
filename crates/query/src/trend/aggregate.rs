//! Counts and sets per (series, breakdown value, bucket): they add up and unite, so parts can be merged in any order.

use std::ops::Range;

use hashbrown::HashMap;
use roaring::{MultiOps, RoaringBitmap};

use super::{Measure, Number, SeriesResult, Sum};
use crate::spec::{GroupLabel, Split};

type ByBucket<T> = HashMap<usize, T, foldhash::fast::RandomState>;

/// What one series has in one breakdown group.
#[derive(Debug, Clone)]
enum Cells {
    Count(ByBucket<u64>),
    Uniques(ByBucket<RoaringBitmap>),
    /// The units of each bucket, those that are only looked back to included, and those of the range.
    Rolling(ByBucket<RoaringBitmap>, RoaringBitmap),
    Sum(ByBucket<Sum>),
}

impl Cells {
    fn new(measure: Measure, rolls: bool) -> Self {
        match measure {
            Measure::Count => Self::Count(ByBucket::default()),
            Measure::Uniques if rolls => Self::Rolling(ByBucket::default(), RoaringBitmap::new()),
            Measure::Uniques => Self::Uniques(ByBucket::default()),
            Measure::Sum => Self::Sum(ByBucket::default()),
        }
    }

    fn merge(&mut self, other: &Self) {
        match (self, other) {
            (Self::Count(here), Self::Count(there)) => {
                for (bucket, count) in there {
                    *here.entry(*bucket).or_default() += count;
                }
            }
            (Self::Uniques(here), Self::Uniques(there)) => {
                for (bucket, units) in there {
                    *here.entry(*bucket).or_default() |= units;
                }
            }
            (Self::Rolling(here, all), Self::Rolling(there, theirs)) => {
                for (bucket, units) in there {
                    *here.entry(*bucket).or_default() |= units;
                }
                *all |= theirs;
            }
            (Self::Sum(here), Self::Sum(there)) => {
                for (bucket, sum) in there {
                    *here.entry(*bucket).or_default() += *sum;
                }
            }
            _ => unreachable!("both sides were made for the same series"),
        }
    }

    fn total(&self) -> Number {
        match self {
            Self::Count(counts) => Number::Count(counts.values().sum()),
            Self::Uniques(sets) => Number::Count(sets.values().union().len()),
            Self::Rolling(_, all) => Number::Count(all.len()),
            Self::Sum(sums) => {
                let mut all = Sum::default();
                sums.values().for_each(|sum| all += *sum);
                Number::Real(all.value())
            }
        }
    }

    /// Of the buckets in `range`; a rolling series has so many in one value.
    fn values(&self, range: &Range<usize>, rolling: Option<usize>) -> Vec<Number> {
        let value = |bucket| match self {
            Self::Count(counts) => Number::Count(counts.get(&bucket).copied().unwrap_or(0)),
            Self::Uniques(sets) | Self::Rolling(sets, _) => {
                Number::Count(sets.get(&bucket).map_or(0, RoaringBitmap::len))
            }
            Self::Sum(sums) => Number::Real(sums.get(&bucket).copied().unwrap_or_default().value()),
        };
        match (self, rolling) {
            (Self::Rolling(sets, _), Some(length)) => {
                let empty = RoaringBitmap::new();
                let of = |bucket: usize| sets.get(&bucket).unwrap_or(&empty);
                super::rolling::counts(range, length, of).into_iter().map(Number::Count).collect()
            }
            _ => range.clone().map(value).collect(),
        }
    }
}

/// Accumulates a trend from events, or from sets of units that are known already.
///
/// Units are dense numbers of persons or distinct ids. Groups are the numbers of
/// [`Groups`](crate::spec::Groups); without a breakdown, 0.
///
/// ```
/// use pugmark_query::trend::{Aggregate, Measure};
///
/// let mut trend = Aggregate::new(&[Measure::Count, Measure::Uniques], 2);
/// for (bucket, unit) in [(0, 7), (0, 7), (1, 7)] {
///     trend.add(0, 0, bucket, unit);
///     trend.add(1, 0, bucket, unit);
/// }
/// let series = trend.finish(&["purchases".into(), "buyers".into()], None);
/// assert_eq!((&series[0].values, series[0].total), (&vec![2.into(), 1.into()], 3.into()));
/// assert_eq!((&series[1].values, series[1].total), (&vec![1.into(), 1.into()], 1.into()));
/// ```
#[derive(Debug, Clone)]
pub struct Aggregate {
    measures: Vec<Measure>,
    /// Those of the answer: before them come those that only rolling series look back to.
    buckets: Range<usize>,
    rolling: Vec<Option<usize>>,
    groups: Vec<Option<Box<[Cells]>>>,
}

impl Aggregate {
    /// An empty trend of these series over that many buckets.
    pub fn new(measures: &[Measure], buckets: usize) -> Self {
        Self {
            measures: measures.to_vec(),
            buckets: 0..buckets,
            rolling: vec![None; measures.len()],
            groups: Vec::new(),
        }
    }

    /// The same with `before` more buckets, which come first, are not in the answer, and are what the series look back to that roll over so many buckets.
    #[must_use]
    pub fn looking_back(mut self, before: usize, rolling: &[Option<usize>]) -> Self {
        self.buckets = before..before + self.buckets.len();
        self.rolling = rolling.to_vec();
        self
    }

    /// Adds one event of `unit` to a series; to a sum it adds nothing.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn add(&mut self, series: usize, group: u32, bucket: usize, unit: u32) {
        self.add_events(series, group, bucket, unit, 1);
    }

    /// Adds so many events of `unit` to a series; to a sum they add nothing.
    pub(crate) fn add_events(&mut self, series: usize, group: u32, bucket: usize, unit: u32, events: u64) {
        match self.cells(series, group) {
            Cells::Sum(_) => {}
            Cells::Rolling(sets, all) => {
                sets.entry(bucket).or_default().insert(unit);
                all.insert(unit);
            }
            Cells::Count(counts) => *counts.entry(bucket).or_default() += events,
            Cells::Uniques(sets) => {
                sets.entry(bucket).or_default().insert(unit);
            }
        }
    }

    /// Adds a sum of numbers to a series that sums.
    pub(crate) fn add_sum(&mut self, series: usize, group: u32, bucket: usize, sum: Sum) {
        if let Cells::Sum(sums) = self.cells(series, group) {
            *sums.entry(bucket).or_default() += sum;
        }
    }

    /// Adds one event of `unit` before the range to a series that rolls.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn look_back(&mut self, series: usize, group: u32, bucket: usize, unit: u32) {
        if let Cells::Rolling(sets, _) = self.cells(series, group) {
            sets.entry(bucket).or_default().insert(unit);
        }
    }

    /// Adds the number that an event has to a series that sums.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn add_number(&mut self, series: usize, group: u32, bucket: usize, number: f64) {
        if let Cells::Sum(sums) = self.cells(series, group) {
            sums.entry(bucket).or_default().add(number);
        }
    }

    /// Adds `events` events of the set `units` to a series, as a rollup knows them.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn add_set(&mut self, series: usize, group: u32, bucket: usize, events: u64, units: &RoaringBitmap) {
        match self.cells(series, group) {
            Cells::Count(counts) => *counts.entry(bucket).or_default() += events,
            Cells::Uniques(sets) => *sets.entry(bucket).or_default() |= units,
            Cells::Rolling(sets, all) => {
                *sets.entry(bucket).or_default() |= units;
                *all |= units;
            }
            Cells::Sum(_) => {}
        }
    }

    /// Adds another part of the same trend, whose group *n* is the group `numbers[n]` here
    /// (as [`Groups::absorb`](crate::spec::Groups::absorb) says); without a breakdown `&[0]`.
    ///
    /// # Panics
    /// If a group of `other` has no number here.
    pub fn merge(&mut self, other: &Self, numbers: &[u32]) {
        for (number, cells) in other.groups.iter().enumerate() {
            let Some(cells) = cells else { continue };
            let group = *numbers.get(number).expect("every group of the other part has a number here");
            for (series, there) in cells.iter().enumerate() {
                self.cells(series, group).merge(there);
            }
        }
    }

    fn cells(&mut self, series: usize, group: u32) -> &mut Cells {
        let group = group as usize;
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, || None);
        }
        let slot = self.groups.get_mut(group).expect("the list was lengthened above");
        let cells = slot.get_or_insert_with(|| empty(&self.measures, &self.rolling));
        cells.get_mut(series).expect("series are numbered as their measures")
    }

    /// The values of every series, by series and then by group: the groups ranked by the first series' total, ties by
    /// value ascending, those beyond the limit united exactly into *other*.
    ///
    /// Without a split there is one group, whatever numbers were added, also when nothing was.
    pub fn finish(self, names: &[String], split: Option<Split<'_>>) -> Vec<SeriesResult> {
        let mut shown: Vec<(Option<GroupLabel>, Box<[Cells]>)> = Vec::new();
        match split {
            None => {
                let all = 0..self.groups.len();
                shown.push((None, self.united(all)));
            }
            Some(split) => {
                let filled = self.groups.iter().enumerate().filter_map(|(number, cells)| {
                    let total = cells.as_ref()?.first().map_or(Number::Count(0), Cells::total);
                    Some((u32::try_from(number).expect("group numbers are u32"), total))
                });
                let folded = split.fold(filled);
                for number in folded.kept {
                    shown.push((Some(split.label(number)), self.united([number as usize])));
                }
                if !folded.rest.is_empty() {
                    let rest = folded.rest.into_iter().map(|number| number as usize);
                    shown.push((Some(GroupLabel::Other), self.united(rest)));
                }
            }
        }
        let mut results = Vec::with_capacity(names.len() * shown.len());
        for (series, name) in names.iter().enumerate() {
            for (label, cells) in &shown {
                let cells = cells.get(series).expect("one name for each measure");
                results.push(SeriesResult {
                    name: name.clone(),
                    breakdown: label.clone(),
                    values: cells.values(&self.buckets, self.rolling.get(series).copied().flatten()),
                    total: cells.total(),
                });
            }
        }
        results
    }

    fn united(&self, numbers: impl IntoIterator<Item = usize>) -> Box<[Cells]> {
        let mut united = empty(&self.measures, &self.rolling);
        for group in numbers.into_iter().filter_map(|number| self.groups.get(number)?.as_ref()) {
            for (here, there) in united.iter_mut().zip(group) {
                here.merge(there);
            }
        }
        united
    }
}

fn empty(measures: &[Measure], rolling: &[Option<usize>]) -> Box<[Cells]> {
    measures.iter().zip(rolling).map(|(measure, rolling)| Cells::new(*measure, rolling.is_some())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Groups;

    #[test]
    fn sets_and_single_events_come_to_the_same() {
        let mut by_event = Aggregate::new(&[Measure::Count, Measure::Uniques], 3);
        let mut by_set = by_event.clone();
        for (bucket, unit) in [(0, 1), (0, 1), (0, 2), (2, 2)] {
            by_event.add(0, 0, bucket, unit);
            by_event.add(1, 0, bucket, unit);
        }
        for (bucket, events, units) in [(0, 3, [1, 2].as_slice()), (2, 1, [2].as_slice())] {
            let units: RoaringBitmap = units.iter().copied().collect();
            by_set.add_set(0, 0, bucket, events, &units);
            by_set.add_set(1, 0, bucket, events, &units);
        }
        let names = ["events".to_owned(), "people".to_owned()];
        let series = by_event.finish(&names, None);
        assert_eq!(series, by_set.finish(&names, None));
        assert_eq!((series[0].total, series[1].total), (4.into(), 2.into()));
        assert_eq!(series[1].values, [2, 0, 1]);
    }

    #[test]
    fn a_merged_part_keeps_its_groups_under_the_numbers_of_the_whole() {
        let (mut here, mut there) = (Groups::default(), Groups::default());
        let mut whole = Aggregate::new(&[Measure::Uniques], 1);
        whole.add(0, here.intern(&["DE".into()]), 0, 1);
        let mut part = Aggregate::new(&[Measure::Uniques], 1);
        part.add(0, there.intern(&["US".into()]), 0, 2);
        part.add(0, there.intern(&["DE".into()]), 0, 3);
        whole.merge(&part, &here.absorb(&there));
        let series = whole.finish(&["people".to_owned()], Some(Split { groups: &here, limit: 1 }));
        assert_eq!(series[0].breakdown, Some(GroupLabel::Values(vec!["DE".into()])));
        assert_eq!((series[0].total, series[1].total), (2.into(), 1.into()));
        assert_eq!(series[1].breakdown, Some(GroupLabel::Other));
    }

    #[test]
    fn without_a_breakdown_there_is_a_group_and_with_one_there_is_none_when_nothing_matched() {
        let empty = Aggregate::new(&[Measure::Count], 2);
        let names = ["events".to_owned()];
        assert_eq!(empty.clone().finish(&names, None)[0].values, [0, 0]);
        assert!(empty.finish(&names, Some(Split { groups: &Groups::default(), limit: 25 })).is_empty());
    }
}
