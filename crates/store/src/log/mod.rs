//! The log: segments of frames, the truth.

mod ahead;
mod dir;
mod recovery;
mod rewrite;
mod scan;
mod segment;
mod writer;

pub(crate) use ahead::each_ahead;
pub(crate) use dir::{LogDir, Segment};
pub(crate) use recovery::{Recovery, recover};
pub(crate) use rewrite::{Edit, Rewriting, Rewritten, Written, drop_unused_names, read_sealed, survey};
pub use scan::{Frame, Scan, TimeScan};
pub(crate) use segment::{Next, SegmentReader};
pub(crate) use writer::{ActiveFile, LogPosition, LogWriter, closing_frame};
