//! The catalog of segments in the index.

use redb::{ReadableTable, TableDefinition, WriteTransaction};

use super::tables::{Index, existing};
use crate::catalog::{SegmentSpan, TimeRange};
use crate::error::{Error, Result};
use crate::id::Sequence;
use crate::time::Timestamp;

/// Two instants; the first after the second where there are none.
type Range = (i64, i64);

/// First sequence → (last sequence that is spoken of, events, when they happened, when they were received, compressed).
pub(super) const SEGMENTS: TableDefinition<'_, u64, (u64, u64, Range, Range, bool)> =
    TableDefinition::new("store.segments");

impl Index {
    /// What is known of each segment.
    pub(crate) fn segments(&self) -> Result<Vec<(Sequence, SegmentSpan)>> {
        let txn = self.begin_read()?;
        let Some(table) = existing(txn.open_table(SEGMENTS))? else { return Ok(Vec::new()) };
        let mut segments = Vec::new();
        for entry in table.iter().map_err(|e| Error::index("reading store.segments", e))? {
            let (first, span) = entry.map_err(|e| Error::index("reading store.segments", e))?;
            let (last, events, happened, received, compressed) = span.value();
            let (happened, received) = (decode(happened), decode(received));
            let span = SegmentSpan { last: Sequence::new(last), events, happened, received, compressed };
            segments.push((Sequence::new(first.value()), span));
        }
        Ok(segments)
    }

    /// Forgets what is known of every segment: it is read again where it is asked for.
    pub(crate) fn forget_segments(txn: &WriteTransaction) -> Result<()> {
        txn.delete_table(SEGMENTS).map_err(|e| Error::index("writing store.segments", e))?;
        Ok(())
    }

    /// Says what is known of segments, or, where that is nothing, forgets them.
    pub(crate) fn set_segments<'a>(
        txn: &WriteTransaction,
        segments: impl Iterator<Item = (Sequence, Option<&'a SegmentSpan>)>,
    ) -> Result<()> {
        let mut table = txn.open_table(SEGMENTS).map_err(|e| Error::index("writing store.segments", e))?;
        for (first, span) in segments {
            let done = match span {
                Some(span) => {
                    let (happened, received) = (encode(span.happened), encode(span.received));
                    let value = (span.last.number(), span.events, happened, received, span.compressed);
                    table.insert(first.number(), value).map(|_| ())
                }
                None => table.remove(first.number()).map(|_| ()),
            };
            done.map_err(|e| Error::index("writing store.segments", e))?;
        }
        Ok(())
    }
}

fn encode(range: Option<TimeRange>) -> Range {
    range.map_or((1, 0), |range| (range.first.as_microsecond(), range.last.as_microsecond()))
}

fn decode((first, last): Range) -> Option<TimeRange> {
    let (first, last) = (Timestamp::from_microsecond(first), Timestamp::from_microsecond(last));
    (first <= last).then_some(TimeRange { first, last })
}
