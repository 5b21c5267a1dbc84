//! A list that grows at its end, whose clones share what was there.

use std::sync::Arc;

/// Elements of one chunk.
const CHUNK: usize = 1_024;

/// A clone copies one pointer for each 1,024 elements; the first push after it copies the last chunk.
#[derive(Debug, Clone)]
pub(crate) struct Chunks<T> {
    chunks: Vec<Arc<Vec<T>>>,
}

impl<T> Default for Chunks<T> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

impl<T: Copy> Chunks<T> {
    pub(crate) fn push(&mut self, value: T) {
        match self.chunks.last_mut() {
            Some(last) if last.len() < CHUNK => Arc::make_mut(last).push(value),
            _ => self.chunks.push(Arc::new(vec![value])),
        }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// How many come first for which `is_before` holds, as it does for none after them.
    pub(crate) fn partition_point(&self, is_before: impl Fn(&T) -> bool) -> usize {
        let full = self.chunks.partition_point(|chunk| chunk.last().is_some_and(&is_before));
        match (self.chunks.get(full), self.chunks.last()) {
            (Some(chunk), _) => full * CHUNK + chunk.partition_point(is_before),
            (None, Some(last)) => (full - 1) * CHUNK + last.len(),
            (None, None) => 0,
        }
    }

    /// Those from a place on.
    pub(crate) fn from(&self, place: usize) -> impl Iterator<Item = &T> {
        let chunks = self.chunks.get(place / CHUNK..).unwrap_or_default().iter();
        chunks.flat_map(|chunk| chunk.iter()).skip(place % CHUNK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_in_whatever_chunk() {
        let mut list = Chunks::default();
        let empty = list.clone();
        for n in 0..3_000_u32 {
            list.push(n);
        }
        let before = list.clone();
        list.push(3_000);
        assert!(empty.iter().next().is_none() && before.iter().copied().eq(0..3_000));
        for n in [0, 1, 1_023, 1_024, 1_025, 2_999, 3_000, 3_001] {
            assert_eq!(list.partition_point(|value| *value < n), n as usize);
            assert!(list.from(n as usize).copied().eq(n..3_001));
        }
    }
}
