//! How the rows of a few subjects are read: as they are found, or in order of time.

use std::ops::Range;
use std::sync::Arc;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::compute::interleave_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::Result;
use datafusion::error::DataFusionError;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryPool, MemoryReservation};

use super::events::external;
use crate::local::{Direction, Found, Local, Placed, Source, Whole, Work, first_placed};

/// Bytes that a value takes, nearly.
const VALUE_BYTES: usize = 16;
/// Rows of a batch that was put in order.
const BATCH_ROWS: usize = 8_192;

/// One reading of the rows of a few subjects.
pub(super) struct Reading {
    pub(super) local: Local,
    pub(super) sources: Arc<[Source]>,
    /// Ascending.
    pub(super) subjects: Arc<[u32]>,
    pub(super) events: Option<Arc<[String]>>,
    pub(super) places: Arc<[usize]>,
    pub(super) schema: SchemaRef,
    pub(super) whole: Arc<Whole>,
    pub(super) pool: Arc<dyn MemoryPool>,
    pub(super) work: Work,
}

/// The memory that batches take, as long as it is kept.
pub(super) type Held = Vec<MemoryReservation>;

/// What one thread has gathered, with the number of the piece, and the memory that it takes.
type Gathered<T> = (Vec<(usize, T)>, MemoryReservation);

/// Rows that were found in a source, by its number, and where each stands.
type Standing = (usize, Found, Vec<Placed>);

impl Reading {
    /// In the order of the parts.
    pub(super) async fn unordered(self) -> Result<(Vec<RecordBatch>, Held)> {
        let reading = Arc::new(self);
        let own = Arc::clone(&reading);
        reading
            .gather(reading.sources.len(), move |reservation, at| {
                let source = &own.sources[at];
                let found = own.local.find(source, &own.subjects, own.events.as_deref())?;
                found.iter().map(|found| own.batch(reservation, source, found)).collect()
            })
            .await
    }

    /// In this order of (timestamp, sequence), the first `fetch` of them.
    pub(super) async fn in_order(self, direction: Direction, fetch: Option<usize>) -> Result<(Vec<RecordBatch>, Held)> {
        let reading = Arc::new(self);
        let own = Arc::clone(&reading);
        let standing = move |reservation: &mut MemoryReservation, at: usize| -> crate::error::Result<Vec<Standing>> {
            let source = &own.sources[at];
            let mut standing = Vec::new();
            for mut found in own.local.find(source, &own.subjects, own.events.as_deref())? {
                if let Some(most) = fetch {
                    found.cut(direction, most);
                }
                reservation.try_grow(found.count() * 2 * size_of::<Placed>())?;
                let placed = own.local.placed(source, &found, &own.whole)?;
                standing.push((at, found, placed));
            }
            Ok(standing)
        };
        let (standing, mut held): (Vec<Standing>, Held) = reading.gather(reading.sources.len(), standing).await?;
        let mut all: Vec<Placed> = Vec::with_capacity(standing.iter().map(|(.., placed)| placed.len()).sum());
        let mut places: Vec<(usize, usize)> = Vec::with_capacity(standing.len());
        for (number, (source, found, placed)) in standing.into_iter().enumerate() {
            places.push((source, found.group));
            all.extend(placed.into_iter().map(|placed| placed.of(number)));
        }
        let chosen = first_placed(all, direction, fetch);
        // What is read of each group, and where each row of it goes.
        let mut rows: Vec<Vec<(usize, usize)>> = vec![Vec::new(); places.len()];
        for (place, placed) in chosen.iter().enumerate() {
            rows[placed.found()].push((placed.row(), place));
        }
        let mut goes_to = vec![(0, 0); chosen.len()];
        let mut wanted: Vec<(usize, Found)> = Vec::new();
        for ((source, group), mut rows) in places.into_iter().zip(rows).filter(|(_, rows)| !rows.is_empty()) {
            rows.sort_unstable();
            for (at, (_, place)) in rows.iter().enumerate() {
                goes_to[*place] = (wanted.len(), at);
            }
            wanted.push((source, Found { group, rows: ranges(rows.iter().map(|(row, _)| *row)) }));
        }
        let (own, count) = (Arc::clone(&reading), wanted.len());
        let read = move |reservation: &mut MemoryReservation, at: usize| {
            let (source, found) = &wanted[at];
            Ok(vec![own.batch(reservation, &own.sources[*source], found)?])
        };
        let (batches, more) = reading.gather(count, read).await?;
        held.extend(more);
        let parts: Vec<&RecordBatch> = batches.iter().collect();
        let made = goes_to.chunks(BATCH_ROWS).map(|rows| Ok(interleave_record_batch(&parts, rows)?));
        Ok((made.collect::<Result<_>>()?, held))
    }

    /// The columns of rows that were found.
    fn batch(
        &self,
        reservation: &mut MemoryReservation,
        source: &Source,
        found: &Found,
    ) -> crate::error::Result<RecordBatch> {
        let rows = found.count();
        reservation.try_grow(rows.saturating_mul(self.places.len() * VALUE_BYTES))?;
        let columns = self.local.read_found(source, found, &self.places, &self.whole)?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options);
        Ok(batch.map_err(DataFusionError::from)?)
    }

    /// What the pieces make, in their order.
    async fn gather<T: Send + 'static>(
        &self,
        pieces: usize,
        make: impl Fn(&mut MemoryReservation, usize) -> crate::error::Result<Vec<T>> + Send + Sync + 'static,
    ) -> Result<(Vec<T>, Held)> {
        let piece = move |(made, reservation): &mut Gathered<T>, at: usize| {
            made.extend(make(reservation, at)?.into_iter().map(|one| (at, one)));
            Ok(())
        };
        let start = || (Vec::new(), MemoryConsumer::new("rows of few subjects").register(&self.pool));
        let gathered = self.work.each(pieces, false, start, piece).await.map_err(external)?;
        let (made, held): (Vec<_>, Held) = gathered.into_iter().unzip();
        let mut made: Vec<(usize, T)> = made.into_iter().flatten().collect();
        made.sort_by_key(|(at, _)| *at);
        Ok((made.into_iter().map(|(_, one)| one).collect(), held))
    }
}

/// Ascending numbers as ranges.
fn ranges(rows: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for row in rows {
        match ranges.last_mut() {
            Some(last) if last.end == row => last.end += 1,
            _ => ranges.push(row..row + 1),
        }
    }
    ranges
}
