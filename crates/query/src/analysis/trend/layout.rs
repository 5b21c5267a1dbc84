//! Which cells of a trend are counted, and what its lines make of them.

use std::sync::Arc;

use super::shape::Shape;
use crate::local::{Run, RunGroups};
use crate::trend::{Measure, Trend};

/// How a part is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Count,
    Uniques,
    /// With the place of its numbers.
    Sum(usize),
    /// The same, and how many numbers there are.
    Mean(usize),
    Least(usize),
    Most(usize),
    /// All numbers.
    List(usize),
    /// All different values, with their place.
    Values(usize),
}

impl Kind {
    /// Whether sums are kept of it.
    pub(super) fn sums(self) -> bool {
        matches!(self, Self::Sum(_) | Self::Mean(_))
    }

    /// Whether an extreme is kept of it.
    pub(super) fn compares(self) -> bool {
        matches!(self, Self::Least(_) | Self::Most(_))
    }
}

/// What is counted of the events of a selector: one or two make a series, and series of the same events share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) kind: Kind,
    /// The bits of the selectors of the series that it is of.
    pub(super) bits: u32,
}

/// What a series makes of its parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    pub(super) measure: Measure,
    pub(super) cumulative: bool,
    pub(super) part: usize,
    /// The units over which the part is divided.
    pub(super) units: usize,
}

/// Which cells there are: for each part and shown group one for each bucket and one for the range.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub(super) parts: Arc<[Part]>,
    pub(super) lines: Arc<[Line]>,
    /// The shown group of each group of the runs.
    pub(super) shown: Arc<[u32]>,
    pub(super) groups: usize,
    pub(super) buckets: usize,
}

impl Layout {
    /// Of the first so many series.
    pub(super) fn new(
        trend: &Trend,
        shape: &Shape,
        series: usize,
        (shown, groups): (Arc<[u32]>, usize),
        buckets: usize,
    ) -> Self {
        let mut parts: Vec<(usize, Part)> = Vec::new();
        let mut lines = Vec::with_capacity(series);
        for (at, own) in trend.series.iter().enumerate().take(series) {
            let mut part = |kind: Kind| {
                let same = |(before, part): &(usize, Part)| {
                    let before = trend.series.get(*before).map(|before| &before.selector);
                    part.kind == kind && before == Some(&own.selector)
                };
                let place = parts.iter().position(same).unwrap_or_else(|| {
                    parts.push((at, Part { kind, bits: 0 }));
                    parts.len() - 1
                });
                // Rows bear the bits of those series alone that are still to be counted.
                if let Some((_, part)) = parts.get_mut(place) {
                    part.bits |= 1 << at;
                }
                place
            };
            let number = shape.number_of.get(at).copied().flatten().unwrap_or_default();
            let value = shape.value_of.get(at).copied().flatten().unwrap_or_default();
            let first = part(match own.measure {
                Measure::Uniques | Measure::Frequency => Kind::Uniques,
                Measure::Sum | Measure::SumPerUser => Kind::Sum(number),
                Measure::Avg => Kind::Mean(number),
                Measure::Min => Kind::Least(number),
                Measure::Max => Kind::Most(number),
                Measure::Distinct => Kind::Values(value),
                measure if measure.share().is_some() => Kind::List(number),
                _ => Kind::Count,
            });
            let units = match own.measure {
                Measure::CountPerUser | Measure::SumPerUser => part(Kind::Uniques),
                _ => first,
            };
            lines.push(Line { measure: own.measure, cumulative: own.cumulative, part: first, units });
        }
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        Self { parts, lines: lines.into(), shown, groups, buckets }
    }

    /// Of the units of one selector, over the range as a whole.
    pub(super) fn of_units(groups: usize) -> Self {
        let line = Line { measure: Measure::Uniques, cumulative: false, part: 0, units: 0 };
        Self {
            parts: Arc::from([Part { kind: Kind::Uniques, bits: 1 }]),
            lines: Arc::from([line]),
            shown: (0_u32..).take(groups).collect(),
            groups,
            buckets: 0,
        }
    }

    /// The same parts and lines for other groups.
    pub(super) fn of_groups(&self, shown: Arc<[u32]>, groups: usize) -> Self {
        Self { shown, groups, ..self.clone() }
    }

    /// Cells of one part.
    pub(super) fn of_part(&self) -> usize {
        self.groups * (self.buckets + 1)
    }

    pub(super) fn cells(&self) -> usize {
        self.parts.len() * self.of_part()
    }

    pub(super) fn cell(&self, part: usize, group: usize, bucket: usize) -> usize {
        part * self.of_part() + group * (self.buckets + 1) + bucket
    }

    /// Cells where some part is of such a kind; else none.
    pub(super) fn cells_of(&self, is_own: impl Fn(Kind) -> bool) -> usize {
        if self.parts.iter().any(|part| is_own(part.kind)) { self.cells() } else { 0 }
    }

    /// The shown group of each group that the run's rows name.
    pub(super) fn table(&self, run: &Run) -> Arc<[u32]> {
        let shown = &self.shown;
        match &run.groups {
            RunGroups::None => Arc::from([0]),
            RunGroups::Each(_) => Arc::clone(shown),
            RunGroups::Coded(_, numbers) => numbers.iter().map(|group| shown[*group as usize]).collect(),
        }
    }

    /// Whether events are only counted, and in the range as a whole.
    pub(super) fn only_counts(&self) -> bool {
        self.buckets <= 1 && self.parts.iter().all(|part| matches!(part.kind, Kind::Count | Kind::Uniques))
    }
}
