//! Files that are imported, and files that are exported.

mod import;
mod parquet;
mod round_trip;
