//! Every identity operation that changed who is who, or was refused: what the tables of identity show.

use std::collections::BTreeMap;
use std::sync::Arc;

use pugmark_store::{LinkKind, Refusal, Sequence, SubjectId, Timestamp};

use crate::chunks::Chunks;
use crate::graph::RevokedLink;

/// What an operation did; a merge of several ids is one for each after the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdentityOperation {
    /// Its sequence.
    pub sequence: Sequence,
    /// When the store received it.
    pub received_at: Timestamp,
    /// What it did.
    pub effect: Effect,
}

// The documents promise it.
const _: () = assert!(size_of::<IdentityOperation>() == 32);

/// What became of an identity operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// A link was made.
    Linked {
        /// By which operation.
        kind: LinkKind,
        /// The first id.
        from: SubjectId,
        /// The second.
        to: SubjectId,
    },
    /// A link was refused.
    Refused {
        /// To which operation.
        kind: LinkKind,
        /// Why.
        reason: Refusal,
        /// The first id.
        from: SubjectId,
        /// The second.
        to: SubjectId,
    },
    /// The links of an id were revoked.
    Split(SubjectId),
    /// The links of the operation at a sequence were revoked.
    SplitLink(Sequence),
}

/// Who asked for an operation, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reason {
    /// Who.
    pub by: Option<Arc<str>>,
    /// Why.
    pub why: Option<Arc<str>>,
}

/// A link that was made, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkMade {
    /// The sequence of the operation that made it.
    pub sequence: Sequence,
    /// When the store received that.
    pub received_at: Timestamp,
    /// By which operation.
    pub kind: LinkKind,
    /// The first id.
    pub from: SubjectId,
    /// The second.
    pub to: SubjectId,
    /// The sequence of the operation that revoked it; `None` while it stands.
    pub revoked_at: Option<Sequence>,
}

/// The operations of identity, in order. It never changes, and a clone is cheap. An operation takes 32 bytes; what changed nothing is not among them.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub(crate) operations: Chunks<IdentityOperation>,
    pub(crate) revoked: Chunks<RevokedLink>,
    pub(crate) reasons: Arc<BTreeMap<u64, Reason>>,
}

impl History {
    /// The operations up to a sequence.
    pub fn operations(&self, through: Sequence) -> impl Iterator<Item = &IdentityOperation> {
        self.operations.iter().take_while(move |operation| operation.sequence <= through)
    }

    /// What the operation at a sequence did.
    pub fn operations_at(&self, sequence: Sequence) -> impl Iterator<Item = &IdentityOperation> {
        let place = self.operations.partition_point(|operation| operation.sequence < sequence);
        self.operations.from(place).take_while(move |operation| operation.sequence == sequence)
    }

    /// What was said of the operation at a sequence.
    pub fn reason(&self, of: Sequence) -> Option<&Reason> {
        self.reasons.get(&of.number())
    }

    /// Operations from a place in the list on, at most `most` and as many more as belong to the last of them, up to a sequence.
    pub fn page(&self, place: usize, most: usize, through: Sequence) -> Vec<IdentityOperation> {
        let mut page: Vec<IdentityOperation> = Vec::new();
        for operation in self.operations.from(place).take_while(|operation| operation.sequence <= through) {
            if page.len() >= most && page.last().is_some_and(|last| last.sequence != operation.sequence) {
                break;
            }
            page.push(*operation);
        }
        page
    }

    /// The links that had been revoked by a sequence: that of the operation that made it and the two ids, and the sequence of the operation that revoked it.
    pub fn revoked(&self, by: Sequence) -> impl Iterator<Item = ((Sequence, SubjectId, SubjectId), Sequence)> {
        self.revoked.iter().filter(move |revoked| revoked.at <= by.number()).map(|RevokedLink { link, at }| {
            ((Sequence::new(link.sequence), SubjectId::new(link.from), SubjectId::new(link.to)), Sequence::new(*at))
        })
    }

    /// The links that were made up to a sequence, with what had become of them by then.
    pub fn links(&self, through: Sequence) -> impl Iterator<Item = LinkMade> {
        let gone: BTreeMap<_, _> = self.revoked(through).collect();
        self.operations(through).filter_map(move |operation| {
            let IdentityOperation { sequence, received_at, effect } = *operation;
            let Effect::Linked { kind, from, to } = effect else { return None };
            let revoked_at = gone.get(&(sequence, from, to)).copied();
            Some(LinkMade { sequence, received_at, kind, from, to, revoked_at })
        })
    }

    /// When the store received the operation at a sequence.
    pub fn received_at(&self, sequence: Sequence) -> Option<Timestamp> {
        self.operations_at(sequence).next().map(|operation| operation.received_at)
    }

    /// What `other` says otherwise, which is to be the same history made in another way.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        let (mut own, mut found) = (self.operations.iter(), other.operations.iter());
        loop {
            match (own.next(), found.next()) {
                (None, None) => break,
                (expected, found) if expected == found => {}
                (expected, found) => return Some(format!("{found:?} but the log says {expected:?}")),
            }
        }
        (self.reasons != other.reasons).then(|| "what was said of operations is not what the log says".to_owned())
    }
}
