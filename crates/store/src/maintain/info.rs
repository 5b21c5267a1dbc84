//! What the segments hold, and reading by time.

use crate::catalog::SegmentSpan;
use crate::error::Result;
use crate::id::Sequence;
use crate::log::{Scan, TimeScan};
use crate::queue::lock;
use crate::store::Store;
use crate::time::Timestamp;

/// One segment of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentInfo {
    /// Its first sequence.
    pub first: Sequence,
    /// Its bytes.
    pub bytes: u64,
    /// Whether nothing is added to it any more.
    pub sealed: bool,
    /// What it holds; `None` while that is not known, which [`Store::compact`] mends.
    pub span: Option<SegmentSpan>,
}

impl Store {
    /// The segments of the log, in order.
    ///
    /// # Errors
    /// Errors of the disk.
    pub fn segments(&self) -> Result<Vec<SegmentInfo>> {
        let state = lock(&self.shared.state);
        let segments = self.shared.log_dir.segments()?;
        let active = state.log.position().segment;
        let lasts = segments.iter().skip(1).map(|next| Sequence::new(next.first.number() - 1)).chain([state.applied]);
        let info = |(segment, last): (&crate::log::Segment, Sequence)| SegmentInfo {
            first: segment.first,
            bytes: segment.bytes,
            sealed: segment.first < active,
            span: if last < segment.first {
                Some(SegmentSpan::empty(segment.first))
            } else {
                state.catalog.whole(segment.first, last).copied()
            },
        };
        Ok(segments.iter().zip(lasts).map(info).collect())
    }

    /// Reads the batches that hold an event which happened at `from` or later and before `to`, in the order of the log, up to the last one of the present
    /// snapshot. Other events of these batches come along. Segments without such an event are not read.
    ///
    /// # Errors
    /// Errors of the disk; the iterator's items are [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) where a frame is damaged, and nothing follows such an item.
    pub fn scan_time(&self, from: Timestamp, to: Timestamp) -> Result<TimeScan> {
        let last = self.snapshot().sequence();
        let state = lock(&self.shared.state);
        let mut segments = self.shared.log_dir.segments()?;
        let follows: Vec<Sequence> = segments.iter().skip(1).map(|next| next.first).chain([last.plus(1)]).collect();
        let mut follows = follows.into_iter();
        segments.retain(|segment| {
            let follower = follows.next().unwrap_or(segment.first).min(last.plus(1));
            let through = Sequence::new(follower.number() - 1);
            // What is not known is read.
            let span = state.catalog.whole(segment.first, through);
            segment.first <= last
                && span.is_none_or(|span| span.happened.is_some_and(|happened| happened.meets(from, to)))
        });
        Ok(TimeScan::new(Scan::of_segments(&self.shared.log_dir, segments, last), from, to))
    }
}
