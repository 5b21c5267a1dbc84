//! The values of measures, and sums that do not depend on the order of what is summed.

use std::cmp::Ordering;
use std::fmt;
use std::ops::AddAssign;

use serde::{Serialize, Serializer};

/// The value of a measure.
#[derive(Debug, Clone, Copy)]
pub enum Number {
    /// There is none, as of the mean of no numbers; less than any other, and `null` in JSON.
    Null,
    /// How many.
    Count(u64),
    /// How much.
    Real(f64),
}

impl Number {
    /// As a double; a count past 2⁵³ is rounded, and NULL is not a number.
    #[expect(clippy::cast_precision_loss, reason = "said above")]
    pub fn as_f64(self) -> f64 {
        match self {
            Self::Null => f64::NAN,
            Self::Count(count) => count as f64,
            Self::Real(real) => real,
        }
    }

    /// Whether there is none.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }

    /// How many; 0 of anything else.
    pub(crate) fn as_count(self) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Null | Self::Real(_) => 0,
        }
    }

    /// How much, or NULL.
    pub(crate) fn of(real: Option<f64>) -> Self {
        real.map_or(Self::Null, Self::Real)
    }

    /// A sum over so many; NULL over none.
    #[expect(clippy::cast_precision_loss, reason = "a count past 2⁵³ is rounded")]
    pub(crate) fn mean(sum: Sum, count: u64) -> Self {
        if count == 0 { Self::Null } else { Self::Real(sum.value() / count as f64) }
    }

    /// A count over another; NULL over none.
    #[expect(clippy::cast_precision_loss, reason = "a count past 2⁵³ is rounded")]
    pub(crate) fn share(count: u64, of: u64) -> Self {
        if of == 0 { Self::Null } else { Self::Real(count as f64 / of as f64) }
    }

    /// The same, 0 in the place of NULL.
    pub(crate) fn or_zero(self) -> Self {
        if self.is_null() { Self::Real(0.0) } else { self }
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Count(a), Self::Count(b)) => a.cmp(b),
            (Self::Null, _) | (_, Self::Null) => other.is_null().cmp(&self.is_null()),
            _ => self.as_f64().total_cmp(&other.as_f64()),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl PartialEq<u64> for Number {
    fn eq(&self, other: &u64) -> bool {
        *self == Self::Count(*other)
    }
}

impl From<u64> for Number {
    fn from(count: u64) -> Self {
        Self::Count(count)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("-"),
            Self::Count(count) => count.fmt(f),
            Self::Real(real) => real.fmt(f),
        }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Count(count) => serializer.serialize_u64(*count),
            Self::Real(real) => serializer.serialize_f64(*real),
        }
    }
}

/// A sum of doubles with twice their digits: parts added up in another order come to the same double.
///
/// The error of each addition is kept and added up as well (Knuth's two-sum), so that only the last rounding is left.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum {
    high: f64,
    /// Not a number where `high` is beyond the largest double.
    low: f64,
}

impl PartialEq for Sum {
    fn eq(&self, other: &Self) -> bool {
        let is_same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
        is_same(self.high, other.high) && is_same(self.low, other.low)
    }
}

impl Sum {
    /// Adds one number.
    pub fn add(&mut self, number: f64) {
        let sum = self.high + number;
        let added = sum - self.high;
        self.low += (self.high - (sum - added)) + (number - added);
        self.high = sum;
    }

    /// What was added up, and what was lost of it.
    pub(crate) fn parts(self) -> (f64, f64) {
        (self.high, self.low)
    }

    /// From its [`parts`](Self::parts).
    pub(crate) fn of_parts(high: f64, low: f64) -> Self {
        Self { high, low }
    }

    /// The nearest double.
    pub fn value(self) -> f64 {
        let value = self.high + self.low;
        // Beyond the largest double errors are not numbers.
        if value.is_nan() { self.high } else { value }
    }
}

impl AddAssign for Sum {
    fn add_assign(&mut self, other: Self) {
        self.add(other.high);
        self.low += other.low;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_the_same_in_any_order_and_parts() {
        let numbers: Vec<f64> = (1..2_000).map(|n| f64::from(n * 7_919 % 1_999) * 0.01 - 3.33).collect();
        let sum = |numbers: &[f64]| {
            let mut sum = Sum::default();
            numbers.iter().for_each(|number| sum.add(*number));
            sum
        };
        let mut reversed = numbers.clone();
        reversed.reverse();
        let mut sorted = numbers.clone();
        sorted.sort_by(f64::total_cmp);
        let mut parts = sum(&numbers[..700]);
        parts += sum(&numbers[700..]);
        let whole = sum(&numbers).value();
        assert_eq!([sum(&reversed).value(), sum(&sorted).value(), parts.value()], [whole; 3]);
        assert_eq!(sum(&[0.1; 10]).value(), 1.0);
        assert_eq!(sum(&[f64::MAX, f64::MAX]).value(), f64::INFINITY);
        assert_eq!(sum(&[f64::MAX, f64::MAX]), sum(&[f64::MAX, f64::MAX]));
    }

    #[test]
    fn counts_and_reals_are_ordered_by_value() {
        assert!(Number::Count(3) > Number::Real(2.5) && Number::Real(-1.0) < Number::Count(0));
        assert_eq!(Number::Count(7), 7);
        assert!(Number::Null < Number::Real(f64::NEG_INFINITY) && Number::Null == Number::Null);
        assert_eq!((Number::Count(7).to_string(), Number::Real(0.5).to_string()), ("7".to_owned(), "0.5".to_owned()));
    }
}
