//! From runs to units: the rows of each subject together, in the order of events, a stretch of subjects at a time.

use std::ops::Range;
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::persons::Merged;
use super::run::{Matches, Run, RunGroups, Runs};
use super::work::Work;
use crate::analysis::{Core, Row};
use crate::error::Result;
use crate::spec::{Hit, HitValue};

/// Rows that are taken together, nearly: they stay in a core's cache.
const STRETCH_ROWS: usize = 32_768;

/// A stretch of subjects for each piece of work.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stretches {
    width: u32,
    count: usize,
}

impl Stretches {
    /// Of `subjects` with `rows` rows in all.
    pub(crate) fn new(subjects: u32, rows: usize) -> Self {
        let wanted = u32::try_from(rows / STRETCH_ROWS).unwrap_or(u32::MAX).clamp(1, subjects.max(1));
        let width = subjects.div_ceil(wanted).max(1);
        Self { width, count: subjects.div_ceil(width) as usize }
    }

    /// The same, each beginning at a multiple of `align`.
    pub(crate) fn aligned(subjects: u32, rows: usize, align: u32) -> Self {
        let width = Self::new(subjects, rows).width.next_multiple_of(align);
        Self { width, count: subjects.div_ceil(width) as usize }
    }

    pub(crate) fn count(self) -> usize {
        self.count
    }

    /// The stretch of a subject.
    fn of(self, subject: u32) -> usize {
        (subject / self.width) as usize
    }

    pub(crate) fn subjects(self, at: usize) -> Range<u32> {
        let start = (at as u32).saturating_mul(self.width);
        start..start.saturating_add(self.width)
    }
}

/// Feeds every unit of `runs` that matches one of the selectors in `needs` to one of several cores, and returns the cores.
pub(crate) async fn feed_runs<C: Core>(
    runs: Runs,
    subjects: u32,
    merged: Merged,
    needs: u32,
    (pool, work): (&Arc<dyn MemoryPool>, Work),
    make: impl Fn() -> C,
) -> Result<Vec<C>> {
    let stretches = Stretches::new(subjects, runs.rows());
    let small = runs.rows() < STRETCH_ROWS;
    let runs = Arc::new(runs);
    let moved = match merged.is_empty() {
        true => Vec::new(),
        false => move_rows(&runs, stretches, &merged, (pool, work)).await?,
    };
    let feeder = || Feeder {
        core: make(),
        ends: Vec::new(),
        wanted: Vec::new(),
        hits: Vec::new(),
        reservation: MemoryConsumer::new("events of some units").register(pool),
    };
    let piece = move |feeder: &mut Feeder<C>, at: usize| {
        let others: Vec<&[Row<C::Value>]> = moved.iter().map(|moved| moved.of(at)).collect();
        feeder.take(&runs, &others, &stretches.subjects(at), &merged, needs)
    };
    let feeders = work.each(stretches.count(), small, feeder, piece).await?;
    Ok(feeders.into_iter().map(|feeder| feeder.core).collect())
}

/// The rows of subjects who are counted as another, with that one's stretch: what one thread found.
struct Moved<V> {
    by_stretch: Vec<Vec<Row<V>>>,
    reservation: MemoryReservation,
}

impl<V> Moved<V> {
    fn of(&self, stretch: usize) -> &[Row<V>] {
        self.by_stretch.get(stretch).map_or(&[], Vec::as_slice)
    }
}

/// Finds the rows that belong to other stretches than their subjects'.
async fn move_rows<V: HitValue>(
    runs: &Arc<Runs>,
    stretches: Stretches,
    merged: &Merged,
    (pool, work): (&Arc<dyn MemoryPool>, Work),
) -> Result<Vec<Moved<V>>> {
    let make = || Moved {
        by_stretch: vec![Vec::new(); stretches.count()],
        reservation: MemoryConsumer::new("events of merged units").register(pool),
    };
    let (runs, merged) = (Arc::clone(runs), merged.clone());
    let (count, small) = (runs.runs.len(), runs.rows() < STRETCH_ROWS);
    let piece = move |moved: &mut Moved<V>, at: usize| {
        let run = &runs.runs[at];
        let mut rows = 0;
        for (row, subject) in run.subjects.iter().enumerate() {
            let Some(unit) = merged.other_person(*subject) else { continue };
            rows += 1;
            moved.by_stretch[stretches.of(unit)].push(Row {
                timestamp: run.timestamps[row],
                sequence: run.sequence(row),
                unit,
                matches: run.matches.of(row),
                group: run.groups.of(row),
                value: run.value(row),
            });
        }
        Ok(moved.reservation.try_grow(rows * size_of::<Row<V>>())?)
    };
    work.each(count, small, make, piece).await
}

/// One thread's part of it.
struct Feeder<C: Core> {
    core: C,
    /// Where the rows of each subject of the stretch end.
    ends: Vec<u32>,
    /// Which subjects of the stretch match what is needed.
    wanted: Vec<bool>,
    hits: Vec<Hit<C::Value>>,
    /// Of `hits`.
    reservation: MemoryReservation,
}

impl<C: Core> Feeder<C> {
    /// Takes the rows about `subjects`, and those of others who are counted as one of them.
    fn take(
        &mut self,
        runs: &Runs,
        others: &[&[Row<C::Value>]],
        subjects: &Range<u32>,
        merged: &Merged,
        needs: u32,
    ) -> Result<()> {
        let width = (subjects.end - subjects.start) as usize;
        let own: Vec<(usize, Range<usize>)> = runs
            .runs
            .iter()
            .enumerate()
            .map(|(at, run)| (at, run.rows_of(subjects)))
            .filter(|(_, rows)| !rows.is_empty())
            .collect();
        self.wanted.clear();
        self.wanted.resize(width, false);
        for (at, rows) in &own {
            let run = &runs.runs[*at];
            if run.matches.any() & needs == 0 {
                continue;
            }
            let subjects_of = &run.subjects[rows.clone()];
            match &run.matches {
                Matches::All(_) => {
                    for subject in subjects_of {
                        self.wanted[(subject - subjects.start) as usize] = true;
                    }
                }
                Matches::Each(bits) => {
                    for (subject, bits) in subjects_of.iter().zip(&bits[rows.clone()]) {
                        self.wanted[(subject - subjects.start) as usize] |= bits & needs != 0;
                    }
                }
            }
        }
        for row in others.iter().copied().flatten() {
            self.wanted[(row.unit - subjects.start) as usize] |= row.matches & needs != 0;
        }
        // Theirs are among the others of some stretch.
        for subject in merged.moved_within(subjects.clone()) {
            if let Some(wanted) = self.wanted.get_mut((subject - subjects.start) as usize) {
                *wanted = false;
            }
        }
        self.ends.clear();
        self.ends.resize(width, 0);
        for row in others.iter().copied().flatten() {
            self.ends[(row.unit - subjects.start) as usize] += 1;
        }
        for (at, rows) in &own {
            for subject in &runs.runs[*at].subjects[rows.clone()] {
                self.ends[(subject - subjects.start) as usize] += 1;
            }
        }
        let mut total = 0;
        for (end, wanted) in self.ends.iter_mut().zip(&self.wanted) {
            let rows = if *wanted { *end } else { 0 };
            *end = total;
            total += rows;
        }
        let total = total as usize;
        // What was there before is written over.
        if self.hits.len() < total {
            self.reservation.try_resize(total * size_of::<Hit<C::Value>>())?;
            self.hits.resize(total, Hit::default());
        }
        for (at, rows) in &own {
            let run = &runs.runs[*at];
            // What all rows of a run share is looked up once.
            match (&run.matches, &run.groups) {
                (Matches::All(bits), RunGroups::None) => self.place(run, rows, subjects.start, |_| (*bits, 0)),
                (Matches::All(bits), groups) => self.place(run, rows, subjects.start, |row| (*bits, groups.of(row))),
                (matches, groups) => {
                    self.place(run, rows, subjects.start, |row| (matches.of(row), groups.of(row)));
                }
            }
        }
        for row in others.iter().copied().flatten() {
            let place = (row.unit - subjects.start) as usize;
            if self.wanted[place] {
                let Row { timestamp, sequence, matches, group, value, .. } = *row;
                let end = &mut self.ends[place];
                self.hits[*end as usize] = Hit { timestamp, sequence, matches, group, value };
                *end += 1;
            }
        }
        let mut start = 0;
        for (subject, end) in (subjects.start..).zip(&self.ends) {
            let hits = &mut self.hits[start..*end as usize];
            start = *end as usize;
            if !hits.is_empty() {
                self.core.add_unit(subject, hits);
            }
        }
        Ok(())
    }

    /// Puts the rows of a run where those of their subjects begin. `of` gives what a row matches, and its group.
    #[inline]
    fn place(&mut self, run: &Run, rows: &Range<usize>, first: u32, of: impl Fn(usize) -> (u32, u32)) {
        let (subjects, times) = (&run.subjects[rows.clone()], &run.timestamps[rows.clone()]);
        let sequences = run.sequences.get(rows.clone()).unwrap_or_default();
        for (at, (subject, timestamp)) in subjects.iter().zip(times).enumerate() {
            let place = (subject - first) as usize;
            if !self.wanted[place] {
                continue;
            }
            let (matches, group) = of(rows.start + at);
            let end = &mut self.ends[place];
            let sequence = sequences.get(at).copied().unwrap_or(0);
            let value = run.value(rows.start + at);
            self.hits[*end as usize] = Hit { timestamp: *timestamp, sequence, matches, group, value };
            *end += 1;
        }
    }
}
