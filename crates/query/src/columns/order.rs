//! The order of rows in a file: event, subject, timestamp, sequence; and where its row groups end.

use std::collections::BTreeMap;
use std::ops::Range;

use datafusion::arrow::array::{Array, PrimitiveArray};
use datafusion::arrow::datatypes::ArrowPrimitiveType;

use super::catalog::{EVENT_NAMES_MAX, Entry};
use super::cell::Slice;
use super::policy::FileSize;
use super::rollup::Rollup;

/// Most rows of a row group.
const ROW_GROUP_MAX_ROWS: usize = 262_144;
/// What the values of a row group take in memory at most, on average: a query may hold a column of one as a whole.
const ROW_GROUP_MAX_BYTES: u64 = 128 << 20;
/// A row group of at least so many rows, or of a quarter of the most where events are large, ends where the next event begins, so that a query for one event reads few rows of others.
const ROW_GROUP_MIN_ROWS: usize = 65_536;

/// Rows of several slices in the order of a file.
#[derive(Debug)]
pub(crate) struct Order {
    /// Slice and row, for each row of the file.
    pub(crate) rows: Vec<(usize, usize)>,
    /// The events in their order, and how many rows each has.
    pub(crate) events: Vec<(String, usize)>,
    /// What the catalog says of the file, its size aside.
    pub(crate) entry: Entry,
}

impl Order {
    /// Sorts the rows of `slices`; `None` when there are none.
    pub(crate) fn of(slices: &[Slice]) -> Option<Self> {
        let count: usize = slices.iter().map(|slice| slice.rows.len()).sum();
        // How many rows an event has, and then its rank.
        let mut ranks: BTreeMap<&str, usize> = BTreeMap::new();
        for slice in slices {
            let mut rows = vec![0; slice.chunk.event_names.len()];
            for event in slice.chunk.events.values().get(slice.rows.clone())? {
                *rows.get_mut(*event as usize)? += 1;
            }
            for (name, rows) in slice.chunk.event_names.iter().zip(rows).filter(|(_, rows)| *rows > 0) {
                *ranks.entry(name).or_default() += rows;
            }
        }
        // The rows of each event, whose keys then tell only them apart: half the bytes to move, and less to sort.
        let mut events: Vec<Vec<u128>> = ranks.values().map(|rows| Vec::with_capacity(*rows)).collect();
        for (rank, place) in (0..).zip(ranks.values_mut()) {
            *place = rank;
        }
        let mut place = 0_u32;
        for slice in slices {
            // Names of rows past the end of the slice have no rank, and no row here.
            let by_number: Vec<usize> =
                slice.chunk.event_names.iter().map(|name| ranks.get(name.as_ref()).copied().unwrap_or(0)).collect();
            let chunk = &slice.chunk;
            let columns = chunk.events.values().iter().zip(chunk.subjects.values()).zip(chunk.timestamps.values());
            for ((event, subject), timestamp) in columns.skip(slice.rows.start).take(slice.rows.len()) {
                let rank = by_number.get(*event as usize).copied().unwrap_or(0);
                events.get_mut(rank)?.push(key(*subject, *timestamp, place));
                place = place.checked_add(1).expect("invariant: a file has fewer rows than 2^32");
            }
        }
        events.iter_mut().for_each(|keys| keys.sort_unstable());
        let starts: Vec<usize> = slices
            .iter()
            .scan(0, |start, slice| {
                let own = *start;
                *start += slice.rows.len();
                Some(own)
            })
            .collect();
        let mut rows = Vec::with_capacity(count);
        rows.extend(events.iter().flatten().map(|key| {
            let place = place_of(*key) as usize;
            let slice = starts.partition_point(|start| *start <= place) - 1;
            (slice, place - starts[slice] + slices[slice].rows.start)
        }));
        let sequences = bounds(slices, |slice| &slice.chunk.sequences)?;
        let subjects = bounds(slices, |slice| &slice.chunk.subjects)?;
        let timestamps = bounds(slices, |slice| &slice.chunk.timestamps)?;
        let counts = events.iter().map(Vec::len);
        let events: Vec<(String, usize)> = ranks.into_keys().map(str::to_owned).zip(counts).collect();
        let entry = Entry {
            rows: count as u64,
            bytes: 0,
            decoded_bytes: 0,
            rollup_bytes: 0,
            first_sequence: sequences.0,
            last_sequence: sequences.1,
            first_subject: subjects.0,
            last_subject: subjects.1,
            min_timestamp: timestamps.0,
            max_timestamp: timestamps.1,
            events: (events.len() <= EVENT_NAMES_MAX).then(|| events.iter().map(|(name, _)| name.clone()).collect()),
            cubes: Vec::new(),
        };
        Some(Self { rows, events, entry })
    }

    /// The rollup of the rows.
    pub(crate) fn rollup(&self, slices: &[Slice]) -> Rollup {
        let columns: Vec<(&[u32], &[i64])> = slices
            .iter()
            .map(|slice| (slice.chunk.subjects.values().as_ref(), slice.chunk.timestamps.values().as_ref()))
            .collect();
        let rows = self.rows.iter().map(|(slice, row)| (columns[*slice].0[*row], columns[*slice].1[*row]));
        Rollup::of(self.events.iter().map(|(name, rows)| (name.as_str(), *rows)), rows)
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

/// What sorts the rows of one event. The place among all rows stands for the sequence: slices come in its order.
fn key(subject: u32, timestamp: i64, place: u32) -> u128 {
    // The sign bit flipped, an instant before 1970 sorts before one after it.
    let timestamp = timestamp.cast_unsigned() ^ (1 << 63);
    u128::from(subject) << 96 | u128::from(timestamp) << 32 | u128::from(place)
}

fn place_of(key: u128) -> u32 {
    (key & u128::from(u32::MAX)) as u32
}

/// `events` says how many rows each event has, in the order of the file.
pub(crate) fn row_groups(events: &[(String, usize)], size: FileSize) -> Vec<Range<usize>> {
    let most = size.rows_within(ROW_GROUP_MAX_BYTES, ROW_GROUP_MAX_ROWS);
    let least = ROW_GROUP_MIN_ROWS.min(most / 4);
    let mut groups = Vec::new();
    let (mut start, mut at) = (0, 0);
    for (_, rows) in events {
        if at - start >= least {
            groups.push(start..at);
            start = at;
        }
        at += rows;
        while at - start > most {
            groups.push(start..start + most);
            start += most;
        }
    }
    groups.push(start..at);
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_groups_end_where_they_are_full_or_the_next_event_begins() {
        const MIN: usize = ROW_GROUP_MIN_ROWS;
        const MAX: usize = ROW_GROUP_MAX_ROWS;
        for (events, ends) in [
            (vec![1], vec![1]),
            (vec![MIN, 1], vec![MIN, MIN + 1]),
            (vec![MIN - 1, 1, 1], vec![MIN, MIN + 1]),
            (vec![MIN - 1, 1], vec![MIN]),
            (vec![MAX], vec![MAX]),
            (vec![MAX, 1], vec![MAX, MAX + 1]),
            (vec![1, MAX, 1], vec![MAX, MAX + 2]),
            (vec![2 * MAX + MIN, 1], vec![MAX, 2 * MAX, 2 * MAX + MIN, 2 * MAX + MIN + 1]),
        ] {
            let named: Vec<_> = events.iter().map(|rows| (String::new(), *rows)).collect();
            let groups = row_groups(&named, FileSize::default());
            assert_eq!(groups.iter().map(|group| group.end).collect::<Vec<_>>(), ends, "{events:?}");
            assert!(groups.windows(2).all(|pair| pair[0].end == pair[1].start) && groups[0].start == 0);
        }
    }

    #[test]
    fn row_groups_of_large_events_have_fewer_rows() {
        let size = FileSize { rows: 1_000, decoded_bytes: 1_000 << 20 };
        let groups = row_groups(&[("a".to_owned(), 300), ("b".to_owned(), 100), ("c".to_owned(), 600)], size);
        let ends: Vec<usize> = groups.iter().map(|group| group.end).collect();
        assert_eq!(ends, [128, 256, 300, 400, 528, 656, 784, 912, 1_000]);
        assert!(groups.windows(2).all(|pair| pair[0].end == pair[1].start));
    }

    #[test]
    fn keys_are_in_the_order_of_subject_then_timestamp_then_place() {
        let parts = [(0, -1, 9), (0, 0, 8), (0, 0, 10), (0, i64::MAX, 0), (1, i64::MIN, 1), (u32::MAX, 0, u32::MAX)];
        let keys = parts.map(|(subject, timestamp, place)| key(subject, timestamp, place));
        assert!(keys.is_sorted());
        assert_eq!(keys.map(place_of), parts.map(|(_, _, place)| place));
    }
}
