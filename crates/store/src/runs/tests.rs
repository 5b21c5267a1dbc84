//! The set against a map, and against damage.

mod beside;
mod corruption;
mod ids;
mod model;

use std::path::Path;
use std::sync::Arc;

use super::background::Merges;
use super::fingerprint::Fingerprint;
use super::layout::RunKind;
use super::manifest::RunMeta;
use super::merge::Tiered;
use super::room::RunLimits;
use super::set::RunSet;
use crate::error::Result;
use crate::storage::Disk;

/// A set that merges early, cuts small files and has few of them open.
fn open_small(dir: &Path, manifest: &[RunMeta]) -> Result<RunSet> {
    open_merging(dir, manifest, Merges::Inline)
}

fn open_merging(dir: &Path, manifest: &[RunMeta], merges: Merges) -> Result<RunSet> {
    open_with_filters(dir, manifest, usize::MAX, merges)
}

fn open_with_filters(dir: &Path, manifest: &[RunMeta], filter_bytes: usize, merges: Merges) -> Result<RunSet> {
    let limits = RunLimits { file_entries: 600, files_open: 2, filter_bytes };
    let policy = Box::new(Tiered { runs_per_level: 3 });
    RunSet::open_with(Arc::new(Disk), dir, RunKind::Ids, manifest, policy, limits, merges)
}

fn numbered(number: u64) -> Fingerprint {
    Fingerprint::of(&number.to_string())
}

fn lookup(set: &RunSet, fingerprint: &Fingerprint) -> Result<Option<u64>> {
    match set.recent(fingerprint) {
        Some(value) => Ok(Some(value)),
        None => set.disk().lookup(fingerprint),
    }
}
