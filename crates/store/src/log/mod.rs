//! The log: segments of frames, the truth.

mod recovery;
mod scan;
mod segment;
mod writer;

pub(crate) use recovery::recover;
pub use scan::{Frame, Scan};
pub(crate) use segment::{list_segments, sync_dir};
pub(crate) use writer::{LogPosition, LogWriter};
