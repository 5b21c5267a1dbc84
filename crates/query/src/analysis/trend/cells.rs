//! Series from columns: what the events of each group and bucket come to, and different units.
//!
//! Different units are counted without sets of them: runs are gone through together, 32 subjects at a time, and every cell has one bit for each of the 32.

use std::ops::Range;
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::frequency;
use super::layout::{Kind, Layout};
use super::lists::Lists;
use super::shape::Shape;
use crate::analysis::aggregate::GroupTotal;
use crate::calendar::{Buckets, Interval, ResolvedRange, TimeZone, WeekStart};
use crate::error::Result;
use crate::local::{Matches, Merged, Run, RunGroups, Runs, Stretches, Work};
use crate::spec::{GroupLabel, GroupValue, Scope, Split};
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

impl Cells<'_> {
    /// The values of every series, by series and then by group.
    pub(super) async fn count(&self, runs: Runs, scope: &Scope) -> Result<Vec<SeriesResult>> {
        let names = self.trend.names();
        let all = self.trend.series.len();
        // How often does not ask when.
        let buckets = if self.trend.has_frequencies() { 0 } else { self.shape.buckets.len() };
        let of = |series: usize, shown: Arc<[u32]>, groups: usize, buckets: usize| {
            Layout::new(self.trend, self.shape, series, (shown, groups), buckets)
        };
        let groups = runs.groups.clone();
        let runs = Arc::new(runs);
        if scope.breakdown.is_empty() {
            let layout = of(all, Arc::from([0_u32]), 1, buckets);
            let counted = self.fill(&runs, &layout).await?;
            return self.frequencies(&runs, &layout, results(&layout, &counted, &names, &[None])).await;
        }
        let split = Split { groups: &groups, limit: scope.limit };
        // Where the cells of all groups are many, the range as a whole tells first which groups are shown.
        let each: Arc<[u32]> = (0_u32..).take(groups.len()).collect();
        let every = of(all, Arc::clone(&each), groups.len(), buckets);
        let at_once = every.cells() <= CELLS_AT_ONCE;
        let whole = if at_once { every } else { of(1, Arc::clone(&each), groups.len(), 0) };
        let own = whole.buckets;
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
        let layout = of(all, Arc::from(shown.as_slice()), kept + 1, buckets);
        if !at_once {
            let counted = self.fill(&runs, &layout).await?;
            return self.frequencies(&runs, &layout, results(&layout, &counted, &names, &labels)).await;
        }
        // What is shown is known but for the others together.
        let mut counted = Counted::new(&layout);
        for (place, group) in folded.kept.iter().enumerate() {
            counted.copy(&layout, place, &totals, &whole, *group as usize);
        }
        if !folded.rest.is_empty() {
            let rest = shown.iter().map(|place| if *place == other { 0 } else { SKIPPED });
            let rest = layout.of_groups(rest.collect(), 1);
            let others = self.fill(&runs, &rest).await?;
            counted.copy(&layout, kept, &others, &rest, 0);
        }
        self.frequencies(&runs, &layout, results(&layout, &counted, &names, &labels)).await
    }

    /// The same results, with how often where that is the measure.
    async fn frequencies(
        &self,
        runs: &Arc<Runs>,
        layout: &Layout,
        mut results: Vec<SeriesResult>,
    ) -> Result<Vec<SeriesResult>> {
        if self.trend.has_frequencies() {
            let found = frequency::count(runs, layout, self.subjects, &self.merged, (self.pool, self.work)).await?;
            let shown = results.len() / layout.lines.len().max(1);
            for (line, own) in results.chunks_mut(shown.max(1)).enumerate() {
                for (group, result) in own.iter_mut().enumerate() {
                    result.frequency = found.get(line * layout.groups + group).cloned();
                }
            }
        }
        Ok(results)
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
        let (sums, extremes) = (layout.cells_of(Kind::sums), layout.cells_of(Kind::compares));
        let values: Arc<[usize]> = runs.values.iter().map(crate::spec::Groups::len).collect();
        let lists = Lists::new(layout, &values).bytes();
        let bytes = layout.cells() * 16 + sums * 16 + extremes * 8 + layout.groups * 8 + lists;
        reservation.try_grow(bytes * threads)?;
        let nulls = runs.values.iter().map(|values| values.find(&[GroupValue::Null]).unwrap_or(u32::MAX));
        let nulls: Arc<[u32]> = nulls.collect();
        let buckets = self.buckets.clone();
        let extents: Arc<[ResolvedRange]> = (0..buckets.len()).filter_map(|at| buckets.extent(at)).collect();
        let make = || {
            let lists = Lists::new(layout, &values);
            Counter::new(layout.clone(), (lists, Arc::clone(&nulls)), Arc::clone(&extents), self.pool)
        };
        let (shared, merged) = (Arc::clone(runs), self.merged.clone());
        let tables: Vec<Arc<[u32]>> = runs.runs.iter().map(|run| layout.table(run)).collect();
        // Events are counted run by run, units a stretch of subjects of all runs at a time.
        let pieces = |(at, run): (usize, &Run)| {
            let starts = (0..run.subjects.len()).step_by(PIECE_ROWS);
            let end = run.subjects.len();
            starts.map(move |start| (at, start..end.min(start + PIECE_ROWS))).collect::<Vec<_>>()
        };
        let of_runs: Vec<(usize, Range<usize>)> = runs.runs.iter().enumerate().flat_map(pieces).collect();
        let counts_units = layout.parts.iter().any(|part| part.kind == Kind::Uniques);
        let units = if counts_units { stretches.count() } else { 0 };
        let count = of_runs.len() + units;
        let piece = move |counter: &mut Counter, at: usize| match of_runs.get(at) {
            Some((run, rows)) => counter.events(&shared.runs[*run], &tables[*run], rows.clone(), &buckets),
            None => counter.units(&shared.runs, &tables, &stretches.subjects(at - of_runs.len()), &merged, &buckets),
        };
        let counters = self.work.each(count, rows < SMALL_ROWS, make, piece).await?;
        let mut all = Counted::new(layout);
        let (mut lists, mut moved, mut held) = (Lists::default(), Vec::new(), Vec::new());
        for counter in counters {
            all.add(layout, &counter.counted);
            lists.add(counter.lists);
            moved.extend(counter.moved);
            held.push(counter.reservation);
        }
        moved.sort_unstable();
        moved.dedup();
        for cell in moved.into_iter().map(|moved| moved as u32) {
            all.values[cell as usize] += 1;
        }
        self.finish_lists(layout, lists, &mut all, &reservation).await?;
        Ok(all)
    }

    /// Turns what was kept whole into the values of its cells.
    async fn finish_lists(
        &self,
        layout: &Layout,
        lists: Lists,
        all: &mut Counted,
        reservation: &MemoryReservation,
    ) -> Result<()> {
        let numbers = lists.numbers();
        // Each list is copied while its percentile is sought.
        reservation.try_grow(numbers * size_of::<f64>())?;
        let own = |(at, line): (usize, &super::layout::Line)| {
            let kept = line.measure.share().is_some() || line.measure == Measure::Distinct;
            kept.then_some((at, *line))
        };
        let lines: Vec<_> = layout.lines.iter().enumerate().filter_map(own).collect();
        let (count, groups, shape) = (lines.len() * layout.groups, layout.groups, layout.clone());
        type Done = Vec<(usize, usize, Vec<f64>, Vec<u64>)>;
        let piece = move |done: &mut Done, at: usize| {
            let ((line, of), group) = (lines[at / groups], at % groups);
            let place = (of.part, group);
            done.push(match of.measure.share() {
                Some(share) => (line, group, lists.percentiles(&shape, place, share), Vec::new()),
                None => (line, group, Vec::new(), lists.values(&shape, place)),
            });
            Ok(())
        };
        let done: Vec<Done> = self.work.each(count, numbers < SMALL_ROWS, Vec::new, piece).await?;
        for (line, group, percentiles, values) in done.into_iter().flatten() {
            let of_line = layout.cell(line, group, 0);
            for (at, percentile) in percentiles.into_iter().enumerate() {
                if let Some(cell) = all.percentiles.get_mut(of_line + at) {
                    *cell = percentile;
                }
            }
            let of_part = layout.cell(layout.lines[line].part, group, 0);
            for (at, values) in values.into_iter().enumerate() {
                all.values[of_part + at] = values;
            }
        }
        Ok(())
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
    let layout = Layout::of_units(count);
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
    for (line, name) in names.iter().enumerate() {
        for (group, label) in labels.iter().enumerate() {
            let number = |bucket: usize| counted.number(layout, line, group, bucket);
            let total = number(layout.buckets);
            let values = match layout.buckets {
                1 => vec![total],
                _ if layout.lines[line].cumulative => counted.so_far(layout, line, group),
                buckets => (0..buckets).map(number).collect(),
            };
            results.push(SeriesResult { name: name.clone(), breakdown: label.clone(), values, frequency: None, total });
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
    /// By cell, where something is compared; NaN of no number.
    extremes: Vec<f64>,
    /// By line and then as cells are, where there are percentiles; NaN of no number.
    percentiles: Vec<f64>,
    /// By shown group: how many events of any series.
    rows: Vec<u64>,
}

impl Counted {
    fn new(layout: &Layout) -> Self {
        let has_percentiles = layout.lines.iter().any(|line| line.measure.share().is_some());
        Self {
            values: vec![0; layout.cells()],
            sums: vec![Sum::default(); layout.cells_of(Kind::sums)],
            extremes: vec![f64::NAN; layout.cells_of(Kind::compares)],
            percentiles: vec![f64::NAN; if has_percentiles { layout.lines.len() * layout.of_part() } else { 0 }],
            rows: vec![0; layout.groups],
        }
    }

    fn add(&mut self, layout: &Layout, other: &Self) {
        let counts = self.values.iter_mut().zip(&other.values).chain(self.rows.iter_mut().zip(&other.rows));
        counts.for_each(|(here, there)| *here += there);
        self.sums.iter_mut().zip(&other.sums).for_each(|(here, there)| *here += *there);
        for (part, own) in layout.parts.iter().enumerate().filter(|(_, part)| part.kind.compares()) {
            let cells = layout.cell(part, 0, 0)..layout.cell(part + 1, 0, 0);
            let both = self.extremes[cells.clone()].iter_mut().zip(&other.extremes[cells]);
            both.for_each(|(here, there)| *here = further(own.kind, *here, *there));
        }
    }

    /// Takes over the cells of a group of `other`.
    fn copy(&mut self, layout: &Layout, place: usize, other: &Self, theirs: &Layout, group: usize) {
        for part in 0..layout.parts.len() {
            let (to, from) = (layout.cell(part, place, 0), theirs.cell(part, group, 0));
            let (to, from) = (to..=to + layout.buckets, from..=from + layout.buckets);
            self.values[to.clone()].copy_from_slice(&other.values[from.clone()]);
            if !self.sums.is_empty() {
                self.sums[to.clone()].copy_from_slice(&other.sums[from.clone()]);
            }
            if !self.extremes.is_empty() {
                self.extremes[to].copy_from_slice(&other.extremes[from]);
            }
        }
        for line in 0..layout.lines.len() {
            let (to, from) = (layout.cell(line, place, 0), theirs.cell(line, group, 0));
            if let (Some(here), Some(there)) = (
                self.percentiles.get_mut(to..=to + layout.buckets),
                other.percentiles.get(from..=from + layout.buckets),
            ) {
                here.copy_from_slice(there);
            }
        }
    }

    fn number(&self, layout: &Layout, line: usize, group: usize, bucket: usize) -> Number {
        let of = layout.lines[line];
        let cell = layout.cell(of.part, group, bucket);
        let units = || self.values[layout.cell(of.units, group, bucket)];
        let real = |found: f64| Number::of(Some(found).filter(|found| !found.is_nan()));
        match of.measure {
            Measure::Sum => Number::Real(self.sums[cell].value()),
            Measure::SumPerUser => Number::mean(self.sums[cell], units()).or_zero(),
            Measure::CountPerUser => Number::share(self.values[cell], units()).or_zero(),
            Measure::Avg => Number::mean(self.sums[cell], self.values[cell]),
            Measure::Min | Measure::Max => real(self.extremes[cell]),
            measure if measure.share().is_some() => {
                let own = self.percentiles.get(layout.cell(line, group, bucket));
                real(own.copied().unwrap_or(f64::NAN))
            }
            _ => Number::Count(self.values[cell]),
        }
    }

    /// Of a line that counts or sums, each bucket with all before it.
    fn so_far(&self, layout: &Layout, line: usize, group: usize) -> Vec<Number> {
        let of = layout.lines[line];
        let (mut count, mut sum) = (0, Sum::default());
        let value = |bucket: usize| {
            let cell = layout.cell(of.part, group, bucket);
            count += self.values[cell];
            match of.measure {
                Measure::Sum => {
                    sum += self.sums[cell];
                    Number::Real(sum.value())
                }
                _ => Number::Count(count),
            }
        };
        (0..layout.buckets).map(value).collect()
    }
}

/// The lesser or the larger of two, of which NaN is neither.
#[inline]
fn further(kind: Kind, here: f64, there: f64) -> f64 {
    if matches!(kind, Kind::Least(_)) { here.min(there) } else { here.max(there) }
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
    /// What cells keep whole.
    lists: Lists,
    /// The number of NULL among the values of each property whose values are read.
    nulls: Arc<[u32]>,
    reservation: MemoryReservation,
    extents: Arc<[ResolvedRange]>,
    /// The bucket of the row before: rows of a subject lie close together.
    bucket: usize,
}

impl Counter {
    fn new(
        layout: Layout,
        (lists, nulls): (Lists, Arc<[u32]>),
        extents: Arc<[ResolvedRange]>,
        pool: &Arc<dyn MemoryPool>,
    ) -> Self {
        Self {
            counted: Counted::new(&layout),
            seen: vec![0; layout.cells()],
            block: 0,
            first: 0,
            several: 0,
            moved: Vec::new(),
            lists,
            nulls,
            reservation: MemoryConsumer::new("units and lists of a trend").register(pool),
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
    fn events(&mut self, run: &Run, table: &[u32], rows: Range<usize>, buckets: &Buckets) -> Result<()> {
        let kept = match &run.groups {
            RunGroups::None => self.events_in(run, rows, buckets, |_| table[0]),
            RunGroups::Each(numbers) => self.events_in(run, rows, buckets, |row| table[numbers[row] as usize]),
            RunGroups::Coded(codes, _) => match run.matches {
                Matches::All(bits) if self.layout.only_counts() && table.len() <= rows.len() => {
                    self.codes(&codes[rows], table, bits);
                    0
                }
                _ => self.events_in(run, rows, buckets, |row| table[usize::from(codes[row])]),
            },
        };
        Ok(self.reservation.try_grow(kept)?)
    }

    /// Counts rows that all match the same, by their codes first and only then by group.
    fn codes(&mut self, codes: &[u16], table: &[u32], bits: u32) {
        let mut of_code = vec![0_u32; table.len()];
        codes.iter().for_each(|code| of_code[usize::from(*code)] += 1);
        for (group, count) in table.iter().zip(of_code).filter(|(group, count)| **group != SKIPPED && *count > 0) {
            self.counted.rows[*group as usize] += u64::from(count);
            for (at, part) in self.layout.parts.iter().enumerate() {
                let cells = PartCells::new(&self.layout, at);
                if part.kind == Kind::Count && bits & cells.bits != 0 {
                    self.counted.values[cells.of_range(*group)] += u64::from(count);
                }
            }
        }
    }

    /// Answers how many bytes what is kept whole has grown by.
    #[inline]
    fn events_in(
        &mut self,
        run: &Run,
        rows: Range<usize>,
        buckets: &Buckets,
        group_of: impl Fn(usize) -> u32,
    ) -> usize {
        let Self { layout, counted, extents, bucket: last, lists, nulls, .. } = self;
        for row in rows.clone() {
            if let Some(count) = counted.rows.get_mut(group_of(row) as usize) {
                *count += 1;
            }
        }
        let mut kept = 0;
        for (at, part) in layout.parts.iter().enumerate().filter(|(_, part)| part.kind != Kind::Uniques) {
            let cells = PartCells::new(layout, at);
            if !run.matches.any_of(cells.bits) {
                continue;
            }
            let is_own = |row: usize| group_of(row) != SKIPPED && run.matches.of(row) & cells.bits != 0;
            if let Kind::List(_) | Kind::Values(_) = part.kind {
                for row in rows.clone().filter(|row| is_own(*row)) {
                    let group = group_of(row);
                    // Of the range is what its buckets have.
                    let cell = match cells.has_buckets() {
                        true => cells.of_bucket(group, bucket_of(run.timestamps[row], extents, last, buckets)),
                        false => cells.of_range(group),
                    };
                    kept += match part.kind {
                        Kind::List(number) => {
                            let number = run.numbers[number][row];
                            if number.is_nan() { 0 } else { lists.add_number(at, cell - cells.base, number) }
                        }
                        Kind::Values(value) => {
                            let (null, value) = (nulls[value], run.values[value].of(row));
                            if value == null { 0 } else { lists.add_value(at, cell - cells.base, value) }
                        }
                        _ => 0,
                    };
                }
                continue;
            }
            let mut add = |cell: usize, row: usize| match part.kind {
                Kind::Sum(number) => {
                    let number = run.numbers[number][row];
                    if !number.is_nan() {
                        counted.sums[cell].add(number);
                    }
                }
                Kind::Mean(number) => {
                    let number = run.numbers[number][row];
                    if !number.is_nan() {
                        counted.sums[cell].add(number);
                        counted.values[cell] += 1;
                    }
                }
                Kind::Least(number) => counted.extremes[cell] = counted.extremes[cell].min(run.numbers[number][row]),
                Kind::Most(number) => counted.extremes[cell] = counted.extremes[cell].max(run.numbers[number][row]),
                _ => counted.values[cell] += 1,
            };
            for row in rows.clone() {
                let group = group_of(row);
                if group == SKIPPED || run.matches.of(row) & cells.bits == 0 {
                    continue;
                }
                add(cells.of_range(group), row);
                if cells.has_buckets() {
                    add(cells.of_bucket(group, bucket_of(run.timestamps[row], extents, last, buckets)), row);
                }
            }
        }
        kept
    }

    #[inline]
    fn units_in(&mut self, run: &Run, rows: Range<usize>, buckets: &Buckets, group_of: impl Fn(usize) -> u32) {
        let Self { layout, counted, seen, moved, block, first, several, extents, bucket: last, .. } = self;
        let (block, first, several) = (*block, *first, *several);
        let values = counted.values.as_mut_slice();
        for (at, _) in layout.parts.iter().enumerate().filter(|(_, part)| part.kind == Kind::Uniques) {
            let cells = PartCells::new(layout, at);
            if !run.matches.any_of(cells.bits) {
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
                if group == SKIPPED || run.matches.of(row) & cells.bits == 0 {
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

/// Where the cells of one part are.
#[derive(Debug, Clone, Copy)]
struct PartCells {
    bits: u32,
    base: usize,
    buckets: usize,
}

impl PartCells {
    fn new(layout: &Layout, part: usize) -> Self {
        Self { bits: layout.parts[part].bits, base: layout.cell(part, 0, 0), buckets: layout.buckets }
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
