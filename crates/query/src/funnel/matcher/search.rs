//! Chains in which steps may be skipped, may lie a little before each other, or want the same event: found by trying.
//!
//! What [`Tables`] rule out is not tried, and what has failed is not tried again, so that little is tried in vain but among events of nearly one time.

use hashbrown::HashSet;

use super::lane::Lane;
use super::tables::Tables;
use super::terms::{NONE, Terms};
use crate::spec::Hit;

/// What has been decided about a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fixed {
    Free,
    At(i64),
    Skipped,
}

/// Where a try stands: the step, the last matched one and its event, and the events that are in use and might be wanted again.
type State = (usize, usize, u32, Vec<u32>);

#[derive(Debug, Clone, Default)]
pub(super) struct Search {
    fixed: Vec<Fixed>,
    /// The chain that is being tried.
    tried: Vec<u32>,
    failed: HashSet<State, foldhash::fast::RandomState>,
}

/// What a try looks at.
struct Ground<'a> {
    hits: &'a [Hit],
    terms: &'a Terms,
    lane: &'a Lane,
    tables: &'a Tables,
    /// How many required steps the chain is to have.
    required: usize,
    /// The last of them.
    last: usize,
    /// The steps before this are in question.
    limit: usize,
    deadline: i64,
    /// Nothing lies before this.
    earliest: i64,
}

impl Search {
    /// Writes the chain of an opening, and returns how many required steps it has.
    pub(super) fn chain(
        &mut self,
        (hits, terms, lane): (&[Hit], &Terms, &Lane),
        tables: &mut Tables,
        opening: usize,
        chain: &mut [u32],
    ) -> usize {
        let place = lane.openings[opening];
        let us = hits[place as usize].timestamp;
        let deadline = terms.deadline(us);
        for required in (1..=terms.required()).rev() {
            if tables.end_of_opening(hits, terms, lane, required, opening) > deadline {
                continue;
            }
            let last = Tables::last_step(terms, required);
            let limit = (last + 1..terms.steps).find(|step| !terms.is_optional(*step)).unwrap_or(terms.steps);
            let earliest = us.saturating_sub(terms.tolerance_us);
            let ground = Ground { hits, terms, lane, tables, required, last, limit, deadline, earliest };
            self.fixed.clear();
            self.fixed.resize(terms.steps, Fixed::Free);
            if self.find(&ground, place, chain) {
                self.improve(&ground, place, chain);
                return required;
            }
        }
        chain.fill(NONE);
        chain[0] = place;
        1
    }

    /// Makes the required steps as early as they can be, then the optional ones, one after the other, and at last takes of events of one time those that come first.
    fn improve(&mut self, ground: &Ground<'_>, opening: u32, chain: &mut [u32]) {
        for optional in [false, true] {
            for step in 1..ground.limit {
                if ground.terms.is_optional(step) != optional {
                    continue;
                }
                let now = (chain[step] != NONE).then(|| ground.hits[chain[step] as usize].timestamp);
                self.fixed[step] = now.map_or(Fixed::Skipped, Fixed::At);
                let mut tried = None;
                for us in ground.times_of(step).take_while(|us| now.is_none_or(|now| *us < now)) {
                    if tried.replace(us) == Some(us) {
                        continue;
                    }
                    let before = std::mem::replace(&mut self.fixed[step], Fixed::At(us));
                    if self.find(ground, opening, chain) {
                        break;
                    }
                    self.fixed[step] = before;
                }
            }
        }
        self.find(ground, opening, chain);
    }

    /// Writes the first chain that goes with what has been decided.
    fn find(&mut self, ground: &Ground<'_>, opening: u32, chain: &mut [u32]) -> bool {
        self.failed.clear();
        self.tried.clear();
        self.tried.resize(ground.terms.steps, NONE);
        self.tried[0] = opening;
        let found = self.extend(ground, 1, 0, 1);
        if found {
            chain.copy_from_slice(&self.tried);
        }
        found
    }

    fn extend(&mut self, ground: &Ground<'_>, step: usize, last_step: usize, have: usize) -> bool {
        let Ground { hits, terms, lane, .. } = ground;
        if step == ground.limit {
            return have == ground.required;
        }
        let last = self.tried[last_step];
        let state = (step, last_step, last, ground.contested(&self.tried, last));
        if self.failed.contains(&state) {
            return false;
        }
        let optional = terms.is_optional(step);
        let fixed = self.fixed[step];
        if fixed != Fixed::Skipped {
            for occurrence in lane.successors(hits, terms, (last_step, last as usize), step) {
                let place = lane.occurrences[step][occurrence];
                let us = hits[place as usize].timestamp;
                if us > ground.deadline {
                    break;
                }
                let is_decided = match fixed {
                    Fixed::At(at) => us == at,
                    _ => true,
                };
                let fits = is_decided
                    && us >= ground.earliest
                    && (step > ground.last
                        || ground.tables.end_of(ground.required, step, occurrence) <= ground.deadline)
                    && terms.follows(hits, last as usize, place as usize, step)
                    && lane.is_clear(hits, terms, (last_step, last as usize), (step, place as usize))
                    && (terms.reuse || !self.tried.contains(&place));
                if fits {
                    self.tried[step] = place;
                    if self.extend(ground, step + 1, step, have + usize::from(!optional)) {
                        return true;
                    }
                    self.tried[step] = NONE;
                }
            }
        }
        if optional && !matches!(fixed, Fixed::At(_)) && self.extend(ground, step + 1, last_step, have) {
            return true;
        }
        self.failed.insert(state);
        false
    }
}

impl Ground<'_> {
    /// When the events of a step happened that an attempt can have, in order.
    fn times_of(&self, step: usize) -> impl Iterator<Item = i64> + '_ {
        let occurrences = &self.lane.occurrences[step];
        let us_of = |place: &u32| self.hits[*place as usize].timestamp;
        let first = occurrences.partition_point(|place| us_of(place) < self.earliest);
        let times = (first..).zip(&occurrences[first..]).map(move |(at, place)| (at, us_of(place)));
        let leads_on =
            move |at: usize| step > self.last || self.tables.end_of(self.required, step, at) <= self.deadline;
        times.take_while(|(_, us)| *us <= self.deadline).filter(move |(at, _)| leads_on(*at)).map(|(_, us)| us)
    }

    /// The events in use that a later step might want.
    fn contested(&self, tried: &[u32], last: u32) -> Vec<u32> {
        if self.terms.reuse {
            return Vec::new();
        }
        let us = self.hits[last as usize].timestamp;
        let used = tried.iter().copied().filter(|place| *place != NONE);
        let mut contested: Vec<u32> = match self.terms.tolerance_us {
            0 => used.filter(|place| self.hits[*place as usize].timestamp == us).collect(),
            _ => used.collect(),
        };
        contested.sort_unstable();
        contested
    }
}
