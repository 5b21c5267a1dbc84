//! Distinct id to subject and back, shared by the committer that gives out numbers and the queries that read them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use redb::{ReadTransaction, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

use super::hot::{Epoch, HotCache};
use super::names::{BLOCK_SUBJECTS, NAMES, Names, check_length, decode_block, missing};
use crate::error::{Error, ErrorKind, Result};
use crate::fold::copy_table;
use crate::id::SubjectId;
use crate::limits::SUBJECTS_MAX;
use crate::record::{NewSubject, Payload, Record};
use crate::runs::{
    Fingerprint, Merges, RECENT_MAX, RunKind, RunLimits, RunList, RunMeta, RunSet, RunStats, decode_manifest,
    encode_manifest,
};
use crate::storage::Storage;
use crate::verify::Findings;

const STATE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("subjects.state");
const COUNT: &str = "count";
const MANIFEST: &str = "manifest";
/// In the place of a subject's number: the distinct id was erased, and is unknown.
const GONE: u64 = u64::MAX;
/// Entries of the cache: what two tables of 2^19 buckets hold (22 MiB).
const HOT_ENTRIES: usize = 2 * RECENT_MAX;

/// What bounds the subjects and the memory that they take.
#[derive(Clone, Copy)]
pub(crate) struct SubjectLimits {
    pub(super) recent_max: usize,
    pub(super) hot_entries: usize,
    pub(super) subjects_max: u32,
    pub(super) runs: RunLimits,
}

impl SubjectLimits {
    /// The usual ones, with these of the runs.
    pub(crate) fn new(runs: RunLimits) -> Self {
        Self { recent_max: RECENT_MAX, hot_entries: HOT_ENTRIES, subjects_max: SUBJECTS_MAX, runs }
    }
}

/// Every distinct id that the store has seen: its number, and the way back.
///
/// It is shared and thread-safe: the committer gives out numbers while queries look up. No lookup waits for a disk that
/// another one reads.
pub struct Subjects {
    storage: Arc<dyn Storage>,
    dir: PathBuf,
    /// Replaced when an erasure writes the index anew.
    db: RwLock<Arc<redb::Database>>,
    state: RwLock<State>,
    hot: Mutex<HotCache>,
    limits: SubjectLimits,
    merges: Merges,
}

/// What memory knows of some ids, and the disk that is to be asked of the others.
pub(super) struct Asked {
    found: Vec<Option<u64>>,
    /// Places of the others.
    cold: Vec<usize>,
    disk: Arc<RunList>,
    epoch: Epoch,
}

struct State {
    set: RunSet,
    names: Names,
    /// Another one whenever an id that was a subject's is so no more.
    epoch: Epoch,
    /// What the present batch has brought is not all in memory.
    has_spilled: bool,
    /// What the index holds: the subjects and the manifest of the last checkpoint written.
    written: (u32, Vec<RunMeta>),
}

/// What the subject directory holds, in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SubjectStats {
    /// Subjects, the erased ones included.
    pub subjects: u32,
    /// The runs from distinct id to subject.
    pub runs: RunStats,
    /// Bytes of memory of the cache of hot subjects.
    pub cache_bytes: u64,
    /// Bytes of memory of the distinct ids that are not in the index yet.
    pub names_bytes: u64,
}

impl Subjects {
    /// A directory without subjects; `dir` holds the run files, `db` the index.
    pub(crate) fn new(
        storage: Arc<dyn Storage>,
        dir: &Path,
        db: Arc<redb::Database>,
        limits: SubjectLimits,
        merges: Merges,
    ) -> Self {
        let set = RunSet::new(Arc::clone(&storage), dir, RunKind::Subjects, limits.runs, merges.clone());
        let (names, epoch) = (Names::default(), Epoch::default());
        let state = State { set, names, epoch, has_spilled: false, written: (0, Vec::new()) };
        Self {
            storage,
            dir: dir.to_owned(),
            db: RwLock::new(db),
            state: RwLock::new(state),
            hot: Mutex::new(HotCache::new(limits.hot_entries)),
            limits,
            merges,
        }
    }

    // A panic elsewhere while a lock was held leaves nothing half done: every change under it is one assignment or one
    // insertion, or is followed by the poisoning of the store.
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn hot(&self) -> MutexGuard<'_, HotCache> {
        self.hot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever reads the disk at this moment has found what may be true no more.
    fn forget_hot(&self, state: &mut State) {
        state.epoch = state.epoch.next();
        self.hot().begin(state.epoch);
    }

    /// How many subjects there are: the number of the next one.
    pub fn count(&self) -> u32 {
        self.read().names.count()
    }

    /// The subject of a distinct id; `None` if the store has not seen it, or has erased it.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for a damaged run file, [`ErrorKind::Io`] if one cannot be read.
    pub fn resolve(&self, distinct_id: &str) -> Result<Option<SubjectId>> {
        self.find(&Fingerprint::of(distinct_id))
    }

    /// As [`resolve`](Self::resolve), by the fingerprint of the id.
    pub(crate) fn find(&self, fingerprint: &Fingerprint) -> Result<Option<SubjectId>> {
        let (disk, epoch) = {
            let state = self.read();
            if let Some(value) = state.set.recent(fingerprint) {
                return self.subject(value);
            }
            (Arc::clone(state.set.disk()), state.epoch)
        };
        // Ended before the disk is read: a statement holds its lock to its end.
        let hot = self.hot().find(fingerprint);
        if let Some(subject) = hot {
            return Ok(Some(SubjectId::new(subject)));
        }
        let Some(value) = disk.lookup(fingerprint)? else { return Ok(None) };
        let subject = self.subject(value)?;
        if let Some(subject) = subject {
            self.hot().learn(*fingerprint, subject.number(), epoch);
        }
        Ok(subject)
    }

    /// The subjects of many distinct ids, in their order; much cheaper than one by one.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] for a damaged run file, [`ErrorKind::Io`] if one cannot be read.
    pub fn resolve_many(&self, distinct_ids: &[&str]) -> Result<Vec<Option<SubjectId>>> {
        self.find_many(&distinct_ids.iter().map(|id| Fingerprint::of(id)).collect::<Vec<_>>())
    }

    /// As [`resolve_many`](Self::resolve_many), by the fingerprints of the ids.
    pub(crate) fn find_many(&self, fingerprints: &[Fingerprint]) -> Result<Vec<Option<SubjectId>>> {
        let values = self.ask_disk(fingerprints, self.ask_memory(fingerprints))?;
        values.into_iter().map(|value| value.map_or(Ok(None), |value| self.subject(value))).collect()
    }

    pub(super) fn ask_memory(&self, fingerprints: &[Fingerprint]) -> Asked {
        let (mut found, disk, epoch): (Vec<Option<u64>>, _, _) = {
            let state = self.read();
            let recent = fingerprints.iter().map(|fingerprint| state.set.recent(fingerprint));
            (recent.collect(), Arc::clone(state.set.disk()), state.epoch)
        };
        let mut cold = Vec::new();
        {
            let mut hot = self.hot();
            for (place, (fingerprint, slot)) in fingerprints.iter().zip(&mut found).enumerate() {
                if slot.is_none() {
                    *slot = hot.find(fingerprint).map(u64::from);
                    if slot.is_none() {
                        cold.push(place);
                    }
                }
            }
        }
        Asked { found, cold, disk, epoch }
    }

    /// Completes what memory has answered. What only the disk knows becomes hot.
    pub(super) fn ask_disk(&self, fingerprints: &[Fingerprint], asked: Asked) -> Result<Vec<Option<u64>>> {
        let Asked { mut found, cold, disk, epoch } = asked;
        if cold.is_empty() {
            return Ok(found);
        }
        disk.lookup_many(fingerprints, &mut found)?;
        let mut hot = self.hot();
        for place in cold {
            if let (Some(fingerprint), Some(Some(value))) = (fingerprints.get(place), found.get(place))
                && let Ok(subject) = u32::try_from(*value)
            {
                hot.learn(*fingerprint, subject, epoch);
            }
        }
        Ok(found)
    }

    /// What a run holds, as a subject.
    fn subject(&self, value: u64) -> Result<Option<SubjectId>> {
        if value == GONE {
            return Ok(None);
        }
        u32::try_from(value).map(|number| Some(SubjectId::new(number))).map_err(|_| {
            Error::corrupt(
                self.dir.display(),
                format!("a run of subjects holds {value} but expected at most {}", u32::MAX),
            )
        })
    }

    /// The distinct id of a subject; `None` if there is no such subject, or it was erased.
    ///
    /// # Errors
    /// Errors of the index, and [`ErrorKind::Corrupt`] if it does not hold what it should.
    pub fn distinct_id(&self, subject: SubjectId) -> Result<Option<String>> {
        Ok(self.distinct_ids(&[subject])?.pop().flatten())
    }

    /// The distinct ids of many subjects, in their order; best when they ascend, as each block of 256 is then read once.
    ///
    /// # Errors
    /// Errors of the index, and [`ErrorKind::Corrupt`] if it does not hold what it should.
    pub fn distinct_ids(&self, subjects: &[SubjectId]) -> Result<Vec<Option<String>>> {
        let mut found: Vec<Option<String>> = Vec::with_capacity(subjects.len());
        let mut stored: Vec<(usize, u32)> = Vec::new();
        {
            let state = self.read();
            let count = state.names.count();
            for (place, subject) in subjects.iter().enumerate() {
                let subject = subject.number();
                let recent = state.names.recent(subject);
                if recent.is_none() && subject < count {
                    stored.push((place, subject));
                }
                found.push(recent.flatten().map(str::to_owned));
            }
        }
        if stored.is_empty() {
            return Ok(found);
        }
        // A name leaves memory only once its block is durable: a transaction begun from here on sees it.
        let db = Arc::clone(&self.db.read().unwrap_or_else(PoisonError::into_inner));
        let txn = db.begin_read().map_err(|error| Error::index("reading", error))?;
        let table = txn.open_table(NAMES).map_err(|error| Error::index("opening subjects.names", error))?;
        for group in stored.chunk_by(|a, b| a.1 / BLOCK_SUBJECTS == b.1 / BLOCK_SUBJECTS) {
            let Some(block) = group.first().map(|(_, subject)| subject / BLOCK_SUBJECTS) else { continue };
            let bytes = table.get(block).map_err(|error| Error::index("reading subjects.names", error))?;
            let bytes = bytes.ok_or_else(|| missing(block))?;
            let names = decode_block(block, bytes.value())?;
            for (place, subject) in group {
                let name = names.get((subject % BLOCK_SUBJECTS) as usize).ok_or_else(|| missing(block))?;
                if let Some(slot) = found.get_mut(*place) {
                    *slot = name.map(str::to_owned);
                }
            }
        }
        Ok(found)
    }

    /// Begins a batch: the subjects of those `fingerprints` that have one, in their order. For the committer only: one thread gives out
    /// numbers.
    ///
    /// Memory is moved to disk first if it might not hold the others too: until the next batch begins, what [`allocate`](Self::allocate) gives a
    /// number stays in memory, unless a batch brings more than that holds.
    ///
    /// # Errors
    /// Errors of reading and writing runs.
    pub(crate) fn begin_batch(&self, fingerprints: &[Fingerprint]) -> Result<Vec<Option<SubjectId>>> {
        let known = self.find_many(fingerprints)?;
        let unknown = known.iter().filter(|subject| subject.is_none()).count();
        self.make_room(unknown)?;
        self.write().has_spilled = false;
        Ok(known)
    }

    /// The subject of a distinct id that [had none](Self::begin_batch) when the batch began: the next number, unless the batch has given it
    /// one already, and whether it is new. `fingerprint` is that of the id.
    ///
    /// # Errors
    /// `Exhausted` if every number has been given out; errors of writing and reading runs where a batch brings more than memory holds.
    pub(crate) fn allocate(&self, fingerprint: Fingerprint, distinct_id: &str) -> Result<(SubjectId, bool)> {
        let mut state = self.write();
        let given = match state.set.recent(&fingerprint) {
            Some(value) => self.subject(value)?,
            None if state.has_spilled => {
                drop(state);
                let found = self.find(&fingerprint)?;
                state = self.write();
                found
            }
            None => None,
        };
        if let Some(subject) = given {
            return Ok((subject, false));
        }
        if state.set.recent_len() >= self.limits.recent_max {
            drop(state);
            self.make_room(1)?;
            state = self.write();
            state.has_spilled = true;
        }
        let next = state.names.count();
        if next >= self.limits.subjects_max {
            return Err(Error::new(
                ErrorKind::Exhausted,
                format!("every one of the {} subjects has been given out", self.limits.subjects_max),
            ));
        }
        state.set.insert(fingerprint, u64::from(next));
        state.names.push(Some(distinct_id));
        Ok((SubjectId::new(next), true))
    }

    /// Takes in the subjects of a batch from the log; those that are known already are passed over. For the committer only.
    ///
    /// # Errors
    /// `Corrupt` for a number that does not continue those before it; errors of writing runs.
    pub(crate) fn apply(&self, subjects: &[NewSubject<'_>]) -> Result<()> {
        self.make_room(subjects.len())?;
        let mut state = self.write();
        for new in subjects {
            let count = state.names.count();
            if new.subject < count {
                continue;
            }
            if new.subject > count || new.subject >= self.limits.subjects_max {
                return Err(Error::corrupt("log", format!("subject {} but expected {count}", new.subject)));
            }
            if let Some(distinct_id) = new.distinct_id {
                check_length(new.subject, distinct_id)?;
                state.set.insert(Fingerprint::of(distinct_id), u64::from(new.subject));
            }
            state.names.push(new.distinct_id);
        }
        Ok(())
    }

    /// Takes in the erasures of a batch. For the committer only.
    ///
    /// # Errors
    /// Errors of the index and of writing runs.
    pub(crate) fn apply_erasures(&self, payload: &Payload<'_>) -> Result<()> {
        payload.records.iter().try_for_each(|record| match record {
            Record::Erasure { subjects } => self.erase(subjects),
            _ => Ok(()),
        })
    }

    /// Forgets the distinct ids of `subjects`: the numbers stay taken, and the ids are unknown from now on. For the committer only.
    ///
    /// # Errors
    /// Errors of the index and of writing runs.
    pub(super) fn erase(&self, subjects: &[u32]) -> Result<()> {
        let numbers: Vec<SubjectId> = subjects.iter().copied().map(SubjectId::new).collect();
        let names = self.distinct_ids(&numbers)?;
        self.make_room(names.len())?;
        let mut state = self.write();
        for (subject, name) in subjects.iter().zip(names) {
            if let Some(name) = name {
                state.set.insert(Fingerprint::of(&name), GONE);
                state.names.erase(*subject);
            }
        }
        self.forget_hot(&mut state);
        Ok(())
    }

    /// Writes the runs anew without what was erased, so that no file knows of it. The old files stay until a later checkpoint is durable.
    ///
    /// # Errors
    /// Errors of reading and writing runs.
    pub(crate) fn purge(&self) -> Result<()> {
        self.write().set.rewrite(&mut |_, value| (value != GONE).then_some(value))
    }

    /// Copies what the index holds to another one.
    ///
    /// # Errors
    /// Errors of either index.
    pub(crate) fn copy(from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
        copy_table(from, to, STATE)?;
        copy_table(from, to, NAMES)
    }

    /// Reads from another index from now on, which holds the same.
    pub(crate) fn set_index(&self, db: Arc<redb::Database>) {
        *self.db.write().unwrap_or_else(PoisonError::into_inner) = db;
    }

    /// Moves memory to disk if `more` would be too many in it.
    fn make_room(&self, more: usize) -> Result<()> {
        if more == 0 || self.read().set.recent_len() + more <= self.limits.recent_max {
            return Ok(());
        }
        loop {
            let due = self.write().set.spill_beside()?;
            let Some(due) = due else { break };
            due.settle()?;
        }
        if self.read().set.recent_len() == 0 { Ok(()) } else { self.spill() }
    }

    /// Moves memory to disk and merges. Files are written beside the readers; only what changes in memory excludes them.
    fn spill(&self) -> Result<()> {
        loop {
            let due = self.write().set.await_spill()?;
            let Some(due) = due else { break };
            due.settle()?;
        }
        let run = self.read().set.write_recent()?;
        self.write().set.adopt(run);
        loop {
            let due = self.write().set.tend()?;
            let Some(due) = due else { return Ok(()) };
            if let Some(merged) = due.settle()? {
                self.write().set.swap(merged);
            }
        }
    }

    /// Compares subjects that were read back from the log with what is stored, both ways, and says how many of them have a distinct id. What is hot does not
    /// count: it would hide what is on disk.
    ///
    /// # Errors
    /// `Corrupt` for a damaged file and for a damaged block of the index; errors of reading them.
    pub(crate) fn verify(&self, subjects: &[NewSubject<'_>], found: &mut Findings<'_>) -> Result<u64> {
        let named: Vec<(u32, &str)> = subjects.iter().filter_map(|new| Some((new.subject, new.distinct_id?))).collect();
        let fingerprints: Vec<Fingerprint> = named.iter().map(|(_, id)| Fingerprint::of(id)).collect();
        let (mut stored, disk) = {
            let state = self.read();
            let recent = |fingerprint| state.set.recent(fingerprint);
            (fingerprints.iter().map(recent).collect::<Vec<_>>(), Arc::clone(state.set.disk()))
        };
        disk.lookup_many(&fingerprints, &mut stored)?;
        for ((subject, id), stored) in named.iter().zip(stored) {
            match stored {
                Some(stored) if stored == u64::from(*subject) => {}
                Some(stored) => found.add(format!("\"{id}\" is subject {stored} but the log says {subject}")),
                None => found.add(format!("\"{id}\", subject {subject}, is missing")),
            }
        }
        let numbers: Vec<SubjectId> = subjects.iter().map(|new| SubjectId::new(new.subject)).collect();
        for (new, name) in subjects.iter().zip(self.distinct_ids(&numbers)?) {
            if name.as_deref() != new.distinct_id {
                let shown = |name: Option<&str>| name.map_or_else(|| "no id".to_owned(), |name| format!("\"{name}\""));
                let (stored, logged) = (shown(name.as_deref()), shown(new.distinct_id));
                found.add(format!("subject {} has {stored} but the log says {logged}", new.subject));
            }
        }
        Ok(named.len() as u64)
    }

    /// How many different distinct ids are stored that were not erased; reads every file.
    ///
    /// # Errors
    /// `Corrupt` for a damaged file.
    pub(crate) fn count_distinct(&self) -> Result<u64> {
        self.read().set.count_distinct(|value| value != GONE)
    }

    /// Reads the state of the last checkpoint.
    ///
    /// # Errors
    /// Errors of the index, and `Corrupt` for a state that does not decode and for damaged or missing run files: reset
    /// then, and replay.
    pub(crate) fn load(&self, txn: &ReadTransaction) -> Result<()> {
        let (count, manifest) = match txn.open_table(STATE) {
            Ok(table) => {
                let field = |name| table.get(name).map_err(|error| Error::index("reading subjects.state", error));
                let count = match field(COUNT)? {
                    Some(bytes) => decode_count(bytes.value())?,
                    None => 0,
                };
                let manifest = match field(MANIFEST)? {
                    Some(bytes) => decode_manifest(RunKind::Subjects, bytes.value())?,
                    None => Vec::new(),
                };
                (count, manifest)
            }
            Err(TableError::TableDoesNotExist(_)) => (0, Vec::new()),
            Err(error) => return Err(Error::index("opening subjects.state", error)),
        };
        // Kept also if a file is damaged: none of them goes before a later manifest is durable.
        self.write().written = (count, manifest.clone());
        let names = match txn.open_table(NAMES) {
            Ok(table) => Some(table),
            Err(TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(Error::index("opening subjects.names", error)),
        };
        let names = Names::load(names.as_ref(), count)?;
        let (storage, merges) = (Arc::clone(&self.storage), self.merges.clone());
        let set = RunSet::open(storage, &self.dir, RunKind::Subjects, &manifest, self.limits.runs, merges)?;
        let mut state = self.write();
        (state.set, state.names) = (set, names);
        self.forget_hot(&mut state);
        Ok(())
    }

    /// Writes what is in memory: distinct ids and counts to the index, the rest to a run that the index names.
    ///
    /// # Errors
    /// Errors of the index and of writing.
    pub(crate) fn checkpoint(&self, txn: &WriteTransaction) -> Result<()> {
        self.spill()?;
        let (count, manifest) = {
            let state = self.read();
            state.names.write(txn)?;
            (state.names.count(), state.set.manifest())
        };
        let mut table = txn.open_table(STATE).map_err(|error| Error::index("opening subjects.state", error))?;
        let mut put = |name, bytes: &[u8]| {
            table.insert(name, bytes).map(|_| ()).map_err(|error| Error::index("writing subjects.state", error))
        };
        put(COUNT, &count.to_le_bytes())?;
        put(MANIFEST, &encode_manifest(&manifest))?;
        self.write().written = (count, manifest);
        Ok(())
    }

    /// Forgets from memory what the checkpoint wrote, and deletes the files that it no longer names; to be called once it is
    /// durable.
    ///
    /// # Errors
    /// Errors of the directory.
    pub(crate) fn after_checkpoint(&self) -> Result<()> {
        {
            let mut state = self.write();
            let count = state.written.0;
            state.names.forget_written(count);
        }
        let state = self.read();
        state.set.remove_unlisted(&state.written.1)
    }

    /// Forgets every subject. The files stay until a later checkpoint is durable.
    ///
    /// # Errors
    /// Errors of the index.
    pub(crate) fn reset(&self, txn: &WriteTransaction) -> Result<()> {
        txn.delete_table(STATE).map_err(|error| Error::index("emptying subjects.state", error))?;
        txn.delete_table(NAMES).map_err(|error| Error::index("emptying subjects.names", error))?;
        let mut state = self.write();
        state.set.reset();
        state.names = Names::default();
        self.forget_hot(&mut state);
        Ok(())
    }

    /// What the directory holds, in numbers.
    pub fn stats(&self) -> SubjectStats {
        let state = self.read();
        SubjectStats {
            subjects: state.names.count(),
            runs: state.set.stats(),
            cache_bytes: self.hot().bytes() as u64,
            names_bytes: state.names.bytes() as u64,
        }
    }
}

impl std::fmt::Debug for Subjects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Subjects").field("dir", &self.dir).field("count", &self.count()).finish_non_exhaustive()
    }
}

fn decode_count(bytes: &[u8]) -> Result<u32> {
    bytes.try_into().map(u32::from_le_bytes).map_err(|_| {
        Error::corrupt("index.redb: subjects.state", format!("count of {} bytes but expected 4", bytes.len()))
    })
}
