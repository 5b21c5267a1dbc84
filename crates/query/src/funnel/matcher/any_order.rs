//! Chains in any order: each step by an event of its own, as many and as early as can be.
//!
//! Sets of events that can all do different steps are those of a transversal matroid, so that going through the events in order, and taking each that can still be
//! given a step, leads to the most steps and to the earliest times. Once an event cannot be given one, none that does the same steps can.

use super::lane::Lane;
use super::terms::{NONE, Terms};
use crate::funnel::rules::Ties;
use crate::spec::Hit;

/// Events that do the same steps; where steps are to be apart, instants at which the same steps can be done.
#[derive(Debug, Clone, Default)]
struct Class {
    bits: u32,
    places: Vec<u32>,
    next: usize,
    refused: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct AnyOrder {
    classes: Vec<Class>,
    /// By step, the place in the chain of the event that does it.
    serving: Vec<Option<usize>>,
    /// The steps that each event of the chain can do.
    bits: Vec<u32>,
    taken: Vec<u32>,
    visited: u32,
}

impl AnyOrder {
    pub(super) fn begin(&mut self, hits: &[Hit], terms: &Terms, lane: &Lane) {
        self.classes.clear();
        let does = |place: u32| lane.bits[place as usize] != 0;
        let inside = |place: u32| !terms.in_range || terms.range.contains(hits[place as usize].timestamp);
        let places: Vec<u32> = (0..=lane.last).filter(|place| does(*place) && inside(*place)).collect();
        let same_time = |a: &u32, b: &u32| hits[*a as usize].timestamp == hits[*b as usize].timestamp;
        let is_apart = terms.ties == Ties::Apart;
        for together in places.chunk_by(|a, b| is_apart && same_time(a, b)) {
            let bits = together.iter().fold(0, |bits, place| bits | lane.bits[*place as usize]);
            let class = match self.classes.iter_mut().position(|class| class.bits == bits) {
                Some(known) => &mut self.classes[known],
                None => {
                    self.classes.push(Class { bits, ..Class::default() });
                    let last = self.classes.len() - 1;
                    &mut self.classes[last]
                }
            };
            class.places.extend(together.first());
        }
    }

    /// Writes the events of an opening's chain in the order in which they come, and returns how many there are.
    pub(super) fn chain(&mut self, hits: &[Hit], terms: &Terms, lane: &Lane, opening: u32, chain: &mut [u32]) -> usize {
        chain.fill(NONE);
        if terms.reuse && terms.ties != Ties::Apart {
            return self.reusing(hits, terms, lane, opening, chain);
        }
        let us = hits[opening as usize].timestamp;
        let deadline = terms.deadline(us);
        for class in &mut self.classes {
            class.refused = false;
            class.next = class.places.partition_point(|place| match terms.ties {
                Ties::Either => hits[*place as usize].timestamp < us,
                Ties::Sequence => *place <= opening,
                Ties::Apart => hits[*place as usize].timestamp <= us,
            });
        }
        self.serving.clear();
        self.serving.resize(terms.steps, None);
        self.bits.clear();
        self.taken.clear();
        self.take(opening, lane.bits[opening as usize]);
        while self.taken.len() < terms.steps {
            let heads = self.classes.iter().enumerate().filter(|(_, class)| !class.refused);
            let earliest = heads.filter_map(|(at, class)| Some((*class.places.get(class.next)?, at))).min();
            let Some((place, at)) = earliest.filter(|(place, _)| hits[*place as usize].timestamp <= deadline) else {
                break;
            };
            let class = &mut self.classes[at];
            class.next += 1;
            let bits = class.bits;
            if place != opening && !self.take(place, bits) {
                self.classes[at].refused = true;
            }
        }
        if terms.ties == Ties::Apart {
            self.settle(hits, lane, opening);
        }
        chain.iter_mut().zip(&self.taken).for_each(|(to, place)| *to = *place);
        self.taken.len()
    }

    /// Every step at its first event: one may do several.
    fn reusing(&mut self, hits: &[Hit], terms: &Terms, lane: &Lane, opening: u32, chain: &mut [u32]) -> usize {
        let us = hits[opening as usize].timestamp;
        let deadline = terms.deadline(us);
        self.taken.clear();
        for (step, occurrences) in lane.occurrences.iter().enumerate() {
            if lane.bits[opening as usize] >> step & 1 == 1 {
                self.taken.push(opening);
                continue;
            }
            let first = occurrences.partition_point(|place| match terms.ties {
                Ties::Sequence => *place < opening,
                _ => hits[*place as usize].timestamp < us,
            });
            let place = occurrences.get(first).filter(|place| hits[**place as usize].timestamp <= deadline);
            self.taken.extend(place);
        }
        // The opening comes first, also among events of its time.
        self.taken.sort_unstable_by_key(|place| (*place != opening, *place));
        chain.iter_mut().zip(&self.taken).for_each(|(to, place)| *to = *place);
        self.taken.len()
    }

    /// Takes an event if it and all those taken can do different steps.
    fn take(&mut self, place: u32, bits: u32) -> bool {
        self.visited = 0;
        self.bits.push(bits);
        if self.serve(self.bits.len() - 1) {
            self.taken.push(place);
            return true;
        }
        self.bits.pop();
        false
    }

    /// Gives a step to an event, along an augmenting path.
    fn serve(&mut self, event: usize) -> bool {
        let mut left = self.bits[event];
        while left != 0 {
            let step = left.trailing_zeros() as usize;
            left &= left - 1;
            if self.visited >> step & 1 == 1 {
                continue;
            }
            self.visited |= 1 << step;
            let free = match self.serving[step] {
                None => true,
                Some(other) => self.serve(other),
            };
            if free {
                self.serving[step] = Some(event);
                return true;
            }
        }
        false
    }

    /// Of each instant the first event with which all can still do different steps.
    fn settle(&mut self, hits: &[Hit], lane: &Lane, opening: u32) {
        for at in 0..self.taken.len() {
            let first = self.taken[at];
            if first == opening {
                continue;
            }
            let us = hits[first as usize].timestamp;
            let own = (first..=lane.last).take_while(|place| hits[*place as usize].timestamp == us);
            for place in own.filter(|place| lane.bits[*place as usize] != 0) {
                let before = std::mem::replace(&mut self.bits[at], lane.bits[place as usize]);
                if self.can_all_serve() {
                    self.taken[at] = place;
                    break;
                }
                self.bits[at] = before;
            }
        }
    }

    fn can_all_serve(&mut self) -> bool {
        self.serving.fill(None);
        (0..self.bits.len()).all(|event| {
            self.visited = 0;
            self.serve(event)
        })
    }
}
