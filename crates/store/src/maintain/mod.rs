//! Work on what is sealed, beside the commits.

mod expire;
mod info;
mod rewrite;
#[cfg(test)]
mod tests;
mod upkeep;

pub use expire::Expired;
pub use info::SegmentInfo;
pub(crate) use rewrite::SEALED_LEVEL;
pub(crate) use upkeep::Upkeep;
