//! How many people are in a segment, and who they are.
//!
//! Meaning: `docs/semantics.md`, section 4. [`Audience`] is the question, [`AudienceResult`] the answer; who is in a segment is found as it is for any other question.

mod result;
mod spec;

pub use result::AudienceResult;
pub use spec::{Audience, MAX_NAMED};
