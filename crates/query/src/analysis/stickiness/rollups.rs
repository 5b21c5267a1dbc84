//! Stickiness from rollups: who was there in which bucket is all that it takes where one event is enough.

use std::ops::AddAssign;
use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::analysis::run::Asked;
use crate::analysis::sets::{Cover, Source, extents};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{Local, Work};
use crate::stickiness::{Stickiness, Tally};

/// Units that are taken out of a set at once.
const UNITS_AT_ONCE: usize = 1_024;
/// Fewer buckets than this are counted without a thread.
const SMALL_BUCKETS: usize = 4;

/// Whether sets of units tell all.
pub(super) fn can_answer(stickiness: &Stickiness) -> bool {
    let scope = &stickiness.scope;
    let plain = stickiness.event.filter.is_none() && scope.filter.is_none();
    plain && scope.segment.is_none() && scope.breakdown.is_empty() && stickiness.min_occurrences <= 1
}

/// Fills the tally; `false` where rollups do not cover it.
pub(super) async fn fill(
    tally: &mut Tally,
    stickiness: &Stickiness,
    engine: &Engine,
    asked: &Asked<'_>,
    local: &Local,
    buckets: &Buckets,
) -> Result<bool> {
    let Some(cover) = Cover::sparing(extents(buckets)) else { return Ok(false) };
    let merged = local.merged(&asked.scope().unit);
    let parts = local.parts_of(&merged)?;
    let work = Work::new(engine.threads());
    let source = Source { local, parts: &parts, merged: &merged, pool: engine.pool(), work };
    if !source.spares(&cover) {
        return Ok(false);
    }
    let sets = source.collect(&cover, &stickiness.event.event, true).await?.sets;
    let active: Arc<Vec<RoaringBitmap>> = Arc::new(sets.into_iter().map(|set| source.persons(set)).collect());
    let subjects = asked.snapshot.subject_count as usize;
    // A byte for everybody stays in a core's cache.
    let units = match u8::try_from(buckets.len()) {
        Ok(_) => by_count::<u8>(&active, subjects, work).await?,
        Err(_) => by_count::<u32>(&active, subjects, work).await?,
    };
    for (active, units) in units.into_iter().enumerate().skip(1) {
        tally.add_units(active, units);
    }
    Ok(true)
}

/// How many units are in so many of the sets.
async fn by_count<N>(sets: &Arc<Vec<RoaringBitmap>>, subjects: usize, work: Work) -> Result<Vec<u64>>
where
    N: Copy + Default + AddAssign + From<u8> + Into<u64> + Send + 'static,
{
    let shared = Arc::clone(sets);
    let make = || vec![N::default(); subjects];
    let piece = move |counts: &mut Vec<N>, at: usize| {
        let (mut units, mut buffer) = (shared[at].iter(), [0_u32; UNITS_AT_ONCE]);
        loop {
            let some = units.next_many(&mut buffer);
            if some.is_empty() {
                return Ok(());
            }
            for unit in some {
                if let Some(count) = counts.get_mut(*unit as usize) {
                    *count += N::from(1);
                }
            }
        }
    };
    let is_small = sets.len() < SMALL_BUCKETS;
    let mut counted = work.each(sets.len(), is_small, make, piece).await?.into_iter();
    let mut all = counted.next().unwrap_or_default();
    for counts in counted {
        all.iter_mut().zip(counts).for_each(|(here, there)| *here += there);
    }
    let mut units = vec![0_u64; sets.len() + 1];
    for count in all {
        let count: u64 = count.into();
        if let Some(of) = usize::try_from(count).ok().and_then(|count| units.get_mut(count)) {
            *of += 1;
        }
    }
    Ok(units)
}
