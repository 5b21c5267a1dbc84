//! Doors to the decoders for the fuzz targets; no part of the interface.

mod files;
mod format;
mod index;
#[cfg(test)]
mod seeds;

pub use crate::runs::bench::Ids;
pub use crate::runs::fuzzing::{run_block, run_file, run_manifest};
pub use crate::subjects::bench::People;
pub use crate::subjects::fuzz_block as subject_block;
pub use files::{base_file, log_file, options};
pub use format::{file_header, frame, payload};
pub use index::change_index;
