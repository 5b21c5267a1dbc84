//! Trends: counts and unique units over the buckets of a range, for several series and breakdown values.
//!
//! Meaning: `docs/semantics.md`, section 1. [`Trend`] is the question, [`Aggregate`] the pure computation,
//! [`TrendResult`] the answer.

mod aggregate;
mod number;
mod result;
pub(crate) mod rolling;
mod spec;

pub use aggregate::Aggregate;
pub use number::{Number, Sum};
pub use result::{SeriesResult, TrendResult};
pub use spec::{MAX_ROLLING, MAX_SERIES, Measure, Series, Trend};
