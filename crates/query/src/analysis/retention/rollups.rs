//! Retention from rollups: who was there in which bucket is all that it takes when a period is a bucket and one event is enough.

use std::sync::Arc;

use roaring::RoaringBitmap;

use crate::analysis::run::Asked;
use crate::analysis::sets::{Cover, Source, extents};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::local::{Local, Work};
use crate::retention::{Cell, Cohort, Criterion, Grid, PeriodClock, PeriodZero, Retention, ReturnMeasure, Returns};
use crate::spec::EventNames;

/// Units that are taken out of a set at once.
const UNITS_AT_ONCE: usize = 1_024;
/// Fewer buckets than this are counted without a thread.
const SMALL_BUCKETS: usize = 4;

/// Whether sets of units tell who came back, once it is known who began when: which event came first within one period is then of no interest.
pub(super) fn tells_of_returns(retention: &Retention) -> bool {
    retention.returning.filter.is_none()
        && retention.scope.filter.is_none()
        && retention.clock == PeriodClock::Calendar
        && retention.returns == Returns::InRange
        && retention.measure == ReturnMeasure::Units
        && retention.brackets.is_empty()
        && retention.period_zero == PeriodZero::CohortSize
        && retention.min_occurrences <= 1
}

/// Whether they tell who began when, too.
pub(super) fn can_answer(retention: &Retention) -> bool {
    let scope = &retention.scope;
    let starts = match retention.cohort {
        Cohort::FirstTime | Cohort::FirstOfEvent | Cohort::FirstInRange | Cohort::Recurring => true,
        // Which of the events of a bucket was the very first they do not know.
        Cohort::FirstEver => retention.start.event == EventNames::Any,
    };
    let plain = retention.start.filter.is_none() && scope.segment.is_none() && scope.breakdown.is_empty();
    tells_of_returns(retention) && starts && plain
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
    let Some(cover) = Cover::sparing(extents(buckets)) else { return Ok(false) };
    let merged = local.merged(&asked.scope().unit);
    let parts = local.parts_of(&merged)?;
    let work = Work::new(engine.threads());
    let source = Source { local, parts: &parts, merged: &merged, pool: engine.pool(), work };
    if !source.spares(&cover) {
        return Ok(false);
    }
    let mut starts = sets(&source, &cover, &retention.start.event).await?;
    let returns = match retention.start.event == retention.returning.event {
        true => united(starts.clone(), retention.criterion),
        false => returns(&source, &cover, retention).await?,
    };
    if retention.cohort != Cohort::Recurring {
        let mut seen = match retention.cohort {
            Cohort::FirstInRange => RoaringBitmap::new(),
            _ => source.persons_before(&retention.start.event, asked.range.from_us).await?,
        };
        for set in &mut starts {
            let all = std::mem::take(set);
            *set = &all - &seen;
            seen |= all;
        }
    }
    let sizes: Vec<u64> = starts.iter().map(RoaringBitmap::len).collect();
    let rows = starts.len();
    let periods = grid.periods().len();
    let counted = match (retention.criterion, retention.cohort) {
        (Criterion::OnOrBefore | Criterion::Streak, _) => {
            by_chain(starts, returns, periods, retention.criterion, work).await?
        }
        (_, Cohort::Recurring) => by_pairs(starts, returns, periods, work).await?,
        _ => {
            let placed = starts.iter().enumerate().flat_map(|(row, units)| units.iter().map(move |unit| (row, unit)));
            let counted = by_cohort(placed, rows, &returns, asked.snapshot.subject_count, work).await?;
            (0..rows).map(|row| counted.iter().skip(row).map(|of| of[row]).collect()).collect()
        }
    };
    for (bucket, (size, returned)) in sizes.into_iter().zip(counted).enumerate() {
        grid.add_cohort(0, bucket, size, returned.into_iter().map(|units| Cell { units, total: () }));
    }
    Ok(true)
}

async fn sets(source: &Source<'_>, cover: &Cover, event: &EventNames) -> Result<Vec<RoaringBitmap>> {
    let sets = source.collect(cover, event, true).await?.sets;
    Ok(sets.into_iter().map(|set| source.persons(set)).collect())
}

/// Who came back in each bucket or, where that is what is asked for, in it or a later one.
pub(super) async fn returns(
    source: &Source<'_>,
    cover: &Cover,
    retention: &Retention,
) -> Result<Arc<Vec<RoaringBitmap>>> {
    Ok(united(sets(source, cover, &retention.returning.event).await?, retention.criterion))
}

fn united(mut sets: Vec<RoaringBitmap>, criterion: Criterion) -> Arc<Vec<RoaringBitmap>> {
    if criterion == Criterion::OnOrAfter {
        for at in (1..sets.len()).rev() {
            let later = std::mem::take(&mut sets[at]);
            sets[at - 1] |= &later;
            sets[at] = later;
        }
    }
    Arc::new(sets)
}

/// For each bucket, how many of each of `cohorts` cohorts came back in it: everybody is in one of them at most, so that each return is looked at once. `placed`
/// are cohorts and the units that are in them.
pub(super) async fn by_cohort(
    placed: impl Iterator<Item = (usize, u32)>,
    cohorts: usize,
    returns: &Arc<Vec<RoaringBitmap>>,
    subjects: u32,
    work: Work,
) -> Result<Vec<Vec<u64>>> {
    match u16::try_from(cohorts) {
        // Two bytes for everybody stay in a core's cache, and say most of what is asked; one more cohort for those who are in none.
        Ok(nobody) => tally(placed, nobody, returns, subjects, work).await,
        Err(_) => tally(placed, u32::try_from(cohorts).unwrap_or(u32::MAX), returns, subjects, work).await,
    }
}

async fn tally<N>(
    placed: impl Iterator<Item = (usize, u32)>,
    nobody: N,
    returns: &Arc<Vec<RoaringBitmap>>,
    subjects: u32,
    work: Work,
) -> Result<Vec<Vec<u64>>>
where
    N: Copy + TryFrom<usize> + Send + Sync + 'static,
    usize: TryFrom<N>,
{
    let number = |cohort: N| usize::try_from(cohort).unwrap_or(usize::MAX);
    let mut cohort_of = vec![nobody; subjects as usize];
    for (cohort, unit) in placed {
        if let (Some(of), Ok(cohort)) = (cohort_of.get_mut(unit as usize), N::try_from(cohort)) {
            *of = cohort;
        }
    }
    let cohorts = number(nobody);
    let (buckets, cohort_of, returns) = (returns.len(), Arc::new(cohort_of), Arc::clone(returns));
    let piece = move |done: &mut Vec<(usize, Vec<u64>)>, bucket: usize| {
        let mut tally = vec![0_u64; cohorts + 1];
        let (mut units, mut buffer) = (returns[bucket].iter(), [0_u32; UNITS_AT_ONCE]);
        loop {
            let some = units.next_many(&mut buffer);
            if some.is_empty() {
                break;
            }
            for unit in some {
                let cohort = cohort_of.get(*unit as usize).copied().unwrap_or(nobody);
                tally[number(cohort)] += 1;
            }
        }
        tally.truncate(cohorts);
        done.push((bucket, tally));
        Ok(())
    };
    in_order(work.each(buckets, buckets < SMALL_BUCKETS, Vec::new, piece).await?)
}

/// The results of pieces of work in the order of the pieces.
fn in_order(done: Vec<Vec<(usize, Vec<u64>)>>) -> Result<Vec<Vec<u64>>> {
    let mut done: Vec<(usize, Vec<u64>)> = done.into_iter().flatten().collect();
    done.sort_unstable_by_key(|(at, _)| *at);
    Ok(done.into_iter().map(|(_, counted)| counted).collect())
}

/// For each cohort and period, how many came back, where one may be in many cohorts.
async fn by_pairs(
    starts: Vec<RoaringBitmap>,
    returns: Arc<Vec<RoaringBitmap>>,
    periods: usize,
    work: Work,
) -> Result<Vec<Vec<u64>>> {
    let buckets = starts.len();
    let piece = move |done: &mut Vec<(usize, Vec<u64>)>, cohort: usize| {
        let later = returns[cohort..].iter().take(periods);
        done.push((cohort, later.map(|units| starts[cohort].intersection_len(units)).collect()));
        Ok(())
    };
    in_order(work.each(buckets, buckets < SMALL_BUCKETS, Vec::new, piece).await?)
}

/// For each cohort and period, how many came back in some period, or in every one, from the first to that one.
async fn by_chain(
    starts: Vec<RoaringBitmap>,
    returns: Arc<Vec<RoaringBitmap>>,
    periods: usize,
    criterion: Criterion,
    work: Work,
) -> Result<Vec<Vec<u64>>> {
    let buckets = starts.len();
    let piece = move |done: &mut Vec<(usize, Vec<u64>)>, cohort: usize| {
        let later = returns[cohort..].iter().take(periods).skip(1);
        let mut left = starts[cohort].clone();
        let chain = later.map(|units| match criterion {
            Criterion::Streak => {
                left &= units;
                left.len()
            }
            _ => {
                left -= units;
                starts[cohort].len() - left.len()
            }
        });
        // The period of the start shows the size of the cohort.
        done.push((cohort, [0].into_iter().chain(chain).collect()));
        Ok(())
    };
    in_order(work.each(buckets, buckets < SMALL_BUCKETS, Vec::new, piece).await?)
}
