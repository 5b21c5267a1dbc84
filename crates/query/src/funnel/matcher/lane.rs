//! The events that an attempt can be made of: those of one lane, and where the window is the session, of one session.

use super::terms::Terms;
use crate::funnel::rules::{StepOrder, Ties};
use crate::spec::Hit;

/// Which events of a unit match which step; places are those in the unit's events.
#[derive(Debug, Clone, Default)]
pub(super) struct Lane {
    /// By step, in order.
    pub(super) occurrences: Vec<Vec<u32>>,
    /// Those that open an attempt, in order.
    pub(super) openings: Vec<u32>,
    /// By exclusion, in order.
    pub(super) excluded: Vec<Vec<u32>>,
    /// By step, for each event of the unit the first one after it that is no repeat of the step; where the order is strict.
    pub(super) run_ends: Vec<Vec<u32>>,
    /// Bits of the steps that each event of the unit does in this lane; where only steps may not lie between, or in any order.
    pub(super) bits: Vec<u32>,
    /// Where only steps may not lie between: by what breaks an attempt, for each event of the unit the next that does, itself included.
    breaks: Vec<(u32, Vec<u32>)>,
    /// The last event of the lane.
    pub(super) last: u32,
    /// Whether an event matches several steps.
    pub(super) overlaps: bool,
}

impl Lane {
    /// Takes the events at `places`; those at `spoiling` may be excluded ones.
    pub(super) fn fill(&mut self, hits: &[Hit], places: &[u32], spoiling: &[u32], terms: &Terms) {
        self.occurrences.iter_mut().for_each(Vec::clear);
        self.occurrences.resize_with(terms.steps, Vec::new);
        self.openings.clear();
        self.excluded.iter_mut().for_each(Vec::clear);
        self.excluded.resize_with(terms.exclusions.len(), Vec::new);
        self.bits.clear();
        self.overlaps = false;
        self.last = places.last().copied().unwrap_or(0);
        let wants_bits = matches!(terms.order, StepOrder::StrictSteps | StepOrder::Any);
        if wants_bits {
            self.bits.resize(hits.len(), 0);
        }
        let opening = if terms.order == StepOrder::Any { terms.step_bits() } else { 1 };
        for place in places {
            let hit = &hits[*place as usize];
            let in_range = terms.range.contains(hit.timestamp);
            let mut left = hit.matches & terms.step_bits();
            if wants_bits {
                self.bits[*place as usize] = left;
            }
            if left & opening != 0 && in_range {
                self.openings.push(*place);
            }
            if terms.in_range && !in_range {
                continue;
            }
            self.overlaps |= left.count_ones() > 1;
            while left != 0 {
                self.occurrences[left.trailing_zeros() as usize].push(*place);
                left &= left - 1;
            }
        }
        for (exclusion, own) in terms.exclusions.iter().zip(&mut self.excluded) {
            own.extend(spoiling.iter().filter(|place| hits[**place as usize].matches_selector(exclusion.selector)));
        }
        match terms.order {
            StepOrder::Strict => self.find_run_ends(hits, terms),
            StepOrder::StrictSteps => self.find_breaks(hits, terms),
            StepOrder::Ordered | StepOrder::Any => {}
        }
    }

    fn find_run_ends(&mut self, hits: &[Hit], terms: &Terms) {
        self.run_ends.resize_with(terms.steps, Vec::new);
        for (step, ends) in self.run_ends.iter_mut().enumerate() {
            ends.clear();
            ends.resize(hits.len(), 0);
            let mut end = hits.len();
            for place in (0..hits.len()).rev() {
                ends[place] = end as u32;
                if terms.repeats_break || !hits[place].matches_selector(step) {
                    end = place;
                }
            }
        }
    }

    fn find_breaks(&mut self, hits: &[Hit], terms: &Terms) {
        let mut kept = std::mem::take(&mut self.breaks);
        let mut count = 0;
        for step in 0..terms.steps {
            for next in terms.nexts(step) {
                let bad = terms.breaking(step, next);
                if kept[..count].iter().any(|(known, _)| *known == bad) {
                    continue;
                }
                if kept.len() == count {
                    kept.push((0, Vec::new()));
                }
                let (mask, places) = &mut kept[count];
                *mask = bad;
                places.clear();
                places.resize(hits.len() + 1, hits.len() as u32);
                for place in (0..hits.len()).rev() {
                    places[place] = if self.bits[place] & bad != 0 { place as u32 } else { places[place + 1] };
                }
                count += 1;
            }
        }
        kept.truncate(count);
        self.breaks = kept;
    }

    /// The first event from `start` on that must not lie between steps `step` and `next`.
    fn next_break(&self, terms: &Terms, start: usize, step: usize, next: usize) -> usize {
        let bad = terms.breaking(step, next);
        let places = self.breaks.iter().find(|(known, _)| *known == bad).map(|(_, places)| places);
        places.and_then(|places| places.get(start)).map_or(usize::MAX, |place| *place as usize)
    }

    /// Whether an event must not do a step because another does: then a chain of events has to be looked at as a whole.
    pub(super) fn contends(&self, terms: &Terms) -> bool {
        let may_turn_back = terms.ties == Ties::Either || terms.tolerance_us > 0;
        self.overlaps && !terms.reuse && may_turn_back && terms.order != StepOrder::Strict
    }

    /// The events, by their places in `occurrences[next]`, that may do step `next` after the event at `last` did step `step`, without those that come too early by less than the tolerance
    /// allows, and without a look at what is used.
    pub(super) fn successors(
        &self,
        hits: &[Hit],
        terms: &Terms,
        (step, last): (usize, usize),
        next: usize,
    ) -> std::ops::Range<usize> {
        let occurrences = &self.occurrences[next];
        let us = hits[last].timestamp;
        let (min, max) = terms.after_us[next];
        let earliest = us.saturating_sub(terms.tolerance_us).max(us.saturating_add(min));
        let mut latest = us.saturating_add(max);
        let (mut first, mut past) = (0, hits.len());
        match (terms.order, terms.ties) {
            (StepOrder::Strict, _) => {
                first = last + usize::from(!terms.reuse);
                past = self.run_ends[step][last] as usize + 1;
            }
            (_, Ties::Sequence) if terms.tolerance_us == 0 => first = last + usize::from(!terms.reuse),
            (_, Ties::Apart) if terms.tolerance_us == 0 => {
                first = hits.partition_point(|hit| hit.timestamp <= us);
            }
            _ => {}
        }
        if terms.order == StepOrder::StrictSteps {
            let start = match terms.ties {
                Ties::Sequence => last + 1,
                _ => last + hits[last..].partition_point(|hit| hit.timestamp <= us),
            };
            let broken = self.next_break(terms, start, step, next);
            match (hits.get(broken), terms.ties) {
                (Some(_), Ties::Sequence) => past = past.min(broken + 1),
                (Some(hit), _) => latest = latest.min(hit.timestamp),
                (None, _) => {}
            }
        }
        let start = occurrences
            .partition_point(|place| (*place as usize) < first || hits[*place as usize].timestamp < earliest);
        let end =
            occurrences.partition_point(|place| (*place as usize) < past && hits[*place as usize].timestamp <= latest);
        start..end.max(start)
    }

    /// Whether nothing lies between two events that must not, where only steps may.
    pub(super) fn is_clear(
        &self,
        hits: &[Hit],
        terms: &Terms,
        (step, last): (usize, usize),
        (next_step, next): (usize, usize),
    ) -> bool {
        if terms.order != StepOrder::StrictSteps {
            return true;
        }
        let (low, high) = (last.min(next), last.max(next));
        let (from, to) = (hits[low].timestamp, hits[high].timestamp);
        let start = match terms.ties {
            Ties::Sequence => low + 1,
            _ => low + hits[low..].partition_point(|hit| hit.timestamp <= from),
        };
        let broken = self.next_break(terms, start, step, next_step);
        match terms.ties {
            Ties::Sequence => broken >= high,
            _ => hits.get(broken).is_none_or(|hit| hit.timestamp >= to),
        }
    }
}
