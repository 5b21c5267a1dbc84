//! One attempt of a unit: which steps were done, and by which events.

/// The event that did a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// When, in microseconds UTC.
    pub timestamp: i64,
    /// Its place in the log; 0 where no sequences were read.
    pub sequence: u64,
}

/// How far a unit got, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// By step: the event that did it; `None` for a step that was skipped or not reached.
    pub steps: Vec<Option<Done>>,
    /// The breakdown group.
    pub group: u32,
}

impl Attempt {
    /// The event that opened it.
    pub fn opened(&self) -> Option<Done> {
        self.steps.first().copied().flatten()
    }

    /// When each step was done.
    pub fn times(&self) -> impl ExactSizeIterator<Item = Option<i64>> + '_ {
        self.steps.iter().map(|done| done.map(|done| done.timestamp))
    }
}
