//! Trends: counts and unique units over the buckets of a range, for several series and breakdown values.
//!
//! Meaning: `docs/semantics.md`, section 1. [`Trend`] is the question, [`Aggregate`] the pure computation,
//! [`TrendResult`] the answer.

mod aggregate;
mod result;
mod spec;

pub use aggregate::Aggregate;
pub use result::{SeriesResult, TrendResult};
pub use spec::{MAX_SERIES, Measure, Series, Trend};
