//! What is removed for good: people who are erased, events that are retracted.
//!
//! A record in the log asks for it and hides it at once, in every later snapshot. Then, in steps that can each be repeated after a stop: message ids and
//! distinct ids are forgotten in their runs, the log is rewritten, the folds are built anew from it, the index is written to a new file, and a record says
//! that it is complete.

mod fold;
mod hidden;
mod plan;

pub(crate) use fold::{REMOVAL, Removals};
pub use hidden::{Hidden, OpenRemoval};
pub use plan::Receipt;
pub(crate) use plan::{RemovedIds, remove};
