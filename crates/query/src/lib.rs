//! Trends, funnels, retention, stickiness, lifecycles, journeys, paths and SQL over the events of a pugmark store.

mod analysis;
mod arguments;
pub mod audience;
pub mod calendar;
pub mod columns;
mod engine;
mod error;
mod extent;
pub mod files;
mod filter;
mod functions;
pub mod funnel;
#[doc(hidden)]
pub mod fuzzing;
mod group;
pub mod journey;
pub mod lifecycle;
mod local;
mod names;
mod once;
#[cfg(feature = "openapi")]
mod openapi;
mod overflow;
pub mod paths;
pub mod people;
pub mod person;
pub mod retention;
mod room;
pub mod saved;
pub mod sessions;
pub mod spec;
mod sql;
pub mod stickiness;
mod table;
mod text;
pub mod trend;

pub use analysis::{Explain, OfSegment, PortablePlan, QueryResult, SideBySide};
pub use engine::{Engine, EngineOptions, QuerySnapshot};
pub use error::{Error, ErrorKind, Result};
pub use filter::check_filter;
pub use functions::register_functions;
pub use group::{Group, change_group};
pub use saved::Sampling;
pub use sql::Rows;
pub use text::{SQL_MAX_BYTES, SQL_MAX_DEPTH, SQL_MAX_OPERATORS};
