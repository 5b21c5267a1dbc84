//! Series from columns: counts and different units of each group and bucket.
//!
//! Different units are counted without sets of them: runs are gone through together, 32 subjects at a time, and every cell has one bit for each of the 32.

use std::ops::Range;
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::shape::Shape;
use crate::analysis::aggregate::GroupTotal;
use crate::calendar::{Buckets, Interval, ResolvedRange, TimeZone, WeekStart};
use crate::error::Result;
use crate::local::{Matches, Merged, Run, RunGroups, Runs, Stretches, Work};
use crate::spec::{GroupLabel, Scope, Split};
use crate::trend::{Measure, Number, SeriesResult, Sum, Trend};

/// Subjects that are counted together: the other half of a word tells which they are.
const BLOCK: u32 = u32::BITS;
/// Up to so many cells are counted for every group, shown or not.
const CELLS_AT_ONCE: usize = 1 << 16;
/// In place of a group that is not counted.
const SKIPPED: u32 = u32::MAX;
/// Rows of a run whose events are counted together.
const PIECE_ROWS: usize = 1 << 16;
/// Fewer rows than this are counted without a thread.
const SMALL_ROWS: usize = 20_000;

/// What is counted.
pub(super) struct Cells<'a> {
    pub(super) shape: &'a Shape,
    pub(super) trend: &'a Trend,
    pub(super) subjects: u32,
    pub(super) merged: Merged,
    pub(super) pool: &'a Arc<dyn MemoryPool>,
    pub(super) work: Work,
}

/// How a series is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Count,
    Uniques,
    /// With the place of its numbers.
    Sum(usize),
}

/// Which cells there are: for each series and shown group one for each bucket and one for the range.
#[derive(Debug, Clone)]
struct Layout {
    kinds: Arc<[Kind]>,
    /// The shown group of each group of the runs.
    shown: Arc<[u32]>,
    groups: usize,
    buckets: usize,
}

impl Layout {
    /// Cells of one series.
    fn series(&self) -> usize {
        self.groups * (self.buckets + 1)
    }

    fn cells(&self) -> usize {
        self.kinds.len() * self.series()
    }

    fn cell(&self, series: usize, group: usize, bucket: usize) -> usize {
        series * self.series() + group * (self.buckets + 1) + bucket
    }

    /// The shown group of each group that the run's rows name.
    fn table(&self, run: &Run) -> Arc<[u32]> {
        let shown = &self.shown;
        match &run.groups {
            RunGroups::None => Arc::from([0]),
            RunGroups::Each(_) => Arc::clone(shown),
            RunGroups::Coded(_, numbers) => numbers.iter().map(|group| shown[*group as usize]).collect(),
        }
    }

    /// Whether events are only counted, and in the range as a whole.
    fn only_counts(&self) -> bool {
        self.buckets <= 1 && self.sums() == 0
    }

    /// Cells of sums: none where nothing is summed.
    fn sums(&self) -> usize {
        let sums = self.kinds.iter().any(|kind| matches!(kind, Kind::Sum(_)));
        if sums { self.cells() } else { 0 }
    }
}

impl Cells<'_> {
    /// The values of every series, by series and then by group.
    pub(super) async fn count(&self, runs: Runs, scope: &Scope) -> Result<Vec<SeriesResult>> {
        let kinds: Vec<Kind> = self
            .trend
            .series
            .iter()
            .zip(&self.shape.sums)
            .map(|(series, sum)| match (series.measure, sum) {
                (Measure::Sum, Some(number)) => Kind::Sum(*number),
                (Measure::Uniques, _) => Kind::Uniques,
                _ => Kind::Count,
            })
            .collect();
        let names = self.trend.names();
        let buckets = self.shape.buckets.len();
        let groups = runs.groups.clone();
        let runs = Arc::new(runs);
        if scope.breakdown.is_empty() {
            let layout = Layout { kinds: kinds.into(), shown: Arc::from([0_u32]), groups: 1, buckets };
            let counted = self.fill(&runs, &layout).await?;
            return Ok(results(&layout, &counted, &names, &[None]));
        }
        let split = Split { groups: &groups, limit: scope.limit };
        // Where the cells of all groups are many, the range as a whole tells first which groups are shown.
        let each: Arc<[u32]> = (0_u32..).take(groups.len()).collect();
        let every = kinds.len() * groups.len() * (buckets + 1) <= CELLS_AT_ONCE;
        let first = if every { &kinds[..] } else { kinds.get(..1).unwrap_or_default() };
        let own = if every { buckets } else { 0 };
        let whole = Layout { kinds: first.into(), shown: Arc::clone(&each), groups: groups.len(), buckets: own };
        let totals = self.fill(&runs, &whole).await?;
        let filled = each.iter().filter(|group| totals.rows[**group as usize] > 0);
        let folded = split.fold(filled.map(|group| (*group, totals.number(&whole, 0, *group as usize, own))));
        let mut labels: Vec<Option<GroupLabel>> = folded.kept.iter().map(|group| Some(split.label(*group))).collect();
        let kept = folded.kept.len();
        let other = u32::try_from(kept).unwrap_or(u32::MAX);
        if !folded.rest.is_empty() {
            labels.push(Some(GroupLabel::Other));
        }
        let mut shown = vec![other; groups.len()];
        for (place, group) in (0..).zip(&folded.kept) {
            shown[*group as usize] = place;
        }
        if !every {
            let layout = Layout { kinds: kinds.into(), shown: shown.into(), groups: kept + 1, buckets };
            let counted = self.fill(&runs, &layout).await?;
            return Ok(results(&layout, &counted, &names, &labels));
        }
        // What is shown is known but for the others together.
        let layout = Layout { kinds: kinds.clone().into(), shown: Arc::from([0_u32]), groups: kept + 1, buckets };
        let mut counted = Counted::new(&layout);
        for (place, group) in folded.kept.iter().enumerate() {
            counted.copy(&layout, place, &totals, &whole, *group as usize);
        }
        if !folded.rest.is_empty() {
            let rest = shown.iter().map(|place| if *place == other { 0 } else { SKIPPED });
            let rest = Layout { kinds: kinds.into(), shown: rest.collect(), groups: 1, buckets };
            let others = self.fill(&runs, &rest).await?;
            counted.copy(&layout, kept, &others, &rest, 0);
        }
        Ok(results(&layout, &counted, &names, &labels))
    }

    async fn fill(&self, runs: &Arc<Runs>, layout: &Layout) -> Result<Counted> {
        let Self { shape, subjects, merged, pool, work, .. } = self;
        let filling =
            Filling { buckets: &shape.buckets, subjects: *subjects, merged: merged.clone(), pool, work: *work };
        filling.fill(runs, layout).await
    }
}

/// How the cells of a layout are filled.
struct Filling<'a> {
    buckets: &'a Buckets,
    subjects: u32,
    merged: Merged,
    pool: &'a Arc<dyn MemoryPool>,
    work: Work,
}

impl Filling<'_> {
    async fn fill(&self, runs: &Arc<Runs>, layout: &Layout) -> Result<Counted> {
        let rows = runs.rows();
        let stretches = Stretches::aligned(self.subjects, rows, BLOCK);
        let reservation = MemoryConsumer::new("cells of a trend").register(self.pool);
        let threads = self.work.threads();
        reservation.try_grow((layout.cells() * 16 + layout.sums() * 16 + layout.groups * 8) * threads)?;
        let buckets = self.buckets.clone();
        let extents: Arc<[ResolvedRange]> = (0..buckets.len()).filter_map(|at| buckets.extent(at)).collect();
        let make = || Counter::new(layout.clone(), Arc::clone(&extents), self.pool);
        let (shared, merged) = (Arc::clone(runs), self.merged.clone());
        let tables: Vec<Arc<[u32]>> = runs.runs.iter().map(|run| layout.table(run)).collect();
        // Events are counted run by run, units a stretch of subjects of all runs at a time.
        let pieces = |(at, run): (usize, &Run)| {
            let starts = (0..run.subjects.len()).step_by(PIECE_ROWS);
            let end = run.subjects.len();
            starts.map(move |start| (at, start..end.min(start + PIECE_ROWS))).collect::<Vec<_>>()
        };
        let of_runs: Vec<(usize, Range<usize>)> = runs.runs.iter().enumerate().flat_map(pieces).collect();
        let units = if layout.kinds.contains(&Kind::Uniques) { stretches.count() } else { 0 };
        let count = of_runs.len() + units;
        let piece = move |counter: &mut Counter, at: usize| match of_runs.get(at) {
            Some((run, rows)) => {
                counter.events(&shared.runs[*run], &tables[*run], rows.clone(), &buckets);
                Ok(())
            }
            None => counter.units(&shared.runs, &tables, &stretches.subjects(at - of_runs.len()), &merged, &buckets),
        };
        let counters = self.work.each(count, rows < SMALL_ROWS, make, piece).await?;
        let mut all = Counted::new(layout);
        let mut moved = Vec::new();
        for counter in counters {
            all.add(&counter.counted);
            moved.extend(counter.moved);
        }
        moved.sort_unstable();
        moved.dedup();
        for cell in moved.into_iter().map(|moved| moved as u32) {
            all.values[cell as usize] += 1;
        }
        Ok(all)
    }
}

/// How many events each combination of values has, and how many different units, over all of `runs`. Without a breakdown there is one, also of no events.
pub(in crate::analysis) async fn group_totals(
    runs: Runs,
    subjects: u32,
    merged: Merged,
    pool: &Arc<dyn MemoryPool>,
    work: Work,
) -> Result<Vec<GroupTotal>> {
    let groups = runs.groups.clone();
    let count = groups.len().max(1);
    // All rows are of the range, and there is nothing beside it.
    let layout =
        Layout { kinds: Arc::from([Kind::Uniques]), shown: (0_u32..).take(count).collect(), groups: count, buckets: 0 };
    let none = ResolvedRange { from_us: 0, to_us: 0 };
    let buckets = Buckets::new(none, Interval::Day, &TimeZone::utc(), WeekStart::default())?;
    let counted = Filling { buckets: &buckets, subjects, merged, pool, work }.fill(&Arc::new(runs), &layout).await?;
    let total = |group: u32| GroupTotal {
        values: if groups.is_empty() { Vec::new() } else { groups.values(group).to_vec() },
        rows: counted.rows[group as usize],
        units: counted.values[layout.cell(0, group as usize, 0)],
    };
    Ok((0_u32..).take(count).map(total).collect())
}

fn results(layout: &Layout, counted: &Counted, names: &[String], labels: &[Option<GroupLabel>]) -> Vec<SeriesResult> {
    let mut results = Vec::with_capacity(names.len() * labels.len());
    for (series, name) in names.iter().enumerate() {
        for (group, label) in labels.iter().enumerate() {
            let number = |bucket: usize| counted.number(layout, series, group, bucket);
            let total = number(layout.buckets);
            let values = match layout.buckets {
                1 => vec![total],
                buckets => (0..buckets).map(number).collect(),
            };
            results.push(SeriesResult { name: name.clone(), breakdown: label.clone(), values, total });
        }
    }
    results
}

/// The rows of a run about a stretch of subjects, and the shown group of each group that they name.
type Own<'a> = (&'a Run, Range<usize>, &'a [u32]);

/// What has been counted.
struct Counted {
    /// By cell.
    values: Vec<u64>,
    /// By cell, where something is summed.
    sums: Vec<Sum>,
    /// By shown group: how many events of any series.
    rows: Vec<u64>,
}

impl Counted {
    fn new(layout: &Layout) -> Self {
        let sums = vec![Sum::default(); layout.sums()];
        Self { values: vec![0; layout.cells()], sums, rows: vec![0; layout.groups] }
    }

    fn add(&mut self, other: &Self) {
        let counts = self.values.iter_mut().zip(&other.values).chain(self.rows.iter_mut().zip(&other.rows));
        counts.for_each(|(here, there)| *here += there);
        self.sums.iter_mut().zip(&other.sums).for_each(|(here, there)| *here += *there);
    }

    /// Takes over the cells of a group of `other`.
    fn copy(&mut self, layout: &Layout, place: usize, other: &Self, theirs: &Layout, group: usize) {
        for series in 0..layout.kinds.len() {
            let (to, from) = (layout.cell(series, place, 0), theirs.cell(series, group, 0));
            for bucket in 0..=layout.buckets {
                self.values[to + bucket] = other.values[from + bucket];
                if let (Some(here), Some(there)) = (self.sums.get_mut(to + bucket), other.sums.get(from + bucket)) {
                    *here = *there;
                }
            }
        }
    }

    fn number(&self, layout: &Layout, series: usize, group: usize, bucket: usize) -> Number {
        let cell = layout.cell(series, group, bucket);
        match layout.kinds.get(series) {
            Some(Kind::Sum(_)) => Number::Real(self.sums[cell].value()),
            _ => Number::Count(self.values[cell]),
        }
    }
}

/// One thread's counts.
struct Counter {
    layout: Layout,
    counted: Counted,
    /// Which subjects each cell has seen, in the lower half, of the block in the upper one: of any other it has seen none.
    seen: Vec<u64>,
    /// The number of the block at hand, from 1.
    block: u64,
    /// The first subject of the block.
    first: u32,
    /// Which subjects of the block are persons with several.
    several: u32,
    /// Persons with several subjects, in the upper half, and the cells that they belong to.
    moved: Vec<u64>,
    reservation: MemoryReservation,
    extents: Arc<[ResolvedRange]>,
    /// The bucket of the row before: rows of a subject lie close together.
    bucket: usize,
}

impl Counter {
    fn new(layout: Layout, extents: Arc<[ResolvedRange]>, pool: &Arc<dyn MemoryPool>) -> Self {
        Self {
            counted: Counted::new(&layout),
            seen: vec![0; layout.cells()],
            block: 0,
            first: 0,
            several: 0,
            moved: Vec::new(),
            reservation: MemoryConsumer::new("merged units of a trend").register(pool),
            extents,
            bucket: 0,
            layout,
        }
    }

    /// Counts the units of a stretch of subjects.
    fn units(
        &mut self,
        runs: &[Run],
        tables: &[Arc<[u32]>],
        subjects: &Range<u32>,
        merged: &Merged,
        buckets: &Buckets,
    ) -> Result<()> {
        let mut own: Vec<Own<'_>> = runs
            .iter()
            .zip(tables)
            .map(|(run, table)| (run, run.rows_of(subjects), table.as_ref()))
            .filter(|(_, rows, _)| !rows.is_empty())
            .collect();
        let moved = self.moved.len();
        let mut first = subjects.start;
        while first < subjects.end {
            let end = first.saturating_add(BLOCK);
            self.block += 1;
            self.first = first;
            self.several = merged.bits(first);
            let (before, several) = (self.moved.len(), self.several);
            for (run, rows, table) in &mut own {
                let start = rows.start;
                let left = &run.subjects[rows.clone()];
                let length = left.iter().take_while(|subject| **subject < end).count();
                if length > 0 {
                    rows.start += length;
                    let rows = start..start + length;
                    match &run.groups {
                        RunGroups::None => self.units_in(run, rows, buckets, |_| table[0]),
                        RunGroups::Each(numbers) => {
                            self.units_in(run, rows, buckets, |row| table[numbers[row] as usize]);
                        }
                        RunGroups::Coded(codes, _) => {
                            self.units_in(run, rows, buckets, |row| table[usize::from(codes[row])]);
                        }
                    }
                }
            }
            if several != 0 {
                // Whose these subjects are was not looked up row by row.
                self.moved_to_persons(before, merged);
            }
            first = end;
        }
        Ok(self.reservation.try_grow((self.moved.len() - moved) * size_of::<u64>())?)
    }

    /// Counts the events of some rows of a run, and sums their numbers.
    fn events(&mut self, run: &Run, table: &[u32], rows: Range<usize>, buckets: &Buckets) {
        match &run.groups {
            RunGroups::None => self.events_in(run, rows, buckets, |_| table[0]),
            RunGroups::Each(numbers) => self.events_in(run, rows, buckets, |row| table[numbers[row] as usize]),
            RunGroups::Coded(codes, _) => match run.matches {
                Matches::All(bits) if self.layout.only_counts() && table.len() <= rows.len() => {
                    self.codes(&codes[rows], table, bits);
                }
                _ => self.events_in(run, rows, buckets, |row| table[usize::from(codes[row])]),
            },
        }
    }

    /// Counts rows that all match the same, by their codes first and only then by group.
    fn codes(&mut self, codes: &[u16], table: &[u32], bits: u32) {
        let mut of_code = vec![0_u32; table.len()];
        codes.iter().for_each(|code| of_code[usize::from(*code)] += 1);
        for (group, count) in table.iter().zip(of_code).filter(|(group, count)| **group != SKIPPED && *count > 0) {
            self.counted.rows[*group as usize] += u64::from(count);
            for (series, kind) in self.layout.kinds.iter().enumerate() {
                let cells = SeriesCells::new(&self.layout, series);
                if *kind == Kind::Count && bits & cells.bit != 0 {
                    self.counted.values[cells.of_range(*group)] += u64::from(count);
                }
            }
        }
    }

    #[inline]
    fn events_in(&mut self, run: &Run, rows: Range<usize>, buckets: &Buckets, group_of: impl Fn(usize) -> u32) {
        let Self { layout, counted, extents, bucket: last, .. } = self;
        for row in rows.clone() {
            if let Some(count) = counted.rows.get_mut(group_of(row) as usize) {
                *count += 1;
            }
        }
        for (series, kind) in layout.kinds.iter().enumerate().filter(|(_, kind)| **kind != Kind::Uniques) {
            let cells = SeriesCells::new(layout, series);
            if !run.matches.any_of(cells.bit) {
                continue;
            }
            let mut add = |cell: usize, row: usize| match kind {
                Kind::Sum(number) => {
                    let number = run.numbers[*number][row];
                    if !number.is_nan() {
                        counted.sums[cell].add(number);
                    }
                }
                _ => counted.values[cell] += 1,
            };
            for row in rows.clone() {
                let group = group_of(row);
                if group == SKIPPED || run.matches.of(row) & cells.bit == 0 {
                    continue;
                }
                add(cells.of_range(group), row);
                if cells.has_buckets() {
                    add(cells.of_bucket(group, bucket_of(run.timestamps[row], extents, last, buckets)), row);
                }
            }
        }
    }

    #[inline]
    fn units_in(&mut self, run: &Run, rows: Range<usize>, buckets: &Buckets, group_of: impl Fn(usize) -> u32) {
        let Self { layout, counted, seen, moved, block, first, several, extents, bucket: last, .. } = self;
        let (block, first, several) = (*block, *first, *several);
        let values = counted.values.as_mut_slice();
        for (series, _) in layout.kinds.iter().enumerate().filter(|(_, kind)| **kind == Kind::Uniques) {
            let cells = SeriesCells::new(layout, series);
            if !run.matches.any_of(cells.bit) {
                continue;
            }
            let mut see = |cell: usize, subject: u32| {
                let word = seen[cell];
                let own = if word >> u32::BITS == block { word as u32 } else { 0 };
                let bit = 1 << (subject - first);
                let is_new = own & bit == 0;
                seen[cell] = block << u32::BITS | u64::from(own | bit);
                if several & bit == 0 {
                    // No branch: whether somebody is new nobody can foresee.
                    values[cell] += u64::from(is_new);
                } else if is_new {
                    moved.push(u64::from(subject) << u32::BITS | cell as u64);
                }
            };
            for row in rows.clone() {
                let group = group_of(row);
                if group == SKIPPED || run.matches.of(row) & cells.bit == 0 {
                    continue;
                }
                let subject = run.subjects[row];
                see(cells.of_range(group), subject);
                if cells.has_buckets() {
                    see(cells.of_bucket(group, bucket_of(run.timestamps[row], extents, last, buckets)), subject);
                }
            }
        }
    }

    /// Puts persons in the place of subjects, from `start` on.
    fn moved_to_persons(&mut self, start: usize, merged: &Merged) {
        for entry in self.moved.iter_mut().skip(start) {
            let (subject, cell) = ((*entry >> u32::BITS) as u32, *entry as u32);
            let person = merged.person(subject).unwrap_or(subject);
            *entry = u64::from(person) << u32::BITS | u64::from(cell);
        }
    }
}

/// Where the cells of one series are.
#[derive(Debug, Clone, Copy)]
struct SeriesCells {
    bit: u32,
    base: usize,
    buckets: usize,
}

impl SeriesCells {
    fn new(layout: &Layout, series: usize) -> Self {
        Self { bit: 1 << series, base: layout.cell(series, 0, 0), buckets: layout.buckets }
    }

    /// A lone bucket is the range.
    fn has_buckets(self) -> bool {
        self.buckets > 1
    }

    fn of_bucket(self, group: u32, bucket: usize) -> usize {
        self.base + group as usize * (self.buckets + 1) + bucket
    }

    fn of_range(self, group: u32) -> usize {
        self.of_bucket(group, self.buckets)
    }
}

/// The bucket of an instant; `last` is that of the one before: rows of a subject lie close together.
#[inline]
fn bucket_of(us: i64, extents: &[ResolvedRange], last: &mut usize, buckets: &Buckets) -> usize {
    if !extents[*last].contains(us) {
        // Rows lie in the range, and every instant of it in a bucket.
        *last = buckets.index_of(us).unwrap_or(*last);
    }
    *last
}
