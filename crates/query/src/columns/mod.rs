//! Events as columns: immutable Parquet files, and the tail that is not in a file yet.
//!
//! [`ColumnsFold`] turns the log into rows. The newest rows are the [`Tail`], in memory; a [`Flusher`] writes them to a [`ColumnFile`],
//! sorted by event, subject, timestamp and sequence, and puts the file into the catalog in the same step in which the rows leave the tail. What a query
//! sees is a [`Columns`]: every event of its snapshot exactly once, in a file or in the tail.
//!
//! Types are applied when rows become Arrow arrays, by the one definition in [`pugmark_registry::ColumnType::place`]: a value
//! that its column does not hold is in the column `overflow`, which [`Overflow`] reads.

mod build;
mod catalog;
mod cell;
mod chunk;
mod convert;
mod dir;
mod error;
mod flush;
mod fold;
mod guard;
mod order;
mod overflow;
mod schema;
mod state;
mod values;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use catalog::fuzz_entry;
pub use catalog::{ColumnFile, FileId};
pub(crate) use error::found;
pub use flush::Flusher;
pub use fold::{ColumnsFold, ColumnsOptions};
pub(crate) use guard::{Bytes, Guarded, external};
pub use overflow::Overflow;
pub use schema::{EventSchema, system};
pub use state::{Columns, ColumnsStats, Tail};
