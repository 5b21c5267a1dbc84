//! Chains where the next event of the next step is always the best: nothing but the order, and the window, ties them together.
//!
//! Whatever follows a later event of a step follows an earlier one, too, so that taking the earliest reaches every step that any chain reaches, and each at its earliest time.

use super::lane::Lane;
use super::terms::{NONE, Terms};
use crate::funnel::rules::{StepOrder, Ties};
use crate::spec::Hit;

/// Finds the chains of openings that come in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Greedy {
    /// By step, how many of its occurrences lie before every event that may still be needed.
    passed: Vec<usize>,
}

impl Greedy {
    /// Whether it is as good as any.
    pub(super) fn suits(terms: &Terms, lane: &Lane) -> bool {
        terms.order == StepOrder::Ordered && !terms.has_after && terms.tolerance_us == 0 && !lane.contends(terms)
    }

    pub(super) fn begin(&mut self, terms: &Terms) {
        self.passed.clear();
        self.passed.resize(terms.steps, 0);
    }

    /// Writes the chain of an opening, and returns how many required steps it has.
    pub(super) fn chain(&mut self, hits: &[Hit], terms: &Terms, lane: &Lane, opening: u32, chain: &mut [u32]) -> usize {
        let deadline = terms.deadline(hits[opening as usize].timestamp);
        chain.fill(NONE);
        let mut last = opening as usize;
        let mut depth = 1;
        let mut required = 0;
        if let Some(first) = chain.first_mut() {
            *first = opening;
        }
        for step in 1..terms.steps {
            if terms.is_optional(step) {
                continue;
            }
            let (occurrences, passed) = (&lane.occurrences[step], &mut self.passed[step]);
            while occurrences.get(*passed).is_some_and(|place| !is_after(hits, terms, last, *place as usize)) {
                *passed += 1;
            }
            let next = match occurrences.get(*passed) {
                Some(place) if hits[*place as usize].timestamp <= deadline => *place,
                _ => break,
            };
            chain[step] = next;
            fill_between(hits, terms, lane, (required, Some(step)), deadline, chain);
            last = next as usize;
            required = step;
            depth += 1;
        }
        fill_between(hits, terms, lane, (required, None), deadline, chain);
        depth
    }
}

/// Whether the event at `next` may follow that at `last`.
fn is_after(hits: &[Hit], terms: &Terms, last: usize, next: usize) -> bool {
    let (from, to) = (hits[last].timestamp, hits[next].timestamp);
    match terms.ties {
        Ties::Either => to >= from,
        Ties::Apart => to > from,
        Ties::Sequence => next > last || terms.reuse && next == last,
    }
}

/// Matches the optional steps between two required ones, or those after the last that was reached.
fn fill_between(
    hits: &[Hit],
    terms: &Terms,
    lane: &Lane,
    (from, to): (usize, Option<usize>),
    deadline: i64,
    chain: &mut [u32],
) {
    let mut last = chain[from] as usize;
    let end = to.unwrap_or(terms.steps);
    for step in from + 1..end {
        if !terms.is_optional(step) {
            break;
        }
        let occurrences = &lane.occurrences[step];
        let first = occurrences.partition_point(|place| !is_after(hits, terms, last, *place as usize));
        let Some(place) = occurrences.get(first) else { continue };
        let fits = match to {
            Some(to) => is_after(hits, terms, *place as usize, chain[to] as usize),
            None => hits[*place as usize].timestamp <= deadline,
        };
        if fits {
            chain[step] = *place;
            last = *place as usize;
        }
    }
}
