//! Cohorts by periods: which units began in a bucket, and in which later ones they came back.

use std::sync::Arc;

use hashbrown::HashMap;

use super::cells::{Cell, Cohorts};
use super::shape::Shape;
use super::{
    Average, Cohort, CohortRow, Criterion, PeriodZero, Retention, RetentionGroup, ReturnMeasure, ReturnValue, Total,
};
use crate::{
    calendar::Buckets,
    spec::{GroupLabel, Hit, SpecError, Split},
};

/// The most cells that an answer may have.
pub const MAX_CELLS: usize = 100_000;

const START: usize = 0;
const RETURN: usize = 1;
const FIRST: usize = 2;

/// What a unit did in one period, where that is anything.
#[derive(Debug, Clone, Copy)]
struct Seen<T> {
    period: usize,
    returns: u64,
    total: T,
}

/// A bucket in which a unit did anything that matters.
#[derive(Debug, Clone, Copy, Default)]
struct Activity<T> {
    bucket: usize,
    /// The group of the start event that makes it a cohort of the unit.
    started: Option<u32>,
    returns: u64,
    total: T,
    returns_after_start: u64,
    total_after_start: T,
}

/// Accumulates units into a retention table; parts can be merged in any order.
///
/// In a hit, selector 0 is the start and selector 1 the return. A return is later than its start event in (timestamp,
/// sequence), never the start event itself. A unit counts once in a (cohort, period), under the breakdown value of
/// the start event: its first, or with [`Cohort::Recurring`] its first in the bucket. With a measure other than units hits
/// bear the numbers of return events (`Grid<f64>`).
///
/// ```
/// use std::sync::Arc;
/// use pugmark_query::{calendar::*, retention::{Grid, Retention}, spec::Hit};
///
/// let day_us = days(1).as_us();
/// let range = ResolvedRange { from_us: 0, to_us: 3 * day_us };
/// let buckets = Arc::new(Buckets::new(range, Interval::Day, &TimeZone::utc(), WeekStart::Monday)?);
/// let mut grid = Grid::new(&Retention::new("signup", "*").daily(), buckets, 3 * day_us)?;
/// let hit = |day: i64, sequence, matches| Hit { timestamp: day * day_us, sequence, matches, group: 0, value: () };
/// grid.add_unit(&[hit(0, 1, 0b11), hit(1, 2, 0b10)]);
/// grid.add_unit(&[hit(0, 3, 0b11)]);
/// let groups = grid.finish(None)?;
/// assert_eq!(groups[0].rows[0].values, [2, 1, 0].map(|units| Some(units.into())));
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Grid<V: ReturnValue = ()> {
    shape: Arc<Shape>,
    cohort: Cohort,
    period_zero: PeriodZero,
    criterion: Criterion,
    measure: ReturnMeasure,
    min_occurrences: u64,
    matches_groups: bool,
    cohorts: Cohorts<V::Total>,
    activities: Vec<Activity<V::Total>>,
    /// What the unit at hand did since its start, by period.
    seen: Vec<Seen<V::Total>>,
    /// The start events of the cohort at hand.
    starts: Vec<usize>,
    /// The row and column of a cell, and whether a unit has counted in it since that was asked last.
    watched: Option<(usize, usize, bool)>,
}

impl<V: ReturnValue> Grid<V> {
    /// An empty table over these buckets, which must be those of the question's range, interval and zone.
    ///
    /// # Errors
    /// `Invalid` if it would have more than [`MAX_CELLS`] cells, or if it is to be read on until now and that leaves the calendar.
    pub fn new(retention: &Retention, buckets: Arc<Buckets>, now_us: i64) -> Result<Self, SpecError> {
        let grid = Self {
            shape: Arc::new(Shape::new(retention, buckets, now_us)?),
            cohort: retention.cohort,
            period_zero: retention.period_zero,
            criterion: retention.criterion,
            measure: retention.measure,
            min_occurrences: retention.min_occurrences,
            matches_groups: retention.breakdown_match,
            cohorts: Cohorts::default(),
            activities: Vec::new(),
            seen: Vec::new(),
            starts: Vec::new(),
            watched: None,
        };
        grid.check_cells(1)?;
        Ok(grid)
    }

    /// The labels of the columns: `0`, `1` and so on, or those of brackets such as `1-2` and `7+`.
    pub fn periods(&self) -> Vec<String> {
        self.shape.labels()
    }

    /// Has an eye on the cell of these labels.
    ///
    /// # Errors
    /// `Invalid` for a cohort or a period that the table does not have, on `cohort` or `period`.
    pub(crate) fn watching(mut self, cohort: &str, period: &str) -> Result<Self, SpecError> {
        let (rows, columns) = (self.shape.rows().labels(), self.periods());
        let range = |labels: &[String]| match labels {
            [] => "it has none".to_owned(),
            [only] => format!("it has {only} alone"),
            [first, .., last] => format!("it has those from {first} to {last}"),
        };
        let Some(row) = rows.iter().position(|label| label == cohort) else {
            let complaint = format!("the table has no cohort \"{cohort}\": {}", range(rows));
            return Err(SpecError::invalid(complaint).on("cohort"));
        };
        let columns = &columns[..self.shape.columns(row)];
        let Some(column) = columns.iter().position(|label| label == period) else {
            let complaint = format!("the cohort {cohort} has no period \"{period}\": {}", range(columns));
            return Err(SpecError::invalid(complaint).on("period"));
        };
        self.watched = Some((row, column, false));
        Ok(self)
    }

    /// Whether a unit has counted in the watched cell since this was asked last.
    pub(crate) fn has_counted(&mut self) -> bool {
        self.watched.as_mut().is_some_and(|(.., counted)| std::mem::take(counted))
    }

    /// What its cells tell.
    pub(crate) fn measure(&self) -> ReturnMeasure {
        self.measure
    }

    /// Events from this instant on do not matter: the end of the range or, with open returns, now.
    pub fn until_us(&self) -> i64 {
        self.shape.until_us()
    }

    /// Adds a unit with these events, sorted by (timestamp, sequence). With [`Cohort::FirstTime`] they must hold all
    /// its start events before the end of the range, those before its beginning too. With [`Cohort::FirstOfEvent`] and
    /// [`Cohort::FirstEver`] selector 2 is what the first event is looked for among, before the range too.
    pub fn add_unit(&mut self, hits: &[Hit<V>]) {
        let range = self.shape.rows().range();
        let is_start = |hit: &Hit<V>| hit.matches_selector(START);
        let first = match self.cohort {
            Cohort::Recurring => return self.add_recurring(hits),
            Cohort::FirstTime => hits.iter().position(is_start),
            Cohort::FirstOfEvent | Cohort::FirstEver => {
                hits.iter().position(|hit| hit.matches_selector(FIRST)).filter(|at| is_start(&hits[*at]))
            }
            Cohort::FirstInRange => hits.iter().position(|hit| is_start(hit) && range.contains(hit.timestamp)),
        };
        if let Some(first) = first
            && let Some(row) = self.shape.rows().index_of(hits[first].timestamp)
        {
            self.follow(hits, first, row);
            self.count(row, hits[first].group);
        }
    }

    fn add_recurring(&mut self, hits: &[Hit<V>]) {
        if !self.shape.is_rolling() && !self.matches_groups {
            return self.add_activities(hits);
        }
        let starts = |(at, hit): (usize, &Hit<V>)| {
            let row = self.shape.rows().index_of(hit.timestamp).filter(|_| hit.matches_selector(START));
            row.map(|row| (row, at))
        };
        let starts: Vec<(usize, usize)> = hits.iter().enumerate().filter_map(starts).collect();
        for cohort in starts.chunk_by(|(a, _), (b, _)| a == b) {
            let (row, first) = cohort[0];
            if self.shape.is_rolling() {
                self.starts.clear();
                self.starts.extend(cohort.iter().map(|(_, at)| *at));
                self.follow_each(hits, row);
            } else {
                self.follow(hits, first, row);
            }
            self.count(row, hits[first].group);
        }
    }

    /// Notes the returns after the start event at `first`, by period.
    fn follow(&mut self, hits: &[Hit<V>], first: usize, row: usize) {
        let (start, last) = (hits[first], self.shape.last_period(row));
        self.seen.clear();
        for hit in &hits[first + 1..] {
            if !hit.matches_selector(RETURN) || self.matches_groups && hit.group != start.group {
                continue;
            }
            let period = self.shape.period(row, start.timestamp, hit.timestamp);
            let Some(period) = period.filter(|period| *period <= last) else { break };
            match self.seen.last_mut() {
                Some(seen) if seen.period == period => {
                    seen.returns += 1;
                    seen.total.add(hit.value.total());
                }
                _ => self.seen.push(Seen { period, returns: 1, total: hit.value.total() }),
            }
        }
    }

    /// Notes the returns after any of the start events, by the spans after each: a return counts once in a period.
    fn follow_each(&mut self, hits: &[Hit<V>], row: usize) {
        let (span_us, last) = (self.shape.span_us(), self.shape.last_period(row));
        let rounded: Vec<i64> = self.starts.iter().map(|at| self.shape.rounded(hits[*at].timestamp)).collect();
        self.seen.clear();
        let (Some(first), mut before) = (self.starts.first().copied(), 0) else { return };
        for (at, hit) in hits.iter().enumerate().skip(first + 1) {
            while self.starts.get(before).is_some_and(|start| *start < at) {
                before += 1;
            }
            if !hit.matches_selector(RETURN) || self.matches_groups && hit.group != hits[first].group {
                continue;
            }
            if hit.timestamp >= self.shape.until_us() {
                break;
            }
            let us = self.shape.rounded(hit.timestamp);
            let earlier = &rounded[..before];
            let since = |start: Option<&i64>| start.map_or(0, |start| (us - start) / span_us);
            // A bucket is hardly longer than a span: few periods are between those of its last and its first start.
            for period in since(earlier.last())..=since(earlier.first()) {
                let start = earlier.partition_point(|start| *start <= us - (period + 1) * span_us);
                let is_in = earlier.get(start).is_some_and(|start| *start <= us - period * span_us);
                let Some(period) = usize::try_from(period).ok().filter(|period| is_in && *period <= last) else {
                    continue;
                };
                let place = self.seen.iter().rposition(|seen| seen.period <= period).map_or(0, |at| at + 1);
                match place.checked_sub(1).and_then(|at| self.seen.get_mut(at)) {
                    Some(seen) if seen.period == period => {
                        seen.returns += 1;
                        seen.total.add(hit.value.total());
                    }
                    _ => self.seen.insert(place, Seen { period, returns: 1, total: hit.value.total() }),
                }
            }
        }
    }

    /// Every bucket with a start is a cohort; what was done in each bucket is added up once for all of them.
    fn add_activities(&mut self, hits: &[Hit<V>]) {
        self.collect_activities(hits);
        let activities = std::mem::take(&mut self.activities);
        for (index, activity) in activities.iter().enumerate() {
            let Some(group) = activity.started else { continue };
            let (row, last) = (activity.bucket, self.shape.last_period(activity.bucket));
            self.seen.clear();
            if activity.returns_after_start > 0 {
                let (returns, total) = (activity.returns_after_start, activity.total_after_start);
                self.seen.push(Seen { period: 0, returns, total });
            }
            let later = activities[index + 1..].iter().filter(|later| later.returns > 0);
            let later =
                later.map(|later| Seen { period: later.bucket - row, returns: later.returns, total: later.total });
            self.seen.extend(later.take_while(|seen| seen.period <= last));
            self.count(row, group);
        }
        self.activities = activities;
    }

    fn collect_activities(&mut self, hits: &[Hit<V>]) {
        self.activities.clear();
        let range = self.shape.rows().range();
        for hit in hits {
            let Some(bucket) = self.shape.period(0, range.from_us, hit.timestamp) else { continue };
            if self.activities.last().is_none_or(|last| last.bucket != bucket) {
                self.activities.push(Activity { bucket, ..Activity::default() });
            }
            let Some(activity) = self.activities.last_mut() else { continue };
            // The return is counted before the start is noted: an event is no return to itself.
            if hit.matches_selector(RETURN) {
                activity.returns += 1;
                activity.total.add(hit.value.total());
                if activity.started.is_some() {
                    activity.returns_after_start += 1;
                    activity.total_after_start.add(hit.value.total());
                }
            }
            if hit.matches_selector(START) && activity.started.is_none() && range.contains(hit.timestamp) {
                activity.started = Some(hit.group);
            }
        }
    }

    /// Counts a unit of a cohort by what it did since.
    fn count(&mut self, row: usize, group: u32) {
        if self.shape.has_brackets() {
            self.seen_by_column();
        }
        let (rows, columns) = (self.shape.rows().len(), self.shape.columns(row));
        let shows_size = self.shows_size();
        let cells = self.cohorts.add(group, row, 1, rows, columns);
        let watched = self.watched.filter(|(watched, ..)| *watched == row).map(|(_, column, _)| column);
        let before = watched.and_then(|column| cells.get(column)).map(|cell| cell.units);
        let enough = |seen: &Seen<V::Total>| seen.returns >= self.min_occurrences;
        match self.criterion {
            Criterion::On => {
                for seen in self.seen.iter().filter(|seen| enough(seen)) {
                    if let Some(cell) = cells.get_mut(seen.period) {
                        cell.add(1, seen.total);
                    }
                }
            }
            Criterion::OnOrAfter => count_on_or_after(&self.seen, cells, enough),
            Criterion::OnOrBefore | Criterion::Streak => {
                let zero = self.seen.first().filter(|seen| seen.period == 0);
                if let (Some(zero), Some(cell)) = (zero.filter(|seen| enough(seen)), cells.first_mut()) {
                    cell.add(1, zero.total);
                }
                let later = &self.seen[usize::from(zero.is_some())..];
                match self.criterion {
                    Criterion::Streak => count_streak(later, cells, enough),
                    _ => count_on_or_before(later, cells, enough),
                }
            }
        }
        let after = watched.and_then(|column| cells.get(column)).map(|cell| cell.units);
        if let (Some((_, column, counted)), true) = (&mut self.watched, watched.is_some()) {
            *counted |= before != after || *column == 0 && shows_size;
        }
    }

    /// Whether the first column shows the sizes of the cohorts.
    fn shows_size(&self) -> bool {
        self.period_zero == PeriodZero::CohortSize
            && self.measure == ReturnMeasure::Units
            && self.shape.shows_period_zero()
    }

    /// Puts what was done in the periods of a bracket together.
    fn seen_by_column(&mut self) {
        let mut kept: usize = 0;
        for at in 0..self.seen.len() {
            let seen = self.seen[at];
            let Some(column) = self.shape.column_of(seen.period) else { continue };
            match kept.checked_sub(1).and_then(|last| self.seen.get_mut(last)) {
                Some(last) if last.period == column => {
                    last.returns += seen.returns;
                    last.total.add(seen.total);
                }
                _ => {
                    self.seen[kept] = Seen { period: column, ..seen };
                    kept += 1;
                }
            }
        }
        self.seen.truncate(kept);
    }

    /// The cohorts so far: group, row, and the cell of each period.
    pub(crate) fn cohorts(&self) -> impl Iterator<Item = (u32, usize, &[Cell<V::Total>])> {
        self.cohorts.iter().map(|(cohort, cells)| (cohort.group, cohort.row, cells))
    }

    /// Adds `size` units of a group that began in a bucket, with the cells of its periods.
    pub(crate) fn add_cohort(
        &mut self,
        group: u32,
        row: usize,
        size: u64,
        periods: impl IntoIterator<Item = Cell<V::Total>>,
    ) {
        if size == 0 || row >= self.shape.rows().len() {
            return;
        }
        let columns = self.shape.columns(row);
        let cells = self.cohorts.add(group, row, size, self.shape.rows().len(), columns);
        for (cell, other) in cells.iter_mut().zip(periods) {
            cell.add(other.units, other.total);
        }
    }

    /// Adds another part of the same table, whose group *n* is the group `numbers[n]` here
    /// (as [`Groups::absorb`](crate::spec::Groups::absorb) says); without a breakdown `&[0]`.
    ///
    /// # Panics
    /// If a group of `other` has no number here.
    pub fn merge(&mut self, other: &Self, numbers: &[u32]) {
        for (cohort, cells) in other.cohorts.iter() {
            let number = *numbers.get(cohort.group as usize).expect("every group of the other part has a number here");
            self.add_cohort(number, cohort.row, cohort.size, cells.iter().copied());
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
        let mut places: HashMap<u32, usize, foldhash::fast::RandomState> = HashMap::default();
        let mut labels = Vec::new();
        match split {
            None => {
                places.extend(self.cohorts.iter().map(|(cohort, _)| (cohort.group, 0)));
                labels.push(None);
            }
            Some(split) => {
                let mut sizes: HashMap<u32, u64, foldhash::fast::RandomState> = HashMap::default();
                for (cohort, _) in self.cohorts.iter() {
                    *sizes.entry(cohort.group).or_default() += cohort.size;
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
        let rows = self.shape.rows().len();
        let empty = |row| (0, vec![Cell::default(); self.shape.columns(row)]);
        let mut tables: Vec<Vec<Counted<V::Total>>> = labels.iter().map(|_| (0..rows).map(empty).collect()).collect();
        for (cohort, cells) in self.cohorts.iter() {
            let (size, all) = &mut tables[places[&cohort.group]][cohort.row];
            *size += cohort.size;
            all.iter_mut().zip(cells).for_each(|(here, there)| here.add(there.units, there.total));
        }
        Ok(labels.into_iter().zip(tables).map(|(label, table)| self.group(label, table)).collect())
    }

    fn group(&self, label: Option<GroupLabel>, table: Vec<Counted<V::Total>>) -> RetentionGroup {
        let shows_size = self.shows_size();
        let rows: Vec<CohortRow> = table
            .into_iter()
            .zip(self.shape.rows().labels())
            .enumerate()
            .map(|(row, ((size, mut cells), bucket))| {
                if let Some(zero) = cells.first_mut().filter(|_| shows_size) {
                    zero.units = size;
                }
                CohortRow {
                    cohort: bucket.clone(),
                    size,
                    complete: (0..cells.len()).map(|column| self.shape.has_ended(row, column)).collect(),
                    values: cells.iter().map(|cell| V::measured(self.measure, cell.units, cell.total)).collect(),
                }
            })
            .collect();
        let columns = rows.first().map_or(0, |row| row.values.len());
        RetentionGroup { breakdown: label, average: Average::of(&rows, columns, self.measure), rows }
    }

    fn check_cells(&self, groups: usize) -> Result<(), SpecError> {
        let cells = self.shape.cells().saturating_mul(groups);
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

/// The size of a cohort and its cells.
type Counted<T> = (u64, Vec<Cell<T>>);

/// A cell has those who came back in its period or later, and all that they did from then on.
fn count_on_or_after<T: Total>(seen: &[Seen<T>], cells: &mut [Cell<T>], enough: impl Fn(&Seen<T>) -> bool) {
    let Some(last) = seen.iter().rposition(enough) else { return };
    let reached = seen[last].period.saturating_add(1).min(cells.len());
    let (mut left, mut total) = (seen.len(), T::default());
    for (period, cell) in cells[..reached].iter_mut().enumerate().rev() {
        while let Some(seen) = left.checked_sub(1).and_then(|at| seen.get(at)).filter(|seen| seen.period >= period) {
            total.add(seen.total);
            left -= 1;
        }
        cell.add(1, total);
    }
}

/// A cell has those who came back between period 1 and its own, and all that they did in those.
fn count_on_or_before<T: Total>(seen: &[Seen<T>], cells: &mut [Cell<T>], enough: impl Fn(&Seen<T>) -> bool) {
    let Some(first) = seen.iter().find(|seen| enough(seen)) else { return };
    let (mut left, mut total) = (seen.iter().peekable(), T::default());
    for (period, cell) in cells.iter_mut().enumerate().skip(first.period) {
        while let Some(seen) = left.next_if(|seen| seen.period <= period) {
            total.add(seen.total);
        }
        cell.add(1, total);
    }
}

/// A cell has those who came back in every period from 1 to its own, and all that they did in those.
fn count_streak<T: Total>(seen: &[Seen<T>], cells: &mut [Cell<T>], enough: impl Fn(&Seen<T>) -> bool) {
    let mut total = T::default();
    for ((period, cell), seen) in cells.iter_mut().enumerate().skip(1).zip(seen) {
        if seen.period != period || !enough(seen) {
            break;
        }
        total.add(seen.total);
        cell.add(1, total);
    }
}
