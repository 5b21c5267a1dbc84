//! Cohorts by periods: which units began in a bucket, and in which later ones they came back.

use std::sync::Arc;

use hashbrown::HashMap;

use super::{Average, Cohort, CohortRow, PeriodZero, Retention, RetentionGroup};
use crate::{
    calendar::Buckets,
    spec::{GroupLabel, Hit, SpecError, Split},
};

/// The most cells that an answer may have.
pub const MAX_CELLS: usize = 100_000;

const START: usize = 0;
const RETURN: usize = 1;

/// One cohort of one breakdown group.
#[derive(Debug, Clone, Default)]
struct CohortCount {
    size: u64,
    /// Units that came back, by period.
    returned: Vec<u64>,
}

impl CohortCount {
    fn merge(&mut self, other: &Self) {
        self.size += other.size;
        self.returned.resize(self.returned.len().max(other.returned.len()), 0);
        for (here, there) in self.returned.iter_mut().zip(&other.returned) {
            *here += there;
        }
    }
}

/// A bucket in which a unit did anything that matters.
#[derive(Debug, Clone, Copy)]
struct Activity {
    bucket: usize,
    /// The group of the start event that makes it a cohort of the unit.
    started: Option<u32>,
    returns: u64,
    returns_after_start: u64,
}

type Cohorts = HashMap<(u32, usize), CohortCount, foldhash::fast::RandomState>;

/// Accumulates units into a retention table; parts can be merged in any order.
///
/// In a hit, selector 0 is the start and selector 1 the return. A return is later than its start event in (timestamp,
/// sequence), never the start event itself. A unit counts once in a (cohort, period), under the breakdown value of
/// the start event: its first ever, or with [`Cohort::Recurring`] its first in the bucket.
///
/// ```
/// use std::sync::Arc;
/// use pugmark_query::{calendar::*, retention::{Grid, Retention}, spec::Hit};
///
/// let day_us = days(1).as_us();
/// let range = ResolvedRange { from_us: 0, to_us: 3 * day_us };
/// let buckets = Arc::new(Buckets::new(range, Interval::Day, &TimeZone::utc(), WeekStart::Monday)?);
/// let mut grid = Grid::new(&Retention::new("signup", "*").daily(), buckets, 3 * day_us)?;
/// let hit = |day: i64, sequence, matches| Hit { timestamp: day * day_us, sequence, matches, group: 0 };
/// grid.add_unit(&[hit(0, 1, 0b11), hit(1, 2, 0b10)]);
/// grid.add_unit(&[hit(0, 3, 0b11)]);
/// let groups = grid.finish(None)?;
/// assert_eq!(groups[0].rows[0].values, [2, 1, 0]);
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Grid {
    buckets: Arc<Buckets>,
    periods: usize,
    cohort: Cohort,
    period_zero: PeriodZero,
    min_occurrences: u64,
    now_us: i64,
    cohorts: Cohorts,
    activities: Vec<Activity>,
}

impl Grid {
    /// An empty table over these buckets, which must be those of the question's range, interval and zone.
    ///
    /// # Errors
    /// `Invalid` if it would have more than [`MAX_CELLS`] cells.
    pub fn new(retention: &Retention, buckets: Arc<Buckets>, now_us: i64) -> Result<Self, SpecError> {
        let periods = retention.periods.unwrap_or(usize::MAX).min(buckets.len());
        let grid = Self {
            buckets,
            periods,
            cohort: retention.cohort,
            period_zero: retention.period_zero,
            min_occurrences: retention.min_occurrences,
            now_us,
            cohorts: Cohorts::default(),
            activities: Vec::new(),
        };
        grid.check_cells(1)?;
        Ok(grid)
    }

    /// The labels of the columns: `0`, `1` and so on.
    pub fn periods(&self) -> Vec<String> {
        (0..self.periods).map(|period| period.to_string()).collect()
    }

    /// Adds a unit with these events, sorted by (timestamp, sequence). With [`Cohort::FirstTime`] they must hold all
    /// its start events before the end of the range, those before its beginning too; events outside are left aside.
    pub fn add_unit(&mut self, hits: &[Hit]) {
        let hits = match self.cohort {
            Cohort::Recurring => hits,
            Cohort::FirstTime => match hits.iter().position(|hit| hit.matches_selector(START)) {
                Some(first) if self.buckets.range().contains(hits[first].timestamp) => &hits[first..],
                _ => return,
            },
        };
        self.collect_activities(hits);
        for (index, activity) in self.activities.iter().enumerate() {
            let Some(group) = activity.started else { continue };
            let columns = columns(self.periods, self.buckets.len(), activity.bucket);
            let cohort = self.cohorts.entry((group, activity.bucket)).or_default();
            cohort.returned.resize(columns, 0);
            cohort.size += 1;
            let later = self.activities[index + 1..].iter().map(|later| (later.bucket, later.returns));
            for (bucket, returns) in std::iter::once((activity.bucket, activity.returns_after_start)).chain(later) {
                let period = bucket - activity.bucket;
                if period >= columns {
                    break;
                }
                if returns >= self.min_occurrences {
                    cohort.returned[period] += 1;
                }
            }
        }
    }

    /// The cohorts so far: group, bucket, and how many came back in each period.
    pub(crate) fn cohorts(&self) -> impl Iterator<Item = (u32, usize, &[u64])> {
        self.cohorts.iter().map(|((group, bucket), cohort)| (*group, *bucket, cohort.returned.as_slice()))
    }

    /// Adds `size` units of a group that began in a bucket, with how many of them came back in each period.
    pub(crate) fn add_cohort(&mut self, group: u32, bucket: usize, size: u64, returned: &[u64]) {
        if size == 0 {
            return;
        }
        let columns = columns(self.periods, self.buckets.len(), bucket);
        let returned = returned.iter().copied().take(columns).collect();
        self.cohorts.entry((group, bucket)).or_default().merge(&CohortCount { size, returned });
    }

    fn collect_activities(&mut self, hits: &[Hit]) {
        self.activities.clear();
        let once = self.cohort == Cohort::FirstTime;
        let mut started_once = false;
        for hit in hits {
            let Some(bucket) = self.buckets.index_of(hit.timestamp) else { continue };
            if self.activities.last().is_none_or(|last| last.bucket != bucket) {
                self.activities.push(Activity { bucket, started: None, returns: 0, returns_after_start: 0 });
            }
            let Some(activity) = self.activities.last_mut() else { continue };
            // The return is counted before the start is noted: an event is no return to itself.
            if hit.matches_selector(RETURN) {
                activity.returns += 1;
                activity.returns_after_start += u64::from(activity.started.is_some());
            }
            if hit.matches_selector(START) && activity.started.is_none() && !(once && started_once) {
                activity.started = Some(hit.group);
                started_once = true;
            }
        }
    }

    /// Adds another part of the same table, whose group *n* is the group `numbers[n]` here
    /// (as [`Groups::absorb`](crate::spec::Groups::absorb) says); without a breakdown `&[0]`.
    ///
    /// # Panics
    /// If a group of `other` has no number here.
    pub fn merge(&mut self, other: &Self, numbers: &[u32]) {
        for ((group, bucket), there) in &other.cohorts {
            let number = *numbers.get(*group as usize).expect("every group of the other part has a number here");
            self.cohorts.entry((number, *bucket)).or_default().merge(there);
        }
    }

    /// The table of every group, ranked by the size of all its cohorts together, ties by value ascending, those beyond
    /// the limit added up into *other*: a unit has one group in a cohort, so the sum is exact.
    ///
    /// Without a split there is one group, whatever numbers were added, also when nothing was.
    ///
    /// # Errors
    /// `Invalid` if the tables together would have more than [`MAX_CELLS`] cells.
    pub fn finish(self, split: Option<Split<'_>>) -> Result<Vec<RetentionGroup>, SpecError> {
        let rows = self.buckets.len();
        let mut places: HashMap<u32, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut labels = Vec::new();
        match split {
            None => {
                places.extend(self.cohorts.keys().map(|(group, _)| (*group, 0)));
                labels.push(None);
            }
            Some(split) => {
                let mut sizes: HashMap<u32, u64, foldhash::fast::RandomState> = HashMap::default();
                for ((group, _), cohort) in &self.cohorts {
                    *sizes.entry(*group).or_default() += cohort.size;
                }
                let folded = split.fold(sizes);
                places.extend(folded.kept.iter().enumerate().map(|(place, group)| (*group, place)));
                places.extend(folded.rest.iter().map(|group| (*group, folded.kept.len())));
                labels.extend(folded.kept.iter().map(|group| Some(split.label(*group))));
                if !folded.rest.is_empty() {
                    labels.push(Some(GroupLabel::Other));
                }
            }
        }
        self.check_cells(labels.len())?;
        let mut tables = vec![vec![CohortCount::default(); rows]; labels.len()];
        for ((group, bucket), cohort) in &self.cohorts {
            tables[places[group]][*bucket].merge(cohort);
        }
        Ok(labels.into_iter().zip(tables).map(|(label, table)| self.group(label, table)).collect())
    }

    fn group(&self, label: Option<GroupLabel>, table: Vec<CohortCount>) -> RetentionGroup {
        let rows: Vec<CohortRow> = table
            .into_iter()
            .zip(self.buckets.labels())
            .enumerate()
            .map(|(row, (mut cohort, bucket))| {
                let columns = columns(self.periods, self.buckets.len(), row);
                cohort.returned.resize(columns, 0);
                if let (PeriodZero::CohortSize, Some(zero)) = (self.period_zero, cohort.returned.first_mut()) {
                    *zero = cohort.size;
                }
                CohortRow {
                    cohort: bucket.clone(),
                    size: cohort.size,
                    values: cohort.returned,
                    complete: (row..row + columns).map(|bucket| self.has_ended(bucket)).collect(),
                }
            })
            .collect();
        RetentionGroup { breakdown: label, average: Average::of(&rows, self.periods), rows }
    }

    /// Whether everything that a bucket can hold has been seen: it has ended by now, and the range does not cut it.
    fn has_ended(&self, bucket: usize) -> bool {
        let seen_us = self.buckets.range().to_us.min(self.now_us);
        self.buckets.extent(bucket).is_some_and(|extent| extent.to_us <= seen_us)
    }

    fn check_cells(&self, groups: usize) -> Result<(), SpecError> {
        let (rows, periods) = (self.buckets.len(), self.periods);
        let cells = (periods * (rows - periods) + periods * (periods + 1) / 2).saturating_mul(groups);
        if cells <= MAX_CELLS {
            return Ok(());
        }
        let narrow = if groups > 1 { "ask for fewer periods or a lower limit" } else { "ask for fewer periods" };
        Err(SpecError::invalid(format!(
            "the retention table would have {cells} cells, more than {MAX_CELLS}: shorten the range, widen the interval, or {narrow}"
        ))
        .on("periods"))
    }
}

fn columns(periods: usize, rows: usize, row: usize) -> usize {
    periods.min(rows - row)
}
