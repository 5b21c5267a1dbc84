//! Series that rollups cover: whole days from them, what is left of a bucket from columns.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use roaring::{MultiOps, RoaringBitmap};

use crate::calendar::{Buckets, ResolvedRange};
use crate::columns::{DAY_US, Day, DayCell, Rollup};
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{Local, Merged, Part, Parts, Reads, Selected, Wants, Work};
use crate::spec::EventNames;
use crate::trend::Measure;

/// More stretches of columns than this between the days of rollups are no gain over reading all of the columns.
const STRETCHES_MAX: usize = 8;

/// Which part of each bucket consists of whole days of the rollups.
pub(super) struct Cover {
    /// The days of each bucket.
    days: Vec<Range<Day>>,
    /// What is left.
    rest: Vec<ResolvedRange>,
}

impl Cover {
    /// `None` where rollups would be no gain.
    pub(super) fn of(buckets: &Buckets) -> Option<Self> {
        let range = buckets.range();
        let mut cover = Self { days: Vec::with_capacity(buckets.len()), rest: Vec::new() };
        for at in 0..buckets.len() {
            let extent = buckets.extent(at)?;
            let (from, to) = (extent.from_us.max(range.from_us), extent.to_us.min(range.to_us));
            let first = Day::of(from.saturating_add(DAY_US - 1));
            let end = Day::of(to);
            if first >= end {
                cover.rest.push(ResolvedRange { from_us: from, to_us: to });
                cover.days.push(first..first);
            } else {
                let (whole_from, whole_to) = (first.start_us(), end.start_us());
                let edges = [(from, whole_from), (whole_to, to)];
                let edges = edges.into_iter().filter(|(from, to)| from < to);
                cover.rest.extend(edges.map(|(from_us, to_us)| ResolvedRange { from_us, to_us }));
                cover.days.push(first..end);
            }
            if cover.rest.len() > STRETCHES_MAX {
                return None;
            }
        }
        (cover.days.iter().any(|days| !days.is_empty())).then_some(cover)
    }
}

/// One series, or several of the same events.
pub(super) struct One<'a> {
    pub(super) local: &'a Local,
    pub(super) parts: &'a Parts,
    pub(super) buckets: &'a Buckets,
    pub(super) covered: &'a Cover,
    pub(super) merged: &'a Merged,
}

/// The values of the buckets, and that of the range.
type Sums = (Vec<u64>, u64);

impl One<'_> {
    /// The values of each measure.
    pub(super) async fn count(
        &self,
        event: &EventNames,
        measures: &[(usize, Measure)],
        engine: &Engine,
    ) -> Result<Vec<Sums>> {
        let uniques = measures.iter().any(|(_, measure)| *measure == Measure::Uniques);
        let mut counts = vec![0; self.buckets.len()];
        let mut sets: Vec<Set<'_>> = vec![Set::default(); self.buckets.len()];
        let (whole, hiding): (Parts, Parts) = self.parts.iter().cloned().partition(|part| self.local.shows_all(part));
        for part in &whole {
            self.add_rollup(part, event, &mut counts, &mut sets, uniques);
        }
        for stretch in &self.covered.rest {
            self.add_columns(&whole, event, *stretch, &mut counts, &mut sets, engine).await?;
        }
        self.add_columns(&hiding, event, self.buckets.range(), &mut counts, &mut sets, engine).await?;
        let counted: Sums = (counts.clone(), counts.iter().sum());
        let unique: Sums = if uniques { self.unite(sets) } else { Sums::default() };
        let sums = measures.iter().map(|(_, measure)| match measure {
            Measure::Count => counted.clone(),
            Measure::Uniques => unique.clone(),
        });
        Ok(sums.collect())
    }

    fn add_rollup<'p>(
        &self,
        part: &'p Part,
        event: &EventNames,
        counts: &mut [u64],
        sets: &mut [Set<'p>],
        uniques: bool,
    ) {
        let rollup = &part.rollup;
        let one: Vec<&'p [DayCell]> = match event {
            EventNames::Any => vec![rollup.any()],
            named => {
                let mut names: Vec<&str> = named.names().iter().map(String::as_str).collect();
                names.sort_unstable();
                names.dedup();
                names.into_iter().filter_map(|name| Some(rollup.event(name)?.days.as_slice())).collect()
            }
        };
        let mut read = 0;
        for cells in one {
            for ((days, count), set) in self.covered.days.iter().zip(counts.iter_mut()).zip(sets.iter_mut()) {
                let own = cells.get(Rollup::within(cells, days)).unwrap_or_default();
                read += own.len();
                *count += own.iter().map(|cell| cell.count).sum::<u64>();
                if uniques {
                    set.shared.extend(own.iter().map(|cell| &cell.subjects));
                }
            }
        }
        self.local.read.rollup_cells.fetch_add(read, Ordering::Relaxed);
    }

    async fn add_columns(
        &self,
        parts: &Parts,
        event: &EventNames,
        range: ResolvedRange,
        counts: &mut [u64],
        sets: &mut [Set<'_>],
        engine: &Engine,
    ) -> Result<()> {
        if parts.is_empty() {
            return Ok(());
        }
        let selected = vec![Selected { event: event.clone(), filter: None, bits: 1, since_us: range.from_us }];
        let reads = Reads { timestamps: true, ..Reads::default() };
        let wants = Arc::new(Wants { selected, filter: None, items: Vec::new(), reads });
        let work = Work::new(engine.threads());
        let runs = self.local.runs(parts, wants, range, engine.pool(), work).await?;
        let mut subjects: Vec<Vec<u32>> = vec![Vec::new(); counts.len()];
        for run in &runs.runs {
            for (subject, us) in run.subjects.iter().zip(run.timestamps.iter()) {
                let Some(bucket) = self.buckets.index_of(*us) else { continue };
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

    fn unite(&self, sets: Vec<Set<'_>>) -> Sums {
        let mut all: Vec<RoaringBitmap> = Vec::with_capacity(sets.len());
        let mut values = Vec::with_capacity(sets.len());
        // Of one set nobody needs a copy.
        let mut lone: Vec<&RoaringBitmap> = Vec::new();
        for set in sets {
            match (set.shared.as_slice(), set.own.as_slice()) {
                ([only], []) if self.merged.is_empty() => {
                    values.push(only.len());
                    lone.push(only);
                }
                _ => {
                    let union = set.shared.iter().copied().union() | set.own.iter().union();
                    let persons = self.merged.persons(union);
                    values.push(persons.len());
                    all.push(persons);
                }
            }
        }
        let total = lone.into_iter().chain(all.iter()).union();
        (values, total.len())
    }
}

/// The subjects of a bucket: of rollups, and of rows.
#[derive(Clone, Default)]
struct Set<'a> {
    shared: Vec<&'a RoaringBitmap>,
    own: Vec<RoaringBitmap>,
}
