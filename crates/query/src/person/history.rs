//! What happened to who somebody is.

use std::collections::BTreeMap;
use std::fmt;

use pugmark_identity::{Effect, IdentityOperation};
use pugmark_store::{Sequence, SubjectId, Timestamp};
use serde::Serialize;

use super::{as_text, said};
use crate::engine::QuerySnapshot;
use crate::error::Result;

/// Something that happened to who somebody is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PersonEvent {
    /// The sequence of the operation.
    pub sequence: u64,
    /// When the store received it.
    #[serde(serialize_with = "as_text")]
    pub at: Timestamp,
    /// What became of it.
    #[serde(flatten)]
    pub kind: PersonEventKind,
    /// The ids that it was about; those that have been erased since are not among them.
    pub ids: Vec<String>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum PersonEventKind {
    /// The ids became one person.
    Linked {
        /// By which operation.
        operation: &'static str,
    },
    /// They did not.
    Refused {
        /// Which operation asked for it.
        operation: &'static str,
        /// Why not, such as `conflict`.
        reason: &'static str,
        /// The same in prose.
        message: String,
    },
    /// The links of the id were revoked.
    Split,
    /// The links of one operation were revoked.
    SplitLink {
        /// The sequence of that operation.
        of: u64,
    },
}

impl fmt::Display for PersonEventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Linked { operation } => write!(f, "linked by {operation}"),
            Self::Refused { operation, message, .. } => write!(f, "{operation} refused: {message}"),
            Self::Split => f.write_str("split"),
            Self::SplitLink { of } => write!(f, "links of {of} revoked"),
        }
    }
}

impl QuerySnapshot {
    /// Everything that was decided about the ids that a person has or once was linked to directly, in the order of the log.
    ///
    /// # Errors
    /// Errors of the index and of the runs of distinct ids.
    pub fn person_history(&self, distinct_id: &str) -> Result<Vec<PersonEvent>> {
        let members = self.members_of(distinct_id)?;
        let is_member = |subject: &SubjectId| members.binary_search(subject).is_ok();
        let history = self.persons.history();
        let mut revoked: BTreeMap<Sequence, Vec<SubjectId>> = BTreeMap::new();
        for ((_, from, to), at) in history.revoked(self.sequence) {
            revoked.entry(at).or_default().extend([from, to]);
        }
        let subjects_of = |operation: &IdentityOperation| match operation.effect {
            Effect::Linked { from, to, .. } | Effect::Refused { from, to, .. } => vec![from, to],
            Effect::Split(_) | Effect::SplitLink(_) => revoked.get(&operation.sequence).cloned().unwrap_or_default(),
        };
        let mut found = Vec::new();
        let mut operations = history.operations(self.sequence).peekable();
        while let Some(first) = operations.next() {
            let mut subjects = subjects_of(first);
            // A merge of several ids is several.
            while let Some(same) = operations.next_if(|next| next.sequence == first.sequence) {
                subjects.extend(subjects_of(same));
            }
            if subjects.iter().any(is_member) {
                subjects.sort_unstable();
                subjects.dedup();
                found.push((*first, subjects));
            }
        }
        let flat: Vec<SubjectId> = found.iter().flat_map(|(_, subjects)| subjects.iter().copied()).collect();
        let mut ids = self.subjects.distinct_ids(&flat)?.into_iter();
        let told = found.into_iter().map(|(operation, subjects)| {
            let (by, why) = said(self, operation.sequence);
            PersonEvent {
                sequence: operation.sequence.number(),
                at: operation.received_at,
                kind: kind_of(operation.effect),
                ids: ids.by_ref().take(subjects.len()).flatten().collect(),
                by,
                why,
            }
        });
        Ok(told.collect())
    }
}

fn kind_of(effect: Effect) -> PersonEventKind {
    match effect {
        Effect::Linked { kind, .. } => PersonEventKind::Linked { operation: kind.as_str() },
        Effect::Refused { kind, reason, .. } => {
            PersonEventKind::Refused { operation: kind.as_str(), reason: reason.as_str(), message: reason.to_string() }
        }
        Effect::Split(_) => PersonEventKind::Split,
        Effect::SplitLink(of) => PersonEventKind::SplitLink { of: Sequence::number(of) },
    }
}
