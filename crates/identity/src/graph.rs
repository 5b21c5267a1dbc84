//! The links that stand and the persons that they make.

use std::collections::BTreeSet;

use foldhash::fast::RandomState;
use hashbrown::HashMap;

use crate::chunks::Chunks;
use crate::persons::Persons;

/// Larger persons have their counts kept; those of smaller ones are counted when asked for.
const COUNTED_SIZE: u32 = 16;

/// A link between two subjects, made by the operation at a sequence. A merge of several makes several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct GraphLink {
    pub(crate) sequence: u64,
    pub(crate) from: u32,
    pub(crate) to: u32,
}

impl GraphLink {
    pub(crate) fn key(self) -> (u64, u32, u32) {
        (self.sequence, self.from, self.to)
    }
}

/// A link that an operation has revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RevokedLink {
    pub(crate) link: GraphLink,
    /// The sequence of that operation.
    pub(crate) at: u64,
}

/// How many ids a person has, and how many of them are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Group {
    pub(crate) size: u32,
    pub(crate) known: u32,
}

impl Group {
    pub(crate) fn plus(self, other: Self) -> Self {
        Self { size: self.size + other.size, known: self.known + other.known }
    }
}

/// Persons, and the links from which they can be made again. A standing link takes 16 bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Graph {
    persons: Persons,
    /// The links that stand, ascending by sequence.
    links: Vec<GraphLink>,
    /// Those that stand no more.
    revoked: Chunks<RevokedLink>,
    /// The sequence at which each known subject became known, in that order.
    known_at: Vec<u64>,
    /// The sequences of the revoked links of a subject.
    apart: HashMap<u32, Vec<u64>, RandomState>,
    /// The counts of persons with more than [`COUNTED_SIZE`] ids.
    groups: HashMap<u32, Group, RandomState>,
}

impl Graph {
    pub(crate) fn persons(&self) -> &Persons {
        &self.persons
    }

    /// What `other` says otherwise, which is to be the same graph made in another way.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if self.links != other.links {
            let pair = other.links.iter().zip(&self.links).find(|(found, expected)| found != expected);
            return Some(match pair {
                Some((found, expected)) => format!("{found:?} but the log says {expected:?}"),
                None => format!("{} links but the log has {}", other.links.len(), self.links.len()),
            });
        }
        let revoked = |graph: &Self| -> BTreeSet<RevokedLink> { graph.revoked.iter().copied().collect() };
        if revoked(self) != revoked(other) {
            return Some("links that were revoked are not those of the log".to_owned());
        }
        let difference = self.persons.difference(&other.persons);
        difference.or_else(|| {
            (self.known_at != other.known_at)
                .then(|| "subjects became known at other sequences than in the log".to_owned())
        })
    }

    /// Those that stand no more.
    pub(crate) fn revoked(&self) -> &Chunks<RevokedLink> {
        &self.revoked
    }

    /// The standing links of the operation at `sequence`.
    fn links_at(&self, sequence: u64) -> &[GraphLink] {
        let first = self.links.partition_point(|link| link.sequence < sequence);
        let links = self.links.get(first..).unwrap_or_default();
        let count = links.partition_point(|link| link.sequence == sequence);
        links.get(..count).unwrap_or_default()
    }

    /// The subjects whose links a split of `subject` would revoke.
    pub(crate) fn linked_with(&self, subject: u32) -> BTreeSet<u32> {
        self.linked_by(&self.touching(subject))
    }

    /// The subjects that these operations link, as far as their links stand.
    pub(crate) fn linked_by(&self, sequences: &[u64]) -> BTreeSet<u32> {
        let links = sequences.iter().flat_map(|sequence| self.links_at(*sequence));
        links.flat_map(|link| [link.from, link.to]).collect()
    }

    /// The last operation that links these subjects and no others, as far as its links stand.
    pub(crate) fn last_of(&self, subjects: &BTreeSet<u32>) -> Option<u64> {
        let operations = self.links.chunk_by(|a, b| a.sequence == b.sequence);
        let same = |links: &&[GraphLink]| {
            links.iter().all(|link| subjects.contains(&link.from) && subjects.contains(&link.to))
                && links.iter().flat_map(|link| [link.from, link.to]).collect::<BTreeSet<u32>>() == *subjects
        };
        operations.rev().find(same)?.first().map(|link| link.sequence)
    }

    fn touching(&self, subject: u32) -> Vec<u64> {
        let touching = self.links.iter().filter(|link| link.from == subject || link.to == subject);
        let mut sequences: Vec<u64> = touching.map(|link| link.sequence).collect();
        sequences.dedup();
        sequences
    }

    pub(crate) fn count_refusal(&mut self, reason: pugmark_store::Refusal, times: u64) {
        *self.persons.refusals.of_mut(reason) += times;
    }

    /// The counts of the person `root`.
    pub(crate) fn group(&self, root: u32) -> Group {
        if let Some(group) = self.groups.get(&root) {
            return *group;
        }
        self.persons.ring(root).fold(Group::default(), |group, subject| {
            group.plus(Group { size: 1, known: u32::from(self.persons.is_known_number(subject)) })
        })
    }

    /// Makes a subject known at `sequence`, which is not below that of any other; `false` when it is already.
    pub(crate) fn make_known(&mut self, sequence: u64, subject: u32) -> bool {
        let fresh = self.persons.make_known(subject);
        if fresh {
            self.known_at.push(sequence);
            if let Some(group) = self.groups.get_mut(&self.persons.root(subject)) {
                group.known += 1;
            }
        }
        fresh
    }

    /// The links that stood at `sequence`, and how many subjects were known; `None` where nothing of it has changed since.
    pub(crate) fn at(&self, sequence: u64) -> Option<(Vec<GraphLink>, u32)> {
        let known = self.known_at.partition_point(|at| *at <= sequence);
        let is_last = self.links.last().is_none_or(|link| link.sequence <= sequence);
        if is_last && known == self.known_at.len() && self.revoked.iter().all(|revoked| revoked.at <= sequence) {
            return None;
        }
        let standing = self.links.iter().take_while(|link| link.sequence <= sequence).copied();
        let since = self.revoked.iter().filter(|revoked| revoked.link.sequence <= sequence && revoked.at > sequence);
        let links = standing.chain(since.map(|revoked| revoked.link)).collect();
        Some((links, u32::try_from(known).expect("invariant: subjects have numbers of 32 bits")))
    }

    /// Adds the links of an operation from one subject to others.
    pub(crate) fn link_all(&mut self, sequence: u64, from: u32, to: impl IntoIterator<Item = u32>) {
        for to in to.into_iter().filter(|to| *to != from) {
            self.link(GraphLink { sequence, from, to });
        }
    }

    /// Adds the links of a merge.
    pub(crate) fn merge(&mut self, sequence: u64, subjects: &[u32]) {
        let Some((first, others)) = subjects.split_first() else { return };
        self.link_all(sequence, *first, others.iter().copied().collect::<BTreeSet<u32>>());
    }

    /// Adds a link, whose sequence is not below that of any other.
    pub(crate) fn link(&mut self, link: GraphLink) {
        self.links.push(link);
        self.persons.link_count += 1;
        self.join(link.from, link.to);
    }

    /// Revokes, at a sequence, every operation that links `subject` to others; answers its links.
    pub(crate) fn split(&mut self, at: u64, subject: u32) -> Vec<RevokedLink> {
        let sequences = self.touching(subject);
        self.revoke(at, &sequences)
    }

    /// Revokes, at a sequence, the operation at `sequence`; answers its links.
    pub(crate) fn split_link(&mut self, at: u64, sequence: u64) -> Vec<RevokedLink> {
        self.revoke(at, &[sequence])
    }

    /// Notes a link that was revoked earlier.
    pub(crate) fn note_revoked(&mut self, revoked: RevokedLink) {
        self.revoked.push(revoked);
        let link = revoked.link;
        for subject in [link.from, link.to] {
            let sequences = self.apart.entry(subject).or_default();
            if sequences.last() != Some(&link.sequence) {
                sequences.push(link.sequence);
            }
        }
    }

    /// Whether one operation linked the two and was revoked.
    pub(crate) fn are_apart(&self, a: u32, b: u32) -> bool {
        match (self.apart.get(&a), self.apart.get(&b)) {
            (Some(a), Some(b)) => a.iter().any(|sequence| b.contains(sequence)),
            _ => false,
        }
    }

    fn revoke(&mut self, at: u64, sequences: &[u64]) -> Vec<RevokedLink> {
        let revoked = self.links.extract_if(.., |link| sequences.binary_search(&link.sequence).is_ok());
        let revoked: Vec<RevokedLink> = revoked.map(|link| RevokedLink { link, at }).collect();
        self.persons.link_count -= revoked.len() as u64;
        let mut roots: Vec<u32> = revoked.iter().map(|revoked| self.persons.root(revoked.link.from)).collect();
        roots.sort_unstable();
        roots.dedup();
        for root in roots {
            self.rebuild(root);
        }
        for one in &revoked {
            self.note_revoked(*one);
        }
        revoked
    }

    /// Makes the subjects of the person `root` anew from the links that still stand.
    fn rebuild(&mut self, root: u32) {
        let standing: Vec<GraphLink> =
            self.links.iter().filter(|link| self.persons.root(link.from) == root).copied().collect();
        let members: Vec<u32> = self.persons.ring(root).collect();
        self.groups.remove(&root);
        self.persons.scatter(&members);
        for link in standing {
            self.join(link.from, link.to);
        }
    }

    fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.persons.root(a), self.persons.root(b));
        if a == b {
            return;
        }
        let group = self.group(a).plus(self.group(b));
        self.groups.remove(&a);
        self.groups.remove(&b);
        self.persons.join(a, b);
        if group.size > COUNTED_SIZE {
            self.groups.insert(a.min(b), group);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(sequence: u64, from: u32, to: u32) -> GraphLink {
        GraphLink { sequence, from, to }
    }

    #[test]
    fn counts_of_small_and_large_persons_are_right() {
        let mut graph = Graph::default();
        for n in 1..=40 {
            graph.link(link(u64::from(n), n, n - 1));
            if n % 3 == 0 {
                assert!(graph.make_known(u64::from(n), n));
                assert!(!graph.make_known(u64::from(n), n));
            }
            assert_eq!(graph.group(0), Group { size: n + 1, known: n / 3 }, "after {n}");
        }
        assert_eq!(graph.groups.len(), 1);
        let revoked = graph.split_link(50, 31);
        assert_eq!(revoked, [RevokedLink { link: link(31, 31, 30), at: 50 }]);
        assert_eq!(graph.group(0), Group { size: 31, known: 10 });
        assert_eq!(graph.group(31), Group { size: 10, known: 3 });
        assert_eq!(graph.persons().link_count(), 39);
    }

    #[test]
    fn operations_are_found_by_what_they_link() {
        let mut graph = Graph::default();
        for links in [link(3, 0, 1), link(5, 1, 2), link(5, 1, 3), link(9, 1, 0)] {
            graph.link(links);
        }
        let last = |graph: &Graph, subjects: &[u32]| graph.last_of(&subjects.iter().copied().collect());
        assert_eq!((last(&graph, &[0, 1]), last(&graph, &[3, 2, 1])), (Some(9), Some(5)));
        assert_eq!((last(&graph, &[1, 2]), last(&graph, &[0, 1, 2, 3])), (None, None));
        assert_eq!((graph.linked_by(&[5]), graph.linked_by(&[4])), ([1, 2, 3].into(), [].into()));
        assert_eq!((graph.linked_with(3), graph.linked_with(1)), ([1, 2, 3].into(), [0, 1, 2, 3].into()));
        assert_eq!(graph.linked_with(7), [].into());
        graph.split_link(10, 9);
        assert_eq!(last(&graph, &[0, 1]), Some(3));
    }
}
