//! Series that rollups cover.

use roaring::{MultiOps, RoaringBitmap};

use super::shape::Shape;
use crate::analysis::sets::{Cover, Set, Source, extents};
use crate::error::Result;
use crate::spec::EventNames;
use crate::trend::{Measure, Number, Trend, rolling};

/// Whether rollups cover every series that asks who was there before.
pub(super) fn cover_all(trend: &Trend, shape: &Shape) -> bool {
    let scope = &trend.scope;
    let plain = scope.breakdown.is_empty() && scope.filter.is_none() && scope.segment.is_none();
    let mut series = trend.series.iter().enumerate();
    plain
        && series.all(|(at, series)| series.selector.filter.is_none() || !shape.asks_before(at))
        && [&shape.buckets, &shape.extended].into_iter().all(|buckets| Cover::of(buckets).is_some())
}

/// Whether rollups know a measure.
pub(super) fn know(measure: Measure) -> bool {
    matches!(measure, Measure::Count | Measure::Uniques | Measure::CountPerUser | Measure::FirstTime)
}

/// The values of the buckets, and that of the range.
type Values = (Vec<Number>, Number);

impl Source<'_> {
    /// The values of those of `series`, all of the same events, that rollups cover.
    pub(super) async fn count_series(
        &self,
        event: &EventNames,
        series: &[usize],
        trend: &Trend,
        shape: &Shape,
    ) -> Result<Vec<(usize, Values)>> {
        if series.is_empty() {
            return Ok(Vec::new());
        }
        let cover = Cover::sparing(extents(&shape.buckets)).filter(|cover| self.spares(cover));
        let Some(cover) = cover else { return Ok(Vec::new()) };
        let counts_only = series.iter().all(|at| trend.series[*at].measure == Measure::Count);
        let collected = self.collect(&cover, event, !counts_only).await?;
        let (counts, sets) = (collected.counts, collected.sets);
        let asks = |measure: Measure| series.iter().any(|at| shape.measures[*at] == measure && !shape.cumulative[*at]);
        let cumulates = series.iter().any(|at| shape.measures[*at] == Measure::Uniques && shape.cumulative[*at]);
        let so_far = if cumulates { self.so_far(&sets, RoaringBitmap::new()) } else { Vec::new() };
        let first = match series.iter().any(|at| shape.measures[*at] == Measure::FirstTime) {
            true => self.so_far(&sets, self.persons_before(event, shape.buckets.range().from_us).await?),
            false => Vec::new(),
        };
        let unites = asks(Measure::Uniques) || asks(Measure::CountPerUser);
        let unique: Values = if unites { self.unite(sets) } else { (Vec::new(), Number::Count(0)) };
        let mut values = Vec::with_capacity(series.len());
        for at in series {
            let rolling = shape.rolling.get(*at).copied().flatten();
            let cumulative = shape.cumulative[*at];
            let own = match trend.series[*at].measure {
                Measure::Uniques if cumulative => {
                    (numbers(&so_far), Number::Count(so_far.last().copied().unwrap_or(0)))
                }
                Measure::FirstTime => {
                    let total = Number::Count(first.last().copied().unwrap_or(0));
                    (numbers(&if cumulative { first.clone() } else { steps(&first) }), total)
                }
                Measure::Uniques => match rolling {
                    None => unique.clone(),
                    Some(length) => {
                        let Some(cover) = Cover::sparing(extents(&shape.extended)) else { continue };
                        let sets = self.collect(&cover, event, true).await?.sets;
                        (self.roll(sets, shape.before(), length), unique.1)
                    }
                },
                Measure::CountPerUser => {
                    let share = |count: u64, units: &Number| Number::share(count, units.as_count()).or_zero();
                    let shares = counts.iter().zip(&unique.0).map(|(count, units)| share(*count, units));
                    (shares.collect(), share(counts.iter().sum(), &unique.1))
                }
                _ => {
                    let total = Number::Count(counts.iter().sum());
                    let own = if cumulative { sums(&counts) } else { counts.clone() };
                    (numbers(&own), total)
                }
            };
            values.push((*at, own));
        }
        Ok(values)
    }

    fn unite(&self, sets: Vec<Set<'_>>) -> Values {
        let mut all: Vec<RoaringBitmap> = Vec::with_capacity(sets.len());
        let mut values = Vec::with_capacity(sets.len());
        // Of one set nobody needs a copy.
        let mut lone: Vec<&RoaringBitmap> = Vec::new();
        for set in sets {
            match (set.shared.as_slice(), set.own.as_slice()) {
                ([only], []) => {
                    values.push(Number::Count(only.len()));
                    lone.push(only);
                }
                _ => {
                    let persons = self.persons(set);
                    values.push(Number::Count(persons.len()));
                    all.push(persons);
                }
            }
        }
        let total = lone.into_iter().chain(all.iter()).union();
        (values, Number::Count(total.len()))
    }

    /// For each set, how many units there are in it and those before it that are not in `seen`.
    fn so_far(&self, sets: &[Set<'_>], mut seen: RoaringBitmap) -> Vec<u64> {
        let before = seen.len();
        let mut counts = Vec::with_capacity(sets.len());
        for set in sets {
            self.add_persons(set, &mut seen);
            counts.push(seen.len() - before);
        }
        counts
    }

    fn roll(&self, sets: Vec<Set<'_>>, before: usize, length: usize) -> Vec<Number> {
        let sets: Vec<RoaringBitmap> = sets.into_iter().map(|set| self.persons(set)).collect();
        let counts = rolling::counts(&(before..sets.len()), length, |at| &sets[at]);
        counts.into_iter().map(Number::Count).collect()
    }
}

fn numbers(counts: &[u64]) -> Vec<Number> {
    counts.iter().copied().map(Number::Count).collect()
}

/// Each with all before it.
fn sums(counts: &[u64]) -> Vec<u64> {
    let so_far = |sum: &mut u64, count: &u64| {
        *sum += count;
        Some(*sum)
    };
    counts.iter().scan(0, so_far).collect()
}

/// Each without all before it.
fn steps(sums: &[u64]) -> Vec<u64> {
    let before = std::iter::once(0).chain(sums.iter().copied());
    sums.iter().zip(before).map(|(sum, before)| sum - before).collect()
}
