//! What has been decided and not yet applied, laid over the graph.
//!
//! The store asks for verdicts before it applies the batch that records them. A verdict counts for those after it at
//! once, but readers see it only when its batch has been applied: so it is kept here until then, and forgotten when
//! the batch went another way.

use std::collections::VecDeque;

use foldhash::fast::RandomState;
use hashbrown::{HashMap, HashSet};
use pugmark_store::{Proposal, Refusal, Verdict};

use crate::graph::{Graph, Group};
use crate::wrong_id::is_wrong_id;

#[derive(Debug, Clone, Copy)]
struct Decided {
    sequence: u64,
    identify: bool,
    from: u32,
    to: u32,
    verdict: Verdict,
}

#[derive(Debug, Default)]
pub(crate) struct Overlay {
    /// Ascending by sequence.
    decided: VecDeque<Decided>,
    /// From a person of the graph to the one that it joined.
    joined: HashMap<u32, u32, RandomState>,
    /// The counts of persons that differ from the graph's.
    groups: HashMap<u32, Group, RandomState>,
    known: HashSet<u32, RandomState>,
}

impl Overlay {
    /// Decides `proposal` by `docs/semantics.md`, section 5.
    pub(crate) fn judge(&mut self, graph: &Graph, proposal: &Proposal<'_>, ids_max: u32) -> Verdict {
        let sequence = proposal.sequence.number();
        // What was decided for this sequence or a later one belongs to a batch that was given up.
        if self.decided.back().is_some_and(|last| last.sequence >= sequence) {
            self.decided.retain(|decided| decided.sequence < sequence);
            self.lay_again(graph);
        }
        let verdict = self.verdict(graph, proposal, ids_max);
        let (from, to) = (proposal.from.number(), proposal.to.number());
        let decided = Decided { sequence, identify: proposal.identify, from, to, verdict };
        self.decided.push_back(decided);
        self.lay(graph, decided);
        verdict
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

    fn verdict(&self, graph: &Graph, proposal: &Proposal<'_>, ids_max: u32) -> Verdict {
        if is_wrong_id(proposal.from_id) || is_wrong_id(proposal.to_id) {
            return Verdict::Refused(Refusal::WrongId);
        }
        let (from, to) = (proposal.from.number(), proposal.to.number());
        let (from_root, to_root) = (self.root(graph, from), self.root(graph, to));
        if from_root == to_root {
            return Verdict::Already;
        }
        if graph.are_apart(from, to) {
            return Verdict::Refused(Refusal::KeptApart);
        }
        let (from_group, to_group) = (self.group(graph, from_root), self.group(graph, to_root));
        // The target of an identify is not in the first person here, so any known id there is another one.
        if from_group.known > 0 && (proposal.identify || to_group.known > 0) {
            return Verdict::Refused(Refusal::Conflict);
        }
        if from_group.size + to_group.size > ids_max {
            return Verdict::Refused(Refusal::TooManyIds);
        }
        Verdict::Linked
    }

    fn lay_again(&mut self, graph: &Graph) {
        self.joined.clear();
        self.groups.clear();
        self.known.clear();
        for place in 0..self.decided.len() {
            let decided = self.decided[place];
            self.lay(graph, decided);
        }
    }

    fn lay(&mut self, graph: &Graph, decided: Decided) {
        if decided.identify && !graph.persons().is_known_number(decided.to) && self.known.insert(decided.to) {
            let root = self.root(graph, decided.to);
            let group = self.group(graph, root);
            self.groups.insert(root, group.plus(Group { size: 0, known: 1 }));
        }
        if decided.verdict == Verdict::Linked {
            let (a, b) = (self.root(graph, decided.from), self.root(graph, decided.to));
            if a != b {
                let (a_group, b_group) = (self.group(graph, a), self.group(graph, b));
                // The smaller goes under the larger, so that the way to the root stays short.
                let (under, over) = if a_group.size < b_group.size { (a, b) } else { (b, a) };
                self.joined.insert(under, over);
                self.groups.insert(over, a_group.plus(b_group));
            }
        }
    }

    fn root(&self, graph: &Graph, subject: u32) -> u32 {
        let mut root = graph.persons().root(subject);
        while let Some(over) = self.joined.get(&root) {
            root = *over;
        }
        root
    }

    fn group(&self, graph: &Graph, root: u32) -> Group {
        self.groups.get(&root).copied().unwrap_or_else(|| graph.group(root))
    }
}
