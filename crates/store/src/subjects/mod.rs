//! The subject directory: every distinct id that a store has seen, its number, and the way back.

pub(crate) mod bench;
mod directory;
mod hot;
mod names;
#[cfg(test)]
mod tests;

pub(crate) use directory::SubjectLimits;
pub use directory::{SubjectStats, Subjects};
pub use names::fuzz_block;
