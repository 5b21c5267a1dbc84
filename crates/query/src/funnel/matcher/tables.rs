//! Chains in which what is taken for one step decides about the next: tables of how early each event can lead to the end.
//!
//! For a number of required steps, each event of each step knows the earliest instant by which a chain that goes through it can have them all. An attempt can have so many where
//! that of its opening event lies in its window; from step to step it then takes the earliest event that still leads there in time.

use super::lane::Lane;
use super::terms::{NONE, Terms};
use super::tree::{MinTree, NEVER};
use crate::spec::Hit;

/// How early chains of so many required steps end, by step and occurrence.
#[derive(Debug, Clone, Default)]
struct Ends {
    /// Of the steps up to the last required one.
    steps: Vec<MinTree>,
}

/// The tables of one lane.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    /// By the number of required steps, less one; made when they are first looked at.
    ends: Vec<Option<Ends>>,
    spare: Vec<Ends>,
    /// By step: the events that lie at the earliest time.
    choices: Vec<Vec<u32>>,
}

impl Tables {
    /// Whether chains of them are exact: nothing is skipped, taken twice or out of order.
    pub(super) fn suits(terms: &Terms, lane: &Lane) -> bool {
        terms.tolerance_us == 0 && terms.optional == 0 && !lane.contends(terms)
    }

    pub(super) fn begin(&mut self, terms: &Terms) {
        self.spare.extend(self.ends.drain(..).flatten());
        self.ends.resize_with(terms.required(), || None);
        self.choices.resize_with(terms.steps, Vec::new);
    }

    /// The place of the required step with that number.
    pub(super) fn last_step(terms: &Terms, required: usize) -> usize {
        let mut steps = (0..terms.steps).filter(|step| !terms.is_optional(*step));
        steps.nth(required - 1).unwrap_or(terms.steps - 1)
    }

    /// The tables for so many required steps.
    fn ends(&mut self, hits: &[Hit], terms: &Terms, lane: &Lane, required: usize) -> &Ends {
        let Self { ends, spare, .. } = self;
        ends[required - 1].get_or_insert_with(|| {
            let mut made = spare.pop().unwrap_or_default();
            let last = Self::last_step(terms, required);
            made.steps.resize_with(last + 1, MinTree::default);
            for step in (0..=last).rev() {
                let (before, after) = made.steps.split_at_mut(step + 1);
                let Some(own) = before.last_mut() else { continue };
                let end_of = |place: &u32| {
                    let us = hits[*place as usize].timestamp;
                    if step == last {
                        return us;
                    }
                    let nexts = terms.nexts(step).filter(|next| *next <= last);
                    let least = nexts.map(|next| {
                        let successors = lane.successors(hits, terms, (step, *place as usize), next);
                        after[next - step - 1].least(successors)
                    });
                    least.min().filter(|end| *end != NEVER).map_or(NEVER, |end| end.max(us))
                };
                match step {
                    0 => own.fill(lane.openings.iter().map(end_of)),
                    _ => own.fill(lane.occurrences[step].iter().map(end_of)),
                }
            }
            made
        })
    }

    /// How early a chain of so many required steps can end that begins with that opening.
    pub(super) fn end_of_opening(
        &mut self,
        hits: &[Hit],
        terms: &Terms,
        lane: &Lane,
        required: usize,
        opening: usize,
    ) -> i64 {
        self.ends(hits, terms, lane, required).steps[0].get(opening)
    }

    /// How early a chain of so many required steps can end that does `step` by that occurrence.
    pub(super) fn end_of(&self, required: usize, step: usize, occurrence: usize) -> i64 {
        let ends = self.ends[required - 1].as_ref().and_then(|ends| ends.steps.get(step));
        ends.map_or(NEVER, |ends| ends.get(occurrence))
    }

    /// Writes the chain of an opening, and returns how many steps it has.
    pub(super) fn chain(
        &mut self,
        hits: &[Hit],
        terms: &Terms,
        lane: &Lane,
        opening: usize,
        chain: &mut [u32],
    ) -> usize {
        chain.fill(NONE);
        let place = lane.openings[opening];
        let deadline = terms.deadline(hits[place as usize].timestamp);
        let reaches = |required: &usize| self.end_of_opening(hits, terms, lane, *required, opening) <= deadline;
        let depth = (1..=terms.steps).rev().find(reaches).unwrap_or(1);
        chain[0] = place;
        let Some(Some(ends)) = self.ends.get(depth - 1) else { return 1 };
        let choices = &mut self.choices;
        choices[0].clear();
        choices[0].push(place);
        for step in 1..depth {
            let (before, own) = choices.split_at_mut(step);
            own[0].clear();
            let mut earliest = NEVER;
            for last in &before[step - 1] {
                let successors = lane.successors(hits, terms, (step - 1, *last as usize), step);
                let mut start = successors.start;
                while let Some(at) = ends.steps[step].first_within(start..successors.end, deadline) {
                    let place = lane.occurrences[step][at];
                    let us = hits[place as usize].timestamp;
                    if us > earliest {
                        break;
                    }
                    if us < earliest {
                        earliest = us;
                        own[0].clear();
                    }
                    own[0].push(place);
                    start = at + 1;
                }
            }
            own[0].sort_unstable();
            own[0].dedup();
        }
        // Of events of one time the one that comes first, as far as the others can follow it.
        for step in (1..depth).rev() {
            let (before, own) = choices.split_at_mut(step);
            before[step - 1].retain(|last| {
                let successors = lane.successors(hits, terms, (step - 1, *last as usize), step);
                let places = &lane.occurrences[step][successors];
                own[0].iter().any(|place| places.binary_search(place).is_ok())
            });
        }
        for step in 1..depth {
            let successors = lane.successors(hits, terms, (step - 1, chain[step - 1] as usize), step);
            let places = &lane.occurrences[step][successors];
            let first = choices[step].iter().find(|place| places.binary_search(place).is_ok());
            chain[step] = first.copied().unwrap_or(NONE);
        }
        depth
    }
}
