//! Feeds operations to a fold as the store does: judged one by one, recorded, applied as a batch.

use std::collections::BTreeMap;
use std::sync::Arc;

use pugmark_identity::{IdentityFold, IdentityOptions, Persons};
use pugmark_store::{
    Asks, Committed, Decision, EventRecord, Fold, Link, LinkKind, LinkOf, Merge, MessageId, Payload, Proposal, Record,
    Sequence, SubjectId, Verdict,
};

/// A record of the log that identity reads, and one that it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Op {
    Identify(u32, u32),
    Alias(u32, u32),
    /// An alias that is forced.
    Force(u32, u32),
    Merge([u32; 3]),
    Split(u32),
    SplitLink(u64),
    Event,
}

impl Op {
    fn record(self, verdict: Verdict) -> Record<'static> {
        match self {
            Self::Identify(from, to) => Record::Identify(Link { from, to, force: false, verdict }),
            Self::Alias(from, to) => Record::Alias(Link { from, to, force: false, verdict }),
            Self::Force(from, to) => Record::Alias(Link { from, to, force: true, verdict }),
            Self::Merge(subjects) => Record::Merge(Merge { subjects: subjects.to_vec(), force: false, verdict }),
            Self::Split(subject) => Record::Split { subject },
            Self::SplitLink(sequence) => Record::SplitLink { sequence },
            Self::Event => Record::Event(EventRecord {
                name: 0,
                subject: 0,
                time: 0,
                time_sent: false,
                message_id: MessageId::Text("m"),
                session_id: None,
                properties: vec![],
                context: None,
            }),
        }
    }
}

/// A fold and the sequence that comes next.
pub(crate) struct Bench {
    pub(crate) fold: IdentityFold,
    pub(crate) next: u64,
    names: BTreeMap<u32, String>,
}

impl Bench {
    pub(crate) fn new(options: IdentityOptions) -> Self {
        Self { fold: IdentityFold::new(options), next: 1, names: BTreeMap::new() }
    }

    pub(crate) fn rename(&mut self, subject: u32, name: &str) {
        self.names.insert(subject, name.to_owned());
    }

    pub(crate) fn persons(&mut self) -> Arc<Persons> {
        self.fold.publish().downcast().unwrap()
    }

    pub(crate) fn judge(&mut self, sequence: u64, op: Op) -> Verdict {
        let (kind, force, subjects) = match op {
            Op::Identify(from, to) => (LinkKind::Identify, false, vec![from, to]),
            Op::Alias(from, to) => (LinkKind::Alias, false, vec![from, to]),
            Op::Force(from, to) => (LinkKind::Alias, true, vec![from, to]),
            Op::Merge(subjects) => (LinkKind::Merge, true, subjects.to_vec()),
            Op::Split(subject) => {
                let links = self.decide(sequence, Asks::Split(SubjectId::new(subject)));
                return if links == Decision::Split(vec![]) { Verdict::Already } else { Verdict::Linked };
            }
            Op::SplitLink(of) => {
                let links = self.decide(sequence, Asks::SplitLink(LinkOf::Sequence(Sequence::new(of))));
                return if links == Decision::SplitLink(None) { Verdict::Already } else { Verdict::Linked };
            }
            Op::Event => panic!("an event is not judged"),
        };
        let name = |subject: &u32| self.names.get(subject).cloned().unwrap_or_else(|| format!("id {subject}"));
        let names: Vec<String> = subjects.iter().map(name).collect();
        let ids: Vec<&str> = names.iter().map(String::as_str).collect();
        let subjects: Vec<SubjectId> = subjects.into_iter().map(SubjectId::new).collect();
        match self.decide(sequence, Asks::Link { kind, force, subjects: &subjects, ids: &ids }) {
            Decision::Link(verdict) => verdict,
            other => panic!("{other:?} of a link"),
        }
    }

    pub(crate) fn decide(&mut self, sequence: u64, asks: Asks<'_>) -> Decision {
        self.fold.judge(&Proposal { sequence: Sequence::new(sequence), asks }).unwrap()
    }

    pub(crate) fn apply(&mut self, first: u64, ops: &[(Op, Verdict)]) {
        let records = ops.iter().map(|(op, verdict)| op.record(*verdict)).collect();
        let names = vec!["e"];
        let payload = Payload { received_at: 0, import: None, base_time: 0, names, subjects: vec![], records };
        self.fold.apply(&Committed { first_sequence: Sequence::new(first), payload: &payload }).unwrap();
        self.next = first + ops.len() as u64;
    }

    pub(crate) fn apply_next(&mut self, ops: &[(Op, Verdict)]) {
        self.apply(self.next, ops);
    }

    /// Judges what is judged and applies all as one batch; events get `Linked`.
    pub(crate) fn batch(&mut self, ops: &[Op]) -> Vec<Verdict> {
        let judged: Vec<(Op, Verdict)> = (self.next..)
            .zip(ops)
            .map(|(sequence, op)| match op {
                Op::Event => (*op, Verdict::Linked),
                _ => (*op, self.judge(sequence, *op)),
            })
            .collect();
        self.apply_next(&judged);
        judged.into_iter().map(|(_, verdict)| verdict).collect()
    }

    pub(crate) fn one(&mut self, op: Op) -> Verdict {
        self.batch(&[op])[0]
    }
}
