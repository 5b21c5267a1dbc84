//! How many units had an event how often.

use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use hashbrown::HashMap;

use super::layout::Layout;
use crate::error::Result;
use crate::local::{Merged, Run, Runs, Stretches, Work};
use crate::trend::Frequency;

/// Subjects that are counted together.
const BLOCK: u32 = 1_024;
/// Fewer rows than this are counted without a thread.
const SMALL_ROWS: usize = 20_000;

/// Of each line and shown group of `layout`, over all of `runs`.
pub(super) async fn count(
    runs: &Arc<Runs>,
    layout: &Layout,
    subjects: u32,
    merged: &Merged,
    (pool, work): (&Arc<dyn MemoryPool>, Work),
) -> Result<Vec<Frequency>> {
    let rows = runs.rows();
    let stretches = Stretches::aligned(subjects, rows, BLOCK);
    let make = || Counter {
        layout: layout.clone(),
        counts: vec![0; layout.groups * BLOCK as usize],
        tallies: vec![Tally::default(); layout.parts.len() * layout.groups],
        moved: Vec::new(),
        reservation: MemoryConsumer::new("frequencies of a trend").register(pool),
    };
    let (shared, merged) = (Arc::clone(runs), merged.clone());
    let tables: Vec<Arc<[u32]>> = runs.runs.iter().map(|run| layout.table(run)).collect();
    let piece = move |counter: &mut Counter, at: usize| {
        let subjects = stretches.subjects(at);
        let mut first = subjects.start;
        while first < subjects.end {
            let end = first.saturating_add(BLOCK).min(subjects.end);
            counter.block(&shared.runs, &tables, first..end, &merged)?;
            first = end;
        }
        Ok(())
    };
    let counters = work.each(stretches.count(), rows < SMALL_ROWS, make, piece).await?;
    let mut tallies: Vec<Tally> = vec![Tally::default(); layout.parts.len() * layout.groups];
    let (mut moved, mut held) = (Vec::new(), Vec::new());
    for mut counter in counters {
        for (here, there) in tallies.iter_mut().zip(counter.tallies) {
            there.into_iter().for_each(|(times, people)| *here.entry(times).or_default() += people);
        }
        moved.append(&mut counter.moved);
        held.push(counter.reservation);
    }
    moved.sort_unstable();
    for of_one in moved.chunk_by(|(cell, person, _), (other, another, _)| (cell, person) == (other, another)) {
        let times = of_one.iter().map(|(.., times)| u64::from(*times)).sum();
        if let Some(tally) = of_one.first().and_then(|(cell, ..)| tallies.get_mut(*cell as usize)) {
            *tally.entry(times).or_default() += 1;
        }
    }
    let of = |line: usize| layout.lines[line].part * layout.groups;
    let cells = (0..layout.lines.len()).flat_map(|line| of(line)..of(line) + layout.groups);
    Ok(cells.map(|cell| tallies[cell].iter().map(|(times, people)| (*times, *people)).collect()).collect())
}

/// How many units had it so often.
type Tally = HashMap<u64, u64, foldhash::fast::RandomState>;

/// One thread's counts.
struct Counter {
    layout: Layout,
    /// Of the block at hand, by group and subject.
    counts: Vec<u32>,
    /// By part and group.
    tallies: Vec<Tally>,
    /// Cells, persons with several subjects, and how often one of these had the event.
    moved: Vec<(u32, u32, u32)>,
    reservation: MemoryReservation,
}

impl Counter {
    fn block(
        &mut self,
        runs: &[Run],
        tables: &[Arc<[u32]>],
        subjects: std::ops::Range<u32>,
        merged: &Merged,
    ) -> Result<()> {
        let Self { layout, counts, tallies, moved, reservation } = self;
        let before = moved.len();
        let own: Vec<_> = runs
            .iter()
            .zip(tables)
            .map(|(run, table)| (run, run.rows_of(&subjects), table))
            .filter(|(_, rows, _)| !rows.is_empty())
            .collect();
        if own.is_empty() {
            return Ok(());
        }
        for (at, part) in layout.parts.iter().enumerate() {
            counts.fill(0);
            for (run, rows, table) in &own {
                for row in rows.clone().filter(|row| run.matches.of(*row) & part.bits != 0) {
                    let group = table[run.place_of(row)] as usize;
                    counts[group * BLOCK as usize + (run.subjects[row] - subjects.start) as usize] += 1;
                }
            }
            for (place, times) in counts.iter().enumerate().filter(|(_, times)| **times > 0) {
                let (group, subject) = (place / BLOCK as usize, subjects.start + (place % BLOCK as usize) as u32);
                let cell = at * layout.groups + group;
                match merged.person(subject) {
                    Some(person) => moved.push((cell as u32, person, *times)),
                    None => *tallies[cell].entry(u64::from(*times)).or_default() += 1,
                }
            }
        }
        Ok(reservation.try_grow((moved.len() - before) * size_of::<(u32, u32, u32)>())?)
    }
}
