//! Open, append, read, close.

use std::any::Any;
use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::backup::{BackupReport, Extent, backup};
use crate::base::{BaseDir, BaseReader};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Entry;
use crate::flight::{Due, Flight, Flights};
use crate::fold::{Committed, Fold};
use crate::id::Sequence;
use crate::index::Index;
use crate::limits;
use crate::log::{LogDir, Recovery, Scan, each_ahead, recover};
use crate::maintain::Upkeep;
use crate::options::{AppendOptions, Options};
use crate::outcome::Outcome;
use crate::prepare::{Prepared, made_id};
use crate::quarantine::{QuarantineStats, Quarantined, Settle, quarantined};
use crate::queue::{Pending, Queue, Reply, Submission, lock};
use crate::record::Record;
use crate::removal::Removals;
use crate::runs::RunStats;
use crate::snapshot::Snapshot;
use crate::state::{Refused, State};
use crate::storage::{LockAttempt, OpenMode, Storage};
use crate::subjects::SubjectStats;
use crate::subscribe::Feed;
use crate::time::Timestamp;
use crate::verify::{LogWalk, VerifyProgress, VerifyReport, walk_bases, walk_log};

/// A committer that waits for room looks again this often, also when nobody wakes it.
const ROOM_LOOKED_AT_EVERY: Duration = Duration::from_millis(100);

/// An open store: one directory, one process.
///
/// Appends from any number of threads are committed by one thread: what waits at that moment shares a write and an `fdatasync`, and while one batch is
/// synced the next is built. An append returns once its entries are durable and a [`snapshot`](Store::snapshot) shows them.
///
/// # Example
/// ```
/// use pugmark_store::{Event, Options, Outcome, Store};
/// let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), Options::default(), Vec::new())?;
/// let event = Event::new("purchase", "user-42").message_id("order-1");
/// let first = store.append(vec![event.clone().into()])?;
/// let again = store.append(vec![event.into()])?;
/// assert!(matches!(first[..], [Outcome::Accepted(_)]));
/// assert_eq!(again, [Outcome::Duplicate]);
/// store.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Store {
    pub(crate) shared: Arc<Shared>,
    threads: Option<Threads>,
}

struct Threads {
    committer: JoinHandle<()>,
    syncer: JoinHandle<()>,
    upkeep: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    pub(crate) dir: PathBuf,
    pub(crate) log_dir: LogDir,
    pub(crate) base_dir: BaseDir,
    pub(crate) options: Options,
    queue: Queue,
    flights: Flights,
    pub(crate) state: Mutex<State>,
    /// Signalled when a fold may have room again.
    pub(crate) room: Condvar,
    pub(crate) snapshot: RwLock<Arc<Snapshot>>,
    /// Held by whoever rewrites or removes sealed segments: one at a time.
    pub(crate) maintenance: Mutex<()>,
    pub(crate) upkeep: Upkeep,
    pub(crate) feed: Arc<Feed>,
    _lock: Box<dyn Any + Send + Sync>,
}

/// Size of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStats {
    /// Segments, the active one included.
    pub segments: usize,
    /// Bytes of all segments.
    pub bytes: u64,
}

/// Size of everything that the store keeps by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStats {
    /// The log.
    pub log: LogStats,
    /// The message ids.
    pub message_ids: RunStats,
    /// The distinct ids.
    pub subjects: SubjectStats,
    /// The events that are kept aside.
    pub quarantine: QuarantineStats,
    /// Bytes of the index file, and of the runs of message ids and distinct ids.
    pub index_bytes: u64,
    /// What last went wrong in the background and was not made up for; [`Store::compact`] tries again. Nothing is lost by it.
    pub background_error: Option<String>,
}

impl Store {
    /// Opens the store in `dir`; `folds` see every batch in the order given.
    ///
    /// A store that was not closed is recovered: whole frames are kept, a torn tail is cut. Folds whose state in the index is missing,
    /// damaged or of another version are rebuilt from the log.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] while another process (or another handle of this one) has it open; [`ErrorKind::Invalid`] if `dir` is something else than a store, or does not exist and
    /// [`Options::create`] is off; [`ErrorKind::Unsupported`] if a newer version wrote it; [`ErrorKind::Corrupt`] if something acknowledged is damaged: the
    /// message names file, offset, what was found and what was expected; [`ErrorKind::Io`] and [`ErrorKind::Full`] from the disk.
    pub fn open(dir: &Path, options: Options, folds: Vec<Box<dyn Fold>>) -> Result<Self> {
        let storage = &options.storage;
        prepare_dir(storage.as_ref(), dir, options.create)?;
        let dir_lock = lock_dir(storage.as_ref(), dir)?;
        let runs_dir = dir.join("runs");
        let log_dir = LogDir::new(Arc::clone(storage), dir.join("log"));
        for sub in [log_dir.path(), &runs_dir] {
            storage.create_dir_all(sub).map_err(|e| Error::io("creating", sub, e))?;
        }
        storage.sync_dir(dir).map_err(|e| Error::io("syncing directory", dir, e))?;
        let index = Index::open(storage.as_ref(), &dir.join("index.redb"), options.index_cache_bytes)?;
        let index_id = index.store_id()?;
        let base_dir = BaseDir::new(Arc::clone(storage), dir);
        base_dir.check(&log_dir)?;
        let has_log = !log_dir.segments()?.is_empty();
        if !has_log && index_id.is_some() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{}: no segment, although the index knows this store: the log is missing",
                    log_dir.path().display()
                ),
            ));
        }
        let recovered = recover(&Recovery {
            dir: &log_dir,
            known: index.position(Sequence::new(u64::MAX))?,
            durable: index.durable_through()?,
            new_store_id: made_id(options.clock.now(), options.entropy.as_ref()),
            now: options.clock.now(),
            segment_max_bytes: options.segment_max_bytes,
        })?;
        if index_id.is_some_and(|id| id != recovered.store_id) {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!(
                    "{}: index.redb belongs to another store than the log; delete it to have it rebuilt",
                    dir.display()
                ),
            ));
        }
        if index_id.is_none() {
            let txn = index.begin_write()?;
            Index::set_store_id(&txn, recovered.store_id)?;
            Index::commit(txn)?;
        }
        let last = recovered.last;
        let folds: Vec<Box<dyn Fold>> =
            std::iter::once(Box::new(Removals::default()) as Box<dyn Fold>).chain(folds).collect();
        let mut state = State::load(recovered.writer, index, &options, &runs_dir, folds, last)?;
        state.forget_before(&log_dir)?;
        for base in base_dir.bases()? {
            if state.replay_after().plus(1) < base.end {
                state.replay_base(BaseReader::open(&base_dir, &base)?, base.end, &options)?;
            }
        }
        let after = state.replay_after();
        if after < last {
            let near = state.index.position(after.plus(1))?;
            let scan = Scan::new(&log_dir, after.plus(1), last, near)?;
            each_ahead(scan, |frame| {
                let payload = frame.payload()?;
                let batch = Committed { first_sequence: frame.first_sequence(), payload: &payload };
                state.replay(&batch, &options, frame.place(), frame.is_compressed())
            })?;
        }
        let snapshot = RwLock::new(Arc::new(state.publish()));
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            log_dir,
            base_dir,
            queue: Queue::new(options.queue_max_bytes),
            flights: Flights::new(options.buffered_sync_after),
            options,
            state: Mutex::new(state),
            room: Condvar::new(),
            snapshot,
            maintenance: Mutex::default(),
            upkeep: Upkeep::default(),
            feed: Feed::new(last),
            _lock: dir_lock,
        });
        let start = |name: &str, run: fn(&Shared)| {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new().name(name.to_owned());
            thread.spawn(move || run(&shared)).map_err(|e| Error::io("starting a thread for", dir, e))
        };
        let syncer = start("pugmark-sync", Shared::run_syncer)?;
        let committer = start("pugmark-commit", Shared::run_committer).inspect_err(|_| shared.flights.close())?;
        let upkeep = shared.options.background.then(|| start("pugmark-maintain", Shared::run_upkeep)).transpose();
        let mut store = Self { shared, threads: Some(Threads { committer, syncer, upkeep: None }) };
        // Failing, it stops the others as it is dropped.
        let upkeep = upkeep?;
        if let Some(threads) = &mut store.threads {
            threads.upkeep = upkeep;
        }
        Ok(store)
    }

    /// Appends entries and waits until they are durable and visible; says what became of each, in the order given.
    ///
    /// # Errors
    /// As [`Store::submit`] and [`Pending::wait`]. An entry that breaks a rule is no error but [`Outcome::Rejected`].
    pub fn append(&self, entries: Vec<Entry>) -> Result<Vec<Outcome>> {
        self.submit(entries, &AppendOptions::default())?.wait()
    }

    /// Hands entries over and returns at once, so that several appends can be under way. Submissions of one thread are committed in their order.
    ///
    /// What is returned can be [waited for](Pending::wait) or awaited on any runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more than [`limits::FRAME_MAX_RECORDS`] entries, [`limits::BATCH_MAX_NAMES`] or [`limits::BATCH_MAX_BYTES`];
    /// [`ErrorKind::Busy`] when the queue is full and [`AppendOptions::when_full`] says to refuse; [`ErrorKind::Poisoned`] after a failed write: open the store again.
    pub fn submit(&self, entries: Vec<Entry>, options: &AppendOptions) -> Result<Pending> {
        let bytes: usize = entries.iter().map(Entry::size).sum();
        let names: usize = entries.iter().map(Entry::names).sum();
        if entries.iter().map(Entry::records).sum::<usize>() > limits::FRAME_MAX_RECORDS
            || bytes > limits::BATCH_MAX_BYTES
            || names > limits::BATCH_MAX_NAMES
        {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!(
                    "a batch of {} entries, {names} names and {bytes} bytes; at most {} entries, {} names and {} bytes are taken at once",
                    entries.len(),
                    limits::FRAME_MAX_RECORDS,
                    limits::BATCH_MAX_NAMES,
                    limits::BATCH_MAX_BYTES
                ),
            ));
        }
        let (reply, pending) = Reply::new();
        if entries.is_empty() {
            reply.answer(Ok(Vec::new()), entries);
            return Ok(pending);
        }
        let own = &self.shared.options;
        let now = own.clock.now();
        let future = i64::try_from(own.future_limit.as_micros()).unwrap_or(i64::MAX);
        let latest = Timestamp::from_microsecond(now.as_microsecond().saturating_add(future));
        let prepared = Prepared::new(entries, now, latest, own.entropy.as_ref());
        self.shared.queue.push(Submission { prepared, bytes, names, options: *options, reply })?;
        Ok(pending)
    }

    /// The state of everything at this moment: all that was acknowledged before the call.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot()
    }

    /// Runs `work` on a fold between two commits, writes all folds to the index, durably and in one with what `work` wrote, then publishes
    /// a snapshot with what they show now. This is how background work, such as a flush, puts its result in place.
    ///
    /// # Errors
    /// Whatever `work` returns, and errors of the index: the store is then poisoned, because folds and index may differ.
    pub fn update<F: Fold, R>(&self, work: impl FnOnce(&mut F, &redb::WriteTransaction) -> Result<R>) -> Result<R> {
        let mut state = lock(&self.shared.state);
        let result = state.update(work);
        let snapshot = result.is_ok().then(|| Arc::new(state.publish()));
        drop(state);
        // What is in flight is durable now too: the index is never ahead of the log.
        if let Some(snapshot) = snapshot {
            self.shared.show_durable(snapshot);
        }
        // Also after a failure, which whoever waits is then told.
        self.shared.room.notify_all();
        result
    }

    /// Looks at a fold between two commits: it may have applied what readers do not see yet, as that is not durable.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if the store was opened without this fold.
    pub fn look<F: Fold, R>(&self, look: impl FnOnce(&F) -> R) -> Result<R> {
        let state = lock(&self.shared.state);
        Ok(look(state.fold::<F>()?))
    }

    /// Reads the log from the batch that holds `from` to the last one of the present snapshot.
    ///
    /// # Errors
    /// Errors of the disk; the iterator's items are [`ErrorKind::Corrupt`] where a frame is damaged, and nothing follows such an item.
    pub fn scan(&self, from: Sequence) -> Result<Scan> {
        self.shared.scan(from)
    }

    /// The events whose message id is stored with other content, and about which nobody has [decided](Store::settle) yet and which have not [expired](Store::expire), in the order in which they came.
    ///
    /// Each content of a message id is kept once. At most [`limits::QUARANTINE_MAX`] of them and [`limits::QUARANTINE_MAX_BYTES`] are kept at a time; what comes on top is
    /// counted in [`Store::stats`] and not kept.
    ///
    /// # Errors
    /// Errors of the index; the iterator's items are those of [`Store::scan`].
    pub fn quarantine(&self) -> Result<impl Iterator<Item = Result<Quarantined>> + '_> {
        let through = self.snapshot().sequence();
        let mut waiting = lock(&self.shared.state).quarantine.waiting();
        // What is in flight was not told to anybody yet.
        waiting.retain(|sequence| *sequence <= through);
        Ok(self.conflicts(waiting))
    }

    /// Those of the conflicts at these sequences that wait, when it is their turn.
    pub(crate) fn conflicts(&self, waiting: BTreeSet<Sequence>) -> impl Iterator<Item = Result<Quarantined>> + '_ {
        let mut waiting = waiting.into_iter().peekable();
        // Those of one batch are read together.
        let mut read = VecDeque::new();
        std::iter::from_fn(move || {
            while read.is_empty() {
                let sequence = waiting.next()?;
                match self.conflicts_of_batch(sequence) {
                    Ok((last, conflicts)) => {
                        let mut wanted = vec![sequence];
                        while let Some(next) = waiting.next_if(|next| *next <= last) {
                            wanted.push(next);
                        }
                        read.extend(conflicts.into_iter().filter(|kept| wanted.binary_search(&kept.sequence).is_ok()));
                    }
                    // It was decided about, or expired, since the list was made, and is in the log no more.
                    Err(_) if lock(&self.shared.state).quarantine.is_waiting(sequence) != Some(true) => {}
                    Err(e) => return Some(Err(e)),
                }
            }
            read.pop_front().map(Ok)
        })
    }

    /// The last sequence of the batch that holds `sequence`, and the conflicts of the batch from there on.
    fn conflicts_of_batch(&self, sequence: Sequence) -> Result<(Sequence, Vec<Quarantined>)> {
        let mut scan = {
            // The file is opened under the lock, as in a scan.
            let state = lock(&self.shared.state);
            Scan::new(&self.shared.log_dir, sequence, sequence, state.index.position(sequence)?)?
        };
        let frame = scan.next().ok_or_else(|| no_conflict(sequence))??;
        let payload = frame.payload()?;
        let batch = Committed { first_sequence: frame.first_sequence(), payload: &payload };
        let mut conflicts = Vec::new();
        for (at, record) in (batch.first_sequence.number()..).map(Sequence::new).zip(&payload.records) {
            if let Record::Conflict(conflict) = record
                && at >= sequence
            {
                conflicts.push(quarantined(at, conflict, &payload)?);
            }
        }
        if conflicts.first().is_none_or(|first| first.sequence != sequence) {
            return Err(no_conflict(sequence));
        }
        Ok((batch.last_sequence(), conflicts))
    }

    /// Decides about an event that is [kept aside](Store::quarantine). That is on record and durable when this returns; the answer is the sequence of the event that was
    /// stored of it, or of the record that says that it was dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if nothing is kept under `sequence`, or it has been settled already, or the new message id is taken or breaks a rule: nothing changes then. Else as
    /// [`Store::append`].
    ///
    /// # Example
    /// ```
    /// use pugmark_store::{Event, Options, Outcome, Settle, Store};
    /// let dir = tempfile::tempdir()?;
    /// let store = Store::open(dir.path(), Options::default(), Vec::new())?;
    /// let order = |amount| Event::new("purchase", "user-42").message_id("order-1").property("amount", amount);
    /// store.append(vec![order(5).into(), order(7).into()])?;
    /// let kept = store.quarantine()?.next().expect("the second is kept aside")?;
    /// assert_eq!(kept.event, order(7));
    /// store.settle(kept.sequence, Settle::Store { message_id: "order-1b".to_owned() })?;
    /// assert!(store.quarantine()?.next().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn settle(&self, sequence: Sequence, settle: Settle) -> Result<Sequence> {
        let read = self.conflicts_of_batch(sequence);
        let kept = read.and_then(|(_, kept)| kept.into_iter().next().ok_or_else(|| no_conflict(sequence)));
        let mut state = lock(&self.shared.state);
        let settled = state.settle(sequence, kept, settle, &self.shared.options)?;
        let snapshot = Arc::new(state.publish());
        drop(state);
        // All that is in flight before it is durable with it.
        self.shared.show_durable(snapshot);
        Ok(settled)
    }

    /// Writes the folds to the index, so that the next open has nothing to apply again.
    ///
    /// # Errors
    /// Errors of the index and of the disk.
    pub fn checkpoint(&self) -> Result<()> {
        let mut state = lock(&self.shared.state);
        state.check_poison()?;
        state.checkpoint()
    }

    /// Proves that everything is as it was written, and that what is derived agrees with the log: reads every segment and every run of ids with every checksum, looks up every
    /// subject and every message id of the log, and has every fold compare itself with it. Appends wait meanwhile.
    ///
    /// With `repair`, the index forgets what is derived and wrong, and the next open derives it again; until then it stays as it is. The log is never touched: where it is damaged,
    /// the report says which sequences are lost, and nothing is compared with what is left.
    ///
    /// # Errors
    /// Errors of the disk and of the index; [`ErrorKind::Poisoned`] after a failed write. What is wrong is in the report.
    pub fn verify(&self, repair: bool, on_progress: &mut dyn FnMut(&VerifyProgress)) -> Result<VerifyReport> {
        lock(&self.shared.state).verify(&self.shared.log_dir, &self.shared.base_dir, repair, on_progress)
    }

    /// Reads the log of a store that is not open, and perhaps cannot be: every frame with every checksum, also behind damage.
    ///
    /// # Errors
    /// [`ErrorKind::Locked`] while it is open; [`ErrorKind::Invalid`] if `dir` is no store; errors of the disk. What is wrong is in the report.
    pub fn verify_log(dir: &Path, storage: &Arc<dyn Storage>) -> Result<VerifyReport> {
        prepare_dir(storage.as_ref(), dir, false)?;
        let _lock = lock_dir(storage.as_ref(), dir)?;
        let log_dir = LogDir::new(Arc::clone(storage), dir.join("log"));
        let mut report = VerifyReport::default();
        let first = walk_bases(&BaseDir::new(Arc::clone(storage), dir), &mut report, &mut |_, _| Ok(()))?;
        walk_log(&LogWalk { dir: &log_dir, first, last: None }, &mut report, &mut |_, _, _| Ok(()))?;
        report.unchecked.push("everything derived".to_owned());
        Ok(report)
    }

    /// Copies everything that is acknowledged to the directory `to`, while appends go on (removals wait): the log, and what stands for the parts of it that are gone. What is derived is left out, and
    /// the visitors' salt. The copy is a store: to restore it, copy it and open the copy.
    ///
    /// Into a directory that holds an earlier backup of this store, only what has changed is copied. One that was interrupted is completed by the next.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if `to` holds something else, another store, or entries that were stored there since it was opened as a store;
    /// [`ErrorKind::Locked`] while it is open; [`ErrorKind::Corrupt`] for damage in the log, which is not copied; errors of the disk.
    pub fn backup(&self, to: &Path) -> Result<BackupReport> {
        let storage = &self.shared.options.storage;
        prepare_dir(storage.as_ref(), to, true)?;
        let _lock = lock_dir(storage.as_ref(), to)?;
        if let Some(parent) = to.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            storage.sync_dir(parent).map_err(|e| Error::io("syncing directory", parent, e))?;
        }
        // Sealed segments are not written anew meanwhile.
        let _alone = lock(&self.shared.maintenance);
        let extent = {
            let state = lock(&self.shared.state);
            state.check_poison()?;
            // So that nothing is copied that a crash could take back from the store itself.
            state.log.sync()?;
            Extent { store_id: state.log.store_id(), last: state.applied, end: state.log.position() }
        };
        backup(storage, &self.shared.dir, to, extent)
    }

    /// The store's directory.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// The store's clock.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.shared.options.clock
    }

    /// Size of log, ids and index, on disk and in memory.
    ///
    /// # Errors
    /// Errors of the disk.
    pub fn stats(&self) -> Result<StoreStats> {
        let log = self.log_stats()?;
        let storage = &self.shared.options.storage;
        let (index, runs) = (self.shared.dir.join("index.redb"), self.shared.dir.join("runs"));
        let file_bytes = storage.open(&index, OpenMode::Read).and_then(|file| file.len());
        let file_bytes = file_bytes.map_err(|e| Error::io("reading", &index, e))?;
        let run_files = storage.list(&runs).map_err(|e| Error::io("listing", &runs, e))?;
        let index_bytes = file_bytes + run_files.iter().map(|file| file.bytes).sum::<u64>();
        let state = lock(&self.shared.state);
        Ok(StoreStats {
            log,
            message_ids: state.ids.stats(),
            subjects: state.subjects.stats(),
            quarantine: state.quarantine.stats(),
            index_bytes,
            background_error: self.shared.upkeep.error(),
        })
    }

    /// Size of the log.
    ///
    /// # Errors
    /// Errors of the disk.
    pub fn log_stats(&self) -> Result<LogStats> {
        let segments = self.shared.log_dir.segments()?;
        Ok(LogStats { segments: segments.len(), bytes: segments.iter().map(|segment| segment.bytes).sum() })
    }

    /// Commits what waits, writes the folds to the index and seals the log. The next open is then quick.
    ///
    /// Dropping a store does the same and can report nothing.
    ///
    /// # Errors
    /// Errors of the index and of the disk. What was acknowledged is durable all the same.
    pub fn close(mut self) -> Result<()> {
        self.shut()
    }

    fn shut(&mut self) -> Result<()> {
        let shut = self.try_shut();
        if shut.is_ok() {
            // Closing made the rest durable, and it has been acknowledged.
            self.shared.feed.advance(self.snapshot().sequence());
        }
        self.shared.feed.close();
        shut
    }

    fn try_shut(&mut self) -> Result<()> {
        let Some(Threads { committer, syncer, upkeep }) = self.threads.take() else { return Ok(()) };
        self.shared.upkeep.stop();
        self.shared.queue.close();
        self.shared.room.notify_all();
        // In this order: what the committer wrote last is still to be acknowledged.
        let committed = committer.join();
        self.shared.flights.close();
        let upkept = upkeep.map_or(Ok(()), JoinHandle::join);
        if syncer.join().and(committed).and(upkept).is_err() {
            return Err(Error::new(
                ErrorKind::Poisoned,
                "a thread of the store stopped by a broken invariant; open the store again",
            ));
        }
        lock(&self.shared.state).close()
    }
}

fn no_conflict(sequence: Sequence) -> Error {
    Error::corrupt("log", format!("no conflict at sequence {sequence}, although one was kept"))
}

impl Drop for Store {
    fn drop(&mut self) {
        // Nobody is left to hear of an error; everything acknowledged is durable without this.
        let _closed = self.shut();
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("dir", &self.shared.dir).finish_non_exhaustive()
    }
}

impl Shared {
    /// See [`Store::snapshot`].
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// See [`Store::scan`].
    pub(crate) fn scan(&self, from: Sequence) -> Result<Scan> {
        let last = self.snapshot().sequence();
        // The file is opened under the lock, too: a segment that is rewritten has other places.
        let state = lock(&self.state);
        let near = state.index.position(from)?;
        Scan::new(&self.log_dir, from, last, near)
    }

    fn run_committer(&self) {
        let _guard = Abandon(self);
        while let Some(submissions) = self.queue.take() {
            let mut state = lock(&self.state);
            let room = loop {
                match state.has_room() {
                    Ok(false) if state.check_poison().is_ok() => {
                        // Looked at again after a while too: whoever makes room may be gone.
                        let waited = self.room.wait_timeout(state, ROOM_LOOKED_AT_EVERY);
                        (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
                    }
                    other => break other,
                }
            };
            let segment = state.log.position().segment;
            let committed = match room {
                Ok(_) => state.commit(submissions, &self.options),
                Err(error) => Err(Refused { error, submissions }),
            };
            self.upkeep.note_commit(state.log.position().segment != segment);
            drop(state);
            match committed {
                // With nothing else to do, a sync here saves a change of threads. Order holds: nothing is in flight, and only this
                // thread begins flights.
                Ok(flight) if self.flights.is_idle() && self.queue.is_empty() => self.land(vec![flight]),
                Ok(flight) => self.flights.push(flight),
                Err(Refused { error, submissions }) => {
                    for submission in submissions {
                        let answer = Err(Error::new(error.kind(), error.to_string()));
                        submission.reply.answer(answer, submission.prepared.into_entries());
                    }
                }
            }
        }
    }

    fn run_syncer(&self) {
        let _guard = Abandon(self);
        while let Some(due) = self.flights.take() {
            match due {
                Due::Land(flights) => self.land(flights),
                // A failure poisons the store: the next append is told.
                Due::Sync(file, through) => {
                    if file.sync(through).is_ok() {
                        self.feed.advance(through);
                    }
                }
            }
        }
    }

    /// Syncs and acknowledges batches, in order.
    fn land(&self, flights: Vec<Flight>) {
        // The first sync covers what the others wait for, where they are of one file.
        let synced: Vec<Result<()>> = flights.iter().map(Flight::sync).collect();
        // Visible before acknowledged: whoever waits for the answer finds the events in the next snapshot.
        let shown = flights.iter().zip(&synced).take_while(|(_, synced)| synced.is_ok()).last();
        if let Some((flight, _)) = shown {
            self.show(Arc::clone(&flight.snapshot));
        }
        let durable = flights.iter().zip(&synced).take_while(|(_, synced)| synced.is_ok());
        if let Some((flight, _)) = durable.filter(|(flight, _)| flight.sync).last() {
            self.feed.advance(flight.through);
        }
        if let Some(last) = flights.last()
            && !last.sync
        {
            self.flights.note_unsynced(&last.file, last.through);
        }
        for (flight, synced) in flights.into_iter().zip(&synced) {
            flight.answer(synced);
        }
    }

    /// As [`show`](Self::show), of what is durable, so that those who follow the log may have it too.
    pub(crate) fn show_durable(&self, snapshot: Arc<Snapshot>) {
        let through = snapshot.sequence();
        self.show(snapshot);
        self.feed.advance(through);
    }

    /// Readers see `snapshot` from now on, unless they see a later one already.
    fn show(&self, snapshot: Arc<Snapshot>) {
        let mut shown = self.snapshot.write().unwrap_or_else(PoisonError::into_inner);
        if shown.number < snapshot.number {
            *shown = snapshot;
        }
    }
}

/// A thread that stops, also by a panic, leaves nobody waiting.
struct Abandon<'a>(&'a Shared);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.queue.abandon();
        if std::thread::panicking() {
            self.0.flights.abandon();
        }
    }
}

/// Makes sure that `dir` is a store, or an empty place where one may be made.
fn prepare_dir(storage: &dyn Storage, dir: &Path, create: bool) -> Result<()> {
    let entries = match storage.list(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => {
            return storage.create_dir_all(dir).map_err(|e| Error::io("creating", dir, e));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new(ErrorKind::Invalid, format!("{} does not exist", dir.display())));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(Error::new(ErrorKind::Invalid, format!("{} is a file; a store is a directory", dir.display())));
        }
        Err(e) => return Err(Error::io("opening", dir, e)),
    };
    if entries.iter().any(|entry| entry.name == "log") {
        return Ok(());
    }
    // What a crash in the middle of the very first open leaves behind.
    let empty = entries.iter().all(|entry| ["LOCK", "runs", "index.redb"].contains(&entry.name.as_str()));
    if empty && create {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Invalid,
        format!(
            "{} is no pugmark store: it has no log/{}",
            dir.display(),
            if empty { "" } else { " and is not empty" }
        ),
    ))
}

/// One process at a time.
fn lock_dir(storage: &dyn Storage, dir: &Path) -> Result<Box<dyn Any + Send + Sync>> {
    let path = dir.join("LOCK");
    match storage.lock(&path).map_err(|e| Error::io("locking", &path, e))? {
        LockAttempt::Held(lock) => Ok(lock),
        LockAttempt::Taken(holder) => {
            let holder = holder.unwrap_or_else(|| "another process".to_owned());
            Err(Error::new(
                ErrorKind::Locked,
                format!("{} is open in {holder}; a store is opened by one process at a time", dir.display()),
            ))
        }
    }
}
