//! What is kept of return events beside their number.

use std::fmt;

use super::ReturnMeasure;
use crate::{
    spec::HitValue,
    trend::{Number, Sum},
};

/// What is kept of the values of several events; it can be added up in any order.
pub trait Total: Copy + Default + fmt::Debug + Send + Sync + 'static {
    /// Adds what was kept of other events.
    fn add(&mut self, other: Self);
}

impl Total for () {
    fn add(&mut self, (): Self) {}
}

/// The numbers of several events: their sum, and how many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Mean {
    pub(crate) sum: Sum,
    pub(crate) count: u64,
}

impl Mean {
    /// Of a sum by its parts, and how many numbers are in it.
    pub(crate) fn of_parts(high: f64, low: f64, count: u64) -> Self {
        Self { sum: Sum::of_parts(high, low), count }
    }
}

impl Total for Mean {
    fn add(&mut self, other: Self) {
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// What a return event has for a measure: nothing, or a number.
pub trait ReturnValue: HitValue {
    /// What is kept of several.
    type Total: Total;

    /// What is kept of this one.
    fn total(self) -> Self::Total;

    /// What a cell tells of the units that came back and the values of their return events.
    fn measured(measure: ReturnMeasure, units: u64, total: Self::Total) -> Option<Number>;
}

/// Units are all that can be counted: whatever the measure, a cell tells how many there are.
impl ReturnValue for () {
    type Total = ();

    fn total(self) -> Self::Total {}

    fn measured(_: ReturnMeasure, units: u64, (): Self::Total) -> Option<Number> {
        Some(Number::Count(units))
    }
}

/// A number that is not one stands for none.
impl ReturnValue for f64 {
    type Total = Mean;

    fn total(self) -> Mean {
        let mut mean = Mean::default();
        if !self.is_nan() {
            mean.sum.add(self);
            mean.count = 1;
        }
        mean
    }

    #[expect(clippy::cast_precision_loss, reason = "a mean is a float")]
    fn measured(measure: ReturnMeasure, units: u64, total: Mean) -> Option<Number> {
        match measure {
            ReturnMeasure::Units => Some(Number::Count(units)),
            ReturnMeasure::Sum => Some(Number::Real(total.sum.value())),
            ReturnMeasure::Avg => (total.count > 0).then(|| Number::Real(total.sum.value() / total.count as f64)),
        }
    }
}
