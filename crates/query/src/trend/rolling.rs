//! Different units over a window that slides from bucket to bucket.

use std::ops::Range;

use roaring::RoaringBitmap;

/// For each bucket in `range`, how many units there are in it and the `length - 1` buckets before it. `of` gives the units of a bucket; those before the first
/// are empty.
///
/// The window is kept as two stacks of unions, so that a step takes three unions however long it is: one of the buckets that have come since the stacks were
/// last turned over, and, for each bucket that goes out, that of the buckets from the one after it to the turn.
pub(crate) fn counts<'a>(range: &Range<usize>, length: usize, of: impl Fn(usize) -> &'a RoaringBitmap) -> Vec<u64> {
    let first = range.start.saturating_sub(length.saturating_sub(1));
    let mut counts = Vec::with_capacity(range.len());
    // The union of the buckets from each one to the turn; the last is that of the oldest.
    let mut old: Vec<RoaringBitmap> = Vec::new();
    let mut recent = RoaringBitmap::new();
    let mut turn = first;
    for bucket in first..range.end {
        recent |= of(bucket);
        let oldest = (bucket + 1).saturating_sub(length).max(first);
        if oldest >= turn && bucket + 1 >= first + length {
            // What leaves next is recent: it is turned over.
            old.clear();
            let mut union = RoaringBitmap::new();
            for at in (oldest..=bucket).rev() {
                union |= of(at);
                old.push(union.clone());
            }
            recent = RoaringBitmap::new();
            turn = bucket + 1;
        }
        if bucket >= range.start {
            let count = match old.last() {
                Some(old) => old.union_len(&recent),
                None => recent.len(),
            };
            counts.push(count);
        }
        // The oldest goes before the next one comes.
        if bucket + 1 >= first + length {
            old.pop();
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_has_the_units_of_its_buckets() {
        let sets: Vec<RoaringBitmap> =
            (0..40_u32).map(|at| (0..at * 7 % 5).map(|unit| (at * 3 + unit * 11) % 23).collect()).collect();
        for length in [1_usize, 2, 3, 7, 39, 40, 60] {
            for start in [0_usize, 1, 6, 39] {
                for end in [start, start + 1, 40] {
                    let range = start..end.max(start);
                    let expected: Vec<u64> = range
                        .clone()
                        .map(|bucket| {
                            let window = (bucket + 1).saturating_sub(length)..bucket + 1;
                            sets[window].iter().fold(RoaringBitmap::new(), |union, set| union | set).len()
                        })
                        .collect();
                    assert_eq!(counts(&range, length, |at| &sets[at]), expected, "{length} in {range:?}");
                }
            }
        }
    }
}
