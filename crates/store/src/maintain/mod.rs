//! Work on what is sealed, beside the commits.

mod info;
mod rewrite;
#[cfg(test)]
mod tests;
mod upkeep;

pub use info::SegmentInfo;
pub(crate) use upkeep::Upkeep;
