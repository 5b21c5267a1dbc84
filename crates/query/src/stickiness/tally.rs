//! In how many buckets each unit was active, and how many units that is true of.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{Stickiness, StickinessGroup};
use crate::{
    calendar::Buckets,
    spec::{GroupLabel, Hit, Split},
};

/// The events of a unit in one bucket and, where there is a breakdown, of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    group: u32,
    bucket: u32,
    events: u32,
}

/// Counts units by the number of buckets in which they were active; parts can be merged in any order.
///
/// With a breakdown a unit is active in a bucket of a value by the events that have the value, and in one of *other* by those of all the values that are folded
/// into it: what each unit did is kept until it is known which those are.
///
/// ```
/// use std::sync::Arc;
/// use pugmark_query::{calendar::*, spec::Hit, stickiness::{Stickiness, Tally}};
///
/// let day_us = days(1).as_us();
/// let range = ResolvedRange { from_us: 0, to_us: 3 * day_us };
/// let buckets = Arc::new(Buckets::new(range, Interval::Day, &TimeZone::utc(), WeekStart::Monday)?);
/// let mut tally = Tally::new(&Stickiness::new("view"), buckets);
/// let hit = |day: i64, sequence| Hit { timestamp: day * day_us, sequence, matches: 1, group: 0, value: () };
/// tally.add_unit(&[hit(0, 1), hit(0, 2), hit(2, 4)]);
/// tally.add_unit(&[hit(0, 3)]);
/// assert_eq!(tally.finish(None)[0].values, [1, 1, 0]);
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Tally {
    buckets: Arc<Buckets>,
    at_least: bool,
    min_occurrences: u64,
    by_group: bool,
    /// Without a breakdown: how many units were active in so many buckets.
    units: Vec<u64>,
    /// With one: what each unit did, one unit after the other.
    cells: Vec<Cell>,
    /// Where the cells of each unit end.
    ends: Vec<usize>,
    /// Of the unit that is being added.
    own: Vec<Cell>,
}

impl Tally {
    /// An empty tally over these buckets, which must be those of the question's range, interval and zone.
    pub fn new(stickiness: &Stickiness, buckets: Arc<Buckets>) -> Self {
        Self {
            units: vec![0; buckets.len() + 1],
            buckets,
            at_least: stickiness.at_least,
            min_occurrences: stickiness.min_occurrences,
            by_group: !stickiness.scope.breakdown.is_empty(),
            cells: Vec::new(),
            ends: Vec::new(),
            own: Vec::new(),
        }
    }

    /// The numbers of buckets that units are counted by: 1, 2 and so on.
    pub fn intervals(&self) -> Vec<usize> {
        (1..=self.buckets.len()).collect()
    }

    /// Adds a unit with these events, each of which matches; those outside of the range are left aside.
    pub fn add_unit(&mut self, hits: &[Hit]) {
        self.own.clear();
        for hit in hits {
            let Some(bucket) = self.buckets.index_of(hit.timestamp) else { continue };
            let group = if self.by_group { hit.group } else { 0 };
            let cell = Cell { group, bucket: bucket as u32, events: 1 };
            match self.own.last_mut() {
                Some(last) if (last.group, last.bucket) == (cell.group, cell.bucket) => {
                    last.events = last.events.saturating_add(1);
                }
                _ => self.own.push(cell),
            }
        }
        self.finish_unit();
    }

    /// Adds a unit that has so many events of a group in a bucket, for each of `cells`.
    pub(crate) fn add_cells(&mut self, cells: impl IntoIterator<Item = (u32, usize, u64)>) {
        self.own.clear();
        self.own.extend(cells.into_iter().map(|(group, bucket, events)| Cell {
            group,
            bucket: bucket as u32,
            events: u32::try_from(events).unwrap_or(u32::MAX),
        }));
        self.finish_unit();
    }

    /// Adds units of which it is known in how many buckets they were active, where there is no breakdown.
    pub(crate) fn add_units(&mut self, active: usize, units: u64) {
        if let Some(of) = self.units.get_mut(active) {
            *of += units;
        }
    }

    fn finish_unit(&mut self) {
        if self.own.is_empty() {
            return;
        }
        if self.by_group {
            self.own.sort_unstable();
            self.cells.extend(self.own.iter().copied());
            self.ends.push(self.cells.len());
            return;
        }
        let active = self.active(&mut self.own.clone());
        self.add_units(active, 1);
    }

    /// In how many buckets a unit was active, by these cells of it.
    fn active(&self, cells: &mut [Cell]) -> usize {
        cells.sort_unstable_by_key(|cell| cell.bucket);
        let buckets = cells.chunk_by(|a, b| a.bucket == b.bucket);
        let events = buckets.map(|cells| cells.iter().map(|cell| u64::from(cell.events)).sum::<u64>());
        events.filter(|events| *events >= self.min_occurrences).count()
    }

    /// Adds another part of the same tally, whose group *n* is the group `numbers[n]` here
    /// (as [`Groups::absorb`](crate::spec::Groups::absorb) says); without a breakdown `&[0]`.
    ///
    /// # Panics
    /// If a group of `other` has no number here.
    pub fn merge(&mut self, other: &Self, numbers: &[u32]) {
        for (here, there) in self.units.iter_mut().zip(&other.units) {
            *here += there;
        }
        let before = self.cells.len();
        self.cells.extend(other.cells.iter().map(|cell| {
            let group = *numbers.get(cell.group as usize).expect("every group of the other part has a number here");
            Cell { group, ..*cell }
        }));
        self.ends.extend(other.ends.iter().map(|end| before + end));
    }

    /// How many units were active in how many buckets, for every group: the groups ranked by how many units were active in any bucket, ties by value ascending,
    /// what those beyond the limit did taken together as *other*.
    ///
    /// Without a split there is one group, whatever numbers were added, also when nothing was.
    pub fn finish(mut self, split: Option<Split<'_>>) -> Vec<StickinessGroup> {
        let Some(split) = split else {
            let units = std::mem::take(&mut self.units);
            return vec![StickinessGroup { breakdown: None, values: self.values(&units) }];
        };
        let mut people: HashMap<u32, u64, foldhash::fast::RandomState> = HashMap::default();
        let mut own: Vec<Cell> = Vec::new();
        for cells in self.by_unit() {
            own.clear();
            own.extend_from_slice(cells);
            own.sort_unstable();
            for of_group in own.chunk_by_mut(|a, b| a.group == b.group) {
                let group = of_group.first().map_or(0, |cell| cell.group);
                *people.entry(group).or_default() += u64::from(self.active(of_group) > 0);
            }
        }
        let folded = split.fold(people);
        let mut labels: Vec<GroupLabel> = folded.kept.iter().map(|group| split.label(*group)).collect();
        if !folded.rest.is_empty() {
            labels.push(GroupLabel::Other);
        }
        let kept = folded.kept.iter().enumerate().map(|(place, group)| (*group, place as u32));
        let places: HashMap<u32, u32, foldhash::fast::RandomState> = kept.collect();
        let other = folded.kept.len() as u32;
        let mut units = vec![vec![0_u64; self.buckets.len() + 1]; labels.len()];
        for cells in self.by_unit() {
            own.clear();
            let place = |group| places.get(&group).copied().unwrap_or(other);
            own.extend(cells.iter().map(|cell| Cell { group: place(cell.group), ..*cell }));
            own.sort_unstable();
            for of_part in own.chunk_by_mut(|a, b| a.group == b.group) {
                let part = of_part.first().map_or(0, |cell| cell.group as usize);
                let active = self.active(of_part);
                units[part][active] += 1;
            }
        }
        let groups = labels.into_iter().zip(units);
        groups.map(|(label, units)| StickinessGroup { breakdown: Some(label), values: self.values(&units) }).collect()
    }

    fn by_unit(&self) -> impl Iterator<Item = &[Cell]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).filter_map(|(start, end)| self.cells.get(start..*end))
    }

    /// For each number of buckets from 1 on, how many units were active in so many.
    fn values(&self, units: &[u64]) -> Vec<u64> {
        let mut values = units.get(1..).unwrap_or_default().to_vec();
        if self.at_least {
            let mut more = 0;
            for value in values.iter_mut().rev() {
                more += *value;
                *value = more;
            }
        }
        values
    }
}
