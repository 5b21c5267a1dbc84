//! Rows of few subjects in order of time: of many rows only the first, or the last, are read.

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{TimestampMicrosecondType, UInt64Type};

use super::few::{Found, Whole};
use super::part::{Local, Source};
use crate::columns::system;
use crate::error::Result;

/// In which direction of (timestamp, sequence) rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

/// A row, and where it stands in the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Placed {
    timestamp: i64,
    sequence: u64,
    found: u32,
    row: u32,
}

impl Placed {
    /// The same, of the [`Found`] at a place in a list of them.
    pub(crate) fn of(self, found: usize) -> Self {
        Self { found: found as u32, ..self }
    }

    /// The place in the list.
    pub(crate) fn found(self) -> usize {
        self.found as usize
    }

    /// The row within its group.
    pub(crate) fn row(self) -> usize {
        self.row as usize
    }
}

impl Found {
    /// Leaves of each range, which is in order, those that may be among the first `most` in this direction.
    pub(crate) fn cut(&mut self, direction: Direction, most: usize) {
        for rows in &mut self.rows {
            match direction {
                Direction::Ascending => rows.end = rows.end.min(rows.start.saturating_add(most)),
                Direction::Descending => rows.start = rows.start.max(rows.end.saturating_sub(most)),
            }
        }
    }
}

impl Local {
    /// Where the rows that were found stand.
    pub(crate) fn placed(&self, source: &Source, found: &Found, whole: &Whole) -> Result<Vec<Placed>> {
        let columns = self.read_found(source, found, &[system::TIMESTAMP.0, system::SEQUENCE.0], whole)?;
        let timestamps = columns[0].as_primitive::<TimestampMicrosecondType>().values();
        let sequences = columns[1].as_primitive::<UInt64Type>().values();
        let rows = found.rows.iter().cloned().flatten();
        let placed = rows.zip(timestamps.iter().zip(sequences)).map(|(row, (timestamp, sequence))| Placed {
            timestamp: *timestamp,
            sequence: *sequence,
            found: 0,
            row: row as u32,
        });
        Ok(placed.collect())
    }
}

/// The first `most` in this direction, in order.
pub(crate) fn first(mut placed: Vec<Placed>, direction: Direction, most: Option<usize>) -> Vec<Placed> {
    let compare = |a: &Placed, b: &Placed| match direction {
        Direction::Ascending => a.cmp(b),
        Direction::Descending => b.cmp(a),
    };
    if let Some(most) = most.filter(|most| *most < placed.len()) {
        if most > 0 {
            placed.select_nth_unstable_by(most - 1, compare);
        }
        placed.truncate(most);
    }
    placed.sort_unstable_by(compare);
    placed
}
