//! The state of each unit in each bucket, counted.

use std::sync::Arc;

use super::Lifecycle;
use crate::{
    calendar::{Buckets, ResolvedRange, TimeZone},
    spec::{Hit, SpecError},
};

/// How many units are in which state, bucket by bucket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StateCounts {
    /// Those whose first event of all lies in the bucket.
    pub new: Vec<u64>,
    /// Those who were active in the bucket before, too.
    pub returning: Vec<u64>,
    /// Those who were active before, but not in the bucket before.
    pub resurrecting: Vec<u64>,
    /// Those who were active in the bucket before and are not in this one.
    pub dormant: Vec<u64>,
}

impl StateCounts {
    pub(crate) fn empty(buckets: usize) -> Self {
        let none = || vec![0; buckets];
        Self { new: none(), returning: none(), resurrecting: none(), dormant: none() }
    }

    fn merge(&mut self, other: &Self) {
        let add = |here: &mut [u64], there: &[u64]| here.iter_mut().zip(there).for_each(|(here, there)| *here += there);
        add(&mut self.new, &other.new);
        add(&mut self.returning, &other.returning);
        add(&mut self.resurrecting, &other.resurrecting);
        add(&mut self.dormant, &other.dormant);
    }
}

/// What is known of a unit before the range.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Past {
    /// Whether it had an event.
    pub(crate) active: bool,
    /// Whether it had one in the bucket before the first.
    pub(crate) in_previous: bool,
}

/// Counts the states of units; parts can be merged in any order.
///
/// ```
/// use std::sync::Arc;
/// use pugmark_query::{calendar::*, lifecycle::{Lifecycle, States}, spec::Hit};
///
/// let (day_us, utc) = (days(1).as_us(), TimeZone::utc());
/// let range = ResolvedRange { from_us: 0, to_us: 3 * day_us };
/// let buckets = Arc::new(Buckets::new(range, Interval::Day, &utc, WeekStart::Monday)?);
/// let mut states = States::new(&Lifecycle::new("view"), buckets, &utc)?;
/// let hit = |day: i64, sequence| Hit { timestamp: day * day_us, sequence, matches: 1, group: 0, value: () };
/// states.add_unit(&[hit(-1, 1), hit(0, 2), hit(2, 4)]);
/// let counts = states.finish();
/// assert_eq!((counts.new, counts.returning), (vec![0, 0, 0], vec![1, 0, 0]));
/// assert_eq!((counts.resurrecting, counts.dormant), (vec![0, 0, 1], vec![0, 1, 0]));
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct States {
    buckets: Arc<Buckets>,
    previous: Option<ResolvedRange>,
    counts: StateCounts,
    active: Vec<usize>,
}

impl States {
    /// Without a unit yet, over these buckets, which must be those of the question's range, interval and zone.
    ///
    /// # Errors
    /// `Invalid` if the bucket before the range leaves the calendar.
    pub fn new(lifecycle: &Lifecycle, buckets: Arc<Buckets>, zone: &TimeZone) -> Result<Self, SpecError> {
        let previous = match buckets.extent(0) {
            Some(first) => {
                let last = ResolvedRange { from_us: first.from_us.saturating_sub(1), to_us: first.from_us };
                Buckets::new(last, lifecycle.interval, zone, lifecycle.week_start)?.extent(0)
            }
            None => None,
        };
        Ok(Self { counts: StateCounts::empty(buckets.len()), previous, buckets, active: Vec::new() })
    }

    /// The bucket before the first; none where there is no first.
    pub(crate) fn previous(&self) -> Option<ResolvedRange> {
        self.previous
    }

    /// Adds a unit with these events, sorted by timestamp, which must be all that it has before the end of the range and
    /// that match.
    pub fn add_unit(&mut self, hits: &[Hit]) {
        let from_us = self.buckets.range().from_us;
        let before = hits.partition_point(|hit| hit.timestamp < from_us);
        let (before, within) = hits.split_at_checked(before).unwrap_or((hits, &[]));
        let in_previous = |hit: &Hit| self.previous.is_some_and(|previous| previous.contains(hit.timestamp));
        let past = Past { active: !before.is_empty(), in_previous: before.iter().any(in_previous) };
        let mut active = std::mem::take(&mut self.active);
        active.clear();
        active.extend(within.iter().filter_map(|hit| self.buckets.index_of(hit.timestamp)));
        active.dedup();
        self.add_activity(past, &active);
        self.active = active;
    }

    /// Adds a unit that was active in these buckets, which ascend.
    pub(crate) fn add_activity(&mut self, past: Past, active: &[usize]) {
        let Past { active: mut seen, in_previous } = past;
        // The buckets are counted from the one before the first.
        let mut last = in_previous.then_some(0);
        let mut add = |counts: fn(&mut StateCounts) -> &mut Vec<u64>, bucket: usize| {
            if let Some(count) = counts(&mut self.counts).get_mut(bucket) {
                *count += 1;
            }
        };
        for bucket in active {
            match last {
                Some(last) if last == *bucket => add(|counts| &mut counts.returning, *bucket),
                Some(last) => {
                    add(|counts| &mut counts.dormant, last);
                    add(|counts| &mut counts.resurrecting, *bucket);
                }
                None if seen => add(|counts| &mut counts.resurrecting, *bucket),
                None => add(|counts| &mut counts.new, *bucket),
            }
            (last, seen) = (Some(bucket + 1), true);
        }
        if let Some(last) = last {
            add(|counts| &mut counts.dormant, last);
        }
    }

    /// Adds another part of the same.
    pub fn merge(&mut self, other: &Self) {
        self.counts.merge(&other.counts);
    }

    /// The counts of all units.
    pub fn finish(self) -> StateCounts {
        self.counts
    }
}
