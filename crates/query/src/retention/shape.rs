//! The rows and columns of a table, and the time that they are about.

use std::sync::Arc;

use super::{Criterion, PeriodClock, Retention, Returns, RoundTo};
use crate::{
    calendar::{Buckets, Interval},
    spec::SpecError,
};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;

/// The periods of one column.
#[derive(Debug, Clone, Copy)]
struct Column {
    first: usize,
    /// The one after the last; none where it never ends.
    end: Option<usize>,
}

/// What a table looks like, whoever is in it.
#[derive(Debug)]
pub(super) struct Shape {
    /// The cohorts.
    rows: Arc<Buckets>,
    /// Those buckets, and those in which returns are read besides.
    reach: Arc<Buckets>,
    columns: Vec<Column>,
    clock: PeriodClock,
    span_us: i64,
    rounds: bool,
    /// Returns from this instant on are not read.
    until_us: i64,
    /// Everything before this instant is known.
    seen_us: i64,
    /// Whether periods after the last column matter.
    looks_on: bool,
    brackets: bool,
}

/// The length of a period of the rolling clock, and the longest of a calendar bucket with a change of the clock in it.
fn spans_us(interval: Interval) -> (i64, i64) {
    match interval {
        Interval::Hour => (HOUR_US, 2 * HOUR_US),
        Interval::Week => (7 * DAY_US, 8 * DAY_US),
        Interval::Month => (30 * DAY_US, 32 * DAY_US),
        _ => (DAY_US, 2 * DAY_US),
    }
}

impl Shape {
    pub(super) fn new(retention: &Retention, rows: Arc<Buckets>, now_us: i64) -> Result<Self, SpecError> {
        let range = rows.range();
        let (span_us, longest_us) = spans_us(retention.interval);
        let looks_on = retention.criterion == Criterion::OnOrAfter || !retention.brackets.is_empty();
        let (reach, seen_us) = match retention.returns {
            Returns::InRange => (Arc::clone(&rows), range.to_us.min(now_us)),
            Returns::Open => {
                let last = match retention.periods {
                    // Nothing later than the last column of the last row is asked for.
                    Some(periods) if !looks_on => {
                        let periods = i64::try_from(periods).unwrap_or(i64::MAX).saturating_add(2);
                        range.to_us.saturating_add(periods.saturating_mul(longest_us))
                    }
                    _ => i64::MAX,
                };
                (Arc::new(rows.extended(range.to_us.max(now_us).min(last))?), now_us)
            }
        };
        let columns: Vec<Column> = match retention.brackets.as_slice() {
            [] => {
                let periods = retention.periods.unwrap_or(usize::MAX).min(reach.len());
                (0..periods).map(|first| Column { first, end: Some(first + 1) }).collect()
            }
            starts => {
                let ends = starts.iter().skip(1).map(|end| Some(*end)).chain([None]);
                let columns = starts.iter().zip(ends).map(|(first, end)| Column { first: *first, end });
                columns.take_while(|column| column.first < reach.len()).collect()
            }
        };
        Ok(Self {
            columns,
            clock: retention.clock,
            span_us,
            rounds: retention.round_to == Some(RoundTo::Hour),
            until_us: reach.range().to_us,
            seen_us,
            looks_on,
            brackets: !retention.brackets.is_empty(),
            rows,
            reach,
        })
    }

    pub(super) fn rows(&self) -> &Buckets {
        &self.rows
    }

    pub(super) fn until_us(&self) -> i64 {
        self.until_us
    }

    pub(super) fn has_brackets(&self) -> bool {
        self.brackets
    }

    pub(super) fn is_rolling(&self) -> bool {
        self.clock == PeriodClock::Rolling
    }

    pub(super) fn span_us(&self) -> i64 {
        self.span_us
    }

    /// The labels of the columns: `0`, or `1-2`, or `7+`.
    pub(super) fn labels(&self) -> Vec<String> {
        let label = |column: &Column| match column.end {
            Some(end) if end == column.first + 1 => column.first.to_string(),
            Some(end) => format!("{}-{}", column.first, end - 1),
            None => format!("{}+", column.first),
        };
        self.columns.iter().map(label).collect()
    }

    /// How many columns a row has.
    pub(super) fn columns(&self, row: usize) -> usize {
        let periods = self.reach.len() - row;
        match self.brackets {
            true => self.columns.partition_point(|column| column.first < periods),
            false => self.columns.len().min(periods),
        }
    }

    /// How many cells a group has.
    pub(super) fn cells(&self) -> usize {
        (0..self.rows.len()).fold(0, |cells, row| cells.saturating_add(self.columns(row)))
    }

    /// Whether the first column begins with period 0.
    pub(super) fn shows_period_zero(&self) -> bool {
        self.columns.first().is_some_and(|column| column.first == 0)
    }

    /// The column of a period, if it has one.
    pub(super) fn column_of(&self, period: usize) -> Option<usize> {
        let next = self.columns.partition_point(|column| column.first <= period);
        let at = next.checked_sub(1)?;
        self.columns[at].end.is_none_or(|end| period < end).then_some(at)
    }

    /// The last period that matters to a row.
    pub(super) fn last_period(&self, row: usize) -> usize {
        if self.looks_on { usize::MAX } else { self.columns(row).saturating_sub(1) }
    }

    /// An instant as the rolling clock takes it.
    pub(super) fn rounded(&self, us: i64) -> i64 {
        if self.rounds { us.div_euclid(HOUR_US) * HOUR_US } else { us }
    }

    /// The period of a return; `None` for one that is not read.
    pub(super) fn period(&self, row: usize, start_us: i64, return_us: i64) -> Option<usize> {
        if return_us >= self.until_us {
            return None;
        }
        match self.clock {
            PeriodClock::Calendar => self.reach.index_of(return_us)?.checked_sub(row),
            PeriodClock::Rolling => {
                usize::try_from((self.rounded(return_us) - self.rounded(start_us)) / self.span_us).ok()
            }
        }
    }

    /// Whether everything that a cell can hold has been seen, also for the last start that the cohort can have. What has no end is judged by its first period.
    pub(super) fn has_ended(&self, row: usize, column: usize) -> bool {
        let (Some(column), Some(cohort)) = (self.columns.get(column), self.rows.extent(row)) else { return false };
        let last = column.end.map_or(column.first, |end| end - 1);
        let ended_us = match self.clock {
            PeriodClock::Calendar => self.reach.extent(row.saturating_add(last)).map(|extent| extent.to_us),
            PeriodClock::Rolling => {
                let start_us = self.rounded(cohort.to_us.min(self.rows.range().to_us) - 1);
                let periods = i64::try_from(last).unwrap_or(i64::MAX).saturating_add(1);
                Some(start_us.saturating_add(periods.saturating_mul(self.span_us)))
            }
        };
        ended_us.is_some_and(|ended_us| ended_us <= self.seen_us)
    }
}
