//! Trends from the rows of a scan.

use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::shape::Shape;
use crate::analysis::run::{Asked, absorb};
use crate::analysis::scan::{EventScan, NO_VALUE, Rows, Sink};
use crate::calendar::ResolvedRange;
use crate::error::Result;
use crate::trend::{Aggregate, Measure, SeriesResult, Trend};

/// Counts everything that the scan reads.
pub(super) async fn count(
    scan: &EventScan,
    trend: &Trend,
    shape: &Arc<Shape>,
    asked: &Asked<'_>,
) -> Result<Vec<SeriesResult>> {
    let empty = shape.aggregate();
    let make = || Counting {
        aggregate: empty.clone(),
        shape: Arc::clone(shape),
        last: (ResolvedRange { from_us: 0, to_us: 0 }, 0),
        reservation: MemoryConsumer::new("a trend").register(scan.pool()),
    };
    let parts = scan.run_with_values(make).await?;
    let (groups, numbers) = absorb(&parts.iter().map(|(_, groups, _)| groups).collect::<Vec<_>>());
    let values = (0..shape.values.len()).map(|at| {
        let own = parts.iter().filter_map(|(_, _, values)| values.get(at));
        absorb(&own.collect::<Vec<_>>()).1
    });
    let values: Vec<Vec<Vec<u32>>> = values.collect();
    let reservation = MemoryConsumer::new("a trend").register(scan.pool());
    let mut all = empty.clone();
    for (place, ((part, _, _), numbers)) in parts.into_iter().zip(&numbers).enumerate() {
        let of_series = |own: &Option<usize>| {
            let numbers = own.and_then(|own| values.get(own)?.get(place));
            numbers.map_or(&[][..], Vec::as_slice)
        };
        // What is merged is held twice, and once more where it is united for the answer.
        reservation.try_grow(part.aggregate.bytes() * 2)?;
        all.merge(&part.aggregate, numbers, &shape.value_of.iter().map(of_series).collect::<Vec<_>>());
    }
    Ok(all.finish(&trend.names(), asked.split(&groups)))
}

struct Counting {
    aggregate: Aggregate,
    shape: Arc<Shape>,
    /// The bucket of the row before: rows of a person lie close together.
    last: (ResolvedRange, usize),
    reservation: MemoryReservation,
}

impl Counting {
    fn bucket(&mut self, us: i64) -> Option<usize> {
        let (extent, bucket) = self.last;
        let buckets = &self.shape.extended;
        if extent.contains(us) && buckets.range().contains(us) {
            return Some(bucket);
        }
        let bucket = buckets.index_of(us)?;
        self.last = (buckets.extent(bucket)?, bucket);
        Some(bucket)
    }

    /// Takes a row for a series that matches it.
    fn count(&mut self, rows: &Rows<'_>, row: usize, series: usize, bucket: Option<usize>, in_range: bool) {
        let (group, unit) = (rows.group(row), rows.units[row]);
        let Self { aggregate, shape, .. } = self;
        if shape.measures[series] == Measure::FirstTime {
            let order = (rows.timestamps[row], rows.sequences[row]);
            aggregate.add_first(series, group, bucket.filter(|_| in_range), unit, order);
            return;
        }
        let Some(bucket) = bucket else { return };
        if !in_range {
            aggregate.look_back(series, group, bucket, unit);
            return;
        }
        aggregate.add(series, group, bucket, unit);
        let number = shape.number_of[series].map(|at| rows.numbers[at][row]);
        if let Some(number) = number.filter(|number| !number.is_nan()) {
            aggregate.add_number(series, group, bucket, number);
        }
        let value = shape.value_of[series].map(|at| rows.values[at][row]);
        if let Some(value) = value.filter(|value| *value != NO_VALUE) {
            aggregate.add_key(series, group, bucket, value);
        }
    }
}

impl Sink for Counting {
    fn take(&mut self, rows: &Rows<'_>) -> Result<()> {
        for (row, (us, matches)) in rows.timestamps.iter().zip(rows.matches).enumerate() {
            let bucket = self.bucket(*us);
            let in_range = self.shape.buckets.range().contains(*us);
            let mut left = *matches;
            while left != 0 {
                let series = left.trailing_zeros() as usize;
                left &= left - 1;
                self.count(rows, row, series, bucket, in_range);
            }
        }
        Ok(self.reservation.try_resize(self.aggregate.bytes())?)
    }
}
