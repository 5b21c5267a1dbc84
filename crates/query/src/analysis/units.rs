//! Rows by unit: collected in any order, given to a core one unit at a time, in the order of events.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};
use tokio::task::JoinSet;

use super::run::joined;
use super::scan::{EventScan, Rows, Sink};
use crate::error::Result;
use crate::spec::{Groups, Hit, HitValue};

/// Units are dealt into this many ranges of equal width, or fewer: a range is sorted and done at a time.
const RANGES: u32 = 256;
/// Rows in one piece of memory: a range grows by pieces, and nothing is copied.
const PIECE_ROWS: usize = 1_024;

/// One event as it is collected; 28 bytes, and its number where one is wanted.
#[derive(Debug, Clone, Copy)]
#[repr(C, packed(4))]
pub(crate) struct Row<V> {
    pub(crate) timestamp: i64,
    pub(crate) sequence: u64,
    pub(crate) unit: u32,
    pub(crate) matches: u32,
    pub(crate) group: u32,
    pub(crate) value: V,
}

/// How units are dealt into ranges.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ranges {
    shift: u32,
    count: usize,
}

impl Ranges {
    /// For the units below `units`.
    pub(crate) fn new(units: u32) -> Self {
        let bits = u32::BITS - units.leading_zeros();
        let shift = bits.saturating_sub(RANGES.ilog2());
        Self { shift, count: (units >> shift) as usize + 1 }
    }

    /// The first unit of a range.
    fn first(self, range: usize) -> u32 {
        (range as u32) << self.shift
    }

    fn width(self) -> usize {
        1 << self.shift
    }
}

type Pieces<V> = Vec<Vec<Row<V>>>;
/// The rows of one range, with the number of the part that each piece is of, until a worker takes them.
type RangeOfParts<V> = Mutex<Vec<(Pieces<V>, usize)>>;

/// The rows of one partition, by range of units.
pub(crate) struct Collector<V> {
    ranges: Ranges,
    rows: Vec<Pieces<V>>,
    reservation: MemoryReservation,
}

impl<V: HitValue> Collector<V> {
    pub(crate) fn new(ranges: Ranges, pool: &Arc<dyn MemoryPool>) -> Self {
        let reservation = MemoryConsumer::new("events by unit").register(pool);
        Self { ranges, rows: vec![Pieces::new(); ranges.count], reservation }
    }

    /// Takes the rows of one batch.
    pub(crate) fn push(&mut self, rows: impl ExactSizeIterator<Item = Row<V>>) -> Result<()> {
        self.reservation.try_grow(rows.len() * size_of::<Row<V>>())?;
        for row in rows {
            let range = (row.unit >> self.ranges.shift) as usize;
            if self.rows.len() <= range {
                self.rows.resize_with(range + 1, Pieces::new);
            }
            let Some(pieces) = self.rows.get_mut(range) else { continue };
            match pieces.last_mut() {
                Some(piece) if piece.len() < PIECE_ROWS => piece.push(row),
                _ => pieces.push(vec![row]),
            }
        }
        Ok(())
    }
}

impl<V: HitValue> Sink for Collector<V> {
    fn take(&mut self, rows: &Rows<'_>) -> Result<()> {
        let times = rows.timestamps.iter().zip(rows.sequences);
        let whole = times.zip(rows.units.iter().zip(rows.matches)).enumerate();
        self.push(whole.map(|(at, ((timestamp, sequence), (unit, matches)))| Row {
            timestamp: *timestamp,
            sequence: *sequence,
            unit: *unit,
            matches: *matches,
            group: rows.group(at),
            value: rows.value(at),
        }))
    }
}

/// Runs the scan and keeps its rows by unit, with the breakdown values of each part.
pub(crate) async fn collect<V: HitValue>(scan: &EventScan, ranges: Ranges) -> Result<Vec<(Collector<V>, Groups)>> {
    scan.run(|| Collector::new(ranges, scan.pool())).await
}

/// What a core needs to take in units and to be merged.
pub(crate) trait Core: Send + 'static {
    /// What it wants of the number that is read of an event.
    type Value: HitValue;

    /// Takes in the events of `unit`. Those of one name come in the order of the log; [`in_order`] sorts all of them.
    fn add_unit(&mut self, unit: u32, hits: &mut [Hit<Self::Value>]);
}

/// Sorts the events of a unit by timestamp and sequence.
pub(crate) fn in_order<V>(hits: &mut [Hit<V>]) -> &[Hit<V>] {
    // Stable: where no sequences were read, events of one name and instant keep the order of the log.
    if !hits.is_sorted_by_key(|hit| (hit.timestamp, hit.sequence)) {
        hits.sort_by_key(|hit| (hit.timestamp, hit.sequence));
    }
    hits
}

/// Feeds every unit to one of several cores, and returns the cores. `parts` come with the numbers of their groups.
pub(crate) async fn feed<C: Core>(
    ranges: Ranges,
    parts: Vec<(Collector<C::Value>, Vec<u32>)>,
    threads: usize,
    make: impl Fn() -> C,
) -> Result<Vec<C>> {
    let count = parts.iter().map(|(part, _)| part.rows.len()).max().unwrap_or(0);
    let mut work: Vec<RangeOfParts<C::Value>> = Vec::with_capacity(count);
    work.resize_with(count, Mutex::default);
    let mut numbers = Vec::with_capacity(parts.len());
    let mut reservations = Vec::with_capacity(parts.len());
    for (part, (collector, groups)) in parts.into_iter().enumerate() {
        for (range, pieces) in work.iter_mut().zip(collector.rows) {
            range.get_mut().unwrap_or_else(PoisonError::into_inner).push((pieces, part));
        }
        numbers.push(groups);
        reservations.push(collector.reservation);
    }
    let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop.0);
    let shared = Arc::new(Shared { work, numbers, ranges, next: AtomicUsize::new(0), stopped });
    let mut workers = JoinSet::new();
    for _ in 0..threads {
        let (shared, mut core) = (Arc::clone(&shared), make());
        workers.spawn_blocking(move || {
            shared.work_off(&mut core);
            core
        });
    }
    let mut cores = Vec::with_capacity(threads);
    while let Some(core) = workers.join_next().await {
        cores.push(joined(core));
    }
    drop(stop);
    drop(reservations);
    Ok(cores)
}

/// What the workers share.
struct Shared<V> {
    work: Vec<RangeOfParts<V>>,
    /// For each part, the numbers that its groups have in all parts together; empty without a breakdown.
    numbers: Vec<Vec<u32>>,
    ranges: Ranges,
    next: AtomicUsize,
    stopped: Arc<AtomicBool>,
}

/// Ends the workers when the query is dropped.
struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<V: HitValue> Shared<V> {
    fn work_off<C: Core<Value = V>>(&self, core: &mut C) {
        let mut sorter = Sorter::default();
        while !self.stopped.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(range) = self.work.get(at) else { break };
            let pieces = std::mem::take(&mut *range.lock().unwrap_or_else(PoisonError::into_inner));
            sorter.sort(&pieces, &self.numbers, self.ranges);
            let first = self.ranges.first(at);
            sorter.units(|unit, hits| core.add_unit(first + unit, hits));
        }
    }
}

/// Sorts the rows of one range: by counting into units, then each unit by itself.
#[derive(Default)]
struct Sorter<V> {
    /// Where each unit's rows end.
    ends: Vec<usize>,
    hits: Vec<Hit<V>>,
}

impl<V: HitValue> Sorter<V> {
    fn sort(&mut self, pieces: &[(Pieces<V>, usize)], numbers: &[Vec<u32>], ranges: Ranges) {
        let mask = ranges.width() - 1;
        let rows = || pieces.iter().flat_map(|(pieces, part)| pieces.iter().flatten().map(move |row| (row, *part)));
        self.ends.clear();
        self.ends.resize(ranges.width(), 0);
        let mut total = 0;
        for (row, _) in rows() {
            self.ends[row.unit as usize & mask] += 1;
            total += 1;
        }
        let mut start = 0;
        for end in &mut self.ends {
            let count = *end;
            *end = start;
            start += count;
        }
        self.hits.clear();
        self.hits.resize(total, Hit::default());
        for (row, part) in rows() {
            let group = row.group as usize;
            let group = numbers.get(part).and_then(|numbers| numbers.get(group)).copied().unwrap_or(0);
            let place = &mut self.ends[row.unit as usize & mask];
            let Row { timestamp, sequence, matches, value, .. } = *row;
            self.hits[*place] = Hit { timestamp, sequence, matches, group, value };
            *place += 1;
        }
    }

    /// Gives the hits of each unit to `take`, with its place in the range.
    fn units(&mut self, mut take: impl FnMut(u32, &mut [Hit<V>])) {
        let mut rest = self.hits.as_mut_slice();
        let mut start = 0;
        for (place, end) in (0..).zip(&self.ends) {
            let (unit, after) = rest.split_at_mut(end - start);
            rest = after;
            start = *end;
            if !unit.is_empty() {
                take(place, unit);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::memory_pool::{GreedyMemoryPool, UnboundedMemoryPool};

    use super::*;

    #[derive(Default)]
    struct Keep(Vec<(u32, Vec<Hit>)>);

    impl Core for Keep {
        type Value = ();

        fn add_unit(&mut self, unit: u32, hits: &mut [Hit]) {
            self.0.push((unit, in_order(hits).to_vec()));
        }
    }

    fn row(unit: u32, timestamp: i64, sequence: u64, group: u32) -> Row<()> {
        Row { timestamp, sequence, unit, matches: 1, group, value: () }
    }

    #[tokio::test]
    async fn every_unit_comes_once_with_its_rows_in_order_and_its_groups_renumbered() {
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        for units in [1_u32, 200, 257, 100_000] {
            let ranges = Ranges::new(units);
            let mut first = Collector::new(ranges, &pool);
            let mut second = Collector::new(ranges, &pool);
            for unit in 0..units {
                first.push([row(unit, 30, 3, 0), row(unit, 10, 9, 0)].into_iter()).expect("there is room");
                second.push([row(unit, 30, 1, 0)].into_iter()).expect("there is room");
            }
            let parts = vec![(first, vec![0]), (second, vec![7])];
            let cores = feed(ranges, parts, 2, Keep::default).await.expect("it runs");
            let mut all: Vec<(u32, Vec<Hit>)> = cores.into_iter().flat_map(|core| core.0).collect();
            all.sort_unstable_by_key(|(unit, _)| *unit);
            assert!(all.iter().map(|(unit, _)| *unit).eq(0..units));
            for (_, hits) in all {
                let seen: Vec<_> = hits.iter().map(|hit| (hit.timestamp, hit.sequence, hit.group)).collect();
                assert_eq!(seen, [(10, 9, 0), (30, 1, 7), (30, 3, 0)]);
            }
        }
        assert_eq!(pool.reserved(), 0);
    }

    #[test]
    fn rows_beyond_the_pool_are_refused() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(100));
        let mut collector = Collector::new(Ranges::new(1), &pool);
        let rows: Vec<Row<()>> = (0..10).map(|at| row(0, at, 0, 0)).collect();
        let error = collector.push(rows.into_iter()).expect_err("it does not fit");
        assert_eq!(error.kind(), crate::ErrorKind::Full);
    }
}
