//! Rows of Parquet.

mod cells;
mod reader;

pub(super) use reader::ParquetReader;
