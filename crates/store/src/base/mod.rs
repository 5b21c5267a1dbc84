//! Bases: what outlives the segments that were removed from the front of the log. docs/format.md, Bases.

mod chain;
mod reader;
mod rewrite;
mod writer;

pub(crate) use chain::BaseDir;
pub(crate) use reader::{BaseReader, each_operation};
pub(crate) use rewrite::rewrite_base;
pub(crate) use writer::BaseWriter;
