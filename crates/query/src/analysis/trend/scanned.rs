//! Trends from the rows of a scan.

use std::sync::Arc;

use super::shape::Shape;
use crate::analysis::run::{Asked, absorb};
use crate::analysis::scan::{EventScan, Rows, Sink};
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
    let measures: Vec<Measure> = trend.series.iter().map(|series| series.measure).collect();
    let empty = Aggregate::new(&measures, shape.buckets.len()).looking_back(shape.before(), &shape.rolling);
    let make = || Counting {
        aggregate: empty.clone(),
        shape: Arc::clone(shape),
        last: (ResolvedRange { from_us: 0, to_us: 0 }, 0),
    };
    let parts = scan.run(make).await?;
    let (groups, numbers) = absorb(&parts.iter().map(|(_, groups)| groups).collect::<Vec<_>>());
    let mut all = empty.clone();
    for ((part, _), numbers) in parts.iter().zip(&numbers) {
        all.merge(&part.aggregate, numbers);
    }
    Ok(all.finish(&trend.names(), asked.split(&groups)))
}

struct Counting {
    aggregate: Aggregate,
    shape: Arc<Shape>,
    /// The bucket of the row before: rows of a person lie close together.
    last: (ResolvedRange, usize),
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
}

impl Sink for Counting {
    fn take(&mut self, rows: &Rows<'_>) -> Result<()> {
        for (row, ((us, unit), matches)) in rows.timestamps.iter().zip(rows.units).zip(rows.matches).enumerate() {
            let Some(bucket) = self.bucket(*us) else { continue };
            let in_range = self.shape.buckets.range().contains(*us);
            let group = rows.group(row);
            let mut left = *matches;
            while left != 0 {
                let series = left.trailing_zeros() as usize;
                left &= left - 1;
                if in_range {
                    self.aggregate.add(series, group, bucket, *unit);
                } else if self.shape.rolling[series].is_some() {
                    self.aggregate.look_back(series, group, bucket, *unit);
                }
                let number = self.shape.sums[series].map(|at| rows.values[at][row]);
                if let Some(number) = number.filter(|number| in_range && !number.is_nan()) {
                    self.aggregate.add_number(series, group, bucket, number);
                }
            }
        }
        Ok(())
    }
}
