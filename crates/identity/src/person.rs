//! Small public types.

use std::fmt;

use pugmark_store::{Refusal, SubjectId};

/// A person: the smallest subject of a connected component.
///
/// When two persons become one, the number of one of them is no longer used; it still resolves to the present person,
/// because it is a subject of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonId(u32);

impl PersonId {
    /// Wraps a number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The smallest subject of the person, by which it is named.
    pub const fn subject(self) -> SubjectId {
        SubjectId::new(self.0)
    }
}

impl fmt::Display for PersonId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How many identity operations were refused, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Refusals {
    /// The two persons are known by different ids.
    pub conflict: u64,
    /// One of the ids is a well-known mistake.
    pub wrong_id: u64,
    /// The person would have too many ids.
    pub too_many_ids: u64,
    /// The pair was split before.
    pub kept_apart: u64,
}

impl Refusals {
    /// All refusals.
    pub const fn total(&self) -> u64 {
        self.conflict + self.wrong_id + self.too_many_ids + self.kept_apart
    }

    /// Every reason with its count, in a fixed order.
    pub const fn by_reason(&self) -> [(Refusal, u64); 4] {
        [
            (Refusal::Conflict, self.conflict),
            (Refusal::WrongId, self.wrong_id),
            (Refusal::TooManyIds, self.too_many_ids),
            (Refusal::KeptApart, self.kept_apart),
        ]
    }

    pub(crate) fn of_mut(&mut self, reason: Refusal) -> &mut u64 {
        match reason {
            Refusal::Conflict => &mut self.conflict,
            Refusal::WrongId => &mut self.wrong_id,
            Refusal::TooManyIds => &mut self.too_many_ids,
            Refusal::KeptApart => &mut self.kept_apart,
        }
    }
}
