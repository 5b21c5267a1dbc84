//! Rows in chunks that a clone shares: publishing copies one pointer for 256 rows, and a change after it one chunk.

use std::sync::Arc;

/// Rows of one chunk.
const CHUNK_ROWS: usize = 256;

/// Rows numbered from 0, cheap to clone, each clone a state of its own.
#[derive(Debug, Clone)]
pub(crate) struct Rows<T> {
    chunks: Vec<Arc<Vec<T>>>,
    count: usize,
}

impl<T> Default for Rows<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), count: 0 }
    }
}

impl<T: Clone> Rows<T> {
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn row(&self, number: u32) -> Option<&T> {
        let number = number as usize;
        self.chunks.get(number / CHUNK_ROWS)?.get(number % CHUNK_ROWS)
    }

    pub(crate) fn row_mut(&mut self, number: u32) -> Option<&mut T> {
        let number = number as usize;
        Arc::make_mut(self.chunks.get_mut(number / CHUNK_ROWS)?).get_mut(number % CHUNK_ROWS)
    }

    pub(crate) fn push(&mut self, row: T) {
        match self.chunks.last_mut() {
            Some(chunk) if chunk.len() < CHUNK_ROWS => Arc::make_mut(chunk).push(row),
            _ => {
                let mut chunk = Vec::with_capacity(CHUNK_ROWS.min(self.count.max(8)));
                chunk.push(row);
                self.chunks.push(Arc::new(chunk));
            }
        }
        self.count += 1;
    }

    /// Keeps the first `count` rows.
    pub(crate) fn truncate(&mut self, count: usize) {
        if count < self.count {
            self.chunks.truncate(count.div_ceil(CHUNK_ROWS));
            if let Some(last) = self.chunks.last_mut()
                && !count.is_multiple_of(CHUNK_ROWS)
            {
                Arc::make_mut(last).truncate(count % CHUNK_ROWS);
            }
            self.count = count;
        }
    }

    /// How many rows come before the first for which `is_before` does not hold, as for all after it.
    pub(crate) fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        let whole = self.chunks.partition_point(|chunk| chunk.last().is_some_and(&is_before));
        match self.chunks.get(whole) {
            Some(chunk) => whole * CHUNK_ROWS + chunk.partition_point(&is_before),
            None => self.count,
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_keeps_its_rows_while_the_original_changes() {
        let mut rows = Rows::default();
        for n in 0..1_000_u32 {
            rows.push(n);
        }
        let before = rows.clone();
        *rows.row_mut(700).unwrap() = 1;
        rows.push(2);
        assert_eq!((before.len(), rows.len()), (1_000, 1_001));
        assert!(before.iter().copied().eq(0..1_000));
        assert_eq!(
            (rows.row(700), rows.row(699), rows.row(1_000), rows.row(1_001)),
            (Some(&1), Some(&699), Some(&2), None)
        );
        let shared = before.chunks.iter().zip(&rows.chunks).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, 2, "of four chunks the changed and the last were copied");
        for count in [1_001, 1_000, 700, 512, 3, 0] {
            let mut first = before.clone();
            first.truncate(count);
            assert_eq!(first.len(), count.min(1_000));
            assert!(first.iter().copied().eq(0..count.min(1_000) as u32));
            assert_eq!(before.partition_point(|row| (*row as usize) < count), count.min(1_000));
        }
    }
}
