//! Lowering of trends.

use std::sync::Arc;

use super::lowering::{Lowered, Reading, Wanted};
use super::run::{Asked, absorb};
use super::scan::{Rows, Sink};
use crate::calendar::{Buckets, ResolvedRange};
use crate::engine::Engine;
use crate::error::Result;
use crate::trend::{Aggregate, Measure, Trend, TrendResult};

impl Engine {
    pub(super) async fn trend(&self, asked: &Asked<'_>, trend: &Trend) -> Result<TrendResult> {
        let range = asked.range;
        let buckets = Arc::new(Buckets::new(range, trend.interval, &asked.zone, trend.week_start)?);
        let selectors = trend
            .series
            .iter()
            .enumerate()
            .map(|(at, series)| Wanted {
                selector: &series.selector,
                path: format!("series[{at}]"),
                since_us: range.from_us,
            })
            .collect();
        let reading = Reading { selectors, scope: asked.scope(), until_us: range.to_us, ordered: false };
        let Lowered { scan, warnings } = asked.lower(self, &reading).await?;
        let measures: Vec<Measure> = trend.series.iter().map(|series| series.measure).collect();
        let parts = scan.run(|| Counting::new(&measures, &buckets)).await?;
        let (groups, numbers) = absorb(&parts.iter().map(|(_, groups)| groups).collect::<Vec<_>>());
        let mut all = Aggregate::new(&measures, buckets.len());
        for ((part, _), numbers) in parts.iter().zip(&numbers) {
            all.merge(&part.aggregate, numbers);
        }
        Ok(TrendResult {
            header: asked.header(Trend::NAME, warnings, &scan)?,
            buckets: buckets.labels().to_vec(),
            series: all.finish(&trend.names(), asked.split(&groups)),
            titles: asked.titles(),
        })
    }
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
