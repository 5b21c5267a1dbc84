//! The attempt of a unit in a funnel without choices: the deepest chain of distinct events, and of those the earliest.

use super::ties::TieGroups;
use crate::{calendar::ResolvedRange, spec::Hit};

/// How far a unit got, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// When each step was done, in microseconds UTC; as many as were reached, at least one.
    pub(crate) times: Vec<i64>,
    /// The number of the values of the event that did step 1.
    pub(crate) group: u32,
    /// The sequence of the event that did step 1.
    pub(crate) sequence: u64,
}

impl Reached {
    fn keep_deeper(&mut self, chain: &[i64], opening: &Hit) {
        if chain.len() > self.times.len() {
            self.times.clear();
            self.times.extend_from_slice(chain);
            (self.group, self.sequence) = (opening.group, opening.sequence);
        }
    }
}

/// Matches the events of one unit at a time against ordered steps: equal timestamps serve in either order, and nothing else is asked of an attempt.
///
/// Every event that matches step 1 and lies in the range opens an attempt: the deepest chain of distinct events, each
/// at or after the one before and none later than the window after the first. The unit's result is its deepest attempt, among
/// equals the one whose opening event is the earliest by (timestamp, sequence), with the earliest time for every step.
#[derive(Debug, Clone)]
pub(crate) struct Plain {
    steps: usize,
    window_us: i64,
    range: ResolvedRange,
    /// Per step, the timestamps of the unit's events that match it.
    occurrences: Vec<Vec<i64>>,
    /// Per step, how many of its occurrences lie before every time at which it may still be needed.
    passed: Vec<usize>,
    chain: Vec<i64>,
    ties: TieGroups,
    /// Events that match step 1 alone, in order.
    openings: Vec<Hit>,
    /// The best attempt of the unit so far; without times while there is none. Kept between units for its memory.
    best: Reached,
}

impl Plain {
    /// A matcher for so many steps; an event opens an attempt only in `range`, and later steps may follow it within
    /// `window`, beyond the range too.
    pub(super) fn new(steps: usize, window_us: i64, range: ResolvedRange) -> Self {
        Self {
            steps,
            window_us,
            range,
            occurrences: vec![Vec::new(); steps],
            passed: vec![0; steps],
            chain: Vec::with_capacity(steps),
            ties: TieGroups::default(),
            openings: Vec::new(),
            best: Reached { times: Vec::with_capacity(steps), group: 0, sequence: 0 },
        }
    }

    /// The attempt of the unit with these events, sorted by (timestamp, sequence); `None` if none opens one.
    ///
    /// Takes time in proportion to the number of events, times the number of steps, however few of them convert;
    /// times its logarithm where an event matches several steps.
    pub(super) fn match_unit(&mut self, hits: &[Hit]) -> Option<&Reached> {
        self.best.times.clear();
        self.match_ordered(hits);
        self.found()
    }

    fn found(&self) -> Option<&Reached> {
        Some(&self.best).filter(|best| !best.times.is_empty())
    }

    fn match_ordered(&mut self, hits: &[Hit]) {
        let Some(opening) = hits.iter().find(|hit| opens(hit, self.range)) else { return };
        // Events of one timestamp serve in either order, so those before the first opening event count as well.
        let first = hits.partition_point(|hit| hit.timestamp < opening.timestamp);
        let hits = &hits[first..];
        if hits.iter().all(|hit| hit.matches.count_ones() <= 1) {
            self.match_disjoint(hits)
        } else {
            self.match_overlapping(hits)
        }
    }

    /// As [`match_unit`](Self::match_unit), of events in any order but this: those of one name, timestamp and unit come in the order of the log where their
    /// sequences are not known and all the same.
    pub(crate) fn match_unordered(&mut self, hits: &mut [Hit]) -> Option<&Reached> {
        self.best.times.clear();
        if hits.iter().any(|hit| hit.matches.count_ones() > 1) {
            hits.sort_by_key(|hit| (hit.timestamp, hit.sequence));
            self.match_ordered(hits);
            return self.found();
        }
        // Steps that no event has two of are sorted each by itself.
        let mut openings = std::mem::take(&mut self.openings);
        openings.clear();
        let range = self.range;
        openings.extend(hits.iter().filter(|hit| opens(hit, range)));
        if !openings.is_sorted_by_key(|hit| (hit.timestamp, hit.sequence)) {
            openings.sort_by_key(|hit| (hit.timestamp, hit.sequence));
        }
        if let Some(first) = openings.first() {
            if openings.len() == hits.len() {
                // Nobody gets further than the first step without another event.
                self.best.keep_deeper(&[first.timestamp], first);
            } else {
                self.occurrences.iter_mut().for_each(Vec::clear);
                for hit in hits.iter().filter(|hit| hit.timestamp >= first.timestamp) {
                    if let Some(times) = self.occurrences.get_mut(hit.matches.trailing_zeros() as usize) {
                        times.push(hit.timestamp);
                    }
                }
                for times in self.occurrences.iter_mut().skip(1).filter(|times| !times.is_sorted()) {
                    times.sort_unstable();
                }
                self.match_occurrences(openings.iter());
            }
        }
        self.openings = openings;
        self.found()
    }

    /// No event matches two steps, so the events of a chain are distinct by themselves and the next occurrence of the
    /// next step is always the best. A later opening needs none of the occurrences that an earlier one has passed.
    fn match_disjoint(&mut self, hits: &[Hit]) {
        self.occurrences.iter_mut().for_each(Vec::clear);
        for hit in hits {
            if let Some(times) = self.occurrences.get_mut(hit.matches.trailing_zeros() as usize) {
                times.push(hit.timestamp);
            }
        }
        let range = self.range;
        self.match_occurrences(hits.iter().filter(|hit| opens(hit, range)));
    }

    /// Finds the best attempt of these openings, which are in order, with the occurrences at hand.
    fn match_occurrences<'a>(&mut self, openings: impl Iterator<Item = &'a Hit>) {
        self.passed.fill(0);
        // An opening is an occurrence of step 1.
        let later = self.occurrences.iter().skip(1).position(Vec::is_empty);
        let reachable = later.map_or(self.steps, |step| step + 1);
        for hit in openings {
            let deadline = hit.timestamp.saturating_add(self.window_us);
            let mut reached_us = hit.timestamp;
            self.chain.clear();
            self.chain.push(reached_us);
            for (times, passed) in self.occurrences.iter().zip(&mut self.passed).take(reachable).skip(1) {
                while times.get(*passed).is_some_and(|time| *time < reached_us) {
                    *passed += 1;
                }
                match times.get(*passed) {
                    Some(time) if *time <= deadline => reached_us = *time,
                    _ => break,
                }
                self.chain.push(reached_us);
            }
            self.best.keep_deeper(&self.chain, hit);
            if self.chain.len() == reachable {
                break;
            }
        }
    }

    /// Some event matches several steps: whether it can serve one of them depends on what else the same timestamp has.
    ///
    /// Taking as many steps as possible at each timestamp, in order of time, is exact. Let a chain stand at depth *d*
    /// after all timestamps before *t*, and another at *e* < *d*. Whatever the other does from *t* on, the first can
    /// do as well as far as it concerns steps beyond *d*: those events are as distinct, as ordered and as timely in it,
    /// and none of them has been used, since all its events lie before *t*. So being deeper is never worse, the largest
    /// depth at every timestamp is reached by always advancing as far as the events there allow, and with it every step
    /// has the earliest time that it can have in any chain. How far they allow is a matching of steps to events.
    fn match_overlapping(&mut self, hits: &[Hit]) {
        self.ties.collect(hits, self.steps);
        for group in 0..self.ties.len() {
            let opened_us = self.ties.timestamp(group);
            // Openings of one timestamp that match the same steps end alike, so the first of each kind stands for all.
            for class in self.ties.classes_of(group) {
                let hit = &hits[self.ties.first_hit(class)];
                if !opens(hit, self.range) {
                    continue;
                }
                self.chain.clear();
                self.chain.push(opened_us);
                self.ties.use_one(class);
                self.advance(group, opened_us.saturating_add(self.window_us));
                self.ties.return_one(class);
                self.best.keep_deeper(&self.chain, hit);
                if self.chain.len() == self.steps {
                    return;
                }
            }
        }
    }

    fn advance(&mut self, opening: usize, deadline: i64) {
        let mut group = opening;
        loop {
            let done = self.chain.len();
            let more = self.ties.steps_served(group, done);
            self.chain.resize(done + more, self.ties.timestamp(group));
            match self.ties.next_matching(self.chain.len(), group) {
                Some(next) if self.ties.timestamp(next) <= deadline => group = next,
                _ => return,
            }
        }
    }
}

fn opens(hit: &Hit, range: ResolvedRange) -> bool {
    hit.matches_selector(0) && range.contains(hit.timestamp)
}

#[cfg(test)]
mod tests;
