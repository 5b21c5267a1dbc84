//! A list of instants that tells the least of a stretch, and the first in a stretch that is early enough.

use std::ops::Range;

/// Later than any instant.
pub(super) const NEVER: i64 = i64::MAX;

#[derive(Debug, Clone, Default)]
pub(super) struct MinTree {
    /// The leaves begin at `leaves`; each node above has the least of its two.
    nodes: Vec<i64>,
    leaves: usize,
}

impl MinTree {
    pub(super) fn fill(&mut self, values: impl ExactSizeIterator<Item = i64>) {
        self.leaves = values.len().next_power_of_two();
        self.nodes.clear();
        self.nodes.resize(self.leaves, NEVER);
        self.nodes.extend(values);
        self.nodes.resize(2 * self.leaves, NEVER);
        for node in (1..self.leaves).rev() {
            self.nodes[node] = self.nodes[2 * node].min(self.nodes[2 * node + 1]);
        }
    }

    pub(super) fn get(&self, at: usize) -> i64 {
        self.nodes[self.leaves + at]
    }

    /// The least of a stretch; [`NEVER`] of nothing.
    pub(super) fn least(&self, range: Range<usize>) -> i64 {
        let (mut from, mut to) = (self.leaves + range.start, self.leaves + range.end);
        let mut least = NEVER;
        while from < to {
            if from % 2 == 1 {
                least = least.min(self.nodes[from]);
                from += 1;
            }
            if to % 2 == 1 {
                to -= 1;
                least = least.min(self.nodes[to]);
            }
            from /= 2;
            to /= 2;
        }
        least
    }

    /// The first place of a stretch that has `bound` or less.
    pub(super) fn first_within(&self, range: Range<usize>, bound: i64) -> Option<usize> {
        let (mut node, end) = (self.leaves + range.start, self.leaves + range.end);
        if range.is_empty() {
            return None;
        }
        loop {
            if self.nodes[node] <= bound {
                while node < self.leaves {
                    node = if self.nodes[2 * node] <= bound { 2 * node } else { 2 * node + 1 };
                }
                return (node < end).then(|| node - self.leaves);
            }
            // Up where this is a right child, then on to the neighbour.
            while node % 2 == 1 {
                node /= 2;
            }
            if node == 0 {
                return None;
            }
            node += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_searched_as_a_loop_would() {
        for length in [0_usize, 1, 2, 3, 7, 8, 13] {
            let values: Vec<i64> = (0..length).map(|at| (at * 7 % 5) as i64).collect();
            let mut tree = MinTree::default();
            tree.fill(values.iter().copied());
            for start in 0..=length {
                for end in start..=length {
                    let least = values[start..end].iter().copied().min().unwrap_or(NEVER);
                    assert_eq!(tree.least(start..end), least);
                    for bound in -1..6 {
                        let first = (start..end).find(|at| values[*at] <= bound);
                        assert_eq!(tree.first_within(start..end, bound), first, "{values:?} {start}..{end} {bound}");
                    }
                }
            }
        }
    }
}
