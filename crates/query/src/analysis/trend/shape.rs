//! The buckets of a trend, and what its series read.

use crate::calendar::{Buckets, Interval, ResolvedRange, TimeZone};
use crate::error::Result;
use crate::trend::{Aggregate, Measure, Series, Trend};

/// The buckets of a trend, and what its series read.
#[derive(Debug)]
pub(in crate::analysis) struct Shape {
    /// What cuts the buckets.
    pub(in crate::analysis) interval: Interval,
    /// Those of the answer.
    pub(in crate::analysis) buckets: Buckets,
    /// The same after those that rolling series look back to.
    pub(in crate::analysis) extended: Buckets,
    /// For each series, over how many buckets it rolls.
    pub(in crate::analysis) rolling: Vec<Option<usize>>,
    /// For each series, whether its buckets count with those before them.
    pub(in crate::analysis) cumulative: Vec<bool>,
    pub(in crate::analysis) measures: Vec<Measure>,
    /// The first series of each property whose numbers are read.
    pub(in crate::analysis) numbers: Vec<usize>,
    /// For each series, which of `numbers` it measures.
    pub(in crate::analysis) number_of: Vec<Option<usize>>,
    /// The first series of each property whose values are read.
    pub(in crate::analysis) values: Vec<usize>,
    /// For each series, which of `values` it counts.
    pub(in crate::analysis) value_of: Vec<Option<usize>>,
}

impl Shape {
    pub(in crate::analysis) fn new(trend: &Trend, range: ResolvedRange, zone: &TimeZone) -> Result<Self> {
        // How often something was done does not depend on when.
        let interval = if trend.has_frequencies() { Interval::Year } else { trend.interval };
        let cut = |range: ResolvedRange| Buckets::new(range, interval, zone, trend.week_start);
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
        let measures: Vec<Measure> = trend.series.iter().map(|series| series.measure).collect();
        let (numbers, number_of) = properties(&trend.series, Measure::reads_numbers);
        let (values, value_of) = properties(&trend.series, |measure| measure == Measure::Distinct);
        let cumulative = trend.series.iter().map(|series| series.cumulative).collect();
        Ok(Self { interval, buckets, extended, rolling, cumulative, measures, numbers, number_of, values, value_of })
    }

    /// An empty answer.
    pub(in crate::analysis) fn aggregate(&self) -> Aggregate {
        let empty = Aggregate::new(&self.measures, self.buckets.len());
        empty.looking_back(self.before(), &self.rolling).cumulative(&self.cumulative)
    }

    /// The labels of the answer.
    pub(in crate::analysis) fn labels(&self) -> Vec<String> {
        match self.measures.contains(&Measure::Frequency) {
            true => Vec::new(),
            false => self.buckets.labels().to_vec(),
        }
    }

    /// Whether some series counts the first events of all history.
    pub(in crate::analysis) fn has_first_times(&self) -> bool {
        self.measures.contains(&Measure::FirstTime)
    }

    /// Whether a series asks who was there before: rows by themselves do not tell.
    pub(in crate::analysis) fn asks_before(&self, series: usize) -> bool {
        let cumulative = self.cumulative.get(series).copied().unwrap_or(false);
        match self.measures.get(series) {
            Some(Measure::FirstTime) => true,
            Some(Measure::Uniques) => cumulative || self.rolling.get(series).copied().flatten().is_some(),
            _ => false,
        }
    }

    /// Whether some series asks who was there before.
    pub(in crate::analysis) fn any_asks_before(&self) -> bool {
        (0..self.measures.len()).any(|series| self.asks_before(series))
    }

    /// How many buckets there are before those of the answer.
    pub(in crate::analysis) fn before(&self) -> usize {
        self.extended.len() - self.buckets.len()
    }

    /// What a series reads.
    pub(in crate::analysis) fn range_of(&self, series: usize) -> ResolvedRange {
        let range = self.buckets.range();
        match (self.measures.get(series), self.rolling.get(series)) {
            (Some(Measure::FirstTime), _) => ResolvedRange { from_us: i64::MIN, ..range },
            (_, Some(Some(_))) => self.extended.range(),
            _ => range,
        }
    }
}

/// The first series of each property of a measure that is one of `these`, and for each series which of them it is.
fn properties(series: &[Series], these: impl Fn(Measure) -> bool) -> (Vec<usize>, Vec<Option<usize>>) {
    let mut firsts: Vec<usize> = Vec::new();
    let of = series.iter().enumerate().map(|(at, own)| {
        these(own.measure).then(|| {
            let same = |before: &usize| series.get(*before).is_some_and(|before| before.property == own.property);
            firsts.iter().position(same).unwrap_or_else(|| {
                firsts.push(at);
                firsts.len() - 1
            })
        })
    });
    let of = of.collect();
    (firsts, of)
}
