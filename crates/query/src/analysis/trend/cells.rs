//! Series from columns: counts and different units of each group and bucket.
//!
//! Different units are counted without sets of them: runs are gone through together, 64 subjects at a time, and every cell has one bit for each of the 64.

use std::ops::Range;
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::shape::Shape;
use crate::analysis::aggregate::GroupTotal;
use crate::calendar::{Buckets, Interval, ResolvedRange, TimeZone, WeekStart};
use crate::error::Result;
use crate::local::{Merged, Run, RunGroups, Runs, Stretches, Work};
use crate::spec::{GroupLabel, Scope, Split};
use crate::trend::{Measure, Number, SeriesResult, Sum, Trend};

/// Subjects that are counted together: as many as a word has bits.
const BLOCK: u32 = u64::BITS;
/// Up to so many cells are counted for every group, shown or not.
const CELLS_AT_ONCE: usize = 1 << 16;
/// In place of a group that is not counted.
const SKIPPED: u32 = u32::MAX;
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
        let piece = move |counter: &mut Counter, at: usize| {
            counter.take(&shared.runs, &stretches.subjects(at), &merged, &buckets)
        };
        let counters = self.work.each(stretches.count(), rows < SMALL_ROWS, make, piece).await?;
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
type Own<'a> = (&'a Run, Range<usize>, Arc<[u32]>);

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
    /// Which of the 64 subjects at hand each cell has seen.
    seen: Vec<u64>,
    touched: Vec<u32>,
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
            touched: Vec::new(),
            moved: Vec::new(),
            reservation: MemoryConsumer::new("merged units of a trend").register(pool),
            extents,
            bucket: 0,
            layout,
        }
    }

    fn take(&mut self, runs: &[Run], subjects: &Range<u32>, merged: &Merged, buckets: &Buckets) -> Result<()> {
        let mut own: Vec<Own<'_>> = runs
            .iter()
            .map(|run| (run, run.rows_of(subjects)))
            .filter(|(_, rows)| !rows.is_empty())
            .map(|(run, rows)| (run, rows, self.table(run)))
            .collect();
        let moved = self.moved.len();
        let no_bits = |kind: Kind| kind != Kind::Uniques;
        for (run, rows, table) in &own {
            self.rows(run, table, rows.clone(), 0, buckets, no_bits);
        }
        if !self.layout.kinds.contains(&Kind::Uniques) {
            return Ok(());
        }
        let mut first = subjects.start;
        while first < subjects.end {
            let end = first.saturating_add(BLOCK);
            for (run, rows, table) in &mut own {
                let start = rows.start;
                let left = &run.subjects[rows.clone()];
                let length = left.iter().take_while(|subject| **subject < end).count();
                if length > 0 {
                    rows.start += length;
                    self.rows(run, table, start..start + length, first, buckets, |kind| !no_bits(kind));
                }
            }
            let several = merged.word(first);
            for cell in self.touched.drain(..) {
                let seen = std::mem::take(&mut self.seen[cell as usize]);
                self.counted.values[cell as usize] += u64::from((seen & !several).count_ones());
                let mut left = seen & several;
                while left != 0 {
                    let person = merged.person(first + left.trailing_zeros());
                    left &= left - 1;
                    self.moved.extend(person.map(|person| u64::from(person) << 32 | u64::from(cell)));
                }
            }
            first = end;
        }
        Ok(self.reservation.try_grow((self.moved.len() - moved) * size_of::<u64>())?)
    }

    /// The shown group of each group that the run's rows name.
    fn table(&self, run: &Run) -> Arc<[u32]> {
        let shown = &self.layout.shown;
        match &run.groups {
            RunGroups::None => Arc::from([0]),
            RunGroups::Each(_) => Arc::clone(shown),
            RunGroups::Coded(_, numbers) => numbers.iter().map(|group| shown[*group as usize]).collect(),
        }
    }

    fn rows(
        &mut self,
        run: &Run,
        table: &[u32],
        rows: Range<usize>,
        first: u32,
        buckets: &Buckets,
        wanted: impl Fn(Kind) -> bool,
    ) {
        match &run.groups {
            RunGroups::None => self.rows_in(run, rows, first, buckets, wanted, |_| table[0]),
            RunGroups::Each(numbers) => {
                self.rows_in(run, rows, first, buckets, wanted, |row| table[numbers[row] as usize])
            }
            RunGroups::Coded(codes, _) => {
                self.rows_in(run, rows, first, buckets, wanted, |row| table[usize::from(codes[row])]);
            }
        }
    }

    #[inline]
    fn rows_in(
        &mut self,
        run: &Run,
        rows: Range<usize>,
        first: u32,
        buckets: &Buckets,
        wanted: impl Fn(Kind) -> bool,
        group_of: impl Fn(usize) -> u32,
    ) {
        if wanted(Kind::Count) {
            for row in rows.clone() {
                if let Some(count) = self.counted.rows.get_mut(group_of(row) as usize) {
                    *count += 1;
                }
            }
        }
        let of_range = self.layout.buckets;
        let kinds = Arc::clone(&self.layout.kinds);
        for (series, kind) in kinds.iter().copied().enumerate().filter(|(_, kind)| wanted(*kind)) {
            let bit = 1 << series;
            if run.matches.any_of(bit) {
                let base = self.layout.cell(series, 0, 0);
                let width = of_range + 1;
                for row in rows.clone() {
                    let group = group_of(row);
                    if group == SKIPPED || run.matches.of(row) & bit == 0 {
                        continue;
                    }
                    let first_cell = base + group as usize * width;
                    self.cell(kind, first_cell + of_range, run, row, first);
                    // A lone bucket is the range.
                    if of_range > 1 {
                        let bucket = self.bucket_of(run.timestamps[row], buckets);
                        self.cell(kind, first_cell + bucket, run, row, first);
                    }
                }
            }
        }
    }

    #[inline]
    fn cell(&mut self, kind: Kind, cell: usize, run: &Run, row: usize, first: u32) {
        match kind {
            Kind::Count => self.counted.values[cell] += 1,
            Kind::Sum(number) => {
                let number = run.numbers[number][row];
                if !number.is_nan() {
                    self.counted.sums[cell].add(number);
                }
            }
            Kind::Uniques => {
                let seen = &mut self.seen[cell];
                if *seen == 0 {
                    self.touched.push(cell as u32);
                }
                *seen |= 1 << (run.subjects[row] - first);
            }
        }
    }

    #[inline]
    fn bucket_of(&mut self, us: i64, buckets: &Buckets) -> usize {
        if !self.extents[self.bucket].contains(us) {
            // Rows lie in the range, and every instant of it in a bucket.
            self.bucket = buckets.index_of(us).unwrap_or(self.bucket);
        }
        self.bucket
    }
}
