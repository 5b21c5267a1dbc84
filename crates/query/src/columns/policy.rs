//! Which columnar files become one.

use std::fmt;
use std::ops::Range;

/// Bytes of values that are decoded at once, on average.
const BYTES_AT_ONCE: u64 = 16 << 20;
/// So many rows are taken together however large they are.
const FEW_ROWS: usize = 16;

/// How large a columnar file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FileSize {
    /// Its events.
    pub rows: u64,
    /// What the values of its events take in memory, in bytes; NULL takes none.
    pub decoded_bytes: u64,
}

impl FileSize {
    /// That of a file of the rows of both.
    pub fn and(self, other: Self) -> Self {
        Self {
            rows: self.rows.saturating_add(other.rows),
            decoded_bytes: self.decoded_bytes.saturating_add(other.decoded_bytes),
        }
    }

    /// How many rows to decode at once, `most` where they are small.
    pub(crate) fn rows_at_once(self, most: usize) -> usize {
        self.rows_within(BYTES_AT_ONCE, most)
    }

    /// How many rows take `bytes` on average, at least a few and at most `most`; `most` where all rows together take no more.
    pub(super) fn rows_within(self, bytes: u64, most: usize) -> usize {
        if self.decoded_bytes <= bytes {
            return most;
        }
        let rows = u128::from(self.rows) * u128::from(bytes) / u128::from(self.decoded_bytes);
        usize::try_from(rows).unwrap_or(most).clamp(FEW_ROWS.min(most), most)
    }
}

/// Decides which neighbours among columnar files are merged into one.
pub trait MergePolicy: fmt::Debug + Send + Sync {
    /// A range of `files`, in the order of their sequences, that is to become one file; `None` when all is as it should be.
    ///
    /// It holds at least two files. Merging what it says again and again comes to an end.
    fn pick(&self, files: &[FileSize]) -> Option<Range<usize>>;
}

/// Merges neighbours of about one size, so that every row is written again only when the file it is in at least doubles, and what its
/// values take grows by half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeTiered {
    /// No merge makes a file of more rows.
    pub target_rows: u64,
    /// No merge makes a file whose values take more bytes in memory: a merge may hold as much of what it writes.
    pub target_decoded_bytes: u64,
    /// At least so many files are merged at once, fewer only where they make a file of more than half of a target.
    pub files_min: usize,
}

impl Default for SizeTiered {
    /// Four files or more, up to 4 Mi rows (4,194,304) or 1 GiB.
    fn default() -> Self {
        Self { target_rows: 4 << 20, target_decoded_bytes: 1 << 30, files_min: 4 }
    }
}

impl MergePolicy for SizeTiered {
    fn pick(&self, files: &[FileSize]) -> Option<Range<usize>> {
        let files_min = self.files_min.max(2);
        let exceeds = |size: FileSize, part: u64| {
            size.rows > self.target_rows / part || size.decoded_bytes > self.target_decoded_bytes / part
        };
        let mut best: Option<(u64, Range<usize>)> = None;
        for start in 0..files.len() {
            let (mut size, mut largest) = (FileSize::default(), FileSize::default());
            for (at, own) in files.iter().enumerate().skip(start) {
                size = size.and(*own);
                largest.rows = largest.rows.max(own.rows);
                largest.decoded_bytes = largest.decoded_bytes.max(own.decoded_bytes);
                if exceeds(size, 1) {
                    break;
                }
                let sum = size.decoded_bytes;
                let picked = start..at + 1;
                // Files of as many rows have nearly as many bytes, and not just as many.
                let doubles = largest.rows <= size.rows / 2 && largest.decoded_bytes <= size.decoded_bytes / 3 * 2;
                let is_last = picked.len() >= 2 && exceeds(size, 2);
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

    const POLICY: SizeTiered = SizeTiered { target_rows: 400, target_decoded_bytes: 8_000, files_min: 4 };

    /// Files of so many rows of ten bytes.
    fn files(rows: &[u64]) -> Vec<FileSize> {
        rows.iter().map(|rows| FileSize { rows: *rows, decoded_bytes: rows * 10 }).collect()
    }

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
            assert_eq!(POLICY.pick(&files(&rows)), picked, "{rows:?}");
        }
    }

    #[test]
    fn fewer_rows_are_decoded_at_once_where_they_are_large() {
        for (rows, decoded_bytes, expected) in [
            (0, 0, 8_192),
            (1 << 20, 200 << 20, 8_192),
            (10_000, 10_000 * (16 << 10), 1_024),
            (3, 3 << 20, 8_192),
            (1_000, 1_000 << 20, 16),
            (10, u64::MAX, 16),
            (u64::MAX, 1, 8_192),
        ] {
            assert_eq!(FileSize { rows, decoded_bytes }.rows_at_once(8_192), expected, "{rows} {decoded_bytes}");
        }
    }

    #[test]
    fn files_of_large_rows_are_merged_up_to_the_target_in_bytes() {
        let rows = |bytes: &[u64]| -> Vec<FileSize> {
            bytes.iter().map(|bytes| FileSize { rows: 10, decoded_bytes: *bytes }).collect()
        };
        for (bytes, picked) in [
            (vec![4_000, 4_000], Some(0..2)),
            (vec![4_000, 4_001], None),
            (vec![9_000, 9_000, 9_000, 9_000], None),
            (vec![9_000, 1_000, 1_000, 1_000, 1_000], Some(1..5)),
            (vec![4_000, 500], None),
            (vec![2_000, 2_000, 2_000, 2_000, 2_000], Some(1..5)),
        ] {
            assert_eq!(POLICY.pick(&rows(&bytes)), picked, "{bytes:?}");
        }
    }

    #[test]
    fn flush_after_flush_leaves_few_files_and_writes_each_row_a_few_times() {
        for size in [1_u64, 7, 50, 100] {
            let (mut files, mut written) = (Vec::new(), 0);
            let flushes = 40_000 / size;
            for _ in 0..flushes {
                files.push(size);
                while let Some(range) = POLICY.pick(&self::files(&files)) {
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
