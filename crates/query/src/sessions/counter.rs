//! The sessions of all units, counted and measured.

use std::sync::Arc;

use super::{Cutter, Mark, Sessions};
use crate::{
    calendar::{Buckets, TimeZone},
    funnel::Seconds,
    spec::SpecError,
};

/// The most sessions that an answer lists.
pub const MAX_ROWS: usize = 100_000;

/// One event of a unit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionEvent {
    /// What the rule looks at; its key must be none where the question is not `by` the session of the sender.
    pub mark: Mark,
    /// Its place in the log.
    pub sequence: u64,
    /// Whether it has a page.
    pub has_page: bool,
    /// Whether it has a property that says where it came from.
    pub has_touch: bool,
}

/// One session of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub unit: u32,
    /// When its first event happened, in microseconds UTC.
    pub from_us: i64,
    /// When its last one did.
    pub to_us: i64,
    /// How many events it has.
    pub events: u64,
    /// The sequence of its first event.
    pub first: u64,
    /// That of the first of its events that has a page, or of the first.
    pub entry: u64,
    /// That of the last of its events that has a page, or of the last.
    pub exit: u64,
    /// Those of the first and the last of its events that say where they came from.
    pub touches: Option<[u64; 2]>,
    has_page: bool,
}

/// What is said of the sessions of a range.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counted {
    /// How many there are.
    pub count: u64,
    /// How many of them are of one event.
    pub bounces: u64,
    /// How long they took; `None` where there is none.
    pub seconds: Option<Seconds>,
    /// How many begin in each bucket.
    pub counts: Vec<u64>,
    /// The sessions by (time of the first event, its sequence), where they were asked for.
    pub rows: Option<Vec<Session>>,
}

/// Cuts the events of units into sessions and counts those that begin in the range; parts can be merged in any order.
///
/// ```
/// use std::sync::Arc;
/// use pugmark_query::{calendar::*, sessions::{Counter, Mark, SessionEvent, Sessions}};
///
/// let utc = TimeZone::utc();
/// let range = ResolvedRange { from_us: 0, to_us: days(1).as_us() };
/// let buckets = Arc::new(Buckets::new(range, Interval::Day, &utc, WeekStart::Monday)?);
/// let mut counter = Counter::new(&Sessions::new(), buckets, &utc);
/// let at = |minutes: i64, sequence| SessionEvent {
///     mark: Mark { timestamp: minutes * 60_000_000, ..Mark::default() },
///     sequence,
///     has_page: false,
///     has_touch: false,
/// };
/// counter.add_unit(1, &[at(0, 1), at(30, 2), at(40, 3), at(71, 5)]);
/// counter.add_unit(2, &[at(60, 4)]);
/// let counted = counter.finish()?;
/// assert_eq!((counted.count, counted.bounces), (3, 2));
/// assert_eq!(counted.seconds.map(|seconds| seconds.mean), Some(800.0));
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Counter {
    cutter: Cutter,
    buckets: Arc<Buckets>,
    /// How many sessions it lists at most.
    most: Option<usize>,
    durations_us: Vec<i64>,
    bounces: u64,
    counts: Vec<u64>,
    rows: Vec<Session>,
    numbers: Vec<u32>,
    own: Vec<Session>,
}

impl Counter {
    /// One that has counted nothing, over buckets of the question's range and zone; without an interval any will do.
    pub fn new(sessions: &Sessions, buckets: Arc<Buckets>, zone: &TimeZone) -> Self {
        Self {
            cutter: Cutter::new(sessions.rule(zone)),
            most: sessions.rows.then_some(MAX_ROWS),
            durations_us: Vec::new(),
            bounces: 0,
            counts: vec![0; buckets.len()],
            rows: Vec::new(),
            numbers: Vec::new(),
            own: Vec::new(),
            buckets,
        }
    }

    /// The same, listing all sessions however many there are.
    #[must_use]
    pub(crate) fn listing_all(self) -> Self {
        Self { most: Some(usize::MAX - 1), ..self }
    }

    /// Whether it lists sessions.
    pub(crate) fn lists(&self) -> bool {
        self.most.is_some()
    }

    /// Adds a unit with these events, by (timestamp, sequence): all that it has, those outside of the range too.
    pub fn add_unit(&mut self, unit: u32, events: &[SessionEvent]) {
        self.cutter.cut(events.iter().map(|event| event.mark), &mut self.numbers);
        self.own.clear();
        for (event, number) in events.iter().zip(&self.numbers) {
            let SessionEvent { mark: Mark { timestamp, .. }, sequence, has_page, has_touch } = *event;
            match self.own.get_mut(*number as usize) {
                Some(session) => {
                    session.to_us = timestamp;
                    session.events += 1;
                    if has_page && !session.has_page {
                        session.entry = sequence;
                    }
                    if has_page || !session.has_page {
                        session.exit = sequence;
                    }
                    session.has_page |= has_page;
                    if has_touch {
                        session.touches.get_or_insert([sequence; 2])[1] = sequence;
                    }
                }
                // Numbers come in the order of first events.
                None => self.own.push(Session {
                    unit,
                    from_us: timestamp,
                    to_us: timestamp,
                    events: 1,
                    first: sequence,
                    entry: sequence,
                    exit: sequence,
                    touches: has_touch.then_some([sequence; 2]),
                    has_page,
                }),
            }
        }
        for session in &self.own {
            let Some(bucket) = self.buckets.index_of(session.from_us) else { continue };
            self.counts[bucket] += 1;
            self.durations_us.push(session.to_us - session.from_us);
            self.bounces += u64::from(session.events == 1);
            // One more than is shown tells that there are too many.
            if self.most.is_some_and(|most| self.rows.len() <= most) {
                self.rows.push(*session);
            }
        }
    }

    /// Adds another part of the same.
    pub fn merge(&mut self, other: Self) {
        self.durations_us.extend(other.durations_us);
        self.bounces += other.bounces;
        self.counts.iter_mut().zip(other.counts).for_each(|(here, there)| *here += there);
        self.rows.extend(other.rows);
    }

    /// What is said of all of them.
    ///
    /// # Errors
    /// `Invalid` if more than [`MAX_ROWS`] sessions would be listed.
    pub fn finish(mut self) -> Result<Counted, SpecError> {
        if self.most.is_some_and(|most| self.rows.len() > most) {
            let message = format!(
                "the answer would list {} sessions, more than {MAX_ROWS}: shorten the range, or ask for fewer people by a filter or a segment",
                self.durations_us.len()
            );
            return Err(SpecError::invalid(message).on("rows"));
        }
        self.rows.sort_unstable_by_key(|session| (session.from_us, session.first));
        Ok(Counted {
            count: self.durations_us.len() as u64,
            bounces: self.bounces,
            seconds: Seconds::of(&mut self.durations_us),
            counts: self.counts,
            rows: self.most.is_some().then_some(self.rows),
        })
    }
}
