//! One event of a unit as the pure cores see it.

/// An event of one unit, reduced to what an analysis needs of it.
///
/// The cores take the hits of one unit at a time, sorted by (`timestamp`, `sequence`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hit {
    /// When it happened, in microseconds UTC.
    pub timestamp: i64,
    /// Its place in the log, which breaks ties between equal timestamps.
    pub sequence: u64,
    /// Bit *i* is set when the event matches selector *i*.
    pub matches: u32,
    /// The number that [`Groups`](super::Groups) gave to its breakdown values; any number without a breakdown.
    pub group: u32,
}

impl Hit {
    pub(crate) fn matches_selector(&self, selector: usize) -> bool {
        self.matches >> selector & 1 == 1
    }
}
