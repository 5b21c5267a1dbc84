//! The log: segments of frames, the truth.

mod dir;
mod recovery;
mod scan;
mod segment;
mod writer;

pub(crate) use dir::LogDir;
pub(crate) use recovery::{Recovery, recover};
pub use scan::{Frame, Scan};
pub(crate) use writer::{ActiveFile, LogPosition, LogWriter};
