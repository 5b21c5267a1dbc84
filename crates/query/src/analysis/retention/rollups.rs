//! Retention from rollups: who was there in which bucket is all that it takes when a period is a bucket and one event is enough.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::analysis::run::Asked;
use crate::analysis::sets::{Cover, Source};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{Local, Work};
use crate::retention::{Cohort, Grid, PeriodZero, Retention};

/// Units that are taken out of a set at once.
const UNITS_AT_ONCE: usize = 1_024;
/// Fewer buckets than this are counted without a thread.
const SMALL_BUCKETS: usize = 4;

/// Whether sets of units tell all: which event came first within one period is then of no interest.
pub(super) fn can_answer(retention: &Retention) -> bool {
    let scope = &retention.scope;
    let plain = retention.start.filter.is_none() && retention.returning.filter.is_none();
    plain
        && scope.filter.is_none()
        && scope.segment.is_none()
        && scope.breakdown.is_empty()
        && retention.period_zero == PeriodZero::CohortSize
        && retention.min_occurrences <= 1
}

/// Fills the table; `false` where rollups do not cover it.
pub(super) async fn fill(
    grid: &mut Grid,
    retention: &Retention,
    engine: &Engine,
    asked: &Asked<'_>,
    local: &Local,
    buckets: &Buckets,
) -> Result<bool> {
    let Some(cover) = Cover::of(buckets) else { return Ok(false) };
    let merged = local.merged(asked.scope().unit);
    let parts = local.parts_of(&merged)?;
    let work = Work::new(engine.threads());
    let source = Source { local, parts: &parts, merged: &merged, pool: engine.pool(), work };
    let persons = |sets: Vec<_>| sets.into_iter().map(|set| source.persons(set)).collect::<Vec<RoaringBitmap>>();
    let mut starts = persons(source.collect(&cover, &retention.start.event, true).await?.sets);
    let returns = match retention.start.event == retention.returning.event {
        true => Arc::new(starts.clone()),
        false => Arc::new(persons(source.collect(&cover, &retention.returning.event, true).await?.sets)),
    };
    if retention.cohort == Cohort::FirstTime {
        let mut seen = source.persons_before(&retention.start.event, asked.range.from_us).await?;
        for set in &mut starts {
            let all = std::mem::take(set);
            *set = &all - &seen;
            seen |= all;
        }
    }
    let sizes: Vec<u64> = starts.iter().map(RoaringBitmap::len).collect();
    let starts = Arc::new(starts);
    let periods = grid.periods().len();
    let is_small = starts.len() < SMALL_BUCKETS;
    let counted = match retention.cohort {
        Cohort::FirstTime => by_cohort(&starts, &returns, asked.snapshot.subject_count, work, is_small).await?,
        Cohort::Recurring => by_pairs(&starts, &returns, periods, work, is_small).await?,
    };
    for (bucket, (size, returned)) in sizes.into_iter().zip(counted).enumerate() {
        grid.add_cohort(0, bucket, size, &returned);
    }
    Ok(true)
}

/// For each cohort and period, how many came back: everybody is in one cohort, so that each return is looked at once.
async fn by_cohort(
    starts: &Arc<Vec<RoaringBitmap>>,
    returns: &Arc<Vec<RoaringBitmap>>,
    subjects: u32,
    work: Work,
    is_small: bool,
) -> Result<Vec<Vec<u64>>> {
    let buckets = starts.len();
    // Two bytes for everybody stay in a core's cache, and say most of what is asked; one more cohort for those who are in none.
    let Ok(nobody) = u16::try_from(buckets) else { return by_pairs(starts, returns, buckets, work, is_small).await };
    let mut cohort_of = vec![nobody; subjects as usize];
    for (cohort, units) in (0..nobody).zip(starts.iter()) {
        for unit in units {
            if let Some(of) = cohort_of.get_mut(unit as usize) {
                *of = cohort;
            }
        }
    }
    let (cohort_of, shared) = (Arc::new(cohort_of), Arc::clone(returns));
    let make = || (vec![0_u64; buckets + 1], Vec::new());
    let piece = move |(tally, done): &mut (Vec<u64>, Vec<(usize, Vec<u64>)>), bucket: usize| {
        tally.fill(0);
        let (mut units, mut buffer) = (shared[bucket].iter(), [0_u32; UNITS_AT_ONCE]);
        loop {
            let some = units.next_many(&mut buffer);
            if some.is_empty() {
                break;
            }
            for unit in some {
                let cohort = cohort_of.get(*unit as usize).copied().unwrap_or(nobody);
                tally[usize::from(cohort)] += 1;
            }
        }
        done.push((bucket, tally[..=bucket].to_vec()));
        Ok(())
    };
    let mut counted: Vec<Vec<u64>> = (0..buckets).map(|cohort| vec![0; buckets - cohort]).collect();
    for (bucket, tally) in work.each(buckets, is_small, make, piece).await?.into_iter().flat_map(|(_, done)| done) {
        for (cohort, units) in tally.into_iter().enumerate() {
            counted[cohort][bucket - cohort] = units;
        }
    }
    Ok(counted)
}

/// The same where one may be in many cohorts.
async fn by_pairs(
    starts: &Arc<Vec<RoaringBitmap>>,
    returns: &Arc<Vec<RoaringBitmap>>,
    periods: usize,
    work: Work,
    is_small: bool,
) -> Result<Vec<Vec<u64>>> {
    let buckets = starts.len();
    let (starts, returns) = (Arc::clone(starts), Arc::clone(returns));
    let piece = move |done: &mut Vec<(usize, Vec<u64>)>, cohort: usize| {
        let later = returns[cohort..].iter().take(periods);
        done.push((cohort, later.map(|units| starts[cohort].intersection_len(units)).collect()));
        Ok(())
    };
    let mut counted: Vec<(usize, Vec<u64>)> =
        work.each(buckets, is_small, Vec::new, piece).await?.into_iter().flatten().collect();
    counted.sort_unstable_by_key(|(cohort, _)| *cohort);
    Ok(counted.into_iter().map(|(_, returned)| returned).collect())
}
