//! The steps of a removal.

use std::collections::BTreeSet;
use std::sync::{Arc, MutexGuard};

use super::fold::REMOVAL;
use super::hidden::Hidden;
use crate::base::{BaseReader, rewrite_base};
use crate::error::{Error, ErrorKind, Result};
use crate::id::{ImportId, Sequence, SubjectId};
use crate::limits::{ERASURE_MAX_SUBJECTS, FRAME_MAX_RECORDS, RETRACTION_MAX_RANGES};
use crate::log::{drop_unused_names, each_ahead};
use crate::maintain::SEALED_LEVEL;
use crate::quarantine::Aside;
use crate::queue::lock;
use crate::record::{
    BaseRecord, BaseSection, EventRecord, Link, Merge, Payload, Profile, Record, Remark, Removal, RemovedMessage,
    Retraction, Tombstone,
};
use crate::runs::{CONTENT_GONE, Fingerprint, FingerprintSet};
use crate::state::State;
use crate::store::Store;

/// Fingerprints of message ids whose events are removed.
#[derive(Debug, Default)]
pub(crate) struct RemovedIds {
    pub(crate) erased: FingerprintSet,
    pub(crate) retracted: FingerprintSet,
}

/// What was removed, once nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Receipt {
    /// The sequences of the records that asked for it.
    pub removals: Vec<Sequence>,
    /// Subjects that were erased.
    pub subjects: u64,
    /// Records that were removed from the log, by this run.
    pub records: u64,
    /// Segments of the log that were rewritten, by this run.
    pub segments: u64,
}

impl Store {
    /// Erases people: no later snapshot shows them or their events, and their distinct ids are unknown from now on, durably. Nothing of it is on disk any more
    /// once [`finish_removals`](Self::finish_removals) has returned. The sequence of the record that asks for it.
    ///
    /// A message id of theirs stays taken for good, and a distinct id that comes back is somebody new. Subjects that were erased before are passed over.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no subject, for one that the store does not have, or for more than [`ERASURE_MAX_SUBJECTS`]; those of the disk.
    pub fn erase(&self, subjects: &[SubjectId]) -> Result<Sequence> {
        let count = self.snapshot().subject_count();
        let mut numbers: Vec<u32> = subjects.iter().map(|subject| subject.number()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.is_empty() || numbers.len() > ERASURE_MAX_SUBJECTS {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("{} people to be erased at once, expected from 1 to {ERASURE_MAX_SUBJECTS}", numbers.len()),
            ));
        }
        if let Some(unknown) = numbers.iter().find(|number| **number >= count) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("subject {unknown} to be erased, but the store has {count}"),
            ));
        }
        // What is kept aside of them has no subject, and goes with them.
        let ids: Vec<SubjectId> = numbers.iter().copied().map(SubjectId::new).collect();
        let names: BTreeSet<String> = self.snapshot().subjects().distinct_ids(&ids)?.into_iter().flatten().collect();
        let mut records = vec![Record::Erasure { subjects: numbers }];
        let mut known = BTreeSet::new();
        loop {
            let mut state = lock(&self.shared.state);
            let waiting = state.quarantine.waiting();
            let new: BTreeSet<Sequence> = waiting.difference(&known).copied().collect();
            if new.is_empty() {
                // What does not fit the frame of the erasure goes before it: interrupted in between, nobody is erased yet.
                while records.len() > FRAME_MAX_RECORDS {
                    let last = records.split_off(records.len().saturating_sub(FRAME_MAX_RECORDS).max(1));
                    state.record(last, &self.shared.options)?;
                }
                return self.record_in(state, records);
            }
            drop(state);
            known.extend(new.iter().copied());
            for kept in self.conflicts(new) {
                let kept = kept?;
                if names.contains(&kept.event.distinct_id) {
                    records.push(Record::Settlement { sequence: kept.sequence.number(), stored_as: None });
                }
            }
        }
    }

    /// Withdraws the events at these sequences, ascending rows of a first sequence and a length: no later snapshot shows them, durably. They are gone from the disk
    /// and their message ids are free again once [`finish_removals`](Self::finish_removals) has returned. `filter` is kept as the reason.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for no row, rows that do not ascend, or more than [`RETRACTION_MAX_RANGES`]; those of the disk.
    pub fn retract(&self, filter: Option<&str>, sequences: Vec<(Sequence, u64)>) -> Result<Sequence> {
        self.retract_rows(None, filter, sequences.into_iter().map(|(first, count)| (first.number(), count)).collect())
    }

    /// Withdraws every event and every change of a profile that an import brought, as [`retract`](Self::retract) does.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an import that brought nothing which is still there; those of the disk.
    pub fn retract_import(&self, import: ImportId) -> Result<Sequence> {
        let mut rows: Vec<(u64, u64)> = Vec::new();
        each_ahead(self.scan(Sequence::FIRST)?, |frame| {
            let payload = frame.payload()?;
            if payload.import != Some(*import.as_bytes()) {
                return Ok(());
            }
            for (sequence, record) in (frame.first_sequence().number()..).zip(&payload.records) {
                if !matches!(record, Record::Event(_) | Record::Profile(_)) {
                    continue;
                }
                match rows.last_mut() {
                    Some((first, count)) if *first + *count == sequence => *count += 1,
                    _ => rows.push((sequence, 1)),
                }
            }
            Result::Ok(())
        })?;
        if rows.is_empty() {
            return Err(Error::new(ErrorKind::Invalid, format!("nothing in the store is of the import {import}")));
        }
        self.retract_rows(Some(*import.as_bytes()), None, rows)
    }

    fn retract_rows(
        &self,
        import: Option<[u8; 16]>,
        filter: Option<&str>,
        sequences: Vec<(u64, u64)>,
    ) -> Result<Sequence> {
        if sequences.is_empty() || sequences.len() > RETRACTION_MAX_RANGES {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "{} rows of events to be retracted at once, expected from 1 to {RETRACTION_MAX_RANGES}",
                    sequences.len()
                ),
            ));
        }
        let last = self.snapshot().sequence().number();
        let mut next = 1;
        for (first, count) in &sequences {
            if *first < next || *count == 0 || first.checked_add(count - 1).is_none_or(|end| end > last) {
                return Err(Error::new(
                    ErrorKind::Invalid,
                    format!(
                        "{count} events from sequence {first} on to be retracted, expected rows that ascend between {next} and {last}"
                    ),
                ));
            }
            next = first + count;
        }
        self.record(vec![Record::Retraction(Retraction { import, filter, sequences })])
    }

    /// Does what is left of every removal: when it returns, nothing of what was erased or retracted is in any file. After a stop or an error it can be
    /// called again, and goes on. Nothing to do is no error.
    ///
    /// Appends go on meanwhile; they wait while the ids are rewritten and while the folds change places.
    ///
    /// # Errors
    /// Those of the disk; [`ErrorKind::Corrupt`] for damage in the log.
    pub fn finish_removals(&self) -> Result<Receipt> {
        let hidden = self.snapshot().state::<Hidden>().unwrap_or_default();
        let mut receipt = Receipt { removals: Vec::new(), subjects: 0, records: 0, segments: 0 };
        if hidden.open().is_empty() {
            return Ok(receipt);
        }
        receipt.removals = hidden.open().iter().map(|removal| removal.sequence).collect();
        receipt.subjects = hidden.subjects.len();
        let through = self.shared.seal_active()?;
        let in_bases = self.hidden_in_bases(&hidden)?;
        let removed = self.removed_ids(&hidden, &in_bases)?;
        lock(&self.shared.state).purge_ids(&removed)?;
        drop(removed);
        let aside = lock(&self.shared.state).quarantine.aside(through);
        let mut records = 0;
        let mut edit = |first, payload: &mut Payload<'_>| {
            let removed = remove(&hidden, &aside, first, payload);
            records += removed;
            Ok(removed > 0)
        };
        let rewritten = self.shared.rewrite_segments(Sequence::FIRST..=through, Some(&mut edit), &|| true)?;
        self.rewrite_bases(&hidden, &in_bases)?;
        lock(&self.shared.state).forget_conflicts(&aside.settled)?;
        (receipt.records, receipt.segments) = (records, rewritten.segments as u64);
        self.reprocess(|name| name != REMOVAL)?;
        self.renew_index()?;
        let complete = |removal: &Sequence| Record::Completion { sequence: removal.number(), records: receipt.records };
        self.record(receipt.removals.iter().map(complete).collect())?;
        // The record that the removals are complete is in the index too, and the runs before are gone.
        self.checkpoint()?;
        Ok(receipt)
    }

    /// The message ids of what `hidden` hides, but for those that a later record has taken again.
    fn removed_ids(&self, hidden: &Hidden, in_bases: &BTreeSet<[u8; 16]>) -> Result<RemovedIds> {
        let mut removed = RemovedIds::default();
        for fingerprint in in_bases {
            removed.erased.insert(Fingerprint::from_bytes(*fingerprint));
        }
        each_ahead(self.scan(Sequence::FIRST)?, |frame| {
            for (sequence, record) in (frame.first_sequence().number()..).zip(&frame.payload()?.records) {
                let (subject, message_id) = match record {
                    Record::Event(event) => (event.subject, &event.message_id),
                    Record::Profile(profile) => (profile.subject, &profile.message_id),
                    _ => continue,
                };
                // Who is erased is erased whole, also of what is retracted besides.
                if hidden.subjects.contains(subject) {
                    removed.erased.insert(Fingerprint::of_message_id(message_id));
                } else if hidden.sequences.contains(sequence) {
                    removed.retracted.insert(Fingerprint::of_message_id(message_id));
                } else if !removed.retracted.is_empty() {
                    // Freed before a stop, and taken again since: the later event keeps its id.
                    removed.retracted.remove(&Fingerprint::of_message_id(message_id));
                }
            }
            Result::Ok(())
        })?;
        Ok(removed)
    }

    /// The message ids of the profiles in bases that `hidden` hides.
    fn hidden_in_bases(&self, hidden: &Hidden) -> Result<BTreeSet<[u8; 16]>> {
        let mut found = BTreeSet::new();
        for base in self.shared.base_dir.bases()? {
            let mut reader = BaseReader::open(&self.shared.base_dir, &base)?;
            while let Some(section) = reader.next()? {
                let BaseSection::Operations { records, .. } = section.decode()? else { continue };
                found.extend(records.iter().filter_map(|kept| match &kept.record {
                    Record::Profile(Profile { subject, message_id, .. }) if hidden.subjects.contains(*subject) => {
                        Some(*Fingerprint::of_message_id(message_id).as_bytes())
                    }
                    _ => None,
                }));
            }
        }
        Ok(found)
    }

    /// Writes records of the store's own, durably, and shows what they change.
    pub(crate) fn record(&self, records: Vec<Record<'_>>) -> Result<Sequence> {
        self.record_in(lock(&self.shared.state), records)
    }

    fn record_in(&self, mut state: MutexGuard<'_, State>, records: Vec<Record<'_>>) -> Result<Sequence> {
        let sequence = state.record(records, &self.shared.options)?;
        let snapshot = Arc::new(state.publish());
        drop(state);
        self.shared.show_durable(snapshot);
        Ok(sequence)
    }

    /// Removes from the bases what is erased: ids, the operations that speak of them, and what those with `message_ids` said.
    fn rewrite_bases(&self, hidden: &Hidden, message_ids: &BTreeSet<[u8; 16]>) -> Result<()> {
        let _alone = lock(&self.shared.maintenance);
        let no_conflicts = Aside::default();
        let edit = |section: &mut BaseSection<'_>| match section {
            BaseSection::Subjects(subjects) => {
                let mut changed = false;
                for new in subjects.iter_mut().filter(|new| hidden.subjects.contains(new.subject)) {
                    changed |= new.distinct_id.take().is_some();
                }
                Ok(changed)
            }
            BaseSection::Operations { names, records } => {
                let before = records.len();
                records.retain(|kept| tombstone(hidden, &no_conflicts, kept.sequence, &kept.record).is_none());
                if records.len() < before {
                    forget_names(names, records)?;
                }
                Ok(records.len() < before)
            }
            BaseSection::MessageIds(ids) => {
                let mut changed = false;
                for (_, content) in
                    ids.iter_mut().filter(|(id, content)| *content != CONTENT_GONE && message_ids.contains(id))
                {
                    (*content, changed) = (CONTENT_GONE, true);
                }
                Ok(changed)
            }
        };
        for base in self.shared.base_dir.bases()? {
            if rewrite_base(&self.shared.base_dir, &base, SEALED_LEVEL, self.clock().now(), &edit)? {
                self.shared.sync_bases()?;
            }
        }
        Ok(())
    }

    fn renew_index(&self) -> Result<()> {
        let options = &self.shared.options;
        let path = self.dir().join("index.redb");
        lock(&self.shared.state).renew_index(options.storage.as_ref(), &path, options.index_cache_bytes)
    }
}

/// Puts tombstones in the places of what is hidden in a batch and of the conflicts that wait no more, and forgets the distinct ids of who was erased; how many records went.
pub(crate) fn remove(hidden: &Hidden, aside: &Aside, first: Sequence, payload: &mut Payload<'_>) -> u64 {
    let mut removed = 0;
    for (sequence, record) in (first.number()..).zip(&mut payload.records) {
        if let Some(tombstone) = tombstone(hidden, aside, sequence, record) {
            *record = Record::Tombstone(tombstone);
            removed += 1;
        }
    }
    for subject in &mut payload.subjects {
        if subject.distinct_id.is_some() && hidden.subjects.contains(subject.subject) {
            subject.distinct_id = None;
            removed += 1;
        }
    }
    removed
}

/// Removes the names that no record of a section of operations refers to any more.
fn forget_names<'a>(names: &mut Vec<&'a str>, kept: &mut Vec<BaseRecord<'a>>) -> Result<()> {
    let (about, records): (Vec<_>, Vec<_>) =
        kept.drain(..).map(|kept| ((kept.sequence, kept.received_at), kept.record)).unzip();
    let (names_of, subjects) = (std::mem::take(names), Vec::new());
    let mut payload = Payload { received_at: 0, import: None, base_time: 0, names: names_of, subjects, records };
    drop_unused_names(&mut payload).map_err(|what| Error::new(ErrorKind::Corrupt, format!("base: {what}")))?;
    *names = payload.names;
    let about = about.into_iter().zip(payload.records);
    kept.extend(about.map(|((sequence, received_at), record)| BaseRecord { sequence, received_at, record }));
    Ok(())
}

fn tombstone(hidden: &Hidden, aside: &Aside, sequence: u64, record: &Record<'_>) -> Option<Tombstone> {
    let erased = |subject: &u32| hidden.subjects.contains(*subject);
    let gone = match record {
        Record::Event(EventRecord { subject, message_id, .. })
        | Record::Profile(Profile { subject, message_id, .. })
            if erased(subject) =>
        {
            let fingerprint = *Fingerprint::of_message_id(message_id).as_bytes();
            return Some(Tombstone {
                why: Removal::Erased,
                message: Some(RemovedMessage { fingerprint, content: CONTENT_GONE }),
            });
        }
        Record::Event(_) | Record::Profile(_) if hidden.sequences.contains(sequence) => {
            return Some(Tombstone { why: Removal::Retracted, message: None });
        }
        Record::Conflict(_) if aside.is_over(Sequence::new(sequence)) => {
            return Some(Tombstone { why: Removal::Settled, message: None });
        }
        Record::Identify(Link { from, to, .. }) | Record::Alias(Link { from, to, .. }) => erased(from) || erased(to),
        Record::Merge(Merge { subjects, .. }) => subjects.iter().any(erased),
        Record::Split { subject } => erased(subject),
        Record::Remark(Remark { subjects, .. }) => subjects.iter().any(erased),
        _ => false,
    };
    gone.then_some(Tombstone { why: Removal::Erased, message: None })
}
