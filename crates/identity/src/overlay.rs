//! What has been decided and not yet applied, laid over the graph.
//!
//! The store asks for verdicts before it applies the batch that records them. A verdict counts for those after it at
//! once, but readers see it only when its batch has been applied: so it is kept here until then, and forgotten when
//! the batch went another way.

use std::collections::{BTreeSet, VecDeque};

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use pugmark_store::{Asks, Decision, LinkKind, LinkOf, Proposal, Refusal, Sequence, SubjectId, Verdict};

use crate::graph::{Graph, Group};
use crate::wrong_id::is_wrong_id;

/// What has been decided for a sequence.
#[derive(Debug, Clone)]
struct Decided {
    sequence: u64,
    /// The target of an identify.
    known: Option<u32>,
    change: Change,
}

/// How it changes the links.
#[derive(Debug, Clone)]
enum Change {
    Nothing,
    Link(u32, u32),
    Merge(Box<[u32]>),
    Split(u32),
    SplitLink(u64),
}

impl Decided {
    fn apply_to(&self, graph: &mut Graph) {
        if let Some(subject) = self.known {
            graph.make_known(self.sequence, subject);
        }
        match &self.change {
            Change::Nothing => {}
            Change::Link(from, to) => graph.link_all(self.sequence, *from, [*to]),
            Change::Merge(subjects) => graph.merge(self.sequence, subjects),
            Change::Split(subject) => drop(graph.split(self.sequence, *subject)),
            Change::SplitLink(sequence) => drop(graph.split_link(self.sequence, *sequence)),
        }
    }

    fn revokes(&self) -> bool {
        matches!(self.change, Change::Split(_) | Change::SplitLink(_))
    }
}

#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Ascending by sequence.
    decided: VecDeque<Decided>,
    /// The graph with all that has been decided: kept from a split on, which cannot be laid over.
    ahead: Option<Box<Graph>>,
    /// From a person of the graph to the one that it joined.
    joined: HashMap<u32, u32, RandomState>,
    /// The counts of persons that differ from the graph's.
    groups: HashMap<u32, Group, RandomState>,
    known: HashSet<u32, RandomState>,
}

impl Overlay {
    /// Decides `proposal` by `docs/semantics.md`, section 5.
    pub(crate) fn judge(&mut self, graph: &Graph, proposal: &Proposal<'_>, ids_max: u32) -> Decision {
        let sequence = proposal.sequence.number();
        // What was decided for this sequence or a later one belongs to a batch that was given up.
        if self.decided.back().is_some_and(|last| last.sequence >= sequence) {
            self.decided.retain(|decided| decided.sequence < sequence);
            self.lay_again(graph);
        }
        let (decision, known, change) = match proposal.asks {
            Asks::Link { kind, force, subjects, ids } => {
                let verdict = match (ids.iter().any(|id| is_wrong_id(id)), subjects) {
                    (true, _) => Verdict::Refused(Refusal::WrongId),
                    (false, [from, to]) if kind != LinkKind::Merge => {
                        let identify = kind == LinkKind::Identify;
                        self.verdict(graph, (from.number(), to.number()), identify, force, ids_max)
                    }
                    (false, subjects) => self.verdict_of_merge(graph, subjects, ids_max),
                };
                let known = subjects.get(1).filter(|_| kind == LinkKind::Identify).map(|subject| subject.number());
                let change = match (verdict, subjects) {
                    (Verdict::Already | Verdict::Refused(_), _) => Change::Nothing,
                    (Verdict::Linked, [from, to]) => Change::Link(from.number(), to.number()),
                    (Verdict::Linked, all) => Change::Merge(all.iter().map(|subject| subject.number()).collect()),
                };
                (Decision::Link(verdict), known, change)
            }
            Asks::Split(subject) => {
                let linked = self.settled(graph).linked_with(subject.number());
                let change = if linked.is_empty() { Change::Nothing } else { Change::Split(subject.number()) };
                (Decision::Split(linked.into_iter().map(SubjectId::new).collect()), None, change)
            }
            Asks::SplitLink(link) => {
                let of = split_of(self.settled(graph), link);
                let change = of.as_ref().map_or(Change::Nothing, |(sequence, _)| Change::SplitLink(sequence.number()));
                (Decision::SplitLink(of), None, change)
            }
        };
        self.decided.push_back(Decided { sequence, known, change });
        self.lay(graph, self.decided.len() - 1);
        decision
    }

    /// Forgets what was decided up to `sequence`, which the graph holds now.
    pub(crate) fn applied_through(&mut self, graph: &Graph, sequence: u64) {
        if self.decided.is_empty() {
            return;
        }
        while self.decided.front().is_some_and(|first| first.sequence <= sequence) {
            self.decided.pop_front();
        }
        self.lay_again(graph);
    }

    fn verdict(&self, graph: &Graph, (from, to): (u32, u32), identify: bool, force: bool, ids_max: u32) -> Verdict {
        let (from_root, to_root) = (self.root(graph, from), self.root(graph, to));
        if from_root == to_root {
            return Verdict::Already;
        }
        if !force && self.ahead.as_deref().unwrap_or(graph).are_apart(from, to) {
            return Verdict::Refused(Refusal::KeptApart);
        }
        let (from_group, to_group) = (self.group(graph, from_root), self.group(graph, to_root));
        // The target of an identify is not in the first person here, so any known id there is another one.
        if from_group.known > 0 && (identify || to_group.known > 0) {
            return Verdict::Refused(Refusal::Conflict);
        }
        if from_group.size + to_group.size > ids_max {
            return Verdict::Refused(Refusal::TooManyIds);
        }
        Verdict::Linked
    }

    /// A merge asks neither who is known nor what is kept apart.
    fn verdict_of_merge(&self, graph: &Graph, subjects: &[SubjectId], ids_max: u32) -> Verdict {
        let roots: BTreeSet<u32> = subjects.iter().map(|subject| self.root(graph, subject.number())).collect();
        let ids: u64 = roots.iter().map(|root| u64::from(self.group(graph, *root).size)).sum();
        match roots.len() {
            0 | 1 => Verdict::Already,
            _ if ids > u64::from(ids_max) => Verdict::Refused(Refusal::TooManyIds),
            _ => Verdict::Linked,
        }
    }

    /// The graph with all that has been decided.
    fn settled<'a>(&'a mut self, graph: &'a Graph) -> &'a Graph {
        if self.ahead.is_none() && !self.decided.is_empty() {
            self.go_ahead(graph, self.decided.len());
        }
        self.ahead.as_deref().unwrap_or(graph)
    }

    /// Makes the graph as it is with the first `count` that have been decided.
    fn go_ahead(&mut self, graph: &Graph, count: usize) {
        let mut ahead = Box::new(graph.clone());
        self.decided.iter().take(count).for_each(|decided| decided.apply_to(&mut ahead));
        self.ahead = Some(ahead);
        self.joined.clear();
        self.groups.clear();
        self.known.clear();
    }

    fn lay_again(&mut self, graph: &Graph) {
        self.ahead = None;
        self.joined.clear();
        self.groups.clear();
        self.known.clear();
        for place in 0..self.decided.len() {
            self.lay(graph, place);
        }
    }

    /// Takes in what was decided at a place, after all before it.
    fn lay(&mut self, graph: &Graph, place: usize) {
        if self.ahead.is_none() && self.decided[place].revokes() {
            self.go_ahead(graph, place);
        }
        let decided = &self.decided[place];
        if let Some(ahead) = &mut self.ahead {
            decided.apply_to(ahead);
            return;
        }
        if let Some(subject) = decided.known
            && !graph.persons().is_known_number(subject)
            && self.known.insert(subject)
        {
            let root = self.root(graph, subject);
            let group = self.group(graph, root);
            self.groups.insert(root, group.plus(Group { size: 0, known: 1 }));
        }
        match &self.decided[place].change {
            Change::Link(from, to) => self.join(graph, *from, *to),
            Change::Merge(subjects) => {
                let subjects = subjects.clone();
                for pair in subjects.windows(2) {
                    self.join(graph, pair[0], pair[1]);
                }
            }
            Change::Nothing | Change::Split(_) | Change::SplitLink(_) => {}
        }
    }

    fn join(&mut self, graph: &Graph, a: u32, b: u32) {
        let (a, b) = (self.root(graph, a), self.root(graph, b));
        if a != b {
            let (a_group, b_group) = (self.group(graph, a), self.group(graph, b));
            // The smaller goes under the larger, so that the way to the root stays short.
            let (under, over) = if a_group.size < b_group.size { (a, b) } else { (b, a) };
            self.joined.insert(under, over);
            self.groups.insert(over, a_group.plus(b_group));
        }
    }

    fn root(&self, graph: &Graph, subject: u32) -> u32 {
        let mut root = self.ahead.as_deref().unwrap_or(graph).persons().root(subject);
        while let Some(over) = self.joined.get(&root) {
            root = *over;
        }
        root
    }

    fn group(&self, graph: &Graph, root: u32) -> Group {
        let graph = self.ahead.as_deref().unwrap_or(graph);
        self.groups.get(&root).copied().unwrap_or_else(|| graph.group(root))
    }
}

/// The operation that is meant and the subjects that it linked, if links of it stand.
fn split_of(graph: &Graph, link: LinkOf<'_>) -> Option<(Sequence, Vec<SubjectId>)> {
    let sequence = match link {
        LinkOf::Sequence(sequence) => sequence.number(),
        LinkOf::Subjects(subjects) => graph.last_of(&subjects.iter().map(|subject| subject.number()).collect())?,
    };
    let subjects = graph.linked_by(&[sequence]);
    (!subjects.is_empty()).then(|| (Sequence::new(sequence), subjects.into_iter().map(SubjectId::new).collect()))
}
