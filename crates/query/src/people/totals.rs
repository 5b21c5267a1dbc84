//! What somebody did, counted: the first event and the last, sessions, days, revenue.

use crate::sessions::{Cutter, Mark, Rule};

const DAY_US: i64 = 24 * 60 * 60 * 1_000_000;

/// What one person did, under all ids.
///
/// ```
/// use pugmark_query::people::{Tally, Totals};
/// use pugmark_query::sessions::Mark;
///
/// let minute_us = 60_000_000;
/// let at = |minutes: i64| Mark { timestamp: minutes * minute_us, ..Mark::default() };
/// let totals = Tally::default().of(&[at(0), at(30), at(61), at(24 * 60)]);
/// assert_eq!((totals.events, totals.sessions, totals.days_active), (4, 3, 2));
/// assert_eq!(totals.last_seen_us - totals.first_seen_us, 24 * 60 * minute_us);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Totals {
    /// When the first event happened, in microseconds UTC; without events the end of time.
    pub first_seen_us: i64,
    /// When the last event happened; without events the beginning of time.
    pub last_seen_us: i64,
    /// How many events.
    pub events: u64,
    /// How many sessions, by the default rule.
    pub sessions: u32,
    /// On how many days of UTC there was an event.
    pub days_active: u32,
    /// What is declared as revenue, summed up.
    pub revenue: f64,
}

impl Totals {
    /// Of somebody without events.
    pub const NONE: Self =
        Self { first_seen_us: i64::MAX, last_seen_us: i64::MIN, events: 0, sessions: 0, days_active: 0, revenue: 0.0 };
}

/// Counts what one person did after the other.
#[derive(Debug)]
pub struct Tally {
    cutter: Cutter,
    numbers: Vec<u32>,
}

impl Default for Tally {
    fn default() -> Self {
        Self { cutter: Cutter::new(Rule::default()), numbers: Vec::new() }
    }
}

impl Tally {
    /// Of all events of one person, by (timestamp, sequence); there is no revenue in them.
    pub fn of(&mut self, events: &[Mark]) -> Totals {
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Totals::NONE };
        let day = |event: &Mark| event.timestamp.div_euclid(DAY_US);
        let new_days = events.windows(2).filter(|pair| day(&pair[0]) != day(&pair[1])).count();
        Totals {
            first_seen_us: first.timestamp,
            last_seen_us: last.timestamp,
            events: events.len() as u64,
            sessions: self.cutter.cut(events.iter().copied(), &mut self.numbers),
            days_active: u32::try_from(new_days + 1).unwrap_or(u32::MAX),
            revenue: 0.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_did_nothing_has_nothing() {
        assert_eq!(Tally::default().of(&[]), Totals::NONE);
    }

    #[test]
    fn days_are_those_of_utc_also_before_1970_and_sessions_of_the_sender_go_across_them() {
        let event = |timestamp, key| Mark { timestamp, key, ..Mark::default() };
        let mut tally = Tally::default();
        let events = [event(-1, Some(1)), event(0, None), event(DAY_US - 1, Some(1)), event(DAY_US, None)];
        let totals = tally.of(&events);
        assert_eq!((totals.days_active, totals.sessions, totals.events), (3, 3, 4));
        let totals = tally.of(&[event(5, None), event(5, None)]);
        assert_eq!((totals.days_active, totals.sessions, totals.events), (1, 1, 2));
    }
}
