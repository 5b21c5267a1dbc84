//! Merging runs: many small ones into one, so that a lookup asks few filters.

use std::sync::Arc;

use super::run::{Run, RunStream};
use super::writer::{RunDir, RunWriter};
use crate::error::Result;

/// Decides when runs are merged.
pub(crate) trait MergePolicy: Send + Sync {
    /// The level whose runs are to become one of the next level, given how many runs each level has, from level 0.
    fn due(&self, runs_per_level: &[usize]) -> Option<u8>;
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
}

/// A merge that is due. It owns all it needs, so that any thread can run it; the set adopts the outcome afterwards.
pub(crate) struct MergePlan {
    pub(super) dir: RunDir,
    /// The runs to be merged, the newest first.
    pub(super) inputs: Vec<Arc<Run>>,
    pub(super) level: u8,
}

/// The outcome of a merge: what it replaces, and by what.
pub(crate) struct Merged {
    /// Numbers of the runs that were merged.
    pub(super) replaces: Vec<u64>,
    pub(super) run: Option<Run>,
}

impl MergePlan {
    /// Writes the merged run; the files merged stay.
    ///
    /// # Errors
    /// `Corrupt` for damage in one of the files merged, and errors of writing.
    pub(crate) fn merge(&self) -> Result<Merged> {
        let entries = self.inputs.iter().map(|run| run.entries()).sum();
        let mut writer = RunWriter::new(self.dir.clone(), self.level, entries);
        let mut streams: Vec<RunStream<'_>> = self.inputs.iter().map(|run| RunStream::new(run)).collect();
        let mut heads = Vec::with_capacity(streams.len());
        for stream in &mut streams {
            heads.push(stream.next()?);
        }
        // Of equal fingerprints the newest run's stands: `min_by_key` takes the first of equals.
        while let Some((fingerprint, value)) = heads.iter().flatten().min_by_key(|head| head.0).copied() {
            writer.push(&fingerprint, value)?;
            for (head, stream) in heads.iter_mut().zip(&mut streams) {
                if head.is_some_and(|head| head.0 == fingerprint) {
                    *head = stream.next()?;
                }
            }
        }
        Ok(Merged { replaces: self.inputs.iter().map(|run| run.id()).collect(), run: writer.finish()? })
    }
}
