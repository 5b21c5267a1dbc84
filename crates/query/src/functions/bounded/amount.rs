//! Numbers of the rows of a call: one for each, or the same for all.

/// A number for each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Amount {
    /// The same for each.
    Each(u64),
    /// By row.
    Rows(Vec<u64>),
}

impl Amount {
    pub(super) fn at(&self, row: usize) -> u64 {
        match self {
            Self::Each(amount) => *amount,
            Self::Rows(amounts) => amounts.get(row).copied().unwrap_or(0),
        }
    }

    pub(super) fn map(self, of: impl Fn(u64) -> u64) -> Self {
        match self {
            Self::Each(amount) => Self::Each(of(amount)),
            Self::Rows(amounts) => Self::Rows(amounts.into_iter().map(of).collect()),
        }
    }

    pub(super) fn with(self, other: &Self, of: impl Fn(u64, u64) -> u64) -> Self {
        match (self, other) {
            (Self::Each(left), Self::Each(right)) => Self::Each(of(left, *right)),
            (Self::Each(left), Self::Rows(right)) => Self::Rows(right.iter().map(|right| of(left, *right)).collect()),
            (Self::Rows(left), right) => {
                Self::Rows(left.into_iter().enumerate().map(|(row, left)| of(left, right.at(row))).collect())
            }
        }
    }

    pub(super) fn plus(self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    pub(super) fn times(self, other: &Self) -> Self {
        self.with(other, u64::saturating_mul)
    }

    pub(super) fn and(self, more: u64) -> Self {
        self.map(|amount| amount.saturating_add(more))
    }

    /// Of all rows together.
    pub(super) fn sum(&self, rows: usize) -> u64 {
        match self {
            Self::Each(amount) => amount.saturating_mul(rows as u64),
            Self::Rows(amounts) => amounts.iter().copied().fold(0, u64::saturating_add),
        }
    }
}
