//! Rows of few subjects: found by the order of the parts, and read from what is kept or, page by page, from the files.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::arrow::array::{ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::datatypes::UInt32Type;

use super::part::{Local, Source};
use crate::columns::system;
use crate::error::Result;

/// How many columns of row groups a question about few subjects decodes whole, for those who come after it.
const WHOLE_COLUMNS: usize = 64;

/// Rows of one row group, or of a piece of the tail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) group: usize,
    /// Ascending, counted within the group.
    pub(crate) rows: Vec<Range<usize>>,
}

impl Found {
    /// How many rows.
    pub(crate) fn count(&self) -> usize {
        self.rows.iter().map(ExactSizeIterator::len).sum()
    }
}

/// How many columns a question may still decode whole.
#[derive(Debug)]
pub(crate) struct Whole(AtomicUsize);

impl Default for Whole {
    fn default() -> Self {
        Self(AtomicUsize::new(WHOLE_COLUMNS))
    }
}

impl Whole {
    fn take(&self) -> bool {
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
    }
}

impl Local {
    /// Whether the column of subjects can be kept: without it nobody is found without reading it again.
    pub(crate) fn keeps_subjects(&self) -> bool {
        let rows: u64 = self.snapshot.columns.files().iter().map(|file| file.rows).sum();
        rows.saturating_mul(size_of::<u32>() as u64) <= self.cache_limit() as u64 / 2
    }

    /// The rows of `source` about `subjects`, which are ascending, of one of `events` where they are told.
    pub(crate) fn find(&self, source: &Source, subjects: &[u32], events: Option<&[String]>) -> Result<Vec<Found>> {
        let mut found: Vec<Found> = Vec::new();
        let groups = self.groups(source)?;
        for (name, rows) in self.events(source)?.iter() {
            if events.is_some_and(|events| !events.iter().any(|event| event.as_str() == name.as_ref())) {
                continue;
            }
            let first = groups.partition_point(|group| group.end <= rows.start);
            for (group, in_source) in groups.iter().enumerate().skip(first) {
                let (start, end) = (rows.start.max(in_source.start), rows.end.min(in_source.end));
                if start >= end {
                    break;
                }
                let (start, end) = (start - in_source.start, end - in_source.start);
                let column = self.column(source, group, system::SUBJECT.0)?;
                let array = column.slice(start, end - start, self.kind(system::SUBJECT.0))?;
                let own = array.as_primitive::<UInt32Type>().values();
                for subject in subjects {
                    let first = own.partition_point(|other| other < subject);
                    let count = own[first..].partition_point(|other| other == subject);
                    if count == 0 {
                        continue;
                    }
                    let rows = start + first..start + first + count;
                    match found.last_mut() {
                        Some(last) if last.group == group => last.rows.push(rows),
                        _ => found.push(Found { group, rows: vec![rows] }),
                    }
                }
            }
        }
        Ok(found)
    }

    /// The columns at `places` of the rows that were found.
    pub(crate) fn read_found(
        &self,
        source: &Source,
        found: &Found,
        places: &[usize],
        whole: &Whole,
    ) -> Result<Vec<ArrayRef>> {
        let rows = found.rows.iter().cloned().flatten().map(|row| row as u32);
        let rows = UInt32Array::from_iter_values(rows);
        let mut columns: Vec<Option<ArrayRef>> = Vec::with_capacity(places.len());
        let mut by_page: Vec<usize> = Vec::new();
        for place in places {
            let is_kept = self.is_at_hand(source, found.group, *place)?;
            columns.push(if is_kept || self.finds_room(source, found.group, *place)? && whole.take() {
                Some(self.column(source, found.group, *place)?.take(&rows, self.kind(*place))?)
            } else {
                by_page.push(*place);
                None
            });
        }
        let mut read = self.read_rows(source, found.group, &by_page, &found.rows)?.into_iter();
        let columns = columns.into_iter().map(|column| column.or_else(|| read.next()));
        Ok(columns.collect::<Option<_>>().expect("invariant: every column is kept or read"))
    }
}
