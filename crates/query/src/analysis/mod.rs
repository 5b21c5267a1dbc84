//! The lowering of the analyses: one scan of `events` with filters and few columns, then the pure cores.

mod aggregate;
mod audience;
mod by_unit;
mod explain;
mod funnel;
mod groups;
mod journey;
mod lifecycle;
mod lowering;
mod matching;
mod numbers;
mod people;
mod portable;
mod result;
mod retention;
mod run;
mod scan;
mod sessions;
mod sets;
mod side;
mod stickiness;
mod texts;
mod time;
mod trend;
mod units;

pub(crate) use aggregate::rewrite as count_locally;
pub use explain::Explain;
pub(crate) use groups::{GroupReader, Item};
pub(crate) use numbers::{NumberSource, numbers};
pub use portable::PortablePlan;
pub use result::QueryResult;
pub(crate) use run::{absorb, joined, validate};
pub(crate) use sets::{Daily, DailyRow};
pub use side::{OfSegment, SideBySide};
pub(crate) use units::{Core, Row};
