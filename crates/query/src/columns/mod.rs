//! Events as columns: immutable Parquet files, and the tail that is not in a file yet.
//!
//! [`ColumnsFold`] turns the log into rows. The newest rows are the [`Tail`], in memory; a [`Flusher`] writes them to a [`ColumnFile`],
//! sorted by event, subject, timestamp and sequence, and puts the file into the catalog in the same step in which the rows leave the tail. What a query
//! sees is a [`Columns`]: every event of its snapshot exactly once, in a file or in the tail.
//!
//! Types are applied when rows become Arrow arrays, by the one definition in [`pugmark_registry::ColumnType::place`]: a value
//! that its column does not hold is in the column `overflow`, which [`Overflow`] reads.

mod arrivals;
mod build;
mod catalog;
mod cell;
mod chunk;
mod contents;
mod convert;
mod cube;
mod dir;
mod error;
mod flush;
mod fold;
mod fuzzing;
mod guard;
mod merge;
mod order;
mod overflow;
mod pace;
mod policy;
mod rollup;
mod schema;
mod state;
mod values;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use arrivals::{Arrivals, fuzz_arrivals};
pub(crate) use catalog::fuzz_entry;
pub use catalog::{ColumnFile, FileId};
pub(crate) use cell::Slice;
pub(crate) use chunk::Chunk;
pub(crate) use contents::{Contents, Held, Values, in_microseconds, is_instant};
pub(crate) use cube::{Cube, CubeCell, Declared, Numbers as CubeNumbers, read_cube};
pub use cube::{Declaration, MAX_DECLARATIONS, MAX_MEASURES};
pub(crate) use error::{arrow as arrow_error, corrupt, found, reading, reading_arrow};
pub use flush::Flusher;
pub use fold::{ColumnsFold, ColumnsOptions};
pub(crate) use fuzzing::{cube_file as fuzz_cube, declaration as fuzz_declaration, rollup_file as fuzz_rollup};
pub(crate) use guard::{Bytes, Guarded, Parts, external};
pub(crate) use order::Order;
pub use overflow::Overflow;
pub use policy::{FileSize, MergePolicy, SizeTiered};
pub(crate) use rollup::{DAY_US, Day, DayCell, EventRows, Rollup, read_rollup, read_rollup_events};
pub use schema::{EventSchema, system};
pub(crate) use schema::{Layout, as_kind, data_type, instant};
pub use state::{BackgroundWork, Columns, ColumnsStats, Tail};
