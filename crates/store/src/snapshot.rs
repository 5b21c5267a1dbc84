//! What a query sees: one state of everything, from start to end.

use std::any::Any;
use std::sync::Arc;

use crate::id::Sequence;
use crate::removal::Hidden;
use crate::subjects::Subjects;
use crate::time::Timestamp;

/// The published state of a store at one sequence. It never changes; keeping it keeps what it refers to.
#[derive(Clone)]
pub struct Snapshot {
    /// Counts the snapshots of a store: a later one has a larger number.
    pub(crate) number: u64,
    pub(crate) sequence: Sequence,
    pub(crate) subject_count: u32,
    pub(crate) subjects: Arc<Subjects>,
    pub(crate) states: Vec<Arc<dyn Any + Send + Sync>>,
}

impl Snapshot {
    /// The last sequence that the snapshot contains; 0 for an empty store.
    pub fn sequence(&self) -> Sequence {
        self.sequence
    }

    /// How many subjects exist in it: those with a lower number.
    pub fn subject_count(&self) -> u32 {
        self.subject_count
    }

    /// Distinct ids by subject, and subjects by distinct id.
    pub fn subjects(&self) -> &Arc<Subjects> {
        &self.subjects
    }

    /// Events that happened before this have expired: no answer may show them, also where they are still on disk.
    pub fn expired_before(&self) -> Option<Timestamp> {
        self.state::<Hidden>().and_then(|hidden| hidden.expired_before())
    }

    /// What the fold that publishes a `T` published; `None` when the store was opened without that fold.
    pub fn state<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.states.iter().find_map(|state| Arc::clone(state).downcast().ok())
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Snapshot")
            .field("sequence", &self.sequence)
            .field("subject_count", &self.subject_count)
            .finish_non_exhaustive()
    }
}
