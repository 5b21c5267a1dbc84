//! Series that rollups cover.

use roaring::{MultiOps, RoaringBitmap};

use super::shape::Shape;
use crate::analysis::sets::{Cover, Set, Source};
use crate::error::Result;
use crate::spec::EventNames;
use crate::trend::{Measure, Number, Trend, rolling};

/// Whether rollups cover every series that looks back.
pub(super) fn cover_all(trend: &Trend, shape: &Shape) -> bool {
    let scope = &trend.scope;
    let plain = scope.breakdown.is_empty() && scope.filter.is_none() && scope.segment.is_none();
    let rolls = |at: usize| shape.rolling.get(at).copied().flatten().is_some();
    let mut series = trend.series.iter().enumerate();
    plain
        && series.all(|(at, series)| series.selector.filter.is_none() || !rolls(at))
        && [&shape.buckets, &shape.extended].into_iter().all(|buckets| Cover::of(buckets).is_some())
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
        let Some(cover) = Cover::of(&shape.buckets) else { return Ok(Vec::new()) };
        let uniques = series.iter().any(|at| trend.series[*at].measure == Measure::Uniques);
        let mut collected = self.collect(&cover, event, uniques).await?;
        let counts = std::mem::take(&mut collected.counts);
        let total = Number::Count(counts.iter().sum());
        let counted: Values = (counts.into_iter().map(Number::Count).collect(), total);
        let unique: Values = if uniques { self.unite(collected.sets) } else { (Vec::new(), Number::Count(0)) };
        let mut values = Vec::with_capacity(series.len());
        for at in series {
            let rolling = shape.rolling.get(*at).copied().flatten();
            let own = match (trend.series[*at].measure, rolling) {
                (Measure::Uniques, None) => unique.clone(),
                (Measure::Uniques, Some(length)) => {
                    let Some(cover) = Cover::of(&shape.extended) else { continue };
                    let sets = self.collect(&cover, event, true).await?.sets;
                    (self.roll(sets, shape.before(), length), unique.1)
                }
                _ => counted.clone(),
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

    fn roll(&self, sets: Vec<Set<'_>>, before: usize, length: usize) -> Vec<Number> {
        let sets: Vec<RoaringBitmap> = sets.into_iter().map(|set| self.persons(set)).collect();
        let counts = rolling::counts(&(before..sets.len()), length, |at| &sets[at]);
        counts.into_iter().map(Number::Count).collect()
    }
}
