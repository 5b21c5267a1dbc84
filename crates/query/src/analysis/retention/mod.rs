//! Lowering of retention.
//!
//! Rollups know who was there in which bucket. Where they tell all they answer; where they tell of the returns, only start events are read; else all events are.

mod rollups;
mod starts;

use std::sync::Arc;

use super::by_unit::Needs;
use super::explain::Explain;
use super::lowering::{Reading, Wanted};
use super::run::Asked;
use super::units::{Core, in_order};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::retention::{Cohort, Grid, PeriodZero, Retention, RetentionResult, ReturnMeasure, ReturnValue};
use crate::spec::{EventNames, Groups, Hit, Selector};

/// What the operators have found.
struct Counted<V: ReturnValue> {
    grid: Grid<V>,
    groups: Groups,
    warnings: Vec<String>,
    explain: Explain,
}

impl Engine {
    pub(super) async fn retention(&self, asked: &Asked<'_>, retention: &Retention) -> Result<RetentionResult> {
        let range = asked.range;
        let buckets = Arc::new(Buckets::new(range, retention.interval, &asked.zone, retention.week_start)?);
        match retention.measure {
            ReturnMeasure::Units => {
                let counted = self.retention_of_units(asked, retention, &buckets).await?;
                result(asked, retention, counted)
            }
            ReturnMeasure::Sum | ReturnMeasure::Avg => {
                let empty = Grid::<f64>::new(retention, buckets, asked.snapshot.now.as_microsecond())?;
                result(asked, retention, self.retention_by_unit(asked, retention, empty).await?)
            }
        }
    }

    async fn retention_of_units(
        &self,
        asked: &Asked<'_>,
        retention: &Retention,
        buckets: &Arc<Buckets>,
    ) -> Result<Counted<()>> {
        let empty = Grid::new(retention, Arc::clone(buckets), asked.snapshot.now.as_microsecond())?;
        if asked.goes_local(self) && rollups::can_answer(retention) {
            let mut grid = empty.clone();
            let local = self.local(asked.snapshot);
            if rollups::fill(&mut grid, retention, self, asked, &local, buckets).await? {
                let selectors = [(&retention.start, "start"), (&retention.returning, "return")];
                let (warnings, explain) =
                    (self.names_of(asked, &selectors)?, Explain::of_local(&local, "LocalRetention"));
                return Ok(Counted { grid, groups: Groups::default(), warnings, explain });
            }
        }
        if asked.goes_local(self)
            && starts::can_answer(retention)
            && let Some(counted) = starts::count(self, asked, retention, &empty, buckets).await?
        {
            return Ok(counted);
        }
        self.retention_by_unit(asked, retention, empty).await
    }

    /// Reads all events that matter and gives each unit's to the table.
    async fn retention_by_unit<V: ReturnValue>(
        &self,
        asked: &Asked<'_>,
        retention: &Retention,
        empty: Grid<V>,
    ) -> Result<Counted<V>> {
        let first = first_selector(retention);
        let reading = reading(asked, retention, first.as_ref(), empty.until_us());
        // Events of one instant lie in one period: which came first matters to the period of the start alone, to the value of the breakdown, and to which event is the first.
        let sequences = retention.period_zero == PeriodZero::Returned
            || retention.measure != ReturnMeasure::Units
            || first.is_some()
            || !asked.scope().breakdown.is_empty();
        let needs = Needs { bits: 1, sequences };
        let found = self.by_unit(asked, &reading, needs, "LocalRetention", |_| empty.clone()).await?;
        let same: Vec<u32> = (0_u32..).take(found.groups.len().max(1)).collect();
        let explain = found.explain();
        let mut grid = empty;
        for part in &found.cores {
            grid.merge(part, &same);
        }
        Ok(Counted { grid, groups: found.groups, warnings: found.warnings, explain })
    }
}

fn result<V: ReturnValue>(asked: &Asked<'_>, retention: &Retention, counted: Counted<V>) -> Result<RetentionResult> {
    let Counted { grid, groups, warnings, explain } = counted;
    Ok(RetentionResult {
        header: asked.header(Retention::NAME, warnings, || explain)?,
        measure: retention.measure,
        periods: grid.periods(),
        groups: grid.finish(asked.split(&groups))?,
        compare: None,
        titles: asked.titles(),
    })
}

/// Among which events the first of a unit is looked for, where that is not the first start event.
pub(super) fn first_selector(retention: &Retention) -> Option<Selector> {
    match retention.cohort {
        Cohort::FirstOfEvent => Some(Selector { event: retention.start.event.clone(), filter: None }),
        Cohort::FirstEver => Some(Selector { event: EventNames::Any, filter: None }),
        Cohort::FirstTime | Cohort::FirstInRange | Cohort::Recurring => None,
    }
}

/// What a retention reads, until an instant.
pub(super) fn reading<'a>(
    asked: &Asked<'a>,
    retention: &'a Retention,
    first: Option<&'a Selector>,
    until_us: i64,
) -> Reading<'a> {
    let mut reading = reading_of_starts(asked, retention, first);
    let since_us = asked.range.from_us;
    reading.selectors.insert(1, Wanted { selector: &retention.returning, path: "return".to_owned(), since_us });
    reading.until_us = until_us;
    reading.numbers = retention.property.iter().map(|name| (name.as_str(), "property".to_owned())).collect();
    reading
}

/// The start events, and those among which the first is looked for.
fn reading_of_starts<'a>(asked: &Asked<'a>, retention: &'a Retention, first: Option<&'a Selector>) -> Reading<'a> {
    let range = asked.range;
    // A first start is first in all history.
    let start_since_us = if retention.cohort == Cohort::FirstTime { i64::MIN } else { range.from_us };
    let start = Wanted { selector: &retention.start, path: "start".to_owned(), since_us: start_since_us };
    let first = first.map(|selector| Wanted { selector, path: "start".to_owned(), since_us: i64::MIN });
    let selectors = [start].into_iter().chain(first).collect();
    Reading::new(selectors, asked.scope(), range.to_us)
}

impl<V: ReturnValue> Core for Grid<V> {
    type Value = V;

    fn add_unit(&mut self, _unit: u32, hits: &mut [Hit<V>]) {
        Self::add_unit(self, in_order(hits));
    }
}
