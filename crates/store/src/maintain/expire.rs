//! Data of an age: whole segments go from the front of the log, others are rewritten.
//!
//! The record of an expiry is the plan: until its completion is on record, whatever is left to do is found out anew, after a crash as after a rebuild of the index.
//! Order: what is kept aside is forgotten with the record of the expiry; a base is durable under its name, then the index forgets the segments, then they go; folds are
//! derived anew; the completion is on record.

use std::sync::Arc;

use super::rewrite::SEALED_LEVEL;
use crate::base::BaseWriter;
use crate::catalog::{SegmentSpan, happened};
use crate::error::{Error, ErrorKind, Result};
use crate::fold::Committed;
use crate::id::Sequence;
use crate::log::{Segment, read_sealed, survey};
use crate::queue::lock;
use crate::record::{EventRecord, Payload, Record, Removal, RemovedMessage, Tombstone};
use crate::removal::{Hidden, REMOVAL, remove};
use crate::runs::{Fingerprint, content_hash_of_record};
use crate::store::{Shared, Store};
use crate::time::Timestamp;

/// Most records that one base takes over, unless a single segment has more: so many message ids are in memory while it is written.
const BASE_RECORDS: u64 = 4_000_000;

/// What an expiry removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Expired {
    /// Segments that went as a whole.
    pub segments_removed: u64,
    /// Segments that were written anew.
    pub segments_rewritten: u64,
    /// Records that are gone.
    pub records: u64,
}

impl Store {
    /// Lets events expire that happened earlier than `before`, for good: no snapshot from now on shows them, none that happened earlier is accepted any more, and what can be
    /// removed is. Their message ids stay taken, and people, links and profiles stay.
    ///
    /// Removed are whole segments from the front of the log whose newest event has expired; other sealed segments are rewritten when more than half of their events have. What is left of
    /// such events is hidden, and goes when a later expiry reaches it.
    ///
    /// Folds are derived anew from what stays. Returns when it is done. Interrupted, it is taken up again by [`maintain`](Self::maintain) and the thread that does the same.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a time that has not come: all that happens until then would be refused. [`ErrorKind::Corrupt`] for a segment that is not whole, naming the place; errors of the disk and of the index. What had been removed is then removed, and
    /// the rest as it was.
    pub fn expire(&self, before: Timestamp) -> Result<Expired> {
        let now = self.clock().now();
        if before > now {
            let what = format!("events before {before} are to expire, expected at latest {now}, which is now");
            return Err(Error::new(ErrorKind::Invalid, what));
        }
        let snapshot = self.snapshot();
        let open = snapshot.state::<Hidden>().is_some_and(|hidden| !hidden.expiring().is_empty());
        // An open one that reaches as far does the same.
        if !open || snapshot.expired_before() < Some(before) {
            self.record(vec![Record::Expiry { before: before.as_microsecond() }])?;
        }
        let _alone = lock(&self.shared.maintenance);
        self.shared.finish_expiry(&|| true)
    }
}

impl Shared {
    pub(super) fn hidden(&self) -> Arc<Hidden> {
        self.snapshot().state::<Hidden>().unwrap_or_default()
    }

    /// Does what is left to do of the expiries on record, for whoever holds the maintenance lock; told to stop, it is left as far as it got.
    pub(super) fn finish_expiry(&self, go_on: &dyn Fn() -> bool) -> Result<Expired> {
        let mut done = Expired::default();
        let hidden = self.hidden();
        let Some(before) = hidden.expired_before().filter(|_| !hidden.expiring().is_empty()) else { return Ok(done) };
        self.remove_covered()?;
        let Some(segments) = self.surveyed(go_on)? else { return Ok(done) };
        let old = |span: &SegmentSpan| span.happened.is_none_or(|happened| happened.last < before);
        let front = segments.iter().position(|(.., span)| !old(span)).unwrap_or(segments.len());
        let (front, rest) = segments.split_at(front);
        let mut left = front;
        while !left.is_empty() {
            let mut records = 0;
            let fits = left.iter().take_while(|(segment, last, _)| {
                records += last.number() + 1 - segment.first.number();
                records <= BASE_RECORDS
            });
            let (group, after) = left.split_at(fits.count().max(1));
            let Some(records) = self.take_over(group, before, &hidden, go_on)? else { return Ok(done) };
            done.records += records;
            done.segments_removed += group.len() as u64;
            left = after;
        }
        for (segment, last, span) in rest {
            if span.happened.is_some_and(|happened| happened.first < before) {
                let Some(records) = self.thin_out(segment, *last, before, go_on)? else { return Ok(done) };
                done.records += records;
                done.segments_rewritten += u64::from(records > 0);
            }
        }
        // Derived from what is gone, folds are derived anew from what stays; something may have gone in an attempt before this one.
        if !self.reprocess(&|name| name != REMOVAL, go_on)? {
            return Ok(done);
        }
        let complete = |sequence: &Sequence| Record::Completion { sequence: sequence.number(), records: done.records };
        let mut state = lock(&self.state);
        state.record(hidden.expiring().iter().map(complete).collect(), &self.options)?;
        state.checkpoint()?;
        let snapshot = Arc::new(state.publish());
        drop(state);
        self.show_durable(snapshot);
        Ok(done)
    }

    /// Makes the names of the bases durable. After a failure a name is there and perhaps on no disk, and no later sync would say so: the store is poisoned.
    pub(crate) fn sync_bases(&self) -> Result<()> {
        self.base_dir.sync().inspect_err(|e| lock(&self.state).poison_by(e))
    }

    /// Removes the segments that a base has taken over and that are still there, because their removal failed.
    fn remove_covered(&self) -> Result<()> {
        let Some(end) = self.base_dir.bases()?.last().map(|base| base.end) else { return Ok(()) };
        let mut covered = self.sealed_segments()?;
        covered.retain(|(segment, _)| segment.first < end);
        if covered.is_empty() { Ok(()) } else { lock(&self.state).drop_segments(&covered) }
    }

    /// The sealed segments and what each holds; `None` when told to stop.
    fn surveyed(&self, go_on: &dyn Fn() -> bool) -> Result<Option<Vec<(Segment, Sequence, SegmentSpan)>>> {
        let mut segments = Vec::new();
        for (segment, last) in self.sealed_segments()? {
            let known = lock(&self.state).catalog.whole(segment.first, last).copied();
            let span = match known {
                Some(span) => span,
                None => {
                    let Some(span) = survey(&self.log_dir, &segment, go_on)? else { return Ok(None) };
                    lock(&self.state).catalog.set(segment.first, span);
                    span
                }
            };
            segments.push((segment, last, span));
        }
        Ok(Some(segments))
    }

    /// Writes a base for segments that follow one another from the front of the log, and removes them. How many records went; `None` when told to stop.
    fn take_over(
        &self,
        group: &[(Segment, Sequence, SegmentSpan)],
        before: Timestamp,
        hidden: &Hidden,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<u64>> {
        let (Some((first, ..)), Some((_, last, _))) = (group.first(), group.last()) else { return Ok(Some(0)) };
        let store_id = lock(&self.state).log.store_id();
        let aside = lock(&self.state).quarantine.aside(*last);
        let mut writer = BaseWriter::create(
            &self.base_dir,
            store_id,
            (first.first, last.plus(1)),
            SEALED_LEVEL,
            self.options.clock.now(),
        )?;
        let mut records = 0;
        for (segment, ..) in group {
            let whole = read_sealed(&self.log_dir, segment, go_on, |first_sequence, payload, _| {
                self.check_expired(segment, payload, before)?;
                records += payload.records.iter().filter(|record| matches!(record, Record::Event(_))).count() as u64;
                // What is being erased or retracted leaves no more behind in a base than in the log.
                remove(hidden, &aside, first_sequence, payload);
                writer.add(&Committed { first_sequence, payload })
            })?;
            if !whole {
                return Ok(None);
            }
        }
        writer.finish()?;
        self.sync_bases()?;
        let dropped: Vec<(Segment, Sequence)> =
            group.iter().map(|(segment, last, _)| (segment.clone(), *last)).collect();
        lock(&self.state).drop_segments(&dropped)?;
        Ok(Some(records))
    }

    /// Fails for a batch that holds what has not expired: what is known of its segment is derived, and nothing goes on its word alone. It is then forgotten.
    fn check_expired(&self, segment: &Segment, payload: &Payload<'_>, before: Timestamp) -> Result<()> {
        let kept = payload.records.iter().filter_map(|record| match record {
            Record::Conflict(conflict) => Some(payload.time(conflict.time)),
            _ => None,
        });
        let Some(newer) = happened(payload).chain(kept).find(|time| *time >= before) else { return Ok(()) };
        lock(&self.state).catalog.remove(segment.first);
        Err(Error::corrupt(
            format!("index.redb: store.segments, segment {}", segment.first),
            format!("said to have expired before {before}, but it holds what happened at {newer}"),
        ))
    }

    /// Rewrites a segment without its expired events, if those are more than half. How many went; `None` when told to stop.
    fn thin_out(
        &self,
        segment: &Segment,
        last: Sequence,
        before: Timestamp,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Option<u64>> {
        let (mut events, mut expired) = (0_u64, 0_u64);
        let whole = read_sealed(&self.log_dir, segment, go_on, |_, payload, _| {
            for time in happened(payload) {
                events += 1;
                expired += u64::from(time < before);
            }
            Ok(())
        })?;
        if !whole {
            return Ok(None);
        }
        if expired * 2 <= events {
            return Ok(Some(0));
        }
        let mut removed = 0;
        let mut edit = |_: Sequence, payload: &mut Payload<'_>| {
            let gone = expire(payload, before)?;
            removed += gone;
            Ok(gone > 0)
        };
        if self.rewrite(segment, last, Some(&mut edit), go_on)?.is_none() {
            return Ok(None);
        }
        Ok(Some(removed))
    }
}

/// Makes the expired events and conflicts of a batch tombstones; how many.
fn expire(payload: &mut Payload<'_>, before: Timestamp) -> Result<u64> {
    let mut records = std::mem::take(&mut payload.records);
    let mut removed = 0;
    for record in &mut records {
        let message = match record {
            Record::Event(event) if payload.time(event.time) < before => Some(message_of(event, payload)?),
            Record::Conflict(conflict) if payload.time(conflict.time) < before => None,
            _ => continue,
        };
        *record = Record::Tombstone(Tombstone { why: Removal::Expired, message });
        removed += 1;
    }
    payload.records = records;
    Ok(removed)
}

fn message_of(event: &EventRecord<'_>, payload: &Payload<'_>) -> Result<RemovedMessage> {
    let fingerprint = *Fingerprint::of_message_id(&event.message_id).as_bytes();
    Ok(RemovedMessage { fingerprint, content: content_hash_of_record(event, payload)? })
}
