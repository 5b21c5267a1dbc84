//! The first row of each unit, found where it lies: the rows of a unit are not brought together.

use std::ops::Range;
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::persons::Merged;
use super::run::{Matches, Run, Runs};
use super::units::Stretches;
use super::work::Work;
use crate::error::Result;

/// Fewer rows than this are gone through at once, without a thread.
const SMALL_ROWS: usize = 32_768;

/// The first of the rows of a unit that match a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct First {
    pub(crate) unit: u32,
    pub(crate) timestamp: i64,
    /// 0 where no sequences were read.
    pub(crate) sequence: u64,
    pub(crate) matches: u32,
    pub(crate) group: u32,
}

/// The first row, by timestamp and sequence, of each unit that matches one of the selectors in `bits`; where no sequences were read, of equals the one that
/// comes first in the runs. In no order.
pub(crate) async fn first_rows(
    runs: Runs,
    subjects: u32,
    merged: Merged,
    bits: u32,
    (pool, work): (&Arc<dyn MemoryPool>, Work),
) -> Result<Vec<Vec<First>>> {
    let stretches = Stretches::new(subjects, runs.rows());
    let small = runs.rows() < SMALL_ROWS;
    let finder = || Finder {
        best: Vec::new(),
        found: Vec::new(),
        joined: Vec::new(),
        reservation: MemoryConsumer::new("first events").register(pool),
    };
    let piece = move |finder: &mut Finder, at: usize| finder.find(&runs, stretches.subjects(at), &merged, bits);
    let finders = work.each(stretches.count(), small, finder, piece).await?;
    let mut joined: Vec<First> = finders.iter().flat_map(|finder| finder.joined.iter().copied()).collect();
    joined.sort_unstable();
    joined.dedup_by_key(|first| first.unit);
    Ok(finders.into_iter().map(|finder| finder.found).chain([joined]).collect())
}

/// Where the first row so far of a subject lies.
#[derive(Debug, Clone, Copy)]
struct Best {
    timestamp: i64,
    run: u32,
    row: u32,
}

impl Best {
    const NONE: Self = Self { timestamp: i64::MAX, run: u32::MAX, row: 0 };
}

/// One thread's part of it.
struct Finder {
    /// Of each subject of the stretch.
    best: Vec<Best>,
    found: Vec<First>,
    /// Of the subjects of persons who have more than one.
    joined: Vec<First>,
    /// Of what was found.
    reservation: MemoryReservation,
}

impl Finder {
    fn find(&mut self, runs: &Runs, subjects: Range<u32>, merged: &Merged, bits: u32) -> Result<()> {
        self.best.clear();
        self.best.resize((subjects.end - subjects.start) as usize, Best::NONE);
        for number in (0_u32..).take(runs.runs.len()) {
            self.go_through(&runs.runs, number, &subjects, bits);
        }
        let before = self.found.len() + self.joined.len();
        for (subject, best) in subjects.zip(&self.best) {
            let Some(run) = runs.runs.get(best.run as usize) else { continue };
            let person = merged.person(subject);
            let first = First {
                unit: person.unwrap_or(subject),
                timestamp: best.timestamp,
                sequence: run.sequence(best.row as usize),
                matches: run.matches.of(best.row as usize),
                group: run.groups.of(best.row as usize),
            };
            let list = if person.is_some() { &mut self.joined } else { &mut self.found };
            list.push(first);
        }
        let grown = self.found.len() + self.joined.len() - before;
        Ok(self.reservation.try_grow(grown * size_of::<First>())?)
    }

    /// Of each subject only the first row of a run that matches can be the first of all: they are in order.
    fn go_through(&mut self, runs: &[Run], number: u32, subjects: &Range<u32>, bits: u32) {
        let run = &runs[number as usize];
        let rows = if run.matches.any_of(bits) { run.rows_of(subjects) } else { 0..0 };
        let each = match &run.matches {
            Matches::All(_) => None,
            Matches::Each(each) => Some(&each[rows.clone()]),
        };
        let (own, timestamps) = (&run.subjects[rows.clone()], &run.timestamps[rows.clone()]);
        let mut done = None;
        for (at, subject) in own.iter().enumerate() {
            if done == Some(*subject) || each.is_some_and(|each| each[at] & bits == 0) {
                continue;
            }
            done = Some(*subject);
            let best = &mut self.best[(subject - subjects.start) as usize];
            // Mostly so, as parts follow each other in time: then not even the timestamp is read.
            if best.timestamp < run.since_us || best.timestamp < timestamps[at] {
                continue;
            }
            let row = rows.start + at;
            let is_earlier = timestamps[at] < best.timestamp
                || runs.get(best.run as usize).is_none_or(|of| run.sequence(row) < of.sequence(best.row as usize));
            if is_earlier {
                *best = Best { timestamp: timestamps[at], run: number, row: row as u32 };
            }
        }
    }
}
