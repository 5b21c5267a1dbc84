//! Events of equal timestamp as classes of what they match, and how many next steps such a group can serve.

use std::ops::Range;

use crate::spec::Hit;

/// Events of one timestamp that match the same steps.
#[derive(Debug, Clone)]
struct Class {
    matches: u32,
    /// How many of them are not in use.
    free: usize,
    first_hit: usize,
}

#[derive(Debug, Clone)]
struct TieGroup {
    timestamp: i64,
    classes: Range<usize>,
}

/// A unit's events grouped by timestamp, in order; its buffers are reused from unit to unit.
#[derive(Debug, Clone, Default)]
pub(super) struct TieGroups {
    groups: Vec<TieGroup>,
    classes: Vec<Class>,
    /// Per step, the groups with an event that matches it, in order.
    matching: Vec<Vec<usize>>,
    sorted: Vec<(u32, usize)>,
    /// Per step, the class that serves it; indices are those of `classes`.
    serving: Vec<Option<usize>>,
    visited: Vec<bool>,
    /// Of a lane, by group: the first events of each class, by their places among those of the unit.
    first: Vec<Vec<(u32, u32)>>,
}

impl TieGroups {
    /// Takes the events of one unit, sorted by timestamp.
    pub(super) fn collect(&mut self, hits: &[Hit], steps: usize) {
        self.groups.clear();
        self.classes.clear();
        self.matching.iter_mut().for_each(Vec::clear);
        self.matching.resize_with(steps, Vec::new);
        self.serving.resize(steps, None);
        for (start, ties) in stretches(hits) {
            self.push(start, ties);
        }
        self.visited.resize(self.classes.len(), false);
    }

    fn push(&mut self, start: usize, ties: &[Hit]) {
        self.sorted.clear();
        let matching = ties.iter().enumerate().filter(|(_, hit)| hit.matches != 0);
        self.sorted.extend(matching.map(|(index, hit)| (hit.matches, start + index)));
        let (Some(first), false) = (ties.first(), self.sorted.is_empty()) else { return };
        self.sorted.sort_unstable();
        let from = self.classes.len();
        for same in self.sorted.chunk_by(|a, b| a.0 == b.0) {
            let (matches, first_hit) = same[0];
            self.classes.push(Class { matches, free: same.len(), first_hit });
        }
        let classes = from..self.classes.len();
        self.classes[classes.clone()].sort_unstable_by_key(|class| class.first_hit);
        let any = self.classes[classes.clone()].iter().fold(0, |any, class| any | class.matches);
        for (step, groups) in self.matching.iter_mut().enumerate() {
            if any >> step & 1 == 1 {
                groups.push(self.groups.len());
            }
        }
        self.groups.push(TieGroup { timestamp: first.timestamp, classes });
    }

    /// Takes the events of a lane, whose places in `hits` are `occurrences` of each step; those of `openings` open attempts.
    pub(super) fn collect_lane(&mut self, hits: &[Hit], occurrences: &[Vec<u32>], openings: &[u32]) {
        let mut places: Vec<u32> = occurrences.iter().flatten().chain(openings).copied().collect();
        places.sort_unstable();
        places.dedup();
        let mut matches = vec![0_u32; places.len()];
        for (step, own) in occurrences.iter().enumerate() {
            for place in own {
                if let Ok(at) = places.binary_search(place) {
                    matches[at] |= 1 << step;
                }
            }
        }
        let own = places.iter().zip(matches).map(|(place, matches)| Hit { matches, ..hits[*place as usize] });
        let own: Vec<Hit> = own.collect();
        self.collect(&own, occurrences.len());
        // Of events that do the same steps at one time no more are needed than there are steps, and one that may be the opening.
        self.first.clear();
        let most = occurrences.len() + 1;
        for (start, ties) in stretches(&own) {
            let mut first: Vec<(u32, u32)> = Vec::new();
            for (place, hit) in places[start..].iter().zip(ties).filter(|(_, hit)| hit.matches != 0) {
                if first.iter().filter(|(_, matches)| *matches == hit.matches).count() < most {
                    first.push((*place, hit.matches));
                }
            }
            if !first.is_empty() {
                self.first.push(first);
            }
        }
    }

    /// Writes the events of the deepest and then earliest chain of an opening, and returns how many there are. The proof that it is that chain is with the plain matcher.
    pub(super) fn chain(&mut self, hits: &[Hit], deadline: i64, opening: u32, chain: &mut [u32]) -> usize {
        chain.fill(super::terms::NONE);
        let us = hits[opening as usize].timestamp;
        let first = self.groups.partition_point(|group| group.timestamp < us);
        let mut used = vec![opening];
        chain[0] = opening;
        let mut done = 1;
        let mut group = Some(first);
        while let Some(at) = group.filter(|at| self.timestamp(*at) <= deadline) {
            done += self.serve_places(at, done, &mut used, chain);
            group = self.next_matching(done, at);
        }
        done
    }

    /// Lets the unused events of a group do as many of the next steps as they can, each step by the first event with which the others can still do theirs.
    fn serve_places(&self, group: usize, step: usize, used: &mut Vec<u32>, chain: &mut [u32]) -> usize {
        let free: Vec<(u32, u32)> = self.first[group]
            .iter()
            .filter(|(place, matches)| !used.contains(place) && matches >> step != 0)
            .copied()
            .collect();
        let mut served = 0;
        while step + served < chain.len() && can_serve(&free, step, served + 1, &[]) {
            served += 1;
        }
        let mut fixed: Vec<usize> = Vec::with_capacity(served);
        for at in 0..served {
            let fits = |event: &usize| {
                let does = free[*event].1 >> (step + at) & 1 == 1;
                does && !fixed.contains(event) && {
                    let mut tried = fixed.clone();
                    tried.push(*event);
                    can_serve(&free, step, served, &tried)
                }
            };
            let Some(event) = (0..free.len()).find(fits) else { break };
            fixed.push(event);
            chain[step + at] = free[event].0;
        }
        used.extend(fixed.into_iter().map(|event| free[event].0));
        served
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    pub(super) fn timestamp(&self, group: usize) -> i64 {
        self.groups[group].timestamp
    }

    /// The classes of a group, by the sequence of their first event.
    pub(super) fn classes_of(&self, group: usize) -> Range<usize> {
        self.groups[group].classes.clone()
    }

    pub(super) fn first_hit(&self, class: usize) -> usize {
        self.classes[class].first_hit
    }

    pub(super) fn use_one(&mut self, class: usize) {
        self.classes[class].free -= 1;
    }

    pub(super) fn return_one(&mut self, class: usize) {
        self.classes[class].free += 1;
    }

    /// The next group after `group` that has an event for `step`, if the funnel has such a step.
    pub(super) fn next_matching(&self, step: usize, group: usize) -> Option<usize> {
        let groups = self.matching.get(step)?;
        groups.get(groups.partition_point(|candidate| *candidate <= group)).copied()
    }

    /// How many steps from `step` on, without a gap, distinct free events of the group can serve.
    ///
    /// One step after the other is given an event along an augmenting path, which exists exactly if all of them can be
    /// served together; so the first step without one ends the run.
    pub(super) fn steps_served(&mut self, group: usize, step: usize) -> usize {
        let range = self.classes_of(group);
        let steps = self.matching.len();
        self.serving.fill(None);
        let mut next = step;
        while next < steps {
            self.visited[range.clone()].fill(false);
            if !self.serve(next, range.clone()) {
                break;
            }
            next += 1;
        }
        for class in self.serving.iter().flatten() {
            self.classes[*class].free += 1;
        }
        next - step
    }

    fn serve(&mut self, step: usize, range: Range<usize>) -> bool {
        for class in range.clone() {
            if self.visited[class] || self.classes[class].matches >> step & 1 == 0 {
                continue;
            }
            self.visited[class] = true;
            if self.classes[class].free > 0 {
                self.classes[class].free -= 1;
                self.serving[step] = Some(class);
                return true;
            }
            // Every event of the class is in use: one of the steps that it serves may do with another class.
            for other in 0..self.serving.len() {
                if self.serving[other] == Some(class) && self.serve(other, range.clone()) {
                    self.serving[step] = Some(class);
                    return true;
                }
            }
        }
        false
    }
}

/// The events of each timestamp, and where they begin.
fn stretches(hits: &[Hit]) -> impl Iterator<Item = (usize, &[Hit])> {
    hits.chunk_by(|a, b| a.timestamp == b.timestamp).scan(0, |start, ties| {
        let own = *start;
        *start += ties.len();
        Some((own, ties))
    })
}

/// Whether different events can do `count` steps from `step` on, of which the first are done by those in `fixed`.
fn can_serve(events: &[(u32, u32)], step: usize, count: usize, fixed: &[usize]) -> bool {
    let mut serving: Vec<Option<usize>> = vec![None; events.len()];
    for (at, event) in fixed.iter().enumerate() {
        serving[*event] = Some(at);
    }
    (fixed.len()..count).all(|at| give(events, step, at, fixed, &mut serving, &mut vec![false; events.len()]))
}

fn give(
    events: &[(u32, u32)],
    step: usize,
    at: usize,
    fixed: &[usize],
    serving: &mut [Option<usize>],
    visited: &mut [bool],
) -> bool {
    for event in 0..events.len() {
        if visited[event] || fixed.contains(&event) || events[event].1 >> (step + at) & 1 == 0 {
            continue;
        }
        visited[event] = true;
        let free = match serving[event] {
            None => true,
            Some(other) => give(events, step, other, fixed, serving, visited),
        };
        if free {
            serving[event] = Some(at);
            return true;
        }
    }
    false
}
