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
    /// Those of `runs`, as lookups ask them.
    asked: Vec<Arc<Run>>,
}

/// Which runs a lookup asks first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// The newest: its value stands, whatever older runs hold.
    Newest,
    /// The largest, which is the likeliest to have it, of those whose filters are in memory, then the others: where a fingerprint is only ever given one value.
    Largest,
}

impl RunList {
    pub(super) fn new(mut runs: Vec<Arc<Run>>, order: Order) -> Self {
        runs.sort_by_key(|run| (run.level(), std::cmp::Reverse(run.id())));
        let mut asked = runs.clone();
        if order == Order::Largest {
            asked.sort_by_key(|run| (!run.is_filtered(), std::cmp::Reverse(run.entries())));
        }
        Self { runs, asked }
    }

    /// The value of one fingerprint.
    pub(crate) fn lookup(&self, fingerprint: &Fingerprint) -> Result<Option<u64>> {
        let prefix = fingerprint.prefix();
        for run in &self.asked {
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
        pending = by_first_byte(&pending);
        let mut passed = vec![0; pending.len()];
        for run in &self.asked {
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

/// Places and prefixes in the order of the first bytes: what follows each other asks the same file, whose filter is at hand then.
fn by_first_byte(pending: &[(u32, u64)]) -> Vec<(u32, u64)> {
    let bucket = |prefix: u64| (prefix >> 56) as usize;
    let mut ends = [0; 256];
    for (_, prefix) in pending {
        ends[bucket(*prefix)] += 1;
    }
    let mut before = 0;
    for end in &mut ends {
        before += std::mem::replace(end, before);
    }
    let mut ordered = vec![(0, 0); pending.len()];
    for entry in pending {
        let end = &mut ends[bucket(entry.1)];
        if let Some(slot) = ordered.get_mut(*end) {
            *slot = *entry;
        }
        *end += 1;
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::by_first_byte;

    #[test]
    fn first_bytes_ascend_and_equal_ones_keep_their_order() {
        let pending: Vec<(u32, u64)> =
            (0..5_000).map(|n| (n, u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect();
        let mut expected = pending.clone();
        expected.sort_by_key(|entry| entry.1 >> 56);
        assert_eq!(by_first_byte(&pending), expected);
        assert_eq!(by_first_byte(&[]), []);
    }
}
