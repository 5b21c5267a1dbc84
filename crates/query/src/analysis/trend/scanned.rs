//! Trends from the rows of a scan.

use std::sync::Arc;

use crate::analysis::run::absorb;
use crate::analysis::scan::{EventScan, Rows, Sink};
use crate::calendar::{Buckets, ResolvedRange};
use crate::error::Result;
use crate::spec::Groups;
use crate::trend::{Aggregate, Measure, Trend};

/// Counts everything that the scan reads.
pub(super) async fn count(scan: &EventScan, trend: &Trend, buckets: &Arc<Buckets>) -> Result<(Aggregate, Groups)> {
    let measures: Vec<Measure> = trend.series.iter().map(|series| series.measure).collect();
    let parts = scan.run(|| Counting::new(&measures, buckets)).await?;
    let (groups, numbers) = absorb(&parts.iter().map(|(_, groups)| groups).collect::<Vec<_>>());
    let mut all = Aggregate::new(&measures, buckets.len());
    for ((part, _), numbers) in parts.iter().zip(&numbers) {
        all.merge(&part.aggregate, numbers);
    }
    Ok((all, groups))
}

struct Counting {
    aggregate: Aggregate,
    buckets: Arc<Buckets>,
    /// The bucket of the row before: rows of a person lie close together.
    last: (ResolvedRange, usize),
}

impl Counting {
    fn new(measures: &[Measure], buckets: &Arc<Buckets>) -> Self {
        Self {
            aggregate: Aggregate::new(measures, buckets.len()),
            buckets: Arc::clone(buckets),
            last: (ResolvedRange { from_us: 0, to_us: 0 }, 0),
        }
    }

    fn bucket(&mut self, us: i64) -> Option<usize> {
        let (extent, bucket) = self.last;
        if extent.contains(us) && self.buckets.range().contains(us) {
            return Some(bucket);
        }
        let bucket = self.buckets.index_of(us)?;
        self.last = (self.buckets.extent(bucket)?, bucket);
        Some(bucket)
    }
}

impl Sink for Counting {
    fn take(&mut self, rows: &Rows<'_>) -> Result<()> {
        for (row, ((us, unit), matches)) in rows.timestamps.iter().zip(rows.units).zip(rows.matches).enumerate() {
            let Some(bucket) = self.bucket(*us) else { continue };
            let mut left = *matches;
            while left != 0 {
                let series = left.trailing_zeros() as usize;
                left &= left - 1;
                self.aggregate.add(series, rows.group(row), bucket, *unit);
            }
        }
        Ok(())
    }
}
