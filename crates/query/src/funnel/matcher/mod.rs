//! Finds the attempts of one unit.
//!
//! A funnel without choices has a matcher of its own ([`Plain`]), which also looks after the lanes of held properties ([`Held`]) and after units without an excluded event. For all others the events of a unit are dealt into lanes, each opening event gets its chain by the
//! quickest way that is exact for what the funnel asks, excluded events take theirs, and of what is left the attempts are chosen that count.

mod any_order;
mod exclusion;
mod greedy;
mod held;
mod lane;
mod plain;
mod search;
mod tables;
mod terms;
mod tree;

mod ties;

use std::sync::Arc;

use any_order::AnyOrder;
use exclusion::Fate;
use greedy::Greedy;
use held::Held;
use lane::Lane;
pub(crate) use plain::{Plain, Reached};
use search::Search;
use tables::Tables;
use terms::{NONE, Terms};
use ties::TieGroups;

use super::rules::{ExclusionOutcome, FunnelEntry, Pick, StepOrder};
use super::step::BreakdownAt;
use super::{Attempt, Done, Funnel, HitValues};
use crate::calendar::{Buckets, ResolvedRange};
use crate::sessions::{Cutter, Mark, Rule};
use crate::spec::{Hit, SessionKey};

/// Finds the attempts of one unit at a time.
///
/// ```
/// use pugmark_query::{calendar::{ResolvedRange, seconds}, funnel::{Funnel, HitValues, Matcher}, spec::Hit};
///
/// let funnel = Funnel::steps(["view", "purchase"]).window(seconds(10));
/// let mut matcher = Matcher::new(&funnel, ResolvedRange { from_us: 0, to_us: 60_000_000 });
/// let hit = |at_s: i64, matches| Hit { timestamp: at_s * 1_000_000, sequence: 1, matches, group: 0, value: () };
/// let attempts = matcher.match_unit(&[hit(1, 0b01), hit(20, 0b01), hit(30, 0b10)], &HitValues::default());
/// let times: Vec<_> = attempts[0].times().collect();
/// assert_eq!(times, [Some(20_000_000), Some(30_000_000)]);
/// ```
#[derive(Debug, Clone)]
pub struct Matcher {
    terms: Terms,
    quick: Option<Quick>,
    buckets: Option<Arc<Buckets>>,
    /// Tells the sessions of a unit apart, where the window is the session.
    cutter: Cutter,
    /// The session of each event, and the events that match anything.
    sessions: Vec<u32>,
    kept: Vec<Hit>,
    lanes: Vec<Lane>,
    greedy: Greedy,
    tables: Tables,
    search: Search,
    any_order: AnyOrder,
    ties: TieGroups,
    candidates: Vec<Candidate>,
    /// The events of each candidate, one for each step.
    chains: Vec<u32>,
    chain: Vec<u32>,
    attempts: Vec<Attempt>,
    in_buckets: Vec<(usize, Attempt)>,
}

/// Matches units by the times of their events alone.
#[derive(Debug, Clone)]
enum Quick {
    Plain(Plain),
    Held(Held),
}

/// An attempt that may count.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    /// Where its events begin in the list of all chains.
    start: usize,
    depth: usize,
    opening: u32,
    dropped: bool,
}

/// How chains of a lane are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    AnyOrder,
    Greedy,
    Ties,
    Tables,
    Search,
}

impl Way {
    fn of(terms: &Terms, lane: &Lane) -> Self {
        let is_bare = terms.order == StepOrder::Ordered && !terms.has_after && terms.tolerance_us == 0;
        match () {
            () if terms.order == StepOrder::Any => Self::AnyOrder,
            () if Greedy::suits(terms, lane) => Self::Greedy,
            () if is_bare && terms.optional == 0 => Self::Ties,
            () if Tables::suits(terms, lane) => Self::Tables,
            () => Self::Search,
        }
    }
}

impl Matcher {
    /// A matcher for the question over this range.
    pub fn new(funnel: &Funnel, range: ResolvedRange) -> Self {
        let terms = Terms::of(funnel, range);
        let is_plain = terms.is_plain() && funnel.trend.is_none() && !funnel.rows;
        let plain = is_plain.then(|| Plain::new(terms.steps, terms.window_us.unwrap_or(i64::MAX), range));
        let quick = plain.map(|plain| if terms.holds { Quick::Held(Held::new(plain)) } else { Quick::Plain(plain) });
        Self {
            chain: vec![NONE; terms.steps],
            terms,
            quick,
            buckets: None,
            cutter: Cutter::new(Rule::default()),
            sessions: Vec::new(),
            kept: Vec::new(),
            lanes: Vec::new(),
            greedy: Greedy::default(),
            tables: Tables::default(),
            search: Search::default(),
            any_order: AnyOrder::default(),
            ties: TieGroups::default(),
            candidates: Vec::new(),
            chains: Vec::new(),
            attempts: Vec::new(),
            in_buckets: Vec::new(),
        }
    }

    /// The same, telling the attempts apart that begin in each bucket.
    #[must_use]
    pub fn by_bucket(mut self, buckets: Arc<Buckets>) -> Self {
        self.buckets = Some(buckets);
        self.quick = None;
        self
    }

    /// What the attempt of a unit reached, where times tell all of it: of events in any order but this, that those of one name, timestamp and unit come in the order of the log where
    /// their sequences are not known and all the same. `None` where only [`match_unit`](Self::match_unit) can tell.
    pub(crate) fn match_times(&mut self, hits: &mut [Hit], values: &HitValues) -> Option<Option<&Reached>> {
        let quick = self.quick.as_mut()?;
        let excluding = self.terms.exclusion_bits();
        if excluding != 0 && hits.iter().any(|hit| hit.matches & excluding != 0) {
            return None;
        }
        Some(match quick {
            Quick::Plain(plain) => plain.match_unordered(hits),
            Quick::Held(held) => held.match_unordered(hits, values),
        })
    }

    /// The attempts that count of the unit with these events, sorted by (timestamp, sequence): one at most, unless every attempt or every value is asked for. Selectors are the
    /// steps, then the exclusions, and where the order is strict any event. Where the window is the session, all of them are of one; [`match_sessions`](Self::match_sessions) cuts them.
    ///
    /// However few attempts convert, it takes about as many steps as there are events, times that of the funnel; only where steps may be skipped, may lie before each other, or
    /// want the same event, events of nearly one time are tried.
    pub fn match_unit(&mut self, hits: &[Hit], values: &HitValues) -> &[Attempt] {
        self.match_within(hits, values, &[]);
        &self.attempts
    }

    /// The same where the window is the session: of all events of the unit, whatever they match, with the sessions that their sender gave.
    pub fn match_sessions(&mut self, hits: &[Hit<SessionKey>], values: &HitValues) -> &[Attempt] {
        let (mut kept, mut sessions) = (std::mem::take(&mut self.kept), std::mem::take(&mut self.sessions));
        let mark = |hit: &Hit<SessionKey>| Mark { timestamp: hit.timestamp, key: hit.value.get(), ..Mark::default() };
        self.cutter.cut(hits.iter().map(mark), &mut sessions);
        let wanted = self.terms.selector_bits();
        let mut of_hits = hits.iter().map(|hit| hit.matches & wanted != 0);
        sessions.retain(|_| of_hits.next().unwrap_or(false));
        kept.clear();
        kept.extend(hits.iter().filter(|hit| hit.matches & wanted != 0).map(|hit| hit.with(())));
        self.match_within(&kept, values, &sessions);
        (self.kept, self.sessions) = (kept, sessions);
        &self.attempts
    }

    /// The attempts that count of the unit that was matched last.
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The attempts that count in each bucket in which some begin, of the unit that was matched last.
    pub fn in_buckets(&self) -> &[(usize, Attempt)] {
        &self.in_buckets
    }

    fn match_within(&mut self, hits: &[Hit], values: &HitValues, sessions: &[u32]) {
        self.attempts.clear();
        self.in_buckets.clear();
        let excluding = self.terms.exclusion_bits();
        if let Some(quick) = self.quick.as_mut().filter(|_| hits.iter().all(|hit| hit.matches & excluding == 0)) {
            let reached = match quick {
                Quick::Plain(plain) => plain.match_unit(hits),
                Quick::Held(held) => held.match_unordered(hits, values),
            };
            if let Some(Reached { times, group, sequence }) = reached {
                let mut steps = vec![None; self.terms.steps];
                for (step, timestamp) in steps.iter_mut().zip(times) {
                    *step = Some(Done { timestamp: *timestamp, sequence: 0 });
                }
                if let Some(Some(first)) = steps.first_mut() {
                    first.sequence = *sequence;
                }
                self.attempts.push(Attempt { steps, group: values.group_of(*group) });
            }
            return;
        }
        if self.terms.at != BreakdownAt::All {
            self.match_value(hits, values, sessions);
            return;
        }
        // Every value has a funnel of its own, as if the others were not there.
        let mut groups: Vec<u32> = hits.iter().map(|hit| values.group_of(hit.group)).collect();
        groups.sort_unstable();
        groups.dedup();
        for group in groups {
            let of_group = |place: &usize| values.group_of(hits[*place].group) == group;
            let places: Vec<usize> = (0..hits.len()).filter(of_group).collect();
            let own: Vec<Hit> = places.iter().map(|place| hits[*place]).collect();
            let sessions: Vec<u32> = places.iter().filter_map(|place| sessions.get(*place).copied()).collect();
            self.match_value(&own, values, &sessions);
        }
    }

    fn match_value(&mut self, hits: &[Hit], values: &HitValues, sessions: &[u32]) {
        self.candidates.clear();
        self.chains.clear();
        let steps = self.terms.step_bits();
        if !self.terms.holds {
            let places: Vec<u32> =
                (0_u32..).zip(hits).filter(|(_, hit)| hit.matches & steps != 0).map(|(at, _)| at).collect();
            let spoiling: Vec<u32> = (0_u32..).zip(hits).map(|(at, _)| at).collect();
            self.match_lane(hits, &places, &spoiling, sessions);
        } else {
            let mut lanes: Vec<(u32, u32)> = (0_u32..)
                .zip(hits)
                .filter(|(_, hit)| hit.matches & steps != 0)
                .filter_map(|(at, hit)| Some((values.lane(hit.group)?, at)))
                .collect();
            lanes.sort_unstable();
            for lane in lanes.chunk_by(|a, b| a.0 == b.0) {
                let own = lane[0].0;
                let places: Vec<u32> = lane.iter().map(|(_, at)| *at).collect();
                // What has no value of its own spoils every lane.
                let spoils = |hit: &Hit| values.lane(hit.group).is_none_or(|lane| lane == own);
                let spoiling: Vec<u32> = match self.terms.exclusions.is_empty() {
                    true => Vec::new(),
                    false => (0_u32..).zip(hits).filter(|(_, hit)| spoils(hit)).map(|(at, _)| at).collect(),
                };
                self.match_lane(hits, &places, &spoiling, sessions);
            }
        }
        self.choose(hits, values);
    }

    /// Finds the attempts of a lane, session by session where the window is the session.
    fn match_lane(&mut self, hits: &[Hit], places: &[u32], spoiling: &[u32], sessions: &[u32]) {
        let mut lanes = std::mem::take(&mut self.lanes);
        let mut count = 0;
        let mut fill = |places: &[u32], spoiling: &[u32], terms: &Terms| {
            if lanes.len() == count {
                lanes.push(Lane::default());
            }
            lanes[count].fill(hits, places, spoiling, terms);
            count += usize::from(!lanes[count].openings.is_empty());
        };
        if self.terms.window_us.is_some() {
            fill(places, spoiling, &self.terms);
        } else {
            let of = |place: &u32| sessions.get(*place as usize).copied().unwrap_or(0);
            let mut own: Vec<u32> = places.iter().map(of).collect();
            own.sort_unstable();
            own.dedup();
            for session in own {
                let only = |places: &[u32]| -> Vec<u32> {
                    places.iter().copied().filter(|place| of(place) == session).collect()
                };
                fill(&only(places), &only(spoiling), &self.terms);
            }
        }
        match (count, self.terms.entry) {
            (0, _) => {}
            (_, FunnelEntry::Any) => lanes[..count].iter().for_each(|lane| self.match_openings(hits, lane)),
            (_, entry) => {
                let openings = lanes[..count].iter().enumerate();
                let mut openings: Vec<(u32, usize, usize)> = openings
                    .flat_map(|(lane, own)| own.openings.iter().enumerate().map(move |(at, place)| (*place, lane, at)))
                    .collect();
                openings.sort_unstable();
                self.match_in_turn(hits, &lanes[..count], &openings, entry);
            }
        }
        self.lanes = lanes;
    }

    /// Every opening of a lane.
    fn match_openings(&mut self, hits: &[Hit], lane: &Lane) {
        let way = Way::of(&self.terms, lane);
        self.begin(way, hits, lane);
        // Where nothing else is asked than the deepest attempt, the others need not be kept; one that sends its unit away counts, however deep it is.
        let drops = self.terms.exclusions.iter().any(|exclusion| exclusion.outcome == ExclusionOutcome::Drop);
        let only_best = !drops && self.buckets.is_none();
        let mut best: Option<Candidate> = None;
        let most = self.terms.required();
        for opening in 0..lane.openings.len() {
            let mut depth = self.find(way, hits, lane, opening);
            let place = lane.openings[opening];
            if !only_best {
                self.judge(hits, lane, place);
                continue;
            }
            match exclusion::apply(hits, &self.terms, lane, &mut self.chain) {
                Fate::Untouched | Fate::Dropped => {}
                Fate::Ended(_) => depth = self.depth(),
                Fate::Void => continue,
            }
            let candidate = Candidate { start: self.chains.len(), depth, opening: place, dropped: false };
            if best.is_none_or(|best| self.is_better(&candidate, &best)) {
                let start = best.map_or(candidate.start, |best| best.start);
                self.chains.truncate(start);
                self.chains.extend_from_slice(&self.chain);
                best = Some(Candidate { start, ..candidate });
            }
            if depth == most && self.terms.pick == Pick::Earliest {
                break;
            }
        }
        self.candidates.extend(best);
    }

    /// The first opening, or one after the other as each attempt ends.
    fn match_in_turn(&mut self, hits: &[Hit], lanes: &[Lane], openings: &[(u32, usize, usize)], entry: FunnelEntry) {
        let mut begun: Option<usize> = None;
        // The next opening of a lane comes after this place, and after this instant.
        let mut ends: Vec<(Option<u32>, i64)> = vec![(None, i64::MIN); lanes.len()];
        for (place, number, at) in openings {
            let us = hits[*place as usize].timestamp;
            let (after, later_than) = &mut ends[*number];
            if after.is_some_and(|after| *place <= after) || us <= *later_than {
                continue;
            }
            let lane = &lanes[*number];
            let way = Way::of(&self.terms, lane);
            if begun != Some(*number) {
                self.begin(way, hits, lane);
                begun = Some(*number);
            }
            let depth = self.find(way, hits, lane, *at);
            let last = self.chain.iter().copied().filter(|place| *place != NONE).max();
            let fate = self.judge(hits, lane, *place);
            // An attempt that never was is not the first, and keeps no other from opening.
            if fate == Fate::Void {
                continue;
            }
            if entry == FunnelEntry::First || fate == Fate::Dropped {
                return;
            }
            match fate {
                Fate::Ended(end) => *after = Some(end),
                _ if depth == self.terms.required() => *after = last,
                // It ran out of time.
                _ if self.terms.window_us.is_some() => *later_than = self.terms.deadline(us),
                _ => *after = Some(lane.last),
            }
        }
    }

    fn begin(&mut self, way: Way, hits: &[Hit], lane: &Lane) {
        match way {
            Way::AnyOrder => self.any_order.begin(hits, &self.terms, lane),
            Way::Greedy => self.greedy.begin(&self.terms),
            Way::Ties => self.ties.collect_lane(hits, lane.occurrences.as_slice(), lane.openings.as_slice()),
            Way::Tables | Way::Search => self.tables.begin(&self.terms),
        }
    }

    /// Finds the chain of an opening, and returns how many required steps it has.
    fn find(&mut self, way: Way, hits: &[Hit], lane: &Lane, opening: usize) -> usize {
        let Self { terms, chain, .. } = self;
        let place = lane.openings[opening];
        match way {
            Way::AnyOrder => self.any_order.chain(hits, terms, lane, place, chain),
            Way::Greedy => self.greedy.chain(hits, terms, lane, place, chain),
            Way::Ties => self.ties.chain(hits, terms.deadline(hits[place as usize].timestamp), place, chain),
            Way::Tables => self.tables.chain(hits, terms, lane, opening, chain),
            Way::Search => self.search.chain((hits, terms, lane), &mut self.tables, opening, chain),
        }
    }

    /// Lets excluded events do theirs to the chain at hand, and keeps what is left.
    fn judge(&mut self, hits: &[Hit], lane: &Lane, opening: u32) -> Fate {
        let fate = exclusion::apply(hits, &self.terms, lane, &mut self.chain);
        if fate == Fate::Void {
            return fate;
        }
        let depth = self.depth();
        let start = self.chains.len();
        self.chains.extend_from_slice(&self.chain);
        self.candidates.push(Candidate { start, depth, opening, dropped: fate == Fate::Dropped });
        fate
    }

    /// How many required steps the chain at hand has.
    fn depth(&self) -> usize {
        let done = |(step, place): (usize, &u32)| *place != NONE && !self.terms.is_optional(step);
        self.chain.iter().enumerate().filter(|(step, place)| done((*step, place))).count()
    }

    fn is_better(&self, candidate: &Candidate, best: &Candidate) -> bool {
        let earlier = match self.terms.pick {
            Pick::Earliest => candidate.opening < best.opening,
            Pick::Latest => candidate.opening > best.opening,
        };
        candidate.depth > best.depth || candidate.depth == best.depth && earlier
    }

    /// Chooses of the candidates those that count, in the whole and in each bucket.
    fn choose(&mut self, hits: &[Hit], values: &HitValues) {
        let candidates = std::mem::take(&mut self.candidates);
        let mut counting = Vec::new();
        self.counting(&candidates, &mut counting);
        for candidate in counting.drain(..) {
            let attempt = self.attempt(candidate, hits, values);
            self.attempts.extend(attempt);
        }
        if let Some(buckets) = self.buckets.clone() {
            let bucket = |candidate: &Candidate| buckets.index_of(hits[candidate.opening as usize].timestamp);
            let mut own: Vec<(usize, Candidate)> =
                candidates.iter().filter_map(|candidate| Some((bucket(candidate)?, *candidate))).collect();
            own.sort_by_key(|(bucket, _)| *bucket);
            for within in own.chunk_by(|a, b| a.0 == b.0) {
                let of_bucket: Vec<Candidate> = within.iter().map(|(_, candidate)| *candidate).collect();
                self.counting(&of_bucket, &mut counting);
                for candidate in counting.drain(..) {
                    let attempt = self.attempt(candidate, hits, values);
                    self.in_buckets.extend(attempt.map(|attempt| (within[0].0, attempt)));
                }
            }
        }
        self.candidates = candidates;
    }

    fn counting(&self, candidates: &[Candidate], counting: &mut Vec<Candidate>) {
        if candidates.iter().any(|candidate| candidate.dropped) {
            return;
        }
        if self.terms.entry == FunnelEntry::Every {
            counting.extend_from_slice(candidates);
            return;
        }
        let better = |best: Candidate, other: &Candidate| if self.is_better(other, &best) { *other } else { best };
        if let Some((first, rest)) = candidates.split_first() {
            counting.push(rest.iter().fold(*first, better));
        }
    }

    /// The attempt of a candidate; `None` where its group is read at a step that it did not reach.
    fn attempt(&self, candidate: Candidate, hits: &[Hit], values: &HitValues) -> Option<Attempt> {
        let chain = self.chains.get(candidate.start..candidate.start + self.terms.steps)?;
        let at = match self.terms.at {
            BreakdownAt::First | BreakdownAt::All => chain.first().copied(),
            BreakdownAt::Last => chain.iter().rev().copied().find(|place| *place != NONE),
            BreakdownAt::Step(step) => chain.get(step - 1).copied().filter(|place| *place != NONE),
            BreakdownAt::FirstTouch => Some(self.touch(hits.iter().enumerate(), values).unwrap_or(candidate.opening)),
            BreakdownAt::LastTouch => {
                Some(self.touch(hits.iter().enumerate().rev(), values).unwrap_or(candidate.opening))
            }
        };
        let group = values.group_of(hits[at? as usize].group);
        let done = |place: &u32| {
            let hit = hits.get(*place as usize)?;
            Some(Done { timestamp: hit.timestamp, sequence: hit.sequence })
        };
        Some(Attempt { steps: chain.iter().map(done).collect(), group })
    }

    /// The first of these events that lies in the range, does a step and has a value.
    fn touch<'h>(&self, mut hits: impl Iterator<Item = (usize, &'h Hit)>, values: &HitValues) -> Option<u32> {
        let touches = |hit: &Hit| {
            hit.matches & self.terms.step_bits() != 0
                && self.terms.range.contains(hit.timestamp)
                && values.has_value(hit.group)
        };
        hits.find(|(_, hit)| touches(hit)).map(|(at, _)| at as u32)
    }
}

#[cfg(test)]
mod tests;
