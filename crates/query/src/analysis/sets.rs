//! Who had an event in which stretch of time: days from rollups, what is left from columns.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use datafusion::execution::memory_pool::MemoryPool;
use roaring::{MultiOps, RoaringBitmap};

use crate::calendar::{Buckets, ResolvedRange};
use crate::columns::{DAY_US, Day, DayCell, Rollup};
use crate::error::Result;
use crate::local::{Local, Merged, Part, Parts, Reads, Selected, Wants, Work};
use crate::spec::{EventNames, Unit};

/// More stretches of columns than this between the days of rollups are no gain over reading all of the columns.
const STRETCHES_MAX: usize = 8;

/// Stretches of time, in order, and which part of each consists of whole days of the rollups.
#[derive(Debug)]
pub(super) struct Cover {
    extents: Vec<ResolvedRange>,
    /// The days of each.
    days: Vec<Range<Day>>,
    /// What is left, and of which extent it is.
    rest: Vec<(usize, ResolvedRange)>,
}

/// What tells of a [`Cover`] in a part.
pub(super) struct Known {
    /// Days whose cells do, and of which extent they are.
    pub(super) days: Vec<(usize, Range<Day>)>,
    /// Places of what is left that takes the rows.
    pub(super) rest: Vec<usize>,
}

impl Cover {
    /// Of the buckets; `None` where rollups would be no gain, whatever the parts: they have no whole day, or too much beside.
    pub(super) fn of(buckets: &Buckets) -> Option<Self> {
        Self::sparing(extents(buckets)).filter(Self::has_days)
    }

    /// Of neighbouring stretches of time; `None` where so much is left beside whole days that rollups are no gain.
    pub(super) fn sparing(extents: Vec<ResolvedRange>) -> Option<Self> {
        Some(Self::new(extents)).filter(|cover| cover.rest.len() <= STRETCHES_MAX)
    }

    /// Of neighbouring stretches of time.
    pub(super) fn new(extents: Vec<ResolvedRange>) -> Self {
        let mut cover = Self { days: Vec::with_capacity(extents.len()), rest: Vec::new(), extents };
        for (at, extent) in cover.extents.iter().enumerate() {
            let ResolvedRange { from_us: from, to_us: to } = *extent;
            let first = Day::of(from.saturating_add(DAY_US - 1));
            let end = Day::of(to);
            if first >= end {
                cover.rest.push((at, *extent));
                cover.days.push(first..first);
            } else {
                let edges = [(from, first.start_us()), (end.start_us(), to)];
                let edges = edges.into_iter().filter(|(from, to)| from < to);
                cover.rest.extend(edges.map(|(from_us, to_us)| (at, ResolvedRange { from_us, to_us })));
                cover.days.push(first..end);
            }
        }
        cover
    }

    fn has_days(&self) -> bool {
        self.days.iter().any(|days| !days.is_empty())
    }

    /// What tells of it in a part with the earliest and the latest of these instants: where nothing else is on the days of a stretch, their cells are of it alone.
    pub(super) fn known(&self, times: (i64, i64)) -> Known {
        let has = |from_us: i64, to_us: i64| from_us < to_us && times.0 < to_us && times.1 >= from_us;
        let days = self.days.iter().enumerate().filter(|(_, days)| has(days.start.start_us(), days.end.start_us()));
        let mut known = Known { days: days.map(|(at, days)| (at, days.clone())).collect(), rest: Vec::new() };
        for (place, (extent, stretch)) in self.rest.iter().enumerate() {
            if !has(stretch.from_us, stretch.to_us) {
                continue;
            }
            let days = Day::of(stretch.from_us)..Day::new(Day::of(stretch.to_us - 1).number() + 1);
            match has(days.start.start_us(), stretch.from_us) || has(stretch.to_us, days.end.start_us()) {
                true => known.rest.push(place),
                false => known.days.push((*extent, days)),
            }
        }
        known
    }

    fn range(&self) -> ResolvedRange {
        let from_us = self.extents.first().map_or(0, |first| first.from_us);
        ResolvedRange { from_us, to_us: self.extents.last().map_or(from_us, |last| last.to_us) }
    }
}

/// What of each bucket lies in the range.
pub(super) fn extents(buckets: &Buckets) -> Vec<ResolvedRange> {
    let range = buckets.range();
    let inside = |extent: ResolvedRange| ResolvedRange {
        from_us: extent.from_us.max(range.from_us),
        to_us: extent.to_us.min(range.to_us),
    };
    (0..buckets.len()).filter_map(|at| buckets.extent(at)).map(inside).collect()
}

/// Whether cells tell of all that a cover has of the parts, but of those that hide rows.
pub(super) fn is_known(cover: &Cover, local: &Local, parts: &Parts) -> bool {
    parts.iter().filter(|part| local.shows_all(part)).all(|part| cover.known(part.times).rest.is_empty())
}

/// Where the units of stretches of time are collected.
pub(super) struct Source<'a> {
    pub(super) local: &'a Local,
    /// With their sets as persons where some are `merged`.
    pub(super) parts: &'a Parts,
    pub(super) merged: &'a Merged,
    pub(super) pool: &'a Arc<dyn MemoryPool>,
    pub(super) work: Work,
}

/// What each stretch of time has.
pub(super) struct Collected<'a> {
    /// How many events.
    pub(super) counts: Vec<u64>,
    /// Whose they are, where that was asked for.
    pub(super) sets: Vec<Set<'a>>,
}

impl<'a> Source<'a> {
    /// Whether rollups of these parts spare rows of the cover.
    pub(super) fn spares(&self, cover: &Cover) -> bool {
        cover.has_days() || is_known(cover, self.local, self.parts)
    }

    /// How many events each stretch of `cover` has, and whose they are where `uniques` are asked for.
    pub(super) async fn collect(&self, cover: &Cover, event: &EventNames, uniques: bool) -> Result<Collected<'a>> {
        let Source { local, parts, .. } = *self;
        let length = cover.extents.len();
        let mut collected = Collected { counts: vec![0; length], sets: vec![Set::default(); length] };
        let (whole, hiding): (Vec<&'a Arc<Part>>, Vec<&'a Arc<Part>>) =
            parts.iter().partition(|part| local.shows_all(part));
        let mut rest: Vec<Parts> = vec![Vec::new(); cover.rest.len()];
        for part in whole {
            let known = cover.known(part.times);
            self.add_rollup(part, &known.days, event, &mut collected, uniques);
            known.rest.into_iter().for_each(|place| rest[place].push(Arc::clone(part)));
        }
        for ((_, stretch), parts) in cover.rest.iter().zip(&rest) {
            self.add_columns(parts, cover, event, *stretch, &mut collected).await?;
        }
        let hiding: Parts = hiding.into_iter().cloned().collect();
        self.add_columns(&hiding, cover, event, cover.range(), &mut collected).await?;
        Ok(collected)
    }

    fn add_rollup(
        &self,
        part: &'a Part,
        days: &[(usize, Range<Day>)],
        event: &EventNames,
        into: &mut Collected<'a>,
        uniques: bool,
    ) {
        let rollup = &part.rollup;
        let one: Vec<(Option<usize>, &'a [DayCell])> = match event {
            EventNames::Any => vec![(None, rollup.any())],
            named => {
                let mut names: Vec<&str> = named.names().iter().map(String::as_str).collect();
                names.sort_unstable();
                names.dedup();
                let places = names.into_iter().filter_map(|name| rollup.place(name));
                places.filter_map(|place| Some((Some(place), rollup.events().get(place)?.days.as_slice()))).collect()
            }
        };
        let mut read = 0;
        for (event, cells) in one {
            for (extent, days) in days {
                let within = Rollup::within(cells, days);
                let own = cells.get(within.clone()).unwrap_or_default();
                read += own.len();
                into.counts[*extent] += own.iter().map(|cell| cell.count).sum::<u64>();
                if uniques {
                    into.sets[*extent].shared.extend(own.iter().zip(within).map(|(cell, day)| match &part.persons {
                        Some(sets) => sets.of_cell(event, day, &cell.subjects, self.merged),
                        None => &cell.subjects,
                    }));
                }
            }
        }
        self.local.read.rollup_cells.fetch_add(read, Ordering::Relaxed);
    }

    async fn add_columns(
        &self,
        parts: &Parts,
        cover: &Cover,
        event: &EventNames,
        range: ResolvedRange,
        into: &mut Collected<'a>,
    ) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let selected = vec![Selected { event: event.clone(), filter: None, bits: 1, since_us: range.from_us }];
        let reads = Reads { timestamps: true, ..Reads::default() };
        let wants = Arc::new(Wants { selected, filter: None, people: None, items: Vec::new(), reads });
        let runs = self.local.runs(parts, wants, range, self.pool, self.work).await?;
        let Collected { counts, sets } = into;
        let mut subjects: Vec<Vec<u32>> = vec![Vec::new(); counts.len()];
        for run in &runs.runs {
            for (subject, us) in run.subjects.iter().zip(run.timestamps.iter()) {
                let bucket = cover.extents.partition_point(|extent| extent.to_us <= *us);
                if !cover.extents.get(bucket).is_some_and(|extent| extent.contains(*us)) {
                    continue;
                }
                counts[bucket] += 1;
                if subjects[bucket].last() != Some(subject) {
                    subjects[bucket].push(*subject);
                }
            }
            for (set, subjects) in sets.iter_mut().zip(&mut subjects) {
                if !subjects.is_empty() {
                    let own = RoaringBitmap::from_sorted_iter(subjects.drain(..));
                    set.own.push(own.expect("invariant: a run is sorted by subject"));
                }
            }
        }
        Ok(())
    }
}

/// Whose the events of a stretch of time are.
#[derive(Clone, Default)]
pub(super) struct Set<'a> {
    /// Of rollups: persons.
    pub(super) shared: Vec<&'a RoaringBitmap>,
    /// Of rows: subjects.
    pub(super) own: Vec<RoaringBitmap>,
}

impl Source<'_> {
    /// Who had the event before an instant.
    pub(super) async fn persons_before(&self, event: &EventNames, until_us: i64) -> Result<RoaringBitmap> {
        let from_us = self.parts.iter().map(|part| part.times.0).min().unwrap_or(until_us);
        if from_us >= until_us {
            return Ok(RoaringBitmap::new());
        }
        let extent = ResolvedRange { from_us, to_us: until_us };
        let sets = self.collect(&Cover::new(vec![extent]), event, true).await?.sets;
        Ok(sets.into_iter().map(|set| self.persons(set)).next().unwrap_or_default())
    }

    /// Adds the persons of a set to others.
    pub(super) fn add_persons(&self, set: &Set<'_>, to: &mut RoaringBitmap) {
        set.shared.iter().for_each(|shared| *to |= *shared);
        if !set.own.is_empty() {
            *to |= self.merged.persons(set.own.iter().union());
        }
    }

    /// The persons of a set.
    pub(super) fn persons(&self, set: Set<'_>) -> RoaringBitmap {
        match (set.shared.as_slice(), set.own.as_slice()) {
            ([only], []) => RoaringBitmap::clone(only),
            (shared, []) => shared.iter().copied().union(),
            (shared, own) => shared.iter().copied().union() | self.merged.persons(own.iter().union()),
        }
    }
}

/// The events of each day of a snapshot.
pub(crate) struct Daily {
    local: Local,
    parts: Parts,
    merged: Merged,
    pool: Arc<dyn MemoryPool>,
    work: Work,
    days: Range<Day>,
}

/// One day.
pub(crate) struct DailyRow {
    pub(crate) day: Day,
    /// How many events.
    pub(crate) count: u64,
    /// Whose they are; nobody's where that was not asked for.
    pub(crate) persons: RoaringBitmap,
}

impl Daily {
    pub(crate) fn new(local: &Local, pool: Arc<dyn MemoryPool>, work: Work) -> Result<Self> {
        let merged = local.merged(&Unit::Person);
        let parts = local.parts_of(&merged)?;
        let first = parts.iter().map(|part| Day::of(part.times.0)).min();
        let last = parts.iter().map(|part| Day::of(part.times.1)).max();
        let days = match (first, last) {
            (Some(first), Some(last)) => first..Day::new(last.number() + 1),
            _ => Day::new(0)..Day::new(0),
        };
        Ok(Self { local: local.clone(), parts, merged, pool, work, days })
    }

    /// The days on which there is such an event.
    pub(crate) async fn of(&self, event: &EventNames, people: bool) -> Result<Vec<DailyRow>> {
        let days: Vec<Day> = (self.days.start.number()..self.days.end.number()).map(Day::new).collect();
        let extent = |day: &Day| ResolvedRange { from_us: day.start_us(), to_us: day.start_us() + DAY_US };
        let cover = Cover::new(days.iter().map(extent).collect());
        let Self { local, parts, merged, pool, work, .. } = self;
        let source = Source { local, parts, merged, pool, work: *work };
        let Collected { counts, sets } = source.collect(&cover, event, people).await?;
        let rows = days.into_iter().zip(counts).zip(sets).filter(|((_, count), _)| *count > 0);
        Ok(rows.map(|((day, count), set)| DailyRow { day, count, persons: source.persons(set) }).collect())
    }
}
