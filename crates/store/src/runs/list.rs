//! The runs on disk, the newest first, as lookups see them.

use std::sync::Arc;

use super::fingerprint::Fingerprint;
use super::run::Run;
use crate::error::Result;

/// The runs on disk at one time. It never changes; keeping it keeps its files readable.
#[derive(Default)]
pub(crate) struct RunList {
    /// The newest first.
    pub(super) runs: Vec<Arc<Run>>,
}

impl RunList {
    pub(super) fn new(mut runs: Vec<Arc<Run>>) -> Self {
        runs.sort_by_key(|run| (run.level(), std::cmp::Reverse(run.id())));
        Self { runs }
    }

    /// The value of one fingerprint.
    pub(crate) fn lookup(&self, fingerprint: &Fingerprint) -> Result<Option<u64>> {
        let prefix = fingerprint.prefix();
        for run in &self.runs {
            if run.may_hold(prefix)
                && let Some(value) = run.find(fingerprint)?
            {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }

    /// Fills in those of `out` that are `None` and whose fingerprint is on disk.
    pub(crate) fn lookup_many(&self, fingerprints: &[Fingerprint], out: &mut [Option<u64>]) -> Result<()> {
        let mut pending: Vec<(u32, u64)> = (0..)
            .zip(fingerprints)
            .zip(out.iter())
            .filter(|(_, value)| value.is_none())
            .map(|((place, fingerprint), _)| (place, fingerprint.prefix()))
            .collect();
        let mut passed = vec![0; pending.len()];
        for run in &self.runs {
            if pending.is_empty() {
                return Ok(());
            }
            // No branch depends on what a filter says: the processor runs ahead and waits for many of them at once.
            let mut count = 0;
            for (place, prefix) in &pending {
                passed[count] = *place;
                count += usize::from(run.may_hold(*prefix));
            }
            if count > 0 {
                run.find_many(fingerprints, &passed[..count], out)?;
                pending.retain(|(place, _)| out[*place as usize].is_none());
            }
        }
        Ok(())
    }
}
