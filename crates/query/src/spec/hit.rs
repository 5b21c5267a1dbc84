//! One event of a unit as the pure cores see it.

use std::fmt;

use xxhash_rust::xxh3::xxh3_128;

/// What a core wants of an event besides what it matches: nothing, which takes no room, the number that it has for a property, or the session that its sender gave it.
pub trait HitValue: Copy + Default + fmt::Debug + Send + Sync + 'static {
    /// Whether it is a number at all.
    const IS_NUMBER: bool;

    /// Of an event's number; NaN stands for none.
    fn of(number: f64) -> Self;

    /// The number again; NaN where there is none.
    fn number(self) -> f64;

    /// Whether it is the session of the sender.
    const IS_KEY: bool = false;

    /// Of an event's session.
    #[must_use]
    fn of_key(_: SessionKey) -> Self {
        Self::default()
    }
}

/// What tells apart the sessions that senders gave: 128 bits of a hash of their text, or none.
///
/// ```
/// use pugmark_query::spec::SessionKey;
///
/// assert_eq!(SessionKey::of("s-1"), SessionKey::of("s-1"));
/// assert_ne!(SessionKey::of("s-1").get(), SessionKey::of("s-2").get());
/// assert_eq!(SessionKey::default().get(), None);
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionKey([u64; 2]);

impl SessionKey {
    /// That of a session.
    pub fn of(text: &str) -> Self {
        let hash = xxh3_128(text.as_bytes());
        // All zeros stand for none.
        Self([(hash >> 64) as u64, hash as u64 | u64::from(hash == 0)])
    }

    /// The bits; `None` where the sender gave no session.
    pub fn get(self) -> Option<u128> {
        let [high, low] = self.0;
        (self.0 != [0, 0]).then_some(u128::from(high) << 64 | u128::from(low))
    }
}

impl HitValue for SessionKey {
    const IS_NUMBER: bool = false;
    const IS_KEY: bool = true;

    fn of(_: f64) -> Self {
        Self::default()
    }

    fn number(self) -> f64 {
        f64::NAN
    }

    fn of_key(key: Self) -> Self {
        key
    }
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
    /// Its number for the property that is measured, or its sender's session; nothing where neither is wanted.
    pub value: V,
}

impl<V> Hit<V> {
    /// The same event with another value.
    pub(crate) fn with<W>(&self, value: W) -> Hit<W> {
        let Self { timestamp, sequence, matches, group, .. } = *self;
        Hit { timestamp, sequence, matches, group, value }
    }

    pub(crate) fn matches_selector(&self, selector: usize) -> bool {
        self.matches >> selector & 1 == 1
    }
}
