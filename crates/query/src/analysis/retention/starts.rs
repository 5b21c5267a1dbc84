//! Retention by start events from columns and returns from rollups: everybody is in one cohort of one group, so that each return is looked at once.

use std::sync::Arc;

use super::super::by_unit::Needs;
use super::super::run::Asked;
use super::super::sets::{Cover, Source};
use super::{Counted, first_selector, reading_of_starts, rollups};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{First, Work};
use crate::retention::{Cell, Cohort, Criterion, Grid, Retention};
use crate::spec::EventNames;

/// The place of the start among the selectors that are read.
const START: usize = 0;
/// The place of what the first event is looked for among.
const FIRST: usize = 1;
/// Most cohorts of all groups together that are counted so.
const COHORTS_MAX: usize = 1 << 14;

/// Whether sets of units tell of the returns, and a unit has one start.
pub(super) fn can_answer(retention: &Retention) -> bool {
    rollups::tells_of_returns(retention)
        && retention.cohort != Cohort::Recurring
        && !matches!(retention.criterion, Criterion::OnOrBefore | Criterion::Streak)
        && !retention.breakdown_match
}

/// Counts; `None` where rollups do not cover the returns, or where the cohorts are too many.
pub(super) async fn count(
    engine: &Engine,
    asked: &Asked<'_>,
    retention: &Retention,
    empty: &Grid,
    buckets: &Arc<Buckets>,
) -> Result<Option<Counted<()>>> {
    let Some(cover) = Cover::of(buckets) else { return Ok(None) };
    let first = first_selector(retention);
    let reading = reading_of_starts(asked, retention, first.as_ref());
    // Rows of one name come in the order of the log.
    let by_one_name = matches!(retention.start.event, EventNames::One(_)) && retention.cohort != Cohort::FirstEver;
    let sequences = !by_one_name && (first.is_some() || !asked.scope().breakdown.is_empty());
    let bits = 1 << if first.is_some() { FIRST } else { START };
    let found = engine.first_by_unit(asked, &reading, Needs { bits, sequences }, "LocalRetention").await?;
    let rows = buckets.len();
    let groups = found.groups.len().max(1);
    if groups.saturating_mul(rows) > COHORTS_MAX {
        return Ok(None);
    }
    let own = engine.local(asked.snapshot);
    let local = found.local().unwrap_or(&own);
    let merged = local.merged(&asked.scope().unit);
    let parts = local.parts_of(&merged)?;
    let work = Work::new(engine.threads());
    let source = Source { local, parts: &parts, merged: &merged, pool: engine.pool(), work };
    let returns = rollups::returns(&source, &cover, retention).await?;
    let mut sizes = vec![0_u64; groups * rows];
    let starts = found.cores.iter().flatten().filter(|first| first.matches >> START & 1 == 1);
    let place = |start: &First| Some((start.group as usize * rows + buckets.index_of(start.timestamp)?, start.unit));
    let placed = starts.filter_map(place).inspect(|(cohort, _)| sizes[*cohort] += 1);
    let counted = rollups::by_cohort(placed, groups * rows, &returns, asked.snapshot.subject_count, work).await?;
    let mut grid = empty.clone();
    for (at, size) in sizes.into_iter().enumerate() {
        let (group, row) = (u32::try_from(at / rows).unwrap_or(u32::MAX), at % rows);
        let cells = counted.iter().skip(row).map(|of| Cell { units: of[at], total: () });
        grid.add_cohort(group, row, size, cells);
    }
    let mut warnings = found.warnings.clone();
    warnings.extend(engine.names_of(asked, &[(&retention.returning, "return")])?);
    Ok(Some(Counted { grid, warnings, explain: found.explain(), groups: found.groups }))
}
