//! What is measured.

use std::fmt;

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Case {
    /// New events in batches, one writer that waits for each.
    Batches,
    /// Batches whose message ids are all stored.
    Duplicates,
    /// New events one at a time, one thread that waits for each.
    Single,
    /// The same from many threads.
    Threads,
}

impl Case {
    pub const ALL: [Self; 4] = [Self::Batches, Self::Duplicates, Self::Single, Self::Threads];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Batches => "batches",
            Self::Duplicates => "duplicates",
            Self::Single => "single",
            Self::Threads => "threads",
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
