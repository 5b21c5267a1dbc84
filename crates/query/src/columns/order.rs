//! The order of rows in a file: event, subject, timestamp, sequence; and where its row groups end.

use std::collections::BTreeMap;
use std::ops::Range;

use datafusion::arrow::array::{Array, PrimitiveArray};
use datafusion::arrow::datatypes::ArrowPrimitiveType;

use super::catalog::{EVENT_NAMES_MAX, Entry};
use super::cell::Slice;

/// Most rows of a row group.
const ROW_GROUP_MAX_ROWS: usize = 262_144;
/// A row group of at least so many rows ends where the next event begins, so that a query for one event reads few rows of others.
const ROW_GROUP_MIN_ROWS: usize = 65_536;

/// Rows of several slices in the order of a file.
#[derive(Debug)]
pub(crate) struct Order {
    /// Slice and row, for each row of the file.
    pub(crate) rows: Vec<(usize, usize)>,
    /// Ranges of `rows`, without gaps.
    pub(crate) row_groups: Vec<Range<usize>>,
    /// What the catalog says of the file, its size aside.
    pub(crate) entry: Entry,
}

impl Order {
    /// Sorts the rows of `slices`; `None` when there are none.
    pub(crate) fn of(slices: &[Slice]) -> Option<Self> {
        let count: usize = slices.iter().map(|slice| slice.rows.len()).sum();
        let mut ranks: BTreeMap<&str, u32> = BTreeMap::new();
        for slice in slices {
            let mut seen = vec![false; slice.chunk.event_names.len()];
            for event in slice.chunk.events.values().get(slice.rows.clone())? {
                *seen.get_mut(*event as usize)? = true;
            }
            let names = slice.chunk.event_names.iter().zip(seen);
            ranks.extend(names.filter(|(_, seen)| *seen).map(|(name, _)| (name.as_ref(), 0)));
        }
        for (rank, place) in (0..).zip(ranks.values_mut()) {
            *place = rank;
        }
        let mut keys: Vec<(u128, u32)> = Vec::with_capacity(count);
        for slice in slices {
            // Names of rows past the end of the slice have no rank, and no row here.
            let by_number: Vec<u32> =
                slice.chunk.event_names.iter().map(|name| ranks.get(name.as_ref()).copied().unwrap_or(0)).collect();
            let chunk = &slice.chunk;
            let columns = chunk.events.values().iter().zip(chunk.subjects.values()).zip(chunk.timestamps.values());
            for ((event, subject), timestamp) in columns.skip(slice.rows.start).take(slice.rows.len()) {
                let rank = by_number.get(*event as usize).copied().unwrap_or(0);
                // The sign bit flipped, an instant before 1970 sorts before one after it.
                let timestamp = timestamp.cast_unsigned() ^ (1 << 63);
                let key = u128::from(rank) << 96 | u128::from(*subject) << 64 | u128::from(timestamp);
                keys.push((key, u32::try_from(keys.len()).expect("invariant: a file has fewer rows than 2^32")));
            }
        }
        // Slices come in order of sequence, so the place among all rows stands for the sequence.
        keys.sort_unstable();
        let row_groups = row_groups(&keys);
        let starts: Vec<usize> = slices
            .iter()
            .scan(0, |start, slice| {
                let own = *start;
                *start += slice.rows.len();
                Some(own)
            })
            .collect();
        let rows = keys
            .iter()
            .map(|(_, place)| {
                let place = *place as usize;
                let slice = starts.partition_point(|start| *start <= place) - 1;
                (slice, place - starts[slice] + slices[slice].rows.start)
            })
            .collect();
        let sequences = bounds(slices, |slice| &slice.chunk.sequences)?;
        let subjects = bounds(slices, |slice| &slice.chunk.subjects)?;
        let timestamps = bounds(slices, |slice| &slice.chunk.timestamps)?;
        let entry = Entry {
            rows: count as u64,
            bytes: 0,
            first_sequence: sequences.0,
            last_sequence: sequences.1,
            first_subject: subjects.0,
            last_subject: subjects.1,
            min_timestamp: timestamps.0,
            max_timestamp: timestamps.1,
            events: (ranks.len() <= EVENT_NAMES_MAX).then(|| ranks.into_keys().map(str::to_owned).collect()),
        };
        Some(Self { rows, row_groups, entry })
    }
}

fn bounds<'a, T: ArrowPrimitiveType>(
    slices: &'a [Slice],
    column: impl Fn(&'a Slice) -> &'a PrimitiveArray<T>,
) -> Option<(T::Native, T::Native)>
where
    T::Native: Ord,
{
    let values = || {
        slices.iter().flat_map(|slice| {
            let column = column(slice);
            debug_assert_eq!(column.null_count(), 0);
            column.values().iter().skip(slice.rows.start).take(slice.rows.len()).copied()
        })
    };
    Some((values().min()?, values().max()?))
}

fn row_groups(keys: &[(u128, u32)]) -> Vec<Range<usize>> {
    let mut groups = Vec::new();
    let mut start = 0;
    for (at, pair) in (1..).zip(keys.windows(2)) {
        let [(before, _), (after, _)] = pair else { continue };
        let next_event = before >> 96 != after >> 96;
        let rows = at - start;
        if rows >= ROW_GROUP_MAX_ROWS || (next_event && rows >= ROW_GROUP_MIN_ROWS) {
            groups.push(start..at);
            start = at;
        }
    }
    groups.push(start..keys.len());
    groups
}
