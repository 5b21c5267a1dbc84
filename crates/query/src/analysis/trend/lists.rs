//! What cells keep whole: the numbers of percentiles, and the different values that are counted.

use roaring::{MultiOps, RoaringBitmap};

use super::layout::{Kind, Layout};
use crate::trend::percentile;

/// Sets of values up to so many bytes have a bit for every value.
const DENSE_BYTES: usize = 4 << 20;
/// Bytes that a number in a list takes, with the room that the list keeps.
const NUMBER_BYTES: usize = 16;
/// Bytes that a value in a set takes, nearly.
const VALUE_BYTES: usize = 4;

/// By part, what it keeps.
#[derive(Debug, Clone, Default)]
pub(super) struct Lists(Vec<Kept>);

/// By the cells of the part. That of the range is kept only where there are no buckets.
#[derive(Debug, Clone)]
enum Kept {
    Nothing,
    Numbers(Vec<Vec<f64>>),
    /// So many words for each cell.
    Dense(usize, Vec<u64>),
    Sparse(Vec<RoaringBitmap>),
}

impl Kept {
    fn new(kind: Kind, cells: usize, values: &[usize]) -> Self {
        match kind {
            Kind::List(_) => Self::Numbers(vec![Vec::new(); cells]),
            Kind::Values(at) => {
                let words = values.get(at).copied().unwrap_or(0).div_ceil(64);
                match words.saturating_mul(cells) {
                    all if all * size_of::<u64>() <= DENSE_BYTES => Self::Dense(words, vec![0; all]),
                    _ => Self::Sparse(vec![RoaringBitmap::new(); cells]),
                }
            }
            _ => Self::Nothing,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Numbers(lists) => size_of_val(lists.as_slice()),
            Self::Dense(_, bits) => size_of_val(bits.as_slice()),
            Self::Sparse(sets) => size_of_val(sets.as_slice()),
        }
    }
}

impl Lists {
    /// With so many different values of each property whose values are read.
    pub(super) fn new(layout: &Layout, values: &[usize]) -> Self {
        let keeps = |kind: Kind| matches!(kind, Kind::List(_) | Kind::Values(_));
        if layout.cells_of(keeps) == 0 {
            return Self::default();
        }
        Self(layout.parts.iter().map(|part| Kept::new(part.kind, layout.of_part(), values)).collect())
    }

    /// Bytes that it takes when it is empty.
    pub(super) fn bytes(&self) -> usize {
        self.0.iter().map(Kept::bytes).sum()
    }

    /// Adds a number; answers how many bytes that took, nearly.
    #[inline]
    pub(super) fn add_number(&mut self, part: usize, cell: usize, number: f64) -> usize {
        match self.0.get_mut(part) {
            Some(Kept::Numbers(lists)) => {
                lists[cell].push(number);
                NUMBER_BYTES
            }
            _ => 0,
        }
    }

    /// Adds a value.
    #[inline]
    pub(super) fn add_value(&mut self, part: usize, cell: usize, value: u32) -> usize {
        match self.0.get_mut(part) {
            Some(Kept::Dense(words, bits)) => {
                bits[cell * *words + value as usize / 64] |= 1 << (value % 64);
                0
            }
            Some(Kept::Sparse(sets)) => usize::from(sets[cell].insert(value)) * VALUE_BYTES,
            _ => 0,
        }
    }

    pub(super) fn add(&mut self, other: Self) {
        if self.0.is_empty() {
            *self = other;
            return;
        }
        for (here, there) in self.0.iter_mut().zip(other.0) {
            match (here, there) {
                (Kept::Numbers(here), Kept::Numbers(there)) => {
                    here.iter_mut().zip(there).for_each(|(here, mut there)| here.append(&mut there));
                }
                (Kept::Dense(_, here), Kept::Dense(_, there)) => {
                    here.iter_mut().zip(there).for_each(|(here, there)| *here |= there);
                }
                (Kept::Sparse(here), Kept::Sparse(there)) => {
                    here.iter_mut().zip(there).for_each(|(here, there)| *here |= there);
                }
                _ => {}
            }
        }
    }

    /// How many numbers there are in all.
    pub(super) fn numbers(&self) -> usize {
        let lists = self.0.iter().map(|kept| match kept {
            Kept::Numbers(lists) => lists.iter().map(Vec::len).sum(),
            _ => 0,
        });
        lists.sum()
    }

    /// Of the cells of one group, the percentile of each bucket and that of the range; NaN of no number.
    pub(super) fn percentiles(&self, layout: &Layout, (part, group): (usize, usize), share: f64) -> Vec<f64> {
        let Some(Kept::Numbers(lists)) = self.0.get(part) else { return Vec::new() };
        let lists = &lists[layout.cell(0, group, 0)..layout.cell(0, group + 1, 0)];
        let mut scratch: Vec<f64> = Vec::with_capacity(lists.iter().map(Vec::len).sum());
        let mut found = Vec::with_capacity(lists.len());
        for list in lists {
            let start = scratch.len();
            scratch.extend_from_slice(list);
            found.push(percentile(&mut scratch[start..], share).unwrap_or(f64::NAN));
        }
        // Of the range are the numbers of all buckets.
        if let Some(last) = found.last_mut() {
            *last = percentile(&mut scratch, share).unwrap_or(f64::NAN);
        }
        found
    }

    /// Of the cells of one group, how many different values each bucket has, and the range.
    pub(super) fn values(&self, layout: &Layout, (part, group): (usize, usize)) -> Vec<u64> {
        let cells = layout.cell(0, group, 0)..layout.cell(0, group + 1, 0);
        match self.0.get(part) {
            Some(Kept::Dense(words, bits)) => {
                let ones = |words: &[u64]| words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
                let mut all = vec![0; *words];
                let of = |cell: usize| &bits[cell * words..(cell + 1) * words];
                let mut found: Vec<u64> = cells
                    .map(|cell| {
                        all.iter_mut().zip(of(cell)).for_each(|(all, own)| *all |= own);
                        ones(of(cell))
                    })
                    .collect();
                if let Some(last) = found.last_mut() {
                    *last = ones(&all);
                }
                found
            }
            Some(Kept::Sparse(sets)) => {
                let sets = &sets[cells];
                let mut found: Vec<u64> = sets.iter().map(RoaringBitmap::len).collect();
                if let Some(last) = found.last_mut() {
                    *last = sets.iter().union().len();
                }
                found
            }
            _ => Vec::new(),
        }
    }
}
