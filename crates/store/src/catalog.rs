//! What each segment of the log holds, known without reading it. Derived: what is not known is read.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::fold::Committed;
use crate::id::Sequence;
use crate::index::Index;
use crate::record::{Payload, Record};
use crate::time::Timestamp;

/// The earliest and the latest of some instants, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// The earliest.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
}

impl TimeRange {
    fn of(instant: Timestamp) -> Self {
        Self { first: instant, last: instant }
    }

    fn hull(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// Whether it meets the time from `from` to just before `to`.
    pub fn meets(&self, from: Timestamp, to: Timestamp) -> bool {
        self.first < to && self.last >= from
    }
}

/// What one segment holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentSpan {
    /// The last sequence that this speaks of.
    pub last: Sequence,
    /// Events that are still there.
    pub events: u64,
    /// When these happened, and the events that are kept aside; `None` without any.
    pub happened: Option<TimeRange>,
    /// When the batches were received; `None` without any.
    pub received: Option<TimeRange>,
    /// Whether everything that can be made smaller has been.
    pub compressed: bool,
}

impl SegmentSpan {
    /// Of a segment that nothing is known of yet.
    pub(crate) fn empty(first: Sequence) -> Self {
        let last = Sequence::new(first.number().saturating_sub(1));
        Self { last, events: 0, happened: None, received: None, compressed: true }
    }

    /// Adds the batch that comes next.
    pub(crate) fn add(&mut self, batch: &Committed<'_>, compressed: bool) {
        let received = TimeRange::of(Timestamp::from_microsecond(batch.payload.received_at));
        self.received = Some(self.received.map_or(received, |range| range.hull(received)));
        let mut times = happened(batch.payload);
        if let Some(first) = times.next() {
            let mut range = TimeRange::of(first);
            self.events += 1;
            for time in times {
                range = range.hull(TimeRange::of(time));
                self.events += 1;
            }
            self.happened = Some(self.happened.map_or(range, |before| before.hull(range)));
        }
        // A conflict counts for the time, so that no segment goes before it: somebody may still store it as an event.
        for record in &batch.payload.records {
            if let Record::Conflict(conflict) = record {
                let range = TimeRange::of(batch.payload.time(conflict.time));
                self.happened = Some(self.happened.map_or(range, |before| before.hull(range)));
            }
        }
        self.compressed &= compressed;
        self.last = batch.last_sequence();
    }
}

/// When the events of a batch happened.
pub(crate) fn happened(payload: &Payload<'_>) -> impl Iterator<Item = Timestamp> {
    payload.records.iter().filter_map(|record| match record {
        Record::Event(event) => Some(Timestamp::from_microsecond(payload.base_time.wrapping_add(event.time))),
        _ => None,
    })
}

/// The segments of a store, by first sequence.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    spans: BTreeMap<Sequence, SegmentSpan>,
    /// What the index does not say yet.
    changed: BTreeSet<Sequence>,
}

impl Catalog {
    /// What the index says of a log that ends at `last`; what cannot be is forgotten.
    pub(crate) fn load(index: &Index, last: Sequence) -> Result<Self> {
        let (spans, wrong): (Vec<_>, Vec<_>) = index
            .segments()?
            .into_iter()
            .partition(|(first, span)| span.last <= last && span.last.number() >= first.number().saturating_sub(1));
        let changed = wrong.into_iter().map(|(first, _)| first).collect();
        Ok(Self { spans: spans.into_iter().collect(), changed })
    }

    /// Takes in a batch of the segment that begins with `segment`.
    pub(crate) fn note(&mut self, segment: Sequence, batch: &Committed<'_>, compressed: bool) {
        let span = self.spans.entry(segment).or_insert_with(|| SegmentSpan::empty(segment));
        // What was seen is seen again in a replay. Across a gap nothing is known: the segment will be read.
        if span.last.plus(1) == batch.first_sequence {
            span.add(batch, compressed);
            self.changed.insert(segment);
        }
    }

    pub(crate) fn set(&mut self, segment: Sequence, span: SegmentSpan) {
        self.spans.insert(segment, span);
        self.changed.insert(segment);
    }

    pub(crate) fn remove(&mut self, segment: Sequence) {
        self.spans.remove(&segment);
        self.changed.insert(segment);
    }

    /// What is known of a segment that ends with `last`, if that is all.
    pub(crate) fn whole(&self, segment: Sequence, last: Sequence) -> Option<&SegmentSpan> {
        self.spans.get(&segment).filter(|span| span.last >= last)
    }

    /// What is known, by first sequence.
    pub(crate) fn spans(&self) -> impl Iterator<Item = (Sequence, &SegmentSpan)> {
        self.spans.iter().map(|(segment, span)| (*segment, span))
    }

    /// Writes what changed since the last time.
    pub(crate) fn checkpoint(&mut self, txn: &redb::WriteTransaction) -> Result<()> {
        let changed = std::mem::take(&mut self.changed);
        Index::set_segments(txn, changed.into_iter().map(|segment| (segment, self.spans.get(&segment))))
    }
}
