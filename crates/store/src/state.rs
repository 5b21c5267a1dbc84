//! Everything that only the holder of the state lock touches: the log's end, the index, the folds.

use std::any::Any;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::base::{BaseReader, each_operation};
use crate::catalog::{Catalog, SegmentSpan};
use crate::error::{Error, ErrorKind, Result};
use crate::flight::{Flight, Landing};
use crate::fold::{Committed, Fold};
use crate::format::encode_batch;
use crate::id::Sequence;
use crate::index::{FoldEntry, Index};
use crate::log::{LogDir, LogPosition, LogWriter, Rewritten, Segment};
use crate::options::{Durability, Options};
use crate::outcome::Outcome;
use crate::prepare::{Context, Prepared, build};
use crate::quarantine::{Quarantine, Quarantined, Settle};
use crate::queue::Submission;
use crate::record::{BaseSection, Payload, Record};
use crate::removal::{Removals, RemovedIds};
use crate::runs::{Fingerprint, MergeThread, MessageIds, RunLimits};
use crate::snapshot::Snapshot;
use crate::spare::Spare;
use crate::storage::Storage;
use crate::subjects::{SubjectLimits, Subjects};
use crate::time::Timestamp;

/// A place in the log is noted in the index after this many records, so that a scan can begin near any sequence.
pub(crate) const POSITION_EVERY: u64 = 65_536;

/// Room for a frame that is kept from one to the next.
const FRAME_KEPT_BYTES: usize = 4 << 20;

/// What the store itself derives from the log, under names of its own beside the folds'.
pub(crate) const SUBJECTS: (&str, u32) = ("subjects", 1);
pub(crate) const IDS: (&str, u32) = ("ids", 1);
pub(crate) const QUARANTINE: (&str, u32) = ("quarantine", 2);
/// The places in the log that the index notes, which are no fold.
pub(crate) const POSITIONS: &str = "positions";
/// What the index knows of segments, no fold either.
pub(crate) const SEGMENTS: &str = "segments";
/// How many folds there are of these.
pub(crate) const OWN: usize = 3;

pub(crate) struct State {
    pub(crate) log: LogWriter,
    pub(crate) index: Index,
    pub(crate) subjects: Arc<Subjects>,
    pub(crate) ids: MessageIds,
    pub(crate) quarantine: Quarantine,
    pub(crate) folds: Vec<Box<dyn Fold>>,
    /// The last sequence applied to everything, and written.
    pub(crate) applied: Sequence,
    /// How far each fold was applied when the index was last written, in the order subjects, ids, quarantine, folds.
    pub(crate) watermarks: Vec<Sequence>,
    since_checkpoint: u64,
    last_received: Timestamp,
    positions: Vec<(Sequence, LogPosition)>,
    pub(crate) catalog: Catalog,
    /// How many snapshots have been taken.
    published: u64,
    spare: Spare,
    /// The frame written last, for its room.
    frame: Vec<u8>,
    /// Stopped when the state is dropped: what it writes is under the store's lock.
    merges: Option<MergeThread>,
    /// The first error of a write or sync: from then on what is in memory may not be on disk.
    pub(crate) poison: Option<String>,
    /// Parts that a verification found wrong and is to have derived again: nothing of them is written any more.
    pub(crate) distrusted: Vec<String>,
}

impl State {
    /// Loads the folds from the index. What cannot be loaded starts empty, to be replayed.
    pub(crate) fn load(
        log: LogWriter,
        index: Index,
        options: &Options,
        runs_dir: &Path,
        mut folds: Vec<Box<dyn Fold>>,
        durable: Sequence,
    ) -> Result<Self> {
        let storage = &options.storage;
        let thread = options.background.then(MergeThread::start).transpose()?;
        let merges = thread.as_ref().map(MergeThread::merges).unwrap_or_default();
        let runs = RunLimits::with_filter_bytes(options.filters_max_bytes);
        let limits = SubjectLimits::new(runs);
        let subjects = Subjects::new(Arc::clone(storage), runs_dir, Arc::clone(&index.db), limits, merges.clone());
        let subjects = Arc::new(subjects);
        let mut ids = MessageIds::new(Arc::clone(storage), runs_dir, runs, merges);
        let mut quarantine = Quarantine::default();
        let catalog = Catalog::load(&index, durable)?;
        let read = index.begin_read()?;
        let mut watermarks = Vec::new();
        let mut resets: Vec<usize> = Vec::new();
        let mut place = |at: usize, name: &str, version: u32, load: &mut dyn FnMut() -> Result<()>| -> Result<()> {
            let entry = index.fold(name)?.filter(|entry| entry.version == version && entry.watermark <= durable);
            let loaded = match entry {
                Some(entry) => match load() {
                    Ok(()) => Some(entry.watermark),
                    // The state is derived: what is damaged is forgotten and replayed.
                    Err(e) if e.kind() == ErrorKind::Corrupt => None,
                    Err(e) => return Err(e),
                },
                None => None,
            };
            if loaded.is_none() {
                resets.push(at);
            }
            watermarks.push(loaded.unwrap_or(Sequence::new(0)));
            Ok(())
        };
        place(0, SUBJECTS.0, SUBJECTS.1, &mut || subjects.load(&read))?;
        place(1, IDS.0, IDS.1, &mut || ids.load(&read))?;
        place(2, QUARANTINE.0, QUARANTINE.1, &mut || quarantine.load(&read))?;
        for (at, fold) in folds.iter_mut().enumerate() {
            let (name, version) = (fold.name(), fold.version());
            place(at + OWN, name, version, &mut || fold.load(&read))?;
        }
        drop(read);
        if !resets.is_empty() {
            let txn = index.begin_write()?;
            for at in resets {
                // Together with its watermark: a crash in the middle of the replay must not leave an empty fold that counts as full.
                match at {
                    0 => {
                        subjects.reset(&txn)?;
                        Index::forget_fold(&txn, SUBJECTS.0)?;
                    }
                    1 => {
                        ids.reset(&txn)?;
                        Index::forget_fold(&txn, IDS.0)?;
                    }
                    2 => {
                        quarantine.reset(&txn)?;
                        Index::forget_fold(&txn, QUARANTINE.0)?;
                    }
                    _ => {
                        let fold = folds.get_mut(at - OWN).expect("invariant: counted from the folds");
                        fold.reset(&txn)?;
                        Index::forget_fold(&txn, fold.name())?;
                    }
                }
            }
            Index::commit(txn)?;
        }
        Ok(Self {
            log,
            index,
            subjects,
            ids,
            quarantine,
            folds,
            applied: durable,
            watermarks,
            since_checkpoint: 0,
            last_received: Timestamp::EPOCH,
            positions: Vec::new(),
            catalog,
            published: 0,
            spare: Spare::default(),
            frame: Vec::new(),
            merges: thread,
            poison: None,
            distrusted: Vec::new(),
        })
    }

    /// The sequence after which something has to be replayed.
    pub(crate) fn replay_after(&self) -> Sequence {
        self.watermarks.iter().copied().min().unwrap_or(Sequence::new(0))
    }

    /// Applies a batch of the log to whatever has not seen it.
    pub(crate) fn replay(
        &mut self,
        batch: &Committed<'_>,
        options: &Options,
        place: LogPosition,
        compressed: bool,
    ) -> Result<()> {
        let last = batch.last_sequence();
        let mut watermarks = self.watermarks.iter().copied();
        if watermarks.next().is_some_and(|mark| mark < last) {
            self.subjects.apply(&batch.payload.subjects)?;
            self.subjects.apply_erasures(batch.payload)?;
        }
        if watermarks.next().is_some_and(|mark| mark < last) {
            self.ids.apply(batch.payload)?;
        }
        if watermarks.next().is_some_and(|mark| mark < last) {
            self.quarantine.apply(batch)?;
        }
        for (fold, mark) in self.folds.iter_mut().zip(watermarks) {
            if mark < last {
                fold.apply(batch)?;
            }
        }
        self.applied = last;
        self.last_received = self.last_received.max(Timestamp::from_microsecond(batch.payload.received_at));
        self.since_checkpoint += batch.payload.records.len() as u64;
        self.note_position((batch.first_sequence, place));
        self.catalog.note(place.segment, batch, compressed);
        if self.since_checkpoint >= options.checkpoint_every { self.checkpoint() } else { Ok(()) }
    }

    /// Applies a base to whatever has not seen all that it covers, which is everything before `end`.
    pub(crate) fn replay_base(&mut self, mut base: BaseReader, end: Sequence, options: &Options) -> Result<()> {
        let covered = Sequence::new(end.number() - 1);
        let seen = |mark: Option<&Sequence>| mark.is_some_and(|mark| *mark >= covered);
        let (subjects_seen, ids_seen) = (seen(self.watermarks.first()), seen(self.watermarks.get(1)));
        while let Some(section) = base.next()? {
            match section.decode()? {
                BaseSection::Subjects(subjects) if !subjects_seen => self.subjects.apply(&subjects)?,
                BaseSection::MessageIds(ids) if !ids_seen => {
                    self.since_checkpoint += ids.len() as u64;
                    self.ids.take_over(&ids)?;
                }
                BaseSection::Operations { names, records } => {
                    each_operation(&names, records, |batch| {
                        if !subjects_seen {
                            self.subjects.apply_erasures(batch.payload)?;
                        }
                        for (fold, mark) in self.folds.iter_mut().zip(self.watermarks.iter().skip(OWN)) {
                            if *mark < batch.first_sequence {
                                fold.apply_base(batch)?;
                            }
                        }
                        Ok(())
                    })?;
                }
                BaseSection::Subjects(_) | BaseSection::MessageIds(_) => {}
            }
        }
        self.quarantine.apply_base(covered);
        self.applied = covered;
        // Not before: half a base is no state that a watermark could stand for.
        if self.since_checkpoint >= options.checkpoint_every { self.checkpoint() } else { Ok(()) }
    }

    /// Forgets what is known of segments before the first of the log: a crash may have come between their removal and that.
    pub(crate) fn forget_before(&mut self, log: &LogDir) -> Result<()> {
        let Some(first) = log.segments()?.first().map(|first| first.first) else { return Ok(()) };
        let gone: Vec<Sequence> =
            self.catalog.spans().map(|(segment, _)| segment).filter(|segment| *segment < first).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let txn = self.index.begin_write()?;
        for segment in gone {
            Index::forget_positions(&txn, segment, Sequence::new(first.number() - 1))?;
            self.catalog.remove(segment);
        }
        self.catalog.checkpoint(&txn)?;
        Index::commit(txn)
    }

    /// Forgets segments from the front of the log, whose content a base has taken over, and removes their files, in this order and durably. Whoever has such a file open
    /// goes on reading it.
    pub(crate) fn drop_segments(&mut self, segments: &[(Segment, Sequence)]) -> Result<()> {
        self.check_poison()?;
        let txn = self.index.begin_write()?;
        for (segment, last) in segments {
            Index::forget_positions(&txn, segment.first, *last)?;
            self.positions.retain(|(_, position)| position.segment != segment.first);
            self.catalog.remove(segment.first);
        }
        self.checkpoint_in(txn)?;
        let dir = self.log.dir();
        for (segment, _) in segments {
            dir.remove(segment)?;
        }
        // After a failed sync the names are gone and perhaps still on the disk, and no later sync would say so.
        dir.sync().inspect_err(|e| self.poison = Some(e.to_string()))
    }

    fn note_position(&mut self, position: (Sequence, LogPosition)) {
        let due = self.positions.last().is_none_or(|(last, _)| last.number() + POSITION_EVERY <= position.0.number());
        if due {
            self.positions.push(position);
        }
    }

    #[cfg(test)]
    pub(crate) fn note_for_test(&mut self, position: (Sequence, LogPosition)) {
        self.positions.push(position);
    }

    /// What is on disk is known only after the store is opened again.
    pub(crate) fn poison_by(&mut self, error: &Error) {
        self.poison = Some(error.to_string());
    }

    pub(crate) fn check_poison(&self) -> Result<()> {
        match &self.poison {
            None => self.log.active().check(),
            Some(first) => Err(Error::new(
                ErrorKind::Poisoned,
                format!("an earlier write failed ({first}); open the store again to go on"),
            )),
        }
    }

    /// Events that happened earlier have expired.
    pub(crate) fn expired_before(&self) -> Option<Timestamp> {
        self.removals()?.expired_before()
    }

    /// The fold of removals and expiries.
    pub(crate) fn removals(&self) -> Option<&Removals> {
        self.folds.iter().find_map(|fold| {
            let fold: &dyn Any = fold.as_ref();
            fold.downcast_ref()
        })
    }

    pub(crate) fn has_room(&self) -> Result<bool> {
        self.folds.iter().try_fold(true, |room, fold| Ok(room && fold.has_room()?))
    }

    /// Writes and applies submissions of one import as one batch, and says how to sync and answer them.
    pub(crate) fn commit(
        &mut self,
        submissions: Vec<Submission>,
        options: &Options,
    ) -> std::result::Result<Flight, Refused> {
        let commit = |this: &mut Self| {
            this.check_poison()?;
            // Ids, subjects and folds are changed before the batch is durable: after any failure, a panic included, they are worth nothing.
            this.poison = Some("a commit did not come to its end".to_owned());
            let committed = this.try_commit(&submissions, options);
            this.poison = committed.as_ref().err().map(Error::to_string);
            committed
        };
        let outcomes = match commit(self) {
            Ok(outcomes) => outcomes,
            Err(error) => return Err(Refused { error, submissions }),
        };
        let sync = submissions.iter().any(|submission| submission.options.durability == Durability::Sync);
        let mut outcomes = outcomes.into_iter();
        let landings = submissions
            .into_iter()
            .map(|submission| Landing {
                outcomes: outcomes.by_ref().take(submission.prepared.len()).collect(),
                reply: submission.reply,
                spent: submission.prepared.into_entries(),
            })
            .collect();
        let file = Arc::clone(self.log.active());
        Ok(Flight { landings, snapshot: Arc::new(self.publish()), file, through: self.applied, sync })
    }

    fn try_commit(&mut self, submissions: &[Submission], options: &Options) -> Result<Vec<Outcome>> {
        let import = submissions.first().and_then(|s| s.options.import).map(|id| *id.as_bytes());
        let prepared: Vec<&Prepared> = submissions.iter().map(|submission| &submission.prepared).collect();
        self.build_and_write(&prepared, import, options, None)
    }

    /// Puts on record, durably, what becomes of the event that is kept aside at `sequence`, and says under which sequence. `kept` is what was read there: whatever waits no
    /// more may be there no more.
    pub(crate) fn settle(
        &mut self,
        sequence: Sequence,
        kept: Result<Quarantined>,
        settle: Settle,
        options: &Options,
    ) -> Result<Sequence> {
        self.check_poison()?;
        match self.quarantine.is_waiting(sequence) {
            Some(true) => {}
            waiting => {
                let what =
                    if waiting.is_some() { "has been settled already" } else { "is no event that is kept aside" };
                return Err(Error::new(ErrorKind::Invalid, format!("sequence {sequence} {what}")));
            }
        }
        let kept = kept?;
        let now = options.clock.now();
        let event = match settle {
            Settle::Drop => None,
            Settle::Store { message_id } => {
                let mut stored = Vec::new();
                self.ids.lookup_many(&[Fingerprint::of(&message_id)], &mut stored)?;
                if stored != [None] {
                    return Err(Error::new(ErrorKind::Invalid, format!("message id \"{message_id}\" is taken too")));
                }
                let mut event = kept.event;
                event.message_id = Some(message_id);
                if let Some(before) = self.expired_before()
                    && event.timestamp.unwrap_or(kept.received_at) < before
                {
                    let message = format!("the event has expired: it happened before {before}; it can be dropped");
                    return Err(Error::new(ErrorKind::Invalid, message));
                }
                // It happened when it first came, not when somebody decided about it; and what was not too late then is not now.
                let latest = *event.timestamp.get_or_insert(kept.received_at);
                event.view().validate(latest).map_err(|why| Error::new(ErrorKind::Invalid, why.to_string()))?;
                Some(Prepared::new(vec![event.into()], now, latest, options.entropy.as_ref()))
            }
        };
        // As in a commit: what is in memory is worth nothing after a failure.
        self.poison = Some("a settlement did not come to its end".to_owned());
        let settled = self.try_settle(sequence, event.as_ref(), options);
        self.poison = settled.as_ref().err().map(Error::to_string);
        settled
    }

    fn try_settle(&mut self, sequence: Sequence, event: Option<&Prepared>, options: &Options) -> Result<Sequence> {
        let first = self.applied.plus(1);
        let prepared: Vec<&Prepared> = event.into_iter().collect();
        let stored_as = event.map(|_| first.number());
        let settlement = Record::Settlement { sequence: sequence.number(), stored_as };
        self.build_and_write(&prepared, None, options, Some(settlement))?;
        self.log.sync()?;
        Ok(first)
    }

    /// Writes what was prepared, and `after` it one record more, as one batch.
    fn build_and_write(
        &mut self,
        prepared: &[&Prepared],
        import: Option<[u8; 16]>,
        options: &Options,
        after: Option<Record<'static>>,
    ) -> Result<Vec<Outcome>> {
        // While the store is open, time of receipt never goes back, also when the clock does.
        let now = options.clock.now().max(self.last_received);
        let first_sequence = self.applied.plus(1);
        let expired_before = self.expired_before();
        let mut context = Context {
            subjects: &self.subjects,
            ids: &mut self.ids,
            quarantine: &mut self.quarantine,
            folds: &mut self.folds,
            spare: &mut self.spare,
            first_sequence,
            received_at: now,
            expired_before,
        };
        let (mut payload, outcomes) = build(prepared, import, &mut context)?;
        payload.records.extend(after);
        if !payload.records.is_empty() {
            self.write(first_sequence, &payload)?;
            self.last_received = now;
            if self.since_checkpoint >= options.checkpoint_every {
                self.checkpoint()?;
            }
            self.log.rotate_if_full(now)?;
        }
        self.spare.take_back(payload);
        Ok(outcomes)
    }

    fn write(&mut self, first_sequence: Sequence, payload: &Payload<'_>) -> Result<()> {
        let refused = |what: String| Error::new(ErrorKind::Invalid, format!("the batch cannot be encoded: {what}"));
        let synced_through = self.log.active().synced_through().number();
        let seed = self.log.frame_seed();
        let encoded = encode_batch(&mut self.frame, seed, first_sequence.number(), synced_through, payload);
        encoded.map_err(refused)?;
        let place = self.log.position();
        self.note_position((first_sequence, place));
        let batch = Committed { first_sequence, payload };
        self.catalog.note(place.segment, &batch, false);
        self.log.append(&self.frame, batch.last_sequence())?;
        self.frame.clear();
        self.frame.shrink_to(FRAME_KEPT_BYTES);
        self.subjects.apply_erasures(payload)?;
        self.quarantine.apply(&batch)?;
        for fold in &mut self.folds {
            fold.apply(&batch)?;
        }
        self.applied = batch.last_sequence();
        self.since_checkpoint += payload.records.len() as u64;
        Ok(())
    }

    /// Seals the active segment and begins the next, unless it is empty; the last sequence that is sealed.
    pub(crate) fn seal_active(&mut self, now: Timestamp) -> Result<Sequence> {
        self.check_poison()?;
        self.log.rotate(now).inspect_err(|e| self.poison = Some(e.to_string()))?;
        Ok(self.applied)
    }

    /// Puts a rewritten segment in the place of the old one, durably. Whoever has the old file open goes on reading it.
    pub(crate) fn swap_segment(&mut self, rewritten: Rewritten) -> Result<()> {
        self.check_poison()?;
        let segment = rewritten.first();
        let txn = self.index.begin_write()?;
        // What was known of the old file would be wrong of the new one, but for its compression.
        let compressed = true;
        let same = |known: &SegmentSpan| SegmentSpan { compressed, ..*known } == rewritten.span();
        let stale = !self.catalog.whole(segment, rewritten.last()).is_some_and(same);
        if stale {
            Index::set_segments(&txn, std::iter::once((segment, None)))?;
        }
        if Index::forget_positions(&txn, segment, rewritten.last())? || stale {
            // Durable before the rename: no place in the old file may ever be looked up in the new one.
            Index::commit(txn)?;
        } else {
            txn.abort().map_err(|e| Error::index("writing", e))?;
        }
        self.positions.retain(|(_, position)| position.segment != segment);
        let span = rewritten.span();
        let positions = rewritten.rename()?;
        // After a failed sync the name is there and perhaps on no disk, and no later sync would say so.
        self.log.dir().sync().inspect_err(|e| self.poison = Some(e.to_string()))?;
        let at = self.positions.partition_point(|(sequence, _)| *sequence < segment);
        self.positions.splice(at..at, positions);
        self.catalog.set(segment, span);
        Ok(())
    }

    /// Writes and applies records of the store's own as one batch, durably; the sequence of the first.
    pub(crate) fn record(&mut self, records: Vec<Record<'_>>, options: &Options) -> Result<Sequence> {
        self.check_poison()?;
        let now = options.clock.now().max(self.last_received);
        let first = self.applied.plus(1);
        let (names, subjects) = (Vec::new(), Vec::new());
        let (received_at, base_time) = (now.as_microsecond(), now.as_microsecond());
        let payload = Payload { received_at, import: None, base_time, names, subjects, records };
        self.poison = Some("a record did not come to its end".to_owned());
        let written = self.write(first, &payload).and_then(|()| self.log.sync());
        self.poison = written.as_ref().err().map(Error::to_string);
        written?;
        self.last_received = now;
        Ok(first)
    }

    /// Puts folds that were built anew from the whole log in the places of those of the same name, durably.
    pub(crate) fn succeed(&mut self, built: Vec<Box<dyn Fold>>) -> Result<()> {
        self.check_poison()?;
        let txn = self.index.begin_write()?;
        let mut before = Vec::with_capacity(built.len());
        // Until the index says the same, memory and index differ.
        self.poison = Some("folds built anew did not take their places".to_owned());
        for mut fold in built {
            let Some(place) = self.folds.iter().position(|old| old.name() == fold.name()) else { continue };
            let old = self.folds.get_mut(place).expect("invariant: its place was just found");
            fold.succeed(old.as_mut(), &txn)?;
            before.push(std::mem::replace(old, fold));
            // Subjects, ids and quarantine come first.
            if let Some(mark) = self.watermarks.get_mut(place + 3) {
                *mark = Sequence::new(0);
            }
        }
        self.log.sync()?;
        self.try_checkpoint(txn)?;
        self.poison = None;
        before.iter_mut().for_each(|old| old.retire());
        Ok(())
    }

    /// Forgets what `removed` names in the runs of message ids, and what was erased in those of subjects, in every file.
    pub(crate) fn purge_ids(&mut self, removed: &RemovedIds) -> Result<()> {
        self.check_poison()?;
        let purge = |this: &mut Self| {
            this.ids.purge(removed)?;
            this.subjects.purge()?;
            this.checkpoint()?;
            // The index written last named the files before; this one does not, and they go.
            this.checkpoint()
        };
        purge(self).inspect_err(|e| self.poison = Some(e.to_string()))
    }

    /// Forgets the conflicts at these sequences, which were settled and are in the log no more.
    pub(crate) fn forget_conflicts(&mut self, settled: &BTreeSet<u64>) -> Result<()> {
        self.check_poison()?;
        self.quarantine.forget_all(settled);
        self.checkpoint()
    }

    /// Writes the index to a new file, so that nothing stays in free pages of the old one.
    pub(crate) fn renew_index(&mut self, storage: &dyn Storage, path: &Path, cache_bytes: usize) -> Result<()> {
        self.checkpoint()?;
        let unfinished = path.with_extension("redb.tmp");
        let renewed = Index::create(storage, &unfinished, cache_bytes)?;
        let from = self.index.begin_read()?;
        let to = renewed.begin_write()?;
        Index::copy(&from, &to)?;
        Subjects::copy(&from, &to)?;
        MessageIds::copy(&from, &to)?;
        Quarantine::copy(&from, &to)?;
        for fold in &self.folds {
            fold.copy(&from, &to)?;
        }
        Index::commit(to)?;
        drop(from);
        storage.rename(&unfinished, path).map_err(|e| Error::io("renaming", &unfinished, e))?;
        // From here on the old file has no name: what is written must go to the new one.
        self.subjects.set_index(Arc::clone(&renewed.db));
        self.index = renewed;
        let dir = path.parent().unwrap_or(path);
        let synced = storage.sync_dir(dir).map_err(|e| Error::io("syncing directory", dir, e));
        synced.inspect_err(|e| self.poison = Some(e.to_string()))
    }

    /// Writes everything derived to the index, durably.
    pub(crate) fn checkpoint(&mut self) -> Result<()> {
        let txn = self.index.begin_write()?;
        self.checkpoint_in(txn)
    }

    /// Writes everything derived to the index, in one with what `txn` holds already. All folds go together, so that no watermark runs ahead of
    /// what another fold would need for a replay, and the log before them, so that none runs ahead of it. After a failure the store is poisoned: folds and index may differ.
    fn checkpoint_in(&mut self, txn: redb::WriteTransaction) -> Result<()> {
        self.log.sync().and_then(|()| self.try_checkpoint(txn)).inspect_err(|e| self.poison = Some(e.to_string()))
    }

    fn try_checkpoint(&mut self, txn: redb::WriteTransaction) -> Result<()> {
        let trusted = |name: &str| !self.distrusted.iter().any(|distrusted| distrusted == name);
        let applied = self.applied;
        let mut marks = self.watermarks.iter().copied();
        let mut next = |reached: Sequence| marks.next().unwrap_or(Sequence::new(0)).max(reached);
        let mut entries = Vec::with_capacity(OWN + self.folds.len());
        for (name, version) in [SUBJECTS, IDS, QUARANTINE] {
            entries.push((name, FoldEntry { version, watermark: next(applied) }));
        }
        if trusted(SUBJECTS.0) {
            self.subjects.checkpoint(&txn)?;
        }
        if trusted(IDS.0) {
            self.ids.checkpoint(&txn)?;
        }
        if trusted(QUARANTINE.0) {
            self.quarantine.checkpoint(&txn)?;
        }
        for fold in &mut self.folds {
            let name = fold.name();
            if trusted(name) {
                fold.checkpoint(&txn)?;
            }
            entries.push((name, FoldEntry { version: fold.version(), watermark: next(fold.watermark(applied)) }));
        }
        let written = entries.iter().filter(|(name, _)| trusted(name));
        for (name, entry) in written {
            Index::set_fold(&txn, name, *entry)?;
        }
        if trusted(POSITIONS) {
            Index::note_positions(&txn, &self.positions)?;
        }
        if trusted(SEGMENTS) {
            self.catalog.checkpoint(&txn)?;
        }
        Index::commit(txn)?;
        self.watermarks = entries.into_iter().map(|(_, entry)| entry.watermark).collect();
        self.positions.clear();
        self.since_checkpoint = 0;
        // Only now does the index no longer name what was merged away.
        self.subjects.after_checkpoint()?;
        self.ids.after_checkpoint()
    }

    /// Runs `work` on the fold of type `F`, then writes everything to the index, durably and in one.
    pub(crate) fn update<F: Fold, R>(
        &mut self,
        work: impl FnOnce(&mut F, &redb::WriteTransaction) -> Result<R>,
    ) -> Result<R> {
        self.check_poison()?;
        let txn = self.index.begin_write()?;
        let mut folds = self.folds.iter_mut().map(|fold| -> &mut dyn Any { fold.as_mut() });
        let fold = folds.find_map(|fold| fold.downcast_mut::<F>()).ok_or_else(without)?;
        // The fold may have changed, and the index not.
        let result = work(fold, &txn).inspect_err(|e| self.poison = Some(e.to_string()))?;
        self.checkpoint_in(txn)?;
        Ok(result)
    }

    /// The fold of this type.
    pub(crate) fn fold<F: Fold>(&self) -> Result<&F> {
        let mut folds = self.folds.iter().map(|fold| -> &dyn Any { fold.as_ref() });
        folds.find_map(|fold| fold.downcast_ref::<F>()).ok_or_else(without)
    }

    /// What readers see from now on.
    pub(crate) fn publish(&mut self) -> Snapshot {
        self.published += 1;
        Snapshot {
            number: self.published,
            sequence: self.applied,
            subject_count: self.subjects.count(),
            subjects: Arc::clone(&self.subjects),
            states: self.folds.iter_mut().map(|fold| fold.publish()).collect(),
        }
    }

    /// Checkpoint and closing frame. A poisoned store is left as it is: the next open finds out what is on disk.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.check_poison()?;
        // Before the checkpoint, which then removes what a merge left unfinished: the next one is made from the same runs.
        self.merges = None;
        self.checkpoint()?;
        self.log.seal()
    }
}

fn without() -> Error {
    Error::new(ErrorKind::Invalid, "the store was opened without this fold")
}

/// A commit that failed, and what is still to be answered.
pub(crate) struct Refused {
    pub(crate) error: Error,
    pub(crate) submissions: Vec<Submission>,
}
