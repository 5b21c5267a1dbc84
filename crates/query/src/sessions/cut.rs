//! The events of one person, cut into sessions.

use hashbrown::HashMap;
use serde::Serialize;

use crate::calendar::TimeZone;
use crate::spec::Word;

/// How many properties may cut sessions where they change.
pub const MAX_SPLITS: usize = 3;

/// More sessions of one person than this are forgotten with the memory that they took.
const KEPT_SESSIONS: usize = 1_024;

/// Whether exactly the gap between two events cuts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GapAt {
    /// Events exactly the gap apart are of one session.
    #[default]
    Same,
    /// Events exactly the gap apart are of two.
    New,
}

impl Word for GapAt {
    const WORDS: &'static [(&'static str, Self)] = &[("same", Self::Same), ("new", Self::New)];
}

/// When a session ends.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The longest time between two events of a session.
    pub gap_us: i64,
    /// Whether exactly that cuts.
    pub gap_at: GapAt,
    /// The longest time from the first event of a session to another one of it.
    pub max_us: Option<i64>,
    /// The zone whose midnight ends every session, if any does.
    pub midnight: Option<TimeZone>,
}

impl Default for Rule {
    /// Half an hour without an event.
    fn default() -> Self {
        Self { gap_us: 30 * 60 * 1_000_000, gap_at: GapAt::default(), max_us: None, midnight: None }
    }
}

/// What is looked at of one event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// When it happened, in microseconds UTC.
    pub timestamp: i64,
    /// Which session its sender says it belongs to, by any number that is the same for the same session of a person only.
    pub key: Option<u128>,
    /// The numbers of the values that cut where they change; 0 for NULL, which changes nothing.
    pub split: [u32; MAX_SPLITS],
}

/// The session that the events without a key are in.
#[derive(Debug, Clone, Copy)]
struct Open {
    number: u32,
    first_us: i64,
    last_us: i64,
    /// The first instant of the next local day, where midnight cuts.
    day_end_us: i64,
    split: [u32; MAX_SPLITS],
}

/// Numbers the sessions of one person after the other.
///
/// Events with a key belong to the session of that key, however far apart they are. Those without are cut among themselves, as the [`Rule`] says.
///
/// ```
/// use pugmark_query::sessions::{Cutter, Mark, Rule};
///
/// let minute_us = 60_000_000;
/// let at = |minutes: i64, key| Mark { timestamp: minutes * minute_us, key, ..Mark::default() };
/// let events = [at(0, None), at(10, Some(7)), at(30, None), at(61, None), at(90, Some(7))];
/// let mut cutter = Cutter::new(Rule::default());
/// let mut numbers = Vec::new();
/// assert_eq!(cutter.cut(events, &mut numbers), 3);
/// assert_eq!(numbers, [0, 1, 0, 2, 1]);
/// ```
#[derive(Debug, Clone)]
pub struct Cutter {
    rule: Rule,
    keys: HashMap<u128, u32, foldhash::fast::RandomState>,
}

impl Cutter {
    /// One that cuts by this rule.
    pub fn new(rule: Rule) -> Self {
        Self { rule, keys: HashMap::default() }
    }

    /// Writes the number of each event's session into `numbers`, in place of what is there, and returns how many sessions there are: they are numbered from 0 in
    /// the order of their first events. `events` are all of one person, by (timestamp, sequence).
    pub fn cut(&mut self, events: impl IntoIterator<Item = Mark>, numbers: &mut Vec<u32>) -> u32 {
        numbers.clear();
        match self.keys.capacity() > KEPT_SESSIONS {
            true => self.keys = HashMap::default(),
            false => self.keys.clear(),
        }
        let mut count = 0;
        let mut fresh = || {
            count += 1;
            count - 1
        };
        // Neighbours are mostly of one session.
        let mut last_key: Option<(u128, u32)> = None;
        let mut open: Option<Open> = None;
        for event in events {
            let number = match (event.key, last_key) {
                (Some(key), Some((last, number))) if key == last => number,
                (Some(key), _) => {
                    let number = *self.keys.entry(key).or_insert_with(&mut fresh);
                    last_key = Some((key, number));
                    number
                }
                (None, _) => {
                    let goes_on = open.as_ref().is_some_and(|open| self.rule.goes_on(open, &event));
                    let own = match open.as_mut().filter(|_| goes_on) {
                        Some(own) => own,
                        None => open.insert(self.rule.open(fresh(), &event)),
                    };
                    own.last_us = event.timestamp;
                    for (own, new) in own.split.iter_mut().zip(event.split) {
                        if new != 0 {
                            *own = new;
                        }
                    }
                    own.number
                }
            };
            numbers.push(number);
        }
        count
    }
}

impl Rule {
    fn open(&self, number: u32, event: &Mark) -> Open {
        let at = event.timestamp;
        let day_end_us = self.midnight.as_ref().and_then(|zone| zone.end_of_day(at)).unwrap_or(i64::MAX);
        Open { number, first_us: at, last_us: at, day_end_us, split: event.split }
    }

    fn goes_on(&self, open: &Open, event: &Mark) -> bool {
        let since = event.timestamp.saturating_sub(open.last_us);
        let is_near = match self.gap_at {
            GapAt::Same => since <= self.gap_us,
            GapAt::New => since < self.gap_us,
        };
        let is_short = self.max_us.is_none_or(|max| event.timestamp.saturating_sub(open.first_us) <= max);
        let changes = open.split.iter().zip(event.split).any(|(own, new)| new != 0 && *own != new);
        is_near && is_short && !changes && event.timestamp < open.day_end_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::Moment;

    const MINUTE_US: i64 = 60_000_000;

    fn cut(rule: &Rule, events: &[Mark]) -> Vec<u32> {
        let (mut numbers, mut cutter) = (vec![9; 3], Cutter::new(rule.clone()));
        let count = cutter.cut(events.iter().copied(), &mut numbers);
        assert_eq!(count, numbers.iter().max().map_or(0, |most| most + 1));
        numbers
    }

    fn at(minutes: i64) -> Mark {
        Mark { timestamp: minutes * MINUTE_US, ..Mark::default() }
    }

    #[test]
    fn exactly_the_gap_cuts_on_request() {
        let events = [at(0), at(30), at(60), at(91)];
        assert_eq!(cut(&Rule::default(), &events), [0, 0, 0, 1]);
        assert_eq!(cut(&Rule { gap_at: GapAt::New, ..Rule::default() }, &events), [0, 1, 2, 3]);
        assert_eq!(cut(&Rule { gap_us: 0, ..Rule::default() }, &[at(0), at(0), at(1)]), [0, 0, 1]);
    }

    #[test]
    fn more_than_the_longest_time_from_the_first_event_cuts() {
        let rule = Rule { max_us: Some(50 * MINUTE_US), ..Rule::default() };
        assert_eq!(cut(&rule, &[at(0), at(25), at(50), at(51), at(76), at(101)]), [0, 0, 0, 1, 1, 1]);
    }

    #[test]
    fn a_value_cuts_where_it_changes_and_its_absence_does_not() {
        let of = |minutes, split| Mark { split, ..at(minutes) };
        let events = [
            of(0, [0, 0, 0]),
            of(1, [5, 0, 0]),
            of(2, [0, 0, 0]),
            of(3, [5, 0, 0]),
            of(4, [6, 0, 0]),
            of(5, [0, 1, 0]),
        ];
        assert_eq!(cut(&Rule::default(), &events), [0, 1, 1, 1, 2, 3]);
    }

    #[test]
    fn local_midnight_cuts_on_request_and_a_day_has_25_hours() {
        let berlin = TimeZone::named("Europe/Berlin").expect("it exists");
        let us = |text: &str| Moment::from(text).resolve(&berlin).expect("it is an instant");
        let mark = |text: &str| Mark { timestamp: us(text), ..Mark::default() };
        let events = ["2025-10-25T21:50:00Z", "2025-10-25T22:10:00Z", "2025-10-26T22:50:00Z", "2025-10-26T23:00:00Z"];
        let rule = Rule { gap_us: 40 * 3_600_000_000, midnight: Some(berlin.clone()), ..Rule::default() };
        assert_eq!(cut(&rule, &events.map(mark)), [0, 1, 1, 2]);
    }

    #[test]
    fn events_of_a_key_are_together_and_do_not_part_those_without() {
        let of = |minutes, key| Mark { key: Some(key), ..at(minutes) };
        assert_eq!(cut(&Rule::default(), &[of(0, 1), at(5), of(10, 2), at(30), of(5_000, 1)]), [0, 1, 2, 1, 0]);
        let mut cutter = Cutter::new(Rule::default());
        let mut numbers = Vec::new();
        let many = (0..5_000).map(|key| of(key, key as u128));
        assert_eq!(cutter.cut(many, &mut numbers), 5_000);
        assert_eq!(cutter.cut([of(0, 3), of(1, 4)], &mut numbers), 2);
        assert_eq!(numbers, [0, 1]);
    }
}
