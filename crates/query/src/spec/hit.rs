//! One event of a unit as the pure cores see it.

use std::fmt;

/// What a core wants of the number that an event has for a property: nothing, which takes no room, or the number.
pub trait HitValue: Copy + Default + fmt::Debug + Send + Sync + 'static {
    /// Whether it is a number at all.
    const IS_NUMBER: bool;

    /// Of an event's number; NaN stands for none.
    fn of(number: f64) -> Self;

    /// The number again; NaN where there is none.
    fn number(self) -> f64;
}

impl HitValue for () {
    const IS_NUMBER: bool = false;

    fn of(_: f64) -> Self {}

    fn number(self) -> f64 {
        f64::NAN
    }
}

impl HitValue for f64 {
    const IS_NUMBER: bool = true;

    fn of(number: f64) -> Self {
        number
    }

    fn number(self) -> f64 {
        self
    }
}

/// An event of one unit, reduced to what an analysis needs of it.
///
/// The cores take the hits of one unit at a time, sorted by (`timestamp`, `sequence`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Hit<V = ()> {
    /// When it happened, in microseconds UTC.
    pub timestamp: i64,
    /// Its place in the log, which breaks ties between equal timestamps.
    pub sequence: u64,
    /// Bit *i* is set when the event matches selector *i*.
    pub matches: u32,
    /// The number that [`Groups`](super::Groups) gave to its breakdown values; any number without a breakdown.
    pub group: u32,
    /// Its number for the property that is measured; nothing where none is.
    pub value: V,
}

impl<V> Hit<V> {
    pub(crate) fn matches_selector(&self, selector: usize) -> bool {
        self.matches >> selector & 1 == 1
    }
}
