//! A lifecycle from rollups: who was there in which bucket, and who had been before, is all that it takes.

use roaring::RoaringBitmap;

use crate::analysis::run::Asked;
use crate::analysis::sets::{Cover, Source, extents};
use crate::calendar::{Buckets, ResolvedRange};
use crate::engine::Engine;
use crate::error::Result;
use crate::lifecycle::{Lifecycle, StateCounts};
use crate::local::{Local, Work};

/// Whether sets of units tell all.
pub(super) fn can_answer(lifecycle: &Lifecycle) -> bool {
    let scope = &lifecycle.scope;
    lifecycle.event.filter.is_none() && scope.filter.is_none() && scope.segment.is_none()
}

/// The counts; `None` where rollups do not cover it.
pub(super) async fn count(
    lifecycle: &Lifecycle,
    engine: &Engine,
    asked: &Asked<'_>,
    local: &Local,
    buckets: &Buckets,
    previous: Option<ResolvedRange>,
) -> Result<Option<StateCounts>> {
    let Some(previous) = previous else { return Ok(Some(StateCounts::empty(0))) };
    let range = buckets.range();
    // Before the range lie the bucket before the first and what the range leaves out of the first.
    let mut stretches = vec![previous, ResolvedRange { from_us: previous.to_us, to_us: range.from_us }];
    stretches.retain(|extent| extent.from_us < extent.to_us);
    let earlier = stretches.len();
    stretches.extend(extents(buckets));
    let Some(cover) = Cover::sparing(stretches) else { return Ok(None) };
    let merged = local.merged(&asked.scope().unit);
    let parts = local.parts_of(&merged)?;
    let source =
        Source { local, parts: &parts, merged: &merged, pool: engine.pool(), work: Work::new(engine.threads()) };
    if !source.spares(&cover) {
        return Ok(None);
    }
    let event = &lifecycle.event.event;
    let mut seen = source.persons_before(event, previous.from_us).await?;
    let mut sets = source.collect(&cover, event, true).await?.sets.into_iter().map(|set| source.persons(set));
    let mut last = sets.next().unwrap_or_default();
    seen |= &last;
    for piece in sets.by_ref().take(earlier - 1) {
        seen |= piece;
    }
    let mut counts = StateCounts::empty(0);
    for here in sets {
        let (active, returning) = (here.len(), here.intersection_len(&last));
        let known = here.intersection_len(&seen);
        counts.new.push(active - known);
        counts.returning.push(returning);
        counts.resurrecting.push(known - returning);
        counts.dormant.push(RoaringBitmap::len(&last) - returning);
        seen |= &here;
        last = here;
    }
    Ok(Some(counts))
}
