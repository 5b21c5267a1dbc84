//! What a funnel asks of an attempt, ready for matching.

use crate::calendar::ResolvedRange;
use crate::funnel::Funnel;
use crate::funnel::rules::{Completion, ExclusionOutcome, FunnelEntry, Pick, Repeats, StepOrder, Ties};
use crate::funnel::step::{BreakdownAt, Window};
use crate::spec::Hit;

/// No event: the step was skipped or not reached.
pub(super) const NONE: u32 = u32::MAX;

/// What a funnel asks of an attempt.
#[derive(Debug, Clone)]
pub(super) struct Terms {
    pub(super) steps: usize,
    /// Bits of the steps that may be skipped.
    pub(super) optional: u32,
    /// By step, the least and the most time since the previous matched one.
    pub(super) after_us: Vec<(i64, i64)>,
    pub(super) has_after: bool,
    /// `None` where the window is the session.
    pub(super) window_us: Option<i64>,
    pub(super) order: StepOrder,
    /// Whether a repeat breaks a strict order.
    pub(super) repeats_break: bool,
    pub(super) ties: Ties,
    pub(super) tolerance_us: i64,
    pub(super) reuse: bool,
    pub(super) entry: FunnelEntry,
    pub(super) pick: Pick,
    /// Whether all steps lie in the range.
    pub(super) in_range: bool,
    pub(super) range: ResolvedRange,
    pub(super) exclusions: Vec<Excluded>,
    pub(super) at: BreakdownAt,
    pub(super) holds: bool,
}

/// An exclusion; its steps are counted from 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Excluded {
    pub(super) selector: usize,
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) outcome: ExclusionOutcome,
}

impl Terms {
    /// Selectors are the steps, then the exclusions, and then, where the order is strict, any event.
    pub(super) fn of(funnel: &Funnel, range: ResolvedRange) -> Self {
        let steps = funnel.steps.len();
        let bits = funnel.steps.iter().enumerate().map(|(at, step)| u32::from(step.optional) << at);
        let after = funnel.steps.iter().map(|step| {
            let (min, max) = (step.after.min, step.after.max);
            (min.map_or(i64::MIN, |min| min.as_us()), max.map_or(i64::MAX, |max| max.as_us()))
        });
        let any = funnel.order == StepOrder::Any;
        let exclusions = funnel.exclude.iter().enumerate().map(|(at, exclusion)| Excluded {
            selector: steps + at,
            from: if any { 0 } else { exclusion.from_step - 1 },
            to: if any { steps - 1 } else { exclusion.to_step - 1 },
            outcome: exclusion.outcome,
        });
        Self {
            steps,
            optional: bits.sum(),
            after_us: after.collect(),
            has_after: funnel.steps.iter().any(|step| !step.after.is_default()),
            window_us: match funnel.window {
                Window::Span(span) => Some(span.as_us()),
                Window::Session => None,
            },
            order: funnel.order,
            repeats_break: funnel.repeats == Repeats::Break,
            ties: funnel.ties,
            tolerance_us: funnel.tolerance.as_us(),
            reuse: funnel.reuse,
            entry: funnel.entry,
            pick: funnel.pick,
            in_range: funnel.completion == Completion::InRange,
            range,
            exclusions: exclusions.collect(),
            at: funnel.at,
            holds: !funnel.hold.is_empty(),
        }
    }

    /// Whether nothing is asked of the events of a lane but what the plain matcher looks after, as long as none of them is excluded.
    pub(super) fn is_plain(&self) -> bool {
        self.order == StepOrder::Ordered
            && self.ties == Ties::Either
            && self.entry == FunnelEntry::Any
            && self.pick == Pick::Earliest
            && self.at == BreakdownAt::First
            && self.window_us.is_some()
            && self.optional == 0
            && self.tolerance_us == 0
            && !(self.has_after || self.reuse || self.in_range)
    }

    /// The bits of everything that tells something about an attempt.
    pub(super) fn selector_bits(&self) -> u32 {
        let count = self.steps + self.exclusions.len();
        match self.order {
            StepOrder::Strict => u32::MAX,
            _ => u32::MAX >> (u32::BITS as usize - count),
        }
    }

    /// The bits of all exclusions.
    pub(super) fn exclusion_bits(&self) -> u32 {
        self.exclusions.iter().fold(0, |bits, exclusion| bits | 1 << exclusion.selector)
    }

    /// The bits of all steps.
    pub(super) fn step_bits(&self) -> u32 {
        u32::MAX >> (u32::BITS as usize - self.steps)
    }

    pub(super) fn is_optional(&self, step: usize) -> bool {
        self.optional >> step & 1 == 1
    }

    /// The steps that may be the next matched one after `step`: those up to the next required one.
    pub(super) fn nexts(&self, step: usize) -> std::ops::Range<usize> {
        let required = (step + 1..self.steps).find(|next| !self.is_optional(*next));
        step + 1..required.map_or(self.steps, |next| next + 1)
    }

    /// The bits of the steps that must not lie between two matched ones, where only steps may not.
    pub(super) fn breaking(&self, step: usize, next: usize) -> u32 {
        let repeats = if self.repeats_break { 0 } else { 1 << step };
        self.step_bits() & !(1 << next) & !repeats
    }

    /// How many of the steps are required.
    pub(super) fn required(&self) -> usize {
        self.steps - self.optional.count_ones() as usize
    }

    /// The last instant of an attempt that was opened at `us`.
    pub(super) fn deadline(&self, us: i64) -> i64 {
        self.window_us.map_or(i64::MAX, |window| us.saturating_add(window)).min(i64::MAX - 1)
    }

    /// Whether the event at `next` may do the step after the one that the event at `last` did, as far as their order and the time between them go.
    pub(super) fn follows(&self, hits: &[Hit], last: usize, next: usize, step: usize) -> bool {
        let (from, to) = (hits[last].timestamp, hits[next].timestamp);
        let in_order = if last == next {
            self.reuse && self.ties != Ties::Apart
        } else if to < from {
            from - to <= self.tolerance_us
        } else if to > from {
            true
        } else {
            match (self.order, self.ties) {
                (StepOrder::Strict, _) | (_, Ties::Sequence) => next > last,
                (_, Ties::Either) => true,
                (_, Ties::Apart) => false,
            }
        };
        let (min, max) = self.after_us[step];
        in_order && (min..=max).contains(&(to - from))
    }
}
