//! What no answer may show.

use roaring::{RoaringBitmap, RoaringTreemap};

use crate::id::{Sequence, SubjectId};
use crate::time::Timestamp;

/// What no answer may show although it may still be on disk. A snapshot has it as its state: `snapshot.state::<Hidden>()`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hidden {
    pub(super) erased: RoaringBitmap,
    pub(super) subjects: RoaringBitmap,
    pub(super) sequences: RoaringTreemap,
    pub(super) open: Vec<OpenRemoval>,
    pub(super) expired_before: Option<Timestamp>,
    pub(super) expiring: Vec<Sequence>,
}

/// A removal that is not complete: hidden, and perhaps still on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenRemoval {
    /// The sequence of the record that asked for it.
    pub sequence: Sequence,
    /// How many subjects it erases; 0 for a retraction.
    pub subjects: u64,
    /// How many records it retracts; 0 for an erasure.
    pub events: u64,
}

impl Hidden {
    /// Whether events may still be on disk that are to be left out.
    pub fn hides_events(&self) -> bool {
        !self.subjects.is_empty() || !self.sequences.is_empty()
    }

    /// Whether an event is to be left out.
    pub fn hides(&self, subject: SubjectId, sequence: Sequence) -> bool {
        self.subjects.contains(subject.number()) || self.sequences.contains(sequence.number())
    }

    /// Whether a subject was erased, now or ever.
    pub fn is_erased(&self, subject: SubjectId) -> bool {
        self.erased.contains(subject.number())
    }

    /// Whether nobody was ever erased.
    pub fn nobody_erased(&self) -> bool {
        self.erased.is_empty()
    }

    /// Events that happened earlier have expired, and are in no answer.
    pub fn expired_before(&self) -> Option<Timestamp> {
        self.expired_before
    }

    /// The expiries that are not complete: what they name may still be on disk.
    pub fn expiring(&self) -> &[Sequence] {
        &self.expiring
    }

    /// The removals that are not complete, in the order in which they were asked for.
    pub fn open(&self) -> &[OpenRemoval] {
        &self.open
    }
}
