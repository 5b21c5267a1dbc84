//! Which columnar files become one.

use std::fmt;
use std::ops::Range;

/// Decides which neighbours among columnar files are merged into one.
pub trait MergePolicy: fmt::Debug + Send + Sync {
    /// A range of `rows`, the sizes of the files in the order of their sequences, that is to become one file; `None` when all is as it should be.
    ///
    /// It holds at least two files. Merging what it says again and again comes to an end.
    fn pick(&self, rows: &[u64]) -> Option<Range<usize>>;
}

/// Merges neighbours of about one size, so that every row is written again only when the file it is in at least doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeTiered {
    /// No merge makes a file of more rows.
    pub target_rows: u64,
    /// At least so many files are merged at once, fewer only where they make a file of more than half of the target.
    pub files_min: usize,
}

impl Default for SizeTiered {
    /// Four files or more, up to 4 Mi rows (4,194,304).
    fn default() -> Self {
        Self { target_rows: 4 << 20, files_min: 4 }
    }
}

impl MergePolicy for SizeTiered {
    fn pick(&self, rows: &[u64]) -> Option<Range<usize>> {
        let files_min = self.files_min.max(2);
        let mut best: Option<(u64, Range<usize>)> = None;
        for start in 0..rows.len() {
            let (mut sum, mut largest) = (0_u64, 0);
            for (at, own) in rows.iter().enumerate().skip(start) {
                sum = sum.saturating_add(*own);
                largest = largest.max(*own);
                if sum > self.target_rows {
                    break;
                }
                let picked = start..at + 1;
                let doubles = largest <= sum / 2;
                let is_last = picked.len() >= 2 && sum > self.target_rows / 2;
                // The least work for each file that goes.
                let is_better = best.as_ref().is_none_or(|(before, range)| {
                    u128::from(sum) * (range.len() as u128 - 1) <= u128::from(*before) * (picked.len() as u128 - 1)
                });
                if (picked.len() >= files_min || is_last) && doubles && is_better {
                    best = Some((sum, picked));
                }
            }
        }
        best.map(|(_, range)| range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: SizeTiered = SizeTiered { target_rows: 400, files_min: 4 };

    #[test]
    fn neighbours_of_one_size_are_merged_up_to_the_target() {
        for (rows, picked) in [
            (vec![], None),
            (vec![100, 100], None),
            (vec![200, 200], Some(0..2)),
            (vec![100, 100, 100], Some(0..3)),
            (vec![50, 50, 50], None),
            (vec![100, 100, 100, 100], Some(0..4)),
            (vec![400, 100, 100, 100, 100], Some(1..5)),
            (vec![201, 100, 100], None),
            (vec![101, 100, 100, 100], Some(1..4)),
            (vec![390, 1, 1, 1], None),
            (vec![390, 1, 1, 1, 1], Some(1..5)),
            (vec![100, 100, 1, 1, 1, 1], Some(2..6)),
        ] {
            assert_eq!(POLICY.pick(&rows), picked, "{rows:?}");
        }
    }

    #[test]
    fn flush_after_flush_leaves_few_files_and_writes_each_row_a_few_times() {
        for size in [1_u64, 7, 50, 100] {
            let (mut files, mut written) = (Vec::new(), 0);
            let flushes = 40_000 / size;
            for _ in 0..flushes {
                files.push(size);
                while let Some(range) = POLICY.pick(&files) {
                    let sum = files[range.clone()].iter().sum();
                    written += sum;
                    files.splice(range, [sum]);
                }
            }
            assert!(files.len() < 140, "{} files of {size}", files.len());
            assert!(written <= 9 * size * flushes, "{written} rows written for {}", size * flushes);
        }
    }
}
