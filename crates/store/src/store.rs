//! Open, append, read, close.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::event::Entry;
use crate::fold::{Committed, Fold};
use crate::id::{ImportId, Sequence};
use crate::index::Index;
use crate::limits;
use crate::lock::DirLock;
use crate::log::{Scan, list_segments, recover, sync_dir};
use crate::options::Options;
use crate::outcome::Outcome;
use crate::prepare::made_id;
use crate::queue::{Pending, Queue, Slot, Submission, lock};
use crate::runs::RunStats;
use crate::snapshot::Snapshot;
use crate::state::State;
use crate::subjects::SubjectStats;

/// A committer that waits for room looks again this often, also when nobody wakes it.
const ROOM_LOOKED_AT_EVERY: Duration = Duration::from_millis(100);

/// An open store: one directory, one process.
///
/// Appends from any number of threads are committed by one thread: what waits at that moment shares a write and an `fdatasync`. An append
/// returns once its entries are durable and a [`snapshot`](Store::snapshot) shows them.
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
    shared: Arc<Shared>,
    committer: Option<JoinHandle<()>>,
}

struct Shared {
    dir: PathBuf,
    options: Options,
    queue: Queue,
    state: Mutex<State>,
    /// Signalled when a fold may have room again.
    room: Condvar,
    snapshot: RwLock<Arc<Snapshot>>,
    _lock: DirLock,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoreStats {
    /// The log.
    pub log: LogStats,
    /// The message ids.
    pub message_ids: RunStats,
    /// The distinct ids.
    pub subjects: SubjectStats,
    /// Bytes of the index file.
    pub index_bytes: u64,
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
        prepare_dir(dir, options.create)?;
        let dir_lock = DirLock::acquire(dir)?;
        let log_dir = dir.join("log");
        let runs_dir = dir.join("runs");
        for sub in [&log_dir, &runs_dir] {
            std::fs::create_dir_all(sub).map_err(|e| Error::io("creating", sub, e))?;
        }
        sync_dir(dir)?;
        let index = Index::open(&dir.join("index.redb"), options.index_cache_bytes)?;
        let index_id = index.store_id()?;
        let has_log = !list_segments(&log_dir)?.is_empty();
        if !has_log && index_id.is_some() {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{}: no segment, although the index knows this store: the log is missing", log_dir.display()),
            ));
        }
        let known = index.position(Sequence::new(u64::MAX))?;
        let new_id = made_id(options.clock.now());
        let durable = index.durable_through()?;
        let recovered = recover(&log_dir, known, durable, new_id, options.clock.now(), options.segment_max_bytes)?;
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
        let mut state = State::load(recovered.writer, index, &runs_dir, folds, last)?;
        let after = state.replay_after();
        if after < last {
            let near = state.index.position(after.plus(1))?;
            let mut scan = Scan::new(list_segments(&log_dir)?, after.plus(1), last, near)?;
            loop {
                let position = scan.position();
                let Some(frame) = scan.next() else { break };
                let frame = frame?;
                let payload = frame.payload()?;
                let batch = Committed { first_sequence: frame.first_sequence(), payload: &payload };
                state.replay(&batch, &options, position.filter(|(sequence, _)| *sequence == frame.first_sequence()))?;
            }
        }
        let snapshot = RwLock::new(Arc::new(state.publish()));
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            queue: Queue::new(options.queue_max_bytes),
            options,
            state: Mutex::new(state),
            room: Condvar::new(),
            snapshot,
            _lock: dir_lock,
        });
        let committer = std::thread::Builder::new()
            .name("pugmark-commit".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || shared.run_committer()
            })
            .map_err(|e| Error::io("starting a thread for", dir, e))?;
        Ok(Self { shared, committer: Some(committer) })
    }

    /// Appends entries and waits until they are durable and visible; says what became of each, in the order given.
    ///
    /// # Errors
    /// As [`Store::submit`] and [`Pending::wait`]. An entry that breaks a rule is no error but [`Outcome::Rejected`].
    pub fn append(&self, entries: Vec<Entry>) -> Result<Vec<Outcome>> {
        self.submit(entries, None)?.wait()
    }

    /// Hands entries over and returns at once, so that several appends can be under way; `import` marks them as brought by one import. Submissions of
    /// one thread are committed in their order.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for more than [`limits::FRAME_MAX_RECORDS`] entries, [`limits::BATCH_MAX_NAMES`] or [`limits::BATCH_MAX_BYTES`]; [`ErrorKind::Poisoned`] after a failed
    /// write: open the store again.
    pub fn submit(&self, entries: Vec<Entry>, import: Option<ImportId>) -> Result<Pending> {
        let bytes: usize = entries.iter().map(Entry::size).sum();
        let names: usize = entries.iter().map(Entry::names).sum();
        if entries.len() > limits::FRAME_MAX_RECORDS
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
        let slot = Arc::new(Slot::default());
        if entries.is_empty() {
            slot.answer(Ok(Vec::new()));
        } else {
            self.shared.queue.push(Submission { entries, bytes, names, import, slot: Arc::clone(&slot) })?;
        }
        Ok(Pending::new(slot))
    }

    /// The state of everything at this moment: all that was acknowledged before the call.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.shared.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `work` on a fold between two commits, writes all folds to the index, durably and in one with what `work` wrote, then publishes
    /// a snapshot with what they show now. This is how background work, such as a flush, puts its result in place.
    ///
    /// # Errors
    /// Whatever `work` returns, and errors of the index: the store is then poisoned, because folds and index may differ.
    pub fn update<F: Fold, R>(&self, work: impl FnOnce(&mut F, &redb::WriteTransaction) -> Result<R>) -> Result<R> {
        let mut state = lock(&self.shared.state);
        let result = state.update(work);
        if result.is_ok() {
            self.shared.show(&mut state);
        }
        drop(state);
        // Also after a failure, which whoever waits is then told.
        self.shared.room.notify_all();
        result
    }

    /// Reads the log from the batch that holds `from` to the last one of the present snapshot.
    ///
    /// # Errors
    /// Errors of the disk; the iterator's items are [`ErrorKind::Corrupt`] where a frame is damaged, and nothing follows such an item.
    pub fn scan(&self, from: Sequence) -> Result<Scan> {
        let last = self.snapshot().sequence();
        let near = lock(&self.shared.state).index.position(from)?;
        Scan::new(list_segments(&self.shared.dir.join("log"))?, from, last, near)
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
        let index = self.shared.dir.join("index.redb");
        let index_bytes = std::fs::metadata(&index).map_err(|e| Error::io("reading", &index, e))?.len();
        let state = lock(&self.shared.state);
        Ok(StoreStats { log, message_ids: state.ids.stats(), subjects: state.subjects.stats(), index_bytes })
    }

    /// Size of the log.
    ///
    /// # Errors
    /// Errors of the disk.
    pub fn log_stats(&self) -> Result<LogStats> {
        let segments = list_segments(&self.shared.dir.join("log"))?;
        let size = |path: &Path| std::fs::metadata(path).map(|m| m.len()).map_err(|e| Error::io("reading", path, e));
        let bytes = segments.iter().map(|segment| size(&segment.path)).sum::<Result<u64>>()?;
        Ok(LogStats { segments: segments.len(), bytes })
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
        let Some(committer) = self.committer.take() else { return Ok(()) };
        self.shared.queue.close();
        self.shared.room.notify_all();
        if committer.join().is_err() {
            return Err(Error::new(
                ErrorKind::Poisoned,
                "the committer stopped by a broken invariant; open the store again",
            ));
        }
        lock(&self.shared.state).close()
    }
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
    fn run_committer(&self) {
        let _guard = Abandon(&self.queue);
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
            let answers = room.and_then(|_| state.commit(&submissions, &self.options));
            // Visible before acknowledged: whoever waits for the answer finds the events in the next snapshot.
            if answers.is_ok() {
                self.show(&mut state);
            }
            drop(state);
            match answers {
                Ok(answers) => {
                    for (submission, answer) in submissions.iter().zip(answers) {
                        submission.slot.answer(Ok(answer));
                    }
                }
                Err(e) => {
                    for submission in &submissions {
                        submission.slot.answer(Err(Error::new(e.kind(), e.to_string())));
                    }
                }
            }
        }
    }

    fn show(&self, state: &mut State) {
        let snapshot = Arc::new(state.publish());
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
    }
}

/// A committer that stops, also by a panic, leaves nobody waiting.
struct Abandon<'a>(&'a Queue);

impl Drop for Abandon<'_> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

/// Makes sure that `dir` is a store, or an empty place where one may be made.
fn prepare_dir(dir: &Path, create: bool) -> Result<()> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound && create => {
            return std::fs::create_dir_all(dir).map_err(|e| Error::io("creating", dir, e));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::new(ErrorKind::Invalid, format!("{} does not exist", dir.display())));
        }
        Err(e) if e.kind() == std::io::ErrorKind::NotADirectory => {
            return Err(Error::new(ErrorKind::Invalid, format!("{} is a file; a store is a directory", dir.display())));
        }
        Err(e) => return Err(Error::io("opening", dir, e)),
    };
    let mut empty = true;
    for entry in entries {
        let name = entry.map_err(|e| Error::io("listing", dir, e))?.file_name();
        if name == "log" {
            return Ok(());
        }
        // What a crash in the middle of the very first open leaves behind.
        empty &= ["LOCK", "runs", "index.redb"].iter().any(|own| name == *own);
    }
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
