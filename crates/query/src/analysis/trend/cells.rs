//! Series from columns: counts and different units of each group and bucket.
//!
//! Different units are counted without sets of them: runs are gone through together, 64 subjects at a time, and every cell has one bit for each of the 64.

use std::ops::Range;
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use crate::calendar::{Buckets, ResolvedRange};
use crate::error::Result;
use crate::local::{Merged, Run, Runs, Stretches, Work};
use crate::spec::{GroupLabel, Scope, Split};
use crate::trend::{Measure, SeriesResult};

/// Subjects that are counted together: as many as a word has bits.
const BLOCK: u32 = u64::BITS;
/// Fewer rows than this are counted without a thread.
const SMALL_ROWS: usize = 20_000;

/// What is counted.
pub(super) struct Cells<'a> {
    pub(super) measures: &'a [Measure],
    pub(super) buckets: &'a Buckets,
    pub(super) subjects: u32,
    pub(super) merged: Merged,
    pub(super) pool: &'a Arc<dyn MemoryPool>,
    pub(super) work: Work,
}

/// Which cells there are: for each series and shown group one for each bucket and one for the range.
#[derive(Debug, Clone)]
struct Shape {
    measures: Arc<[Measure]>,
    /// The shown group of each group of the runs.
    shown: Arc<[u32]>,
    groups: usize,
    buckets: usize,
}

impl Shape {
    /// Cells of one series.
    fn series(&self) -> usize {
        self.groups * (self.buckets + 1)
    }

    fn cells(&self) -> usize {
        self.measures.len() * self.series()
    }

    fn cell(&self, series: usize, group: usize, bucket: usize) -> usize {
        series * self.series() + group * (self.buckets + 1) + bucket
    }
}

impl Cells<'_> {
    /// The values of every series, by series and then by group.
    pub(super) async fn count(&self, runs: Runs, names: &[String], scope: &Scope) -> Result<Vec<SeriesResult>> {
        let groups = runs.groups.clone();
        let runs = Arc::new(runs);
        if scope.breakdown.is_empty() {
            let shape = self.shape(Arc::from([0_u32]), 1, self.measures, self.buckets.len());
            let counted = self.fill(&runs, &shape).await?;
            return Ok(results(&shape, &counted, names, &[None]));
        }
        let split = Split { groups: &groups, limit: scope.limit };
        // Which groups there are, and which are shown: the range as a whole tells.
        let each: Arc<[u32]> = (0_u32..).take(groups.len()).collect();
        let first = self.measures.get(..1).unwrap_or_default();
        let whole = self.shape(Arc::clone(&each), groups.len(), first, 0);
        let totals = self.fill(&runs, &whole).await?;
        let filled = each.iter().filter(|group| totals.rows[**group as usize] > 0);
        let folded = split.fold(filled.map(|group| (*group, totals.values[whole.cell(0, *group as usize, 0)])));
        let mut labels: Vec<Option<GroupLabel>> = folded.kept.iter().map(|group| Some(split.label(*group))).collect();
        let other = u32::try_from(folded.kept.len()).unwrap_or(u32::MAX);
        let mut shown = vec![other; groups.len()];
        for (place, group) in (0..).zip(&folded.kept) {
            shown[*group as usize] = place;
        }
        if !folded.rest.is_empty() {
            labels.push(Some(GroupLabel::Other));
        }
        let shape = self.shape(shown.into(), folded.kept.len() + 1, self.measures, self.buckets.len());
        let counted = self.fill(&runs, &shape).await?;
        Ok(results(&shape, &counted, names, &labels))
    }

    fn shape(&self, shown: Arc<[u32]>, groups: usize, measures: &[Measure], buckets: usize) -> Shape {
        Shape { measures: measures.into(), shown, groups, buckets }
    }

    async fn fill(&self, runs: &Arc<Runs>, shape: &Shape) -> Result<Counted> {
        let rows = runs.rows();
        let stretches = Stretches::aligned(self.subjects, rows, BLOCK);
        let reservation = MemoryConsumer::new("cells of a trend").register(self.pool);
        let threads = self.work.threads();
        reservation.try_grow((shape.cells() * 16 + shape.groups * 8) * threads)?;
        let borders: Arc<[ResolvedRange]> = (0..self.buckets.len()).filter_map(|at| self.buckets.extent(at)).collect();
        let make = || Counter::new(shape.clone(), Arc::clone(&borders), self.pool);
        let (shared, merged) = (Arc::clone(runs), self.merged.clone());
        let buckets = self.buckets.clone();
        let piece = move |counter: &mut Counter, at: usize| {
            counter.take(&shared.runs, &stretches.subjects(at), &merged, &buckets)
        };
        let counters = self.work.each(stretches.count(), rows < SMALL_ROWS, make, piece).await?;
        let mut all = Counted { values: vec![0; shape.cells()], rows: vec![0; shape.groups] };
        let mut moved = Vec::new();
        for counter in counters {
            for (here, there) in all.values.iter_mut().zip(&counter.counted.values) {
                *here += there;
            }
            for (here, there) in all.rows.iter_mut().zip(&counter.counted.rows) {
                *here += there;
            }
            moved.extend(counter.moved);
        }
        moved.sort_unstable();
        moved.dedup();
        for (_, cell) in moved {
            all.values[cell as usize] += 1;
        }
        Ok(all)
    }
}

fn results(shape: &Shape, counted: &Counted, names: &[String], labels: &[Option<GroupLabel>]) -> Vec<SeriesResult> {
    let mut results = Vec::with_capacity(names.len() * labels.len());
    for (series, name) in names.iter().enumerate() {
        for (group, label) in labels.iter().enumerate() {
            let first = shape.cell(series, group, 0);
            let total = counted.values[first + shape.buckets];
            let values = match shape.buckets {
                1 => vec![total],
                buckets => counted.values[first..first + buckets].to_vec(),
            };
            results.push(SeriesResult { name: name.clone(), breakdown: label.clone(), values, total });
        }
    }
    results
}

/// What has been counted.
struct Counted {
    /// By cell.
    values: Vec<u64>,
    /// By shown group: how many events of any series.
    rows: Vec<u64>,
}

/// One thread's counts.
struct Counter {
    shape: Shape,
    counted: Counted,
    /// Which of the 64 subjects at hand each cell has seen.
    seen: Vec<u64>,
    touched: Vec<u32>,
    /// Persons with several subjects, and the cells that they belong to.
    moved: Vec<(u32, u32)>,
    reservation: MemoryReservation,
    extents: Arc<[ResolvedRange]>,
    /// The bucket of the row before: rows of a subject lie close together.
    bucket: usize,
}

impl Counter {
    fn new(shape: Shape, extents: Arc<[ResolvedRange]>, pool: &Arc<dyn MemoryPool>) -> Self {
        let cells = shape.cells();
        Self {
            counted: Counted { values: vec![0; cells], rows: vec![0; shape.groups] },
            seen: vec![0; cells],
            touched: Vec::new(),
            moved: Vec::new(),
            reservation: MemoryConsumer::new("merged units of a trend").register(pool),
            extents,
            bucket: 0,
            shape,
        }
    }

    fn take(&mut self, runs: &[Run], subjects: &Range<u32>, merged: &Merged, buckets: &Buckets) -> Result<()> {
        let mut own: Vec<(&Run, Range<usize>)> =
            runs.iter().map(|run| (run, run.rows_of(subjects))).filter(|(_, rows)| !rows.is_empty()).collect();
        if !self.shape.measures.contains(&Measure::Uniques) {
            for (run, rows) in own {
                self.rows(run, rows, 0, &Merged::default(), buckets);
            }
            return Ok(());
        }
        let moved = self.moved.len();
        let mut first = subjects.start;
        while first < subjects.end && !own.is_empty() {
            let end = first.saturating_add(BLOCK);
            for (run, rows) in &mut own {
                let start = rows.start;
                let left = &run.subjects[rows.clone()];
                let length = left.iter().take_while(|subject| **subject < end).count();
                if length > 0 {
                    rows.start += length;
                    self.rows(run, start..start + length, first, merged, buckets);
                }
            }
            for cell in self.touched.drain(..) {
                let cell = cell as usize;
                self.counted.values[cell] += u64::from(self.seen[cell].count_ones());
                self.seen[cell] = 0;
            }
            first = end;
        }
        Ok(self.reservation.try_grow((self.moved.len() - moved) * size_of::<(u32, u32)>())?)
    }

    fn rows(&mut self, run: &Run, rows: Range<usize>, first: u32, merged: &Merged, buckets: &Buckets) {
        for row in rows {
            let bucket = if self.shape.buckets <= 1 { 0 } else { self.bucket_of(run.timestamps[row], buckets) };
            let group = self.shape.shown[run.group(row) as usize] as usize;
            self.counted.rows[group] += 1;
            let subject = run.subjects[row];
            let mut left = run.matches.of(row);
            while left != 0 {
                let series = left.trailing_zeros() as usize;
                left &= left - 1;
                let Some(measure) = self.shape.measures.get(series) else { continue };
                let cells = [bucket, self.shape.buckets].map(|bucket| self.shape.cell(series, group, bucket));
                // A lone bucket is the range.
                let cells = if self.shape.buckets <= 1 { &cells[1..] } else { &cells[..] };
                for cell in cells {
                    match measure {
                        Measure::Count => self.counted.values[*cell] += 1,
                        Measure::Uniques => match merged.person(subject) {
                            Some(person) => self.moved.push((person, *cell as u32)),
                            None => {
                                let seen = &mut self.seen[*cell];
                                if *seen == 0 {
                                    self.touched.push(*cell as u32);
                                }
                                *seen |= 1 << (subject - first);
                            }
                        },
                    }
                }
            }
        }
    }

    fn bucket_of(&mut self, us: i64, buckets: &Buckets) -> usize {
        if !self.extents[self.bucket].contains(us) {
            // Rows lie in the range, and every instant of it in a bucket.
            self.bucket = buckets.index_of(us).unwrap_or(self.bucket);
        }
        self.bucket
    }
}
