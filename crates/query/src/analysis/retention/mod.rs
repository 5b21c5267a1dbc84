//! Lowering of retention.

mod rollups;

use std::sync::Arc;

use super::by_unit::Needs;
use super::explain::Explain;
use super::lowering::{Reading, Wanted};
use super::run::Asked;
use super::units::{Core, in_order};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::retention::{Cohort, Grid, PeriodZero, Retention, RetentionResult};
use crate::spec::Hit;

impl Engine {
    pub(super) async fn retention(&self, asked: &Asked<'_>, retention: &Retention) -> Result<RetentionResult> {
        let range = asked.range;
        let buckets = Arc::new(Buckets::new(range, retention.interval, &asked.zone, retention.week_start)?);
        let empty = Grid::new(retention, Arc::clone(&buckets), asked.snapshot.now.as_microsecond())?;
        if self.takes_local_road() && rollups::can_answer(retention) {
            let mut grid = empty.clone();
            let local = self.local(asked.snapshot);
            if rollups::fill(&mut grid, retention, self, asked, &local, &buckets).await? {
                let warnings =
                    self.names_of(asked, &[(&retention.start, "start"), (&retention.returning, "return")])?;
                let explain = || Explain::of_local(&local, "LocalRetention");
                return Ok(RetentionResult {
                    header: asked.header(Retention::NAME, warnings, explain)?,
                    periods: grid.periods(),
                    groups: grid.finish(None)?,
                    compare: None,
                    titles: Vec::new(),
                });
            }
        }
        let reading = reading(asked, retention);
        // Events of one instant lie in one period: which came first matters to the period of the start alone, and to the value of the breakdown.
        let sequences = retention.period_zero == PeriodZero::Returned || !asked.scope().breakdown.is_empty();
        let needs = Needs { bits: 1, sequences };
        let found = self.by_unit(asked, &reading, needs, "LocalRetention", |_| empty.clone()).await?;
        let groups = &found.groups;
        let same: Vec<u32> = (0_u32..).take(groups.len().max(1)).collect();
        let periods = empty.periods();
        let mut all = empty;
        for part in &found.cores {
            all.merge(part, &same);
        }
        Ok(RetentionResult {
            header: asked.header(Retention::NAME, found.warnings.clone(), || found.explain())?,
            periods,
            groups: all.finish(asked.split(groups))?,
            compare: None,
            titles: asked.titles(),
        })
    }
}

/// What a retention reads.
pub(super) fn reading<'a>(asked: &Asked<'a>, retention: &'a Retention) -> Reading<'a> {
    let range = asked.range;
    // A first start is first in all history.
    let start_since_us = match retention.cohort {
        Cohort::FirstTime => i64::MIN,
        Cohort::Recurring => range.from_us,
    };
    let selectors = vec![
        Wanted { selector: &retention.start, path: "start".to_owned(), since_us: start_since_us },
        Wanted { selector: &retention.returning, path: "return".to_owned(), since_us: range.from_us },
    ];
    Reading { ordered: true, ..Reading::new(selectors, asked.scope(), range.to_us) }
}

impl Core for Grid {
    fn add_unit(&mut self, _unit: u32, hits: &mut [Hit]) {
        Self::add_unit(self, in_order(hits));
    }
}
