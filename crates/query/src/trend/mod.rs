//! Trends: what events come to over the buckets of a range, for several series and breakdown values.
//!
//! Meaning: `docs/semantics.md`, section 1. [`Trend`] is the question, [`Aggregate`] the pure computation,
//! [`TrendResult`] the answer.

mod aggregate;
mod attribution;
mod cell;
mod formula;
mod measure;
mod number;
mod percentile;
mod result;
pub(crate) mod rolling;
mod spec;

pub use aggregate::Aggregate;
pub(crate) use attribution::bits_of;
pub use attribution::{Attribution, AttributionModel, Credits, MAX_ATTRIBUTED};
pub use formula::{Formula, MAX_FORMULA_BYTES};
pub use measure::Measure;
pub use number::{Number, Sum};
pub(crate) use percentile::percentile;
pub use result::{Frequency, SeriesResult, TrendResult};
pub use spec::{MAX_ROLLING, MAX_SERIES, Series, Trend};
