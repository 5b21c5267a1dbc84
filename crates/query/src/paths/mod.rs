//! Paths: what people do one thing after the other, from an anchor on or towards it.
//!
//! Meaning: `docs/semantics.md`, section 4. [`Paths`] is the question, [`PathsResult`] the answer. Between them [`Walker`] finds
//! the paths of one unit after the other, and [`Tally`] counts them.

mod result;
mod spec;
mod tally;
mod walker;

pub use result::{PathEdge, PathsLeftOut, PathsResult, TravelledPath};
pub use spec::{DEFAULT_DEPTH, Direction, MAX_DEPTH, PathCount, PathWithin, Paths};
pub use tally::Tally;
pub use walker::{Visit, Walker};
