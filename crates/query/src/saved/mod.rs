//! What is saved under a name: segments, cohorts and questions.
//!
//! Meaning: `docs/semantics.md`, sections 0 and 4. [`Definition`] is what is saved; where a question names one, it is put in place before anything else.

mod definition;
mod resolve;
mod sampling;

pub use definition::{Definition, MAX_COHORT, Saved};
pub(crate) use resolve::Names;
pub use sampling::Sampling;
