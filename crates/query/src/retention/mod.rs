//! Retention: of the units that began in a period, how many came back in each later one.
//!
//! Meaning: `docs/semantics.md`, section 3. [`Retention`] is the question, [`Grid`] the pure computation,
//! [`RetentionResult`] the answer.

mod grid;
mod result;
mod spec;

pub use grid::{Grid, MAX_CELLS};
pub use result::{Average, CohortRow, RetentionGroup, RetentionResult};
pub use spec::{Cohort, PeriodZero, Retention};
