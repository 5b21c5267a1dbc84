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
}

impl TieGroups {
    /// Takes the events of one unit, sorted by timestamp.
    pub(super) fn collect(&mut self, hits: &[Hit], steps: usize) {
        self.groups.clear();
        self.classes.clear();
        self.matching.iter_mut().for_each(Vec::clear);
        self.matching.resize_with(steps, Vec::new);
        self.serving.resize(steps, None);
        let mut start = 0;
        for ties in hits.chunk_by(|a, b| a.timestamp == b.timestamp) {
            self.push(start, ties);
            start += ties.len();
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
