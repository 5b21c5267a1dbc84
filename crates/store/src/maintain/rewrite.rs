//! Sealed segments written anew while the store goes on.

use std::ops::RangeInclusive;

use crate::error::Result;
use crate::id::Sequence;
use crate::log::{Edit, Rewriting, Segment, Written};
use crate::queue::lock;
use crate::store::Shared;

/// The level of zstd for sealed segments.
pub(crate) const SEALED_LEVEL: i32 = 3;

/// What became of segments that were to be rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rewrites {
    /// Those that changed.
    pub(crate) segments: usize,
    /// Their bytes before.
    pub(crate) bytes_before: u64,
    /// Their bytes now.
    pub(crate) bytes_after: u64,
}

impl Shared {
    /// Rewrites the sealed segments that hold a sequence of `range`: each batch is given to `edit`, and what is not compressed is. What a segment becomes is
    /// durable before the next one is begun; `go_on` is asked between frames. Reading and writing need no lock that a commit would want, only the swap at the end of each.
    ///
    /// The segment that is written to at present is left out: [seal it](Self::seal_active) first where it matters. Folds and index know nothing of what is removed.
    ///
    /// # Errors
    /// `Corrupt` for a segment that is not whole, naming the place; what `edit` returns; errors of the disk and of the index. The segment at hand is then as it was.
    pub(crate) fn rewrite_segments(
        &self,
        range: RangeInclusive<Sequence>,
        mut edit: Option<&mut Edit<'_>>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Rewrites> {
        let _alone = lock(&self.maintenance);
        let mut done = Rewrites::default();
        for (segment, last) in self.sealed_segments()? {
            if segment.first > *range.end() || last < *range.start() {
                continue;
            }
            if let Some(bytes) = self.rewrite(&segment, last, edit.as_deref_mut(), go_on)? {
                done.segments += 1;
                done.bytes_before += segment.bytes;
                done.bytes_after += bytes;
            }
        }
        Ok(done)
    }

    /// Rewrites the sealed segment that ends with `last`; its bytes, if they are others now. For whoever holds the maintenance lock.
    pub(super) fn rewrite(
        &self,
        segment: &Segment,
        last: Sequence,
        edit: Option<&mut Edit<'_>>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<u64>> {
        let known = lock(&self.state).catalog.whole(segment.first, last).copied();
        let rewriting = Rewriting { dir: &self.log_dir, segment, level: SEALED_LEVEL, known, edit, go_on };
        match rewriting.run()? {
            Written::Anew(rewritten) => {
                let bytes = rewritten.bytes;
                lock(&self.state).swap_segment(rewritten)?;
                Ok(Some(bytes))
            }
            Written::Same(span) => {
                lock(&self.state).catalog.set(segment.first, span);
                Ok(None)
            }
            Written::Stopped => Ok(None),
        }
    }

    /// Ends the segment that is written to at present, unless it is empty: it can be rewritten then. The last sequence that is sealed.
    ///
    /// # Errors
    /// Errors of the disk: the store is then poisoned.
    pub(crate) fn seal_active(&self) -> Result<Sequence> {
        lock(&self.state).seal_active(self.options.clock.now())
    }

    /// The segments that nothing is added to any more, each with its last sequence.
    pub(crate) fn sealed_segments(&self) -> Result<Vec<(Segment, Sequence)>> {
        // Asked first: what is sealed since is left for the next time.
        let active = lock(&self.state).log.position().segment;
        let segments = self.log_dir.segments()?;
        let follows = segments.iter().map(|segment| segment.first).skip(1).collect::<Vec<_>>();
        Ok(segments
            .into_iter()
            .zip(follows)
            .take_while(|(segment, _)| segment.first < active)
            .map(|(segment, follower)| (segment, Sequence::new(follower.number() - 1)))
            .collect())
    }
}
