//! Retention: of the units that began in a period, how many came back in each later one.
//!
//! Meaning: `docs/semantics.md`, section 3. [`Retention`] is the question, [`Grid`] the pure computation,
//! [`RetentionResult`] the answer.

mod cells;
mod grid;
mod result;
mod shape;
mod spec;
mod value;
mod words;

pub(crate) use cells::Cell;
pub use grid::{Grid, MAX_CELLS};
pub use result::{Average, CohortRow, RetentionGroup, RetentionResult};
pub use spec::Retention;
pub use value::{Mean, ReturnValue, Total};
pub use words::{Cohort, Criterion, PeriodClock, PeriodZero, ReturnMeasure, Returns, RoundTo};
