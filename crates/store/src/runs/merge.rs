//! Merging runs: many small ones into one, so that a lookup asks few filters.

use std::sync::Arc;

use super::fingerprint::{Fingerprint, FingerprintMap};
use super::run::{Run, RunStream};
use super::writer::{RunDir, RunWriter};
use crate::error::Result;

/// Entries merged between one question whether to go on and the next.
const ASKED_EVERY: u32 = 1 << 14;

/// Decides when runs are merged.
pub(crate) trait MergePolicy: Send + Sync {
    /// The level whose runs are to become one of the next level, given how many runs each level has, from level 0.
    fn due(&self, runs_per_level: &[usize]) -> Option<u8>;

    /// Most runs of one level: with so many, whoever would add one waits for the merge that runs.
    fn most(&self) -> usize;
}

/// Merges a level once it has so many runs: every entry is rewritten once for each level.
pub(crate) struct Tiered {
    pub(crate) runs_per_level: usize,
}

impl MergePolicy for Tiered {
    fn due(&self, runs_per_level: &[usize]) -> Option<u8> {
        let level = runs_per_level.iter().position(|runs| *runs >= self.runs_per_level)?;
        // The last level has none above it: its runs stay as they are.
        u8::try_from(level).ok().filter(|level| *level < u8::MAX)
    }

    fn most(&self) -> usize {
        2 * self.runs_per_level
    }
}

/// What becomes of an entry: its value from now on, or nothing.
pub(crate) type Edit<'a> = dyn FnMut(&Fingerprint, u64) -> Option<u64> + 'a;

/// A merge that is due. It owns all it needs, so that any thread can run it; the set adopts the outcome afterwards.
pub(crate) struct MergePlan {
    pub(super) dir: RunDir,
    /// The runs to be merged, the newest first.
    pub(super) inputs: Vec<Arc<Run>>,
    /// That of the merged run.
    pub(super) level: u8,
}

/// The outcome of a merge or a spill: what it replaces, and by what.
pub(crate) struct Merged {
    /// Numbers of the runs that were merged.
    pub(super) replaces: Vec<u64>,
    pub(super) run: Option<Run>,
}

impl MergePlan {
    /// Writes the merged run; the files merged stay. Now and then it asks whether to go on, and gives up without an error if not.
    ///
    /// # Errors
    /// `Corrupt` for damage in one of the files merged, and errors of writing.
    pub(crate) fn merge(&self, go_on: &dyn Fn() -> bool) -> Result<Option<Merged>> {
        self.merge_with(go_on, &mut |_, value| Some(value))
    }

    /// As [`merge`](Self::merge), of what `edit` answers for, with the value that it gives.
    ///
    /// # Errors
    /// As [`merge`](Self::merge).
    pub(crate) fn merge_with(&self, go_on: &dyn Fn() -> bool, edit: &mut Edit<'_>) -> Result<Option<Merged>> {
        let entries = self.inputs.iter().map(|run| run.entries()).sum();
        let mut writer = RunWriter::new(self.dir.clone(), self.level, entries);
        let mut streams = Vec::with_capacity(self.inputs.len());
        let mut heads = Vec::with_capacity(self.inputs.len());
        for run in &self.inputs {
            let mut stream = RunStream::new(run);
            if let Some(head) = stream.next()? {
                streams.push(stream);
                heads.push(head);
            }
        }
        let mut last = None;
        let mut until_asked = ASKED_EVERY;
        // Of equal fingerprints the newest run's stands: the first of equals is taken first, and the others are passed over.
        while let Some((place, (fingerprint, value))) = least(&heads) {
            if last != Some(fingerprint) {
                if let Some(value) = edit(&fingerprint, value) {
                    writer.push(&fingerprint, value)?;
                }
                last = Some(fingerprint);
            }
            match (streams.get_mut(place).map(RunStream::next).transpose()?.flatten(), heads.get_mut(place)) {
                (Some(next), Some(head)) => *head = next,
                _ => {
                    streams.remove(place);
                    heads.remove(place);
                }
            }
            until_asked -= 1;
            if until_asked == 0 {
                if !go_on() {
                    return Ok(None);
                }
                until_asked = ASKED_EVERY;
            }
        }
        Ok(Some(Merged { replaces: self.inputs.iter().map(|run| run.id()).collect(), run: writer.finish()? }))
    }
}

/// What was in memory, to be written as a run.
pub(super) struct SpillPlan {
    pub(super) dir: RunDir,
    pub(super) entries: Arc<FingerprintMap<u64>>,
}

impl SpillPlan {
    /// # Errors
    /// Errors of writing.
    pub(super) fn write(&self) -> Result<Merged> {
        Ok(Merged { replaces: Vec::new(), run: write_run(&self.dir, &self.entries)? })
    }
}

/// Writes entries as a run of level 0; `None` if there are none.
pub(super) fn write_run(dir: &RunDir, entries: &FingerprintMap<u64>) -> Result<Option<Run>> {
    let mut entries: Vec<(Fingerprint, u64)> = entries.iter().map(|(key, value)| (*key, *value)).collect();
    entries.sort_unstable_by_key(|entry| entry.0);
    let mut writer = RunWriter::new(dir.clone(), 0, entries.len() as u64);
    for (fingerprint, value) in &entries {
        writer.push(fingerprint, *value)?;
    }
    writer.finish()
}

/// The least fingerprint, the first of equals, and its place.
pub(super) fn least(heads: &[(Fingerprint, u64)]) -> Option<(usize, (Fingerprint, u64))> {
    let mut least = (0, *heads.first()?);
    for (place, head) in heads.iter().enumerate().skip(1) {
        if head.0 < least.1.0 {
            least = (place, *head);
        }
    }
    Some(least)
}
