//! Maps from fingerprints to numbers that outgrow memory: newest entries in memory, the rest in sorted, immutable files
//! with a filter each. The bytes are in `docs/format.md`, Sorted runs.

mod background;
pub(crate) mod bench;
mod content;
mod files;
mod filter;
mod fingerprint;
pub(crate) mod fuzzing;
mod ids;
mod layout;
mod list;
mod manifest;
mod merge;
mod room;
mod run;
mod set;
mod shard;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use background::{MergeThread, Merges};
pub(crate) use content::{
    CONTENT_GONE, PropertiesHash, content_hash_of_conflict, content_hash_of_profile, content_hash_of_profile_record,
    content_hash_of_record,
};
pub(crate) use fingerprint::{Fingerprint, FingerprintMap, FingerprintSet};
pub(crate) use ids::MessageIds;
pub(crate) use layout::RunKind;
pub(crate) use list::RunList;
pub(crate) use manifest::{RunMeta, decode_manifest, encode_manifest};
pub(crate) use room::RunLimits;
pub use set::RunStats;
pub(crate) use set::{RECENT_MAX, RunSet};
