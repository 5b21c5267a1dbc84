//! Proves that what is derived agrees with the log, and that every byte of both is as it was written.

mod log;
mod report;
mod state;

pub(crate) use log::{LogWalk, walk_bases, walk_log};
pub use report::{Finding, Findings, LogReport, VerifyProgress, VerifyReport};
