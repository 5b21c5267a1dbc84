//! Measures per (series, breakdown value, bucket): they add up and unite, so parts can be merged in any order.

use std::ops::Range;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;
use roaring::RoaringBitmap;

use super::cell::{Cell, ENTRY_BYTES};
use super::{Measure, Number, SeriesResult, Sum};
use crate::spec::{GroupLabel, Split};

type ByBucket<T> = HashMap<usize, T, foldhash::fast::RandomState>;

/// Bytes that a unit's first event takes, nearly.
const FIRST_BYTES: usize = 64;

/// What is asked of one series.
#[derive(Debug, Clone, Copy)]
struct Kind {
    measure: Measure,
    /// Over how many buckets it rolls.
    rolling: Option<usize>,
    cumulative: bool,
}

/// What one series has in one breakdown group.
#[derive(Debug, Clone, Default)]
struct Cells {
    /// Those that are only looked back to included.
    buckets: ByBucket<Cell>,
    /// The units of the range, where there is something to look back to.
    all: RoaringBitmap,
}

impl Cells {
    fn merge(&mut self, other: &Self, measure: Measure, keys: &[u32]) {
        for (bucket, there) in &other.buckets {
            self.buckets.entry(*bucket).or_insert_with(|| Cell::empty(measure)).merge(there, keys);
        }
        self.all |= &other.all;
    }

    fn total(&self, kind: Kind) -> Number {
        match kind.rolling {
            Some(_) => Number::Count(self.all.len()),
            None => self.united(kind).number(kind.measure),
        }
    }

    fn united(&self, kind: Kind) -> Cell {
        Cell::united(kind.measure, self.buckets.values())
    }

    /// Of the buckets in `range`.
    fn values(&mut self, range: &Range<usize>, kind: Kind) -> Vec<Number> {
        let Kind { measure, rolling, cumulative } = kind;
        if let Some(length) = rolling {
            let empty = RoaringBitmap::new();
            let of = |bucket: usize| self.buckets.get(&bucket).and_then(Cell::units).unwrap_or(&empty);
            return super::rolling::counts(range, length, of).into_iter().map(Number::Count).collect();
        }
        if cumulative {
            let mut so_far = Cell::empty(measure);
            let value = |bucket: usize| {
                if let Some(own) = self.buckets.get(&bucket) {
                    so_far.merge(own, &[]);
                }
                so_far.number(measure)
            };
            return range.clone().map(value).collect();
        }
        let value = |bucket: usize| match self.buckets.get_mut(&bucket) {
            Some(own) => own.number(measure),
            None => Cell::empty(measure).number(measure),
        };
        range.clone().map(value).collect()
    }
}

/// The first event of a unit.
#[derive(Debug, Clone, Copy)]
struct First {
    /// Timestamp and sequence.
    order: (i64, u64),
    group: u32,
    /// None outside the range.
    bucket: Option<usize>,
}

type Firsts = HashMap<u32, First, foldhash::fast::RandomState>;

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
    kinds: Vec<Kind>,
    /// Those of the answer: before them come those that only rolling series look back to.
    buckets: Range<usize>,
    groups: Vec<Option<Box<[Cells]>>>,
    /// For each series, the first event of each unit, where that is what it counts.
    firsts: Vec<Firsts>,
    bytes: usize,
}

impl Aggregate {
    /// An empty trend of these series over that many buckets.
    pub fn new(measures: &[Measure], buckets: usize) -> Self {
        let kind = |measure: &Measure| Kind { measure: *measure, rolling: None, cumulative: false };
        Self {
            kinds: measures.iter().map(kind).collect(),
            buckets: 0..buckets,
            groups: Vec::new(),
            firsts: vec![Firsts::default(); measures.len()],
            bytes: 0,
        }
    }

    /// The same with `before` more buckets, which come first, are not in the answer, and are what the series look back to that roll over so many buckets.
    #[must_use]
    pub fn looking_back(mut self, before: usize, rolling: &[Option<usize>]) -> Self {
        self.buckets = before..before + self.buckets.len();
        self.kinds.iter_mut().zip(rolling).for_each(|(kind, rolling)| kind.rolling = *rolling);
        self
    }

    /// The same where each bucket of these series counts with all before it.
    #[must_use]
    pub fn cumulative(mut self, cumulative: &[bool]) -> Self {
        self.kinds.iter_mut().zip(cumulative).for_each(|(kind, cumulative)| kind.cumulative = *cumulative);
        self
    }

    /// Adds one event of `unit` to a series, save what is measured of its property, and save the first of all history.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn add(&mut self, series: usize, group: u32, bucket: usize, unit: u32) {
        self.add_events(series, group, bucket, unit, 1);
    }

    /// Adds so many events of `unit` to a series.
    pub(crate) fn add_events(&mut self, series: usize, group: u32, bucket: usize, unit: u32, events: u64) {
        let kind = self.kind(series);
        if kind.measure == Measure::FirstTime {
            return;
        }
        if kind.rolling.is_some() && self.cells(series, group).all.insert(unit) {
            self.bytes += ENTRY_BYTES;
        }
        self.bytes += self.cell(series, group, bucket).add(unit, events);
    }

    /// Adds one event of `unit`, anywhere in history, to a series of first times: with its timestamp and sequence, and its bucket if it lies in the range.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn add_first(&mut self, series: usize, group: u32, bucket: Option<usize>, unit: u32, order: (i64, u64)) {
        let firsts = self.firsts.get_mut(series).expect("series are numbered as their measures");
        if earlier(firsts, unit, First { order, group, bucket }) {
            self.bytes += FIRST_BYTES;
        }
    }

    /// Adds what numbers come to, of which there are so many, to a series that adds them up or compares them.
    pub(crate) fn add_spread(
        &mut self,
        series: usize,
        group: u32,
        bucket: usize,
        (count, sum, min, max): (u64, Sum, f64, f64),
    ) {
        self.cell(series, group, bucket).add_spread(count, sum, min, max);
    }

    /// Adds one event of `unit` before the range to a series that rolls.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn look_back(&mut self, series: usize, group: u32, bucket: usize, unit: u32) {
        if self.kind(series).rolling.is_some() {
            self.bytes += self.cell(series, group, bucket).add(unit, 1);
        }
    }

    /// Adds the number that an event has to a series that measures numbers.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn add_number(&mut self, series: usize, group: u32, bucket: usize, number: f64) {
        if self.kind(series).measure.reads_numbers() {
            self.bytes += self.cell(series, group, bucket).add_number(number);
        }
    }

    /// Adds the value that an event has to a series that counts different values, as the number that the caller gave it.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn add_key(&mut self, series: usize, group: u32, bucket: usize, key: u32) {
        if self.kind(series).measure == Measure::Distinct {
            self.bytes += self.cell(series, group, bucket).add_key(key);
        }
    }

    /// Adds `events` events of the set `units` to a series, as a rollup knows them.
    ///
    /// # Panics
    /// If there is no series of that number.
    pub fn add_set(&mut self, series: usize, group: u32, bucket: usize, events: u64, units: &RoaringBitmap) {
        if self.kind(series).rolling.is_some() {
            self.cells(series, group).all |= units;
        }
        self.cell(series, group, bucket).add_set(events, units);
    }

    /// Adds another part of the same trend, whose group *n* is the group `numbers[n]` here
    /// (as [`Groups::absorb`](crate::spec::Groups::absorb) says); without a breakdown `&[0]`. Likewise `keys`, by series, says the numbers here of the values there;
    /// where it says nothing they have the same.
    ///
    /// # Panics
    /// If a group of `other` has no number here.
    pub fn merge(&mut self, other: &Self, numbers: &[u32], keys: &[&[u32]]) {
        let here = |number: usize| *numbers.get(number).expect("every group of the other part has a number here");
        for (number, cells) in other.groups.iter().enumerate() {
            let Some(cells) = cells else { continue };
            for (series, there) in cells.iter().enumerate() {
                let measure = self.kind(series).measure;
                let keys = keys.get(series).copied().unwrap_or_default();
                self.cells(series, here(number)).merge(there, measure, keys);
            }
        }
        for (own, there) in self.firsts.iter_mut().zip(&other.firsts) {
            for (unit, first) in there {
                earlier(own, *unit, First { group: here(first.group as usize), ..*first });
            }
        }
        self.bytes += other.bytes;
    }

    /// Bytes held, nearly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn kind(&self, series: usize) -> Kind {
        *self.kinds.get(series).expect("series are numbered as their measures")
    }

    fn cells(&mut self, series: usize, group: u32) -> &mut Cells {
        let group = group as usize;
        if self.groups.len() <= group {
            self.groups.resize_with(group + 1, || None);
        }
        let slot = self.groups.get_mut(group).expect("the list was lengthened above");
        let cells = slot.get_or_insert_with(|| empty(self.kinds.len()));
        cells.get_mut(series).expect("series are numbered as their measures")
    }

    fn cell(&mut self, series: usize, group: u32, bucket: usize) -> &mut Cell {
        let Kind { measure, .. } = self.kind(series);
        self.cells(series, group).buckets.entry(bucket).or_insert_with(|| Cell::empty(measure))
    }

    /// The values of every series, by series and then by group: the groups ranked by the first series' total, ties by
    /// value ascending, those beyond the limit united exactly into *other*.
    ///
    /// Without a split there is one group, whatever numbers were added, also when nothing was.
    pub fn finish(mut self, names: &[String], split: Option<Split<'_>>) -> Vec<SeriesResult> {
        for (series, firsts) in std::mem::take(&mut self.firsts).into_iter().enumerate() {
            for First { group, bucket, .. } in firsts.into_values() {
                if let Some(bucket) = bucket {
                    self.cell(series, group, bucket).add(0, 1);
                }
            }
        }
        let mut shown: Vec<(Option<GroupLabel>, Box<[Cells]>)> = Vec::new();
        match split {
            None => {
                let all = 0..self.groups.len();
                shown.push((None, self.united(all)));
            }
            Some(split) => {
                let filled = self.groups.iter().enumerate().filter_map(|(number, cells)| {
                    let first = cells.as_ref()?.first().zip(self.kinds.first());
                    let total = first.map_or(Number::Count(0), |(cells, kind)| cells.total(*kind));
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
        for ((series, name), kind) in names.iter().enumerate().zip(&self.kinds) {
            for (label, cells) in &mut shown {
                let cells = cells.get_mut(series).expect("one name for each measure");
                let is_frequency = kind.measure == Measure::Frequency;
                results.push(SeriesResult {
                    name: name.clone(),
                    breakdown: label.clone(),
                    total: cells.total(*kind),
                    frequency: is_frequency.then(|| cells.united(*kind).frequency()).flatten(),
                    values: if is_frequency { Vec::new() } else { cells.values(&self.buckets, *kind) },
                });
            }
        }
        results
    }

    fn united(&self, numbers: impl IntoIterator<Item = usize>) -> Box<[Cells]> {
        let mut united = empty(self.kinds.len());
        for group in numbers.into_iter().filter_map(|number| self.groups.get(number)?.as_ref()) {
            for ((here, there), kind) in united.iter_mut().zip(group).zip(&self.kinds) {
                here.merge(there, kind.measure, &[]);
            }
        }
        united
    }
}

fn empty(series: usize) -> Box<[Cells]> {
    vec![Cells::default(); series].into()
}

/// Keeps the earlier one; answers whether there was none before.
fn earlier(firsts: &mut Firsts, unit: u32, first: First) -> bool {
    match firsts.entry(unit) {
        Entry::Occupied(mut known) => {
            if first.order < known.get().order {
                known.insert(first);
            }
            false
        }
        Entry::Vacant(unknown) => {
            unknown.insert(first);
            true
        }
    }
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
        whole.merge(&part, &here.absorb(&there), &[]);
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
