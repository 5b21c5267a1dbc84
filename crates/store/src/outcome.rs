//! What became of each entry of an append.

use std::fmt;

use crate::id::Sequence;
use crate::record::Refusal;

/// What became of one entry, at the same place in the list as the entry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// Stored, under this sequence.
    Accepted(Sequence),
    /// An event, or a change of a profile, with this message id and the same content is already stored: nothing was added.
    Duplicate,
    /// The message id is already stored with *other* content: the first stands. An event that came is kept aside under this sequence, where
    /// [`Store::quarantine`](crate::Store::quarantine) lists it; without one there was no room, or it is no event.
    Conflict(Option<Sequence>),
    /// Not stored: the entry breaks a rule.
    Rejected(Rejection),
    /// The ids were one person already: nothing changed, and the operation is on record.
    Already(Sequence),
    /// The rules of identity forbid the link: nothing changed, and the refusal is on record.
    Refused(Sequence, Refusal),
}

impl Outcome {
    /// Whether the entry is in the store now, by this append or an earlier one.
    pub fn is_stored(&self) -> bool {
        !matches!(self, Self::Conflict(_) | Self::Rejected(_))
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted(sequence) => write!(f, "accepted as {sequence}"),
            Self::Duplicate => f.write_str("duplicate"),
            Self::Conflict(_) => f.write_str("conflict: this message id is stored with other content"),
            Self::Rejected(why) => write!(f, "rejected: {why}"),
            Self::Already(_) => f.write_str("already one person"),
            Self::Refused(_, refusal) => write!(f, "refused: {refusal}"),
        }
    }
}

/// Why an entry was not stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// The field at fault.
    pub field: String,
    /// What is wrong with it: the value found and the value expected.
    pub reason: String,
}

impl Rejection {
    /// A rejection of `field` for `reason`.
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.reason)
    }
}
