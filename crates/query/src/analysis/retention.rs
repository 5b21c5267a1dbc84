//! Lowering of retention.

use std::sync::Arc;

use super::lowering::{Lowered, Reading, Wanted};
use super::run::{Asked, absorb};
use super::units::{Core, Ranges, collect, feed};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::retention::{Cohort, Grid, Retention, RetentionResult};
use crate::spec::Hit;

impl Engine {
    pub(super) async fn retention(&self, asked: &Asked<'_>, retention: &Retention) -> Result<RetentionResult> {
        let range = asked.range;
        let buckets = Arc::new(Buckets::new(range, retention.interval, &asked.zone, retention.week_start)?);
        let empty = Grid::new(retention, buckets, asked.snapshot.now.as_microsecond())?;
        // A first start is first in all history.
        let start_since_us = match retention.cohort {
            Cohort::FirstTime => i64::MIN,
            Cohort::Recurring => range.from_us,
        };
        let selectors = vec![
            Wanted { selector: &retention.start, path: "start".to_owned(), since_us: start_since_us },
            Wanted { selector: &retention.returning, path: "return".to_owned(), since_us: range.from_us },
        ];
        let reading = Reading { selectors, scope: asked.scope(), until_us: range.to_us, ordered: true };
        let Lowered { scan, warnings } = asked.lower(self, &reading).await?;
        let ranges = Ranges::new(asked.snapshot.subject_count);
        let parts = collect(&scan, ranges).await?;
        let (groups, numbers) = absorb(&parts.iter().map(|(_, groups)| groups).collect::<Vec<_>>());
        let parts = parts.into_iter().map(|(rows, _)| rows).zip(numbers).collect();
        let done = feed(ranges, parts, self.threads(), || empty.clone()).await?;
        let same: Vec<u32> = (0_u32..).take(groups.len().max(1)).collect();
        let periods = empty.periods();
        let mut all = empty;
        for part in &done {
            all.merge(part, &same);
        }
        Ok(RetentionResult {
            header: asked.header(Retention::NAME, warnings, &scan)?,
            periods,
            groups: all.finish(asked.split(&groups))?,
            titles: asked.titles(),
        })
    }
}

impl Core for Grid {
    fn add_unit(&mut self, hits: &[Hit]) {
        Self::add_unit(self, hits);
    }
}
