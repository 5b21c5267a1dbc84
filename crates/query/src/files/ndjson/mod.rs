//! Lines of NDJSON.

mod chunk;
mod json;
mod line;
mod numbers;
mod properties;

pub(super) use chunk::{LINE_MAX_BYTES, LineReader};
pub(super) use json::{compact, put_string};
pub(super) use line::{Line, LineParser, kind_name, read_properties};

#[cfg(test)]
mod tests;
