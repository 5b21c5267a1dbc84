//! From a store to a file.

mod csv;
mod ndjson;
mod parquet;
mod rows;
mod run;
mod table;

pub use run::{Export, ExportFormat, Exported};
