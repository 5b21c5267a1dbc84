//! The buckets of a trend, and what its series read.

use crate::calendar::{Buckets, ResolvedRange, TimeZone};
use crate::error::Result;
use crate::trend::{Measure, Trend};

/// The buckets of a trend, and what its series read.
#[derive(Debug)]
pub(in crate::analysis) struct Shape {
    /// Those of the answer.
    pub(in crate::analysis) buckets: Buckets,
    /// The same after those that rolling series look back to.
    pub(in crate::analysis) extended: Buckets,
    /// For each series, over how many buckets it rolls.
    pub(in crate::analysis) rolling: Vec<Option<usize>>,
    /// The first series of each property that is summed.
    pub(in crate::analysis) numbers: Vec<usize>,
    /// For each series, which of `numbers` it sums.
    pub(in crate::analysis) sums: Vec<Option<usize>>,
}

impl Shape {
    pub(in crate::analysis) fn new(trend: &Trend, range: ResolvedRange, zone: &TimeZone) -> Result<Self> {
        let cut = |range: ResolvedRange| Buckets::new(range, trend.interval, zone, trend.week_start);
        let buckets = cut(range)?;
        let rolling: Vec<Option<usize>> = trend.series.iter().map(|series| series.rolling).collect();
        // A range without a bucket has none to look back from.
        let rolls = rolling.iter().flatten().max().filter(|_| !buckets.is_empty());
        let before = rolls.map_or(0, |buckets| buckets - 1);
        let mut from_us = buckets.extent(0).map_or(range.from_us, |first| first.from_us);
        for _ in 0..before {
            let last = cut(ResolvedRange { from_us: from_us.saturating_sub(1), to_us: from_us })?;
            from_us = last.extent(0).map_or(from_us, |last| last.from_us);
        }
        let extended = match before {
            0 => buckets.clone(),
            _ => cut(ResolvedRange { from_us: from_us.min(range.to_us), to_us: range.to_us })?,
        };
        let mut numbers: Vec<usize> = Vec::new();
        let sums = trend.series.iter().enumerate().map(|(at, series)| {
            (series.measure == Measure::Sum).then(|| {
                let same = |before: &usize| trend.series[*before].property == series.property;
                numbers.iter().position(same).unwrap_or_else(|| {
                    numbers.push(at);
                    numbers.len() - 1
                })
            })
        });
        let sums = sums.collect();
        Ok(Self { buckets, extended, rolling, numbers, sums })
    }

    /// Whether some series looks back.
    pub(in crate::analysis) fn rolls(&self) -> bool {
        self.rolling.iter().any(Option::is_some)
    }

    /// How many buckets there are before those of the answer.
    pub(in crate::analysis) fn before(&self) -> usize {
        self.extended.len() - self.buckets.len()
    }

    /// What a series reads.
    pub(in crate::analysis) fn range_of(&self, series: usize) -> ResolvedRange {
        match self.rolling.get(series) {
            Some(Some(_)) => self.extended.range(),
            _ => self.buckets.range(),
        }
    }
}
