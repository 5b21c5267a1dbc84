//! The lowering of the analyses: one scan of `events` with filters and few columns, then the pure cores.

mod explain;
mod funnel;
mod groups;
mod lowering;
mod matching;
mod result;
mod retention;
mod run;
mod scan;
mod trend;
mod units;

pub use explain::Explain;
pub use result::QueryResult;
