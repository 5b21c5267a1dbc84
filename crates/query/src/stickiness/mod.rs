//! Stickiness: in how many of the buckets of a range people were active.
//!
//! Meaning: `docs/semantics.md`, section 4. [`Stickiness`] is the question, [`Tally`] the pure computation,
//! [`StickinessResult`] the answer.

mod result;
mod spec;
mod tally;

pub use result::{StickinessGroup, StickinessResult};
pub use spec::Stickiness;
pub use tally::Tally;
