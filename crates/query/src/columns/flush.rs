//! Writes the tail to files, and merges files, in the background.

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pugmark_registry::Registry;
use pugmark_store::{Error, ErrorKind, Result, Store};

use super::catalog::{ColumnFile, FileId, StoredCube};
use super::cell::Part;
use super::cube::{Declared, cube_of_file, write_cube};
use super::dir::{ColumnDir, Kind};
use super::fold::ColumnsFold;
use super::guard::Stored;
use super::merge::{FILES_MAX, merge_files};
use super::pace::{Budget, Pace};
use super::policy::FileSize;
use super::state::{BackgroundWork, Columns};
use super::writer::write_file;

/// A snapshot is shown this soon after it was taken, when it is not there already.
const SNAPSHOT_WITHIN: Duration = Duration::from_millis(5);
/// A failed flush is tried again after this long.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What the fold and the flusher of one store tell each other.
#[derive(Debug, Default)]
pub(crate) struct Control {
    /// Shared with the folds that are built beside the one that answers: all write to one directory.
    files: Arc<AtomicU64>,
    live: AtomicBool,
    blocked: AtomicBool,
    work: Mutex<Work>,
    wake: Condvar,
    answered: Condvar,
    /// Of merges that nobody waits for.
    budget: Mutex<Budget>,
}

#[derive(Debug, Default)]
struct Work {
    /// The sealed part of the tail has reached the size of a file.
    due: bool,
    /// How many flushes of everything have been asked for, and answered.
    wanted: u64,
    answered: u64,
    /// How many flushes were begun, and how many of them have ended.
    begun: u64,
    ended: u64,
    /// The merge policy sees files to merge.
    mergeable: bool,
    /// How many merges of everything have been asked for, and answered.
    merges_wanted: u64,
    merges_answered: u64,
    /// Whether a merge is under way, and is to be given up.
    merging: bool,
    give_up_merge: bool,
    /// Why the last merge failed.
    merge_failure: Option<(ErrorKind, String)>,
    /// Why the last flush failed.
    failure: Option<(ErrorKind, String)>,
    /// How many files were written from the tail, and how many were put in the place of others.
    flushes: u64,
    merges: u64,
    stopping: bool,
    stopped: bool,
}

impl Work {
    fn gives_up_merge(&self) -> bool {
        self.stopping || self.give_up_merge
    }

    fn is_merge_asked_for(&self) -> bool {
        self.merges_wanted > self.merges_answered
    }

    /// Whether a merge is not to be held back: somebody waits for it, or for its end.
    fn hurries_merge(&self) -> bool {
        self.gives_up_merge() || self.is_merge_asked_for()
    }
}

enum Task {
    Due,
    /// All up to this request.
    Everything(u64),
    Stop,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, Work> {
        // Flags and counters: whole at every step.
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Merges in the background read and write so many bytes a second at most.
    pub(crate) fn new(merge_bytes_per_second: Option<NonZeroU64>) -> Self {
        Self { budget: Mutex::new(Budget::new(merge_bytes_per_second)), ..Self::default() }
    }

    /// For a fold that is built beside the one of `other`.
    pub(crate) fn beside(other: &Self) -> Self {
        let rate = other.budget.lock().unwrap_or_else(PoisonError::into_inner).bytes_per_second;
        Self { files: Arc::clone(&other.files), ..Self::new(rate) }
    }

    pub(crate) fn done(&self) -> BackgroundWork {
        let work = self.lock();
        BackgroundWork { flushes: work.flushes, merges: work.merges }
    }

    /// The id of a new file.
    pub(crate) fn next_file(&self) -> FileId {
        FileId::new(self.files.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// The highest id given out.
    pub(crate) fn file_count(&self) -> u64 {
        self.files.load(Ordering::Relaxed)
    }

    /// Ids up to `highest` are taken.
    pub(crate) fn count_files(&self, highest: u64) {
        self.files.fetch_max(highest, Ordering::Relaxed);
    }

    /// Whether a flusher runs.
    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// The committer waits until the tail is shorter.
    pub(crate) fn note_blocked(&self) {
        self.blocked.store(true, Ordering::Release);
    }

    pub(crate) fn set_due(&self, due: bool) {
        let mut work = self.lock();
        work.due = due;
        if due {
            self.wake.notify_all();
        }
    }

    /// Why the last flush failed; `None` once one has succeeded.
    pub(crate) fn failure(&self) -> Option<Error> {
        self.lock().failure.as_ref().map(|(kind, message)| Error::new(*kind, message.clone()))
    }

    pub(crate) fn set_mergeable(&self, mergeable: bool) {
        let mut work = self.lock();
        work.mergeable = mergeable;
        if mergeable {
            self.wake.notify_all();
        }
    }

    /// Waits for files to merge: the number of the request where one waits for it. `None` at the end.
    fn next_merge(&self) -> Option<u64> {
        let mut work = self.lock();
        loop {
            if work.stopping {
                return None;
            }
            // What comes in has precedence, unless somebody waits.
            if work.is_merge_asked_for() || (work.mergeable && !work.due) {
                work.merging = true;
                work.give_up_merge = false;
                return Some(work.merges_wanted);
            }
            work = self.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn note_merge(&self, result: &Result<bool>, request: u64) {
        let mut work = self.lock();
        work.merging = false;
        work.merge_failure = result.as_ref().err().map(|e| (e.kind(), e.to_string()));
        work.merges += u64::from(matches!(result, Ok(true)));
        let given_up = work.give_up_merge && matches!(result, Ok(false));
        if !matches!(result, Ok(true)) && !given_up {
            // Nothing more to do until the files are others. One that was given up is begun anew.
            work.mergeable = false;
            work.merges_answered = work.merges_answered.max(request);
        }
        self.answered.notify_all();
    }

    fn next_task(&self) -> Task {
        let mut work = self.lock();
        loop {
            if work.wanted > work.answered {
                work.begun += 1;
                return Task::Everything(work.wanted);
            }
            if work.stopping {
                return Task::Stop;
            }
            if work.due {
                work.begun += 1;
                return Task::Due;
            }
            work = self.wake.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for `time`, or until there is something else to do than what is due.
    fn pause(&self, time: Duration) {
        let idle = |work: &mut Work| work.wanted == work.answered && !work.stopping;
        let _woken = self.wake.wait_timeout_while(self.lock(), time, idle).unwrap_or_else(PoisonError::into_inner);
    }

    fn note(&self, result: &Result<bool>) {
        let mut work = self.lock();
        work.failure = result.as_ref().err().map(|e| (e.kind(), e.to_string()));
        work.flushes += u64::from(matches!(result, Ok(true)));
        work.ended += 1;
        self.answered.notify_all();
    }

    fn answer(&self, request: u64) {
        self.lock().answered = request;
        self.answered.notify_all();
    }
}

impl Pace for Control {
    fn gives_up(&self) -> bool {
        self.lock().gives_up_merge()
    }

    fn spend(&self, bytes: u64) {
        if self.lock().hurries_merge() {
            return;
        }
        #[expect(clippy::disallowed_methods, reason = "a bound on real time; nothing of it is stored")]
        let now = Instant::now();
        let wait = self.budget.lock().unwrap_or_else(PoisonError::into_inner).spend(bytes, now);
        if wait > Duration::ZERO {
            let holds = |work: &mut Work| !work.hurries_merge();
            let _waited =
                self.wake.wait_timeout_while(self.lock(), wait, holds).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads that write the tail of one store to files, whenever it has grown to the size of a file and on demand, and that merge files as the
/// [`MergePolicy`](super::MergePolicy) says, while nothing is to be flushed and on demand.
///
/// What they merge without being asked reads and writes no more than [`merge_bytes_per_second`](super::ColumnsOptions::merge_bytes_per_second). A flush is never held
/// back: appends may wait for it.
///
/// A flush that fails is tried again. As long as the last one failed, [`flush_now`](Self::flush_now) and [`close`](Self::close) say why if they fail as
/// well, and appends that find the tail full fail with the same error. Nothing is lost: what is in no file is in the log.
///
/// Dropping it stops the threads and gives up a merge; what the tail holds then is applied again by the next open.
///
/// # Example
/// ```
/// use pugmark_query::columns::{Columns, ColumnsFold, ColumnsOptions, Flusher};
/// use pugmark_registry::{RegistryFold, RegistryOptions};
/// use pugmark_store::{Event, Options, Store};
/// use std::sync::Arc;
/// let dir = tempfile::tempdir()?;
/// let registry = RegistryFold::new(RegistryOptions::default());
/// let columns = ColumnsFold::new(dir.path(), ColumnsOptions::default());
/// let store = Store::open(dir.path(), Options::default(), vec![Box::new(registry), Box::new(columns)])?;
/// let store = Arc::new(store);
/// let flusher = Flusher::start(Arc::clone(&store))?;
/// store.append(vec![Event::new("purchase", "user-42").into()])?;
/// flusher.flush_now()?;
/// let stats = store.snapshot().state::<Columns>().map(|columns| columns.stats());
/// assert_eq!(stats.map(|stats| (stats.files, stats.file_rows, stats.tail_rows)), Some((1, 1, 0)));
/// flusher.close()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Flusher {
    control: Arc<Control>,
    threads: Vec<JoinHandle<()>>,
}

impl Flusher {
    /// Starts the thread for a store that was opened with a [`ColumnsFold`] and a [`RegistryFold`](pugmark_registry::RegistryFold). It keeps `store` until it is closed.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a store without those folds, or with a flusher; [`ErrorKind::Io`] when no thread can be started.
    pub fn start(store: Arc<Store>) -> Result<Self> {
        let control = Arc::clone(&state::<Columns>(&store)?.control);
        let _registry = state::<Registry>(&store)?;
        if control.live.swap(true, Ordering::AcqRel) {
            return Err(Error::new(ErrorKind::Invalid, "the store has a flusher already"));
        }
        {
            let mut work = control.lock();
            work.stopping = false;
            work.stopped = false;
        }
        let failed = |e| Error::with_source(ErrorKind::Io, format!("starting the flusher: {e}"), e);
        let mut flusher = Self { control: Arc::clone(&control), threads: Vec::new() };
        let flushing = std::thread::Builder::new().name("pugmark-flush".to_owned()).spawn({
            let (running, store) = (Running(Arc::clone(&control)), Arc::clone(&store));
            move || running.run(&store)
        });
        flusher.threads.push(flushing.map_err(failed)?);
        let merging = std::thread::Builder::new().name("pugmark-merge".to_owned()).spawn(move || {
            merge_all(&control, &store);
        });
        flusher.threads.push(merging.map_err(failed)?);
        Ok(flusher)
    }

    /// Writes everything that was acknowledged before the call to files, and waits for it.
    ///
    /// # Errors
    /// Errors of the disk and of the index.
    pub fn flush_now(&self) -> Result<()> {
        let mut work = self.control.lock();
        work.wanted += 1;
        let request = work.wanted;
        self.control.wake.notify_all();
        while work.answered < request && !work.stopped {
            work = self.control.answered.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        match &work.failure {
            Some((kind, message)) => Err(Error::new(*kind, message.clone())),
            None if work.answered < request => {
                Err(Error::new(ErrorKind::Poisoned, "the flusher stopped by a broken invariant; open the store again"))
            }
            None => Ok(()),
        }
    }

    /// Merges files until the policy sees no more to merge, and waits for it.
    ///
    /// # Errors
    /// Errors of the disk and of the index.
    pub fn merge_now(&self) -> Result<()> {
        let mut work = self.control.lock();
        work.merges_wanted += 1;
        let request = work.merges_wanted;
        self.control.wake.notify_all();
        while work.merges_answered < request && !work.stopped {
            work = self.control.answered.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
        match &work.merge_failure {
            Some((kind, message)) => Err(Error::new(*kind, message.clone())),
            None => Ok(()),
        }
    }

    /// Waits until no file is being written of what the store showed before the call: of rows that were removed since, none is left behind. A merge is given up.
    pub fn wait_for_present(&self) {
        let mut work = self.control.lock();
        let begun = work.begun;
        work.give_up_merge = true;
        self.control.wake.notify_all();
        while (work.ended < begun || (work.merging && work.give_up_merge)) && !work.stopped {
            work = self.control.answered.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes what is left to a file and ends the thread.
    ///
    /// # Errors
    /// Those of [`flush_now`](Self::flush_now). The thread has ended all the same.
    pub fn close(mut self) -> Result<()> {
        let flushed = self.flush_now();
        self.stop();
        flushed
    }

    fn stop(&mut self) {
        self.control.lock().stopping = true;
        self.control.wake.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of the thread was told to whoever waited for it.
            let _ended = thread.join();
        }
    }
}

impl Drop for Flusher {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The thread's side. Dropped when the thread ends, also by a panic.
struct Running(Arc<Control>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.live.store(false, Ordering::Release);
        self.0.answered.notify_all();
    }
}

impl Running {
    fn run(&self, store: &Store) {
        let control = &self.0;
        loop {
            let (result, request) = match control.next_task() {
                Task::Due => (self.flush(store, false), None),
                Task::Everything(request) => (self.flush(store, true), Some(request)),
                Task::Stop => return,
            };
            control.note(&result);
            match (&result, request) {
                (_, Some(request)) => control.answer(request),
                // The tail has grown in a snapshot that is about to be shown.
                (Ok(false), None) => control.pause(SNAPSHOT_WITHIN),
                (Ok(true), None) => {}
                (Err(_), None) => control.pause(RETRY_AFTER),
            }
            if result.is_err() && control.blocked.swap(false, Ordering::AcqRel) {
                // Wakes the committer, which then answers with the failure; an error here poisons the store, and it answers with that.
                let _woken = store.update(|_: &mut ColumnsFold, _| Ok(()));
            }
        }
    }

    /// Writes the tail, or only its sealed part, to one file; `false` when there was too little.
    fn flush(&self, store: &Store, everything: bool) -> Result<bool> {
        let snapshot = store.snapshot();
        let columns = state_of::<Columns>(&snapshot)?;
        let registry = state_of::<Registry>(&snapshot)?;
        let parts: Vec<Part> =
            if everything { columns.tail.parts().cloned().collect() } else { columns.tail.sealed.to_vec() };
        if parts.is_empty() {
            return Ok(false);
        }
        let schema = columns.event_schema(registry.schema());
        let file = write_file(&columns.dir, self.0.next_file(), &parts, &schema)?;
        store.update(|fold: &mut ColumnsFold, _| {
            fold.install(file, &parts);
            Ok(())
        })?;
        Ok(true)
    }
}

/// The other thread's side.
fn merge_all(control: &Arc<Control>, store: &Store) {
    while let Some(request) = control.next_merge() {
        let ended = MergeEnded(control);
        let result = merge(control, store);
        std::mem::forget(ended);
        control.note_merge(&result, request);
        if result.is_err() {
            control.pause(RETRY_AFTER);
        }
    }
}

/// Nobody waits for a merge that ended by a panic.
struct MergeEnded<'a>(&'a Control);

impl Drop for MergeEnded<'_> {
    fn drop(&mut self) {
        let failure = Error::new(ErrorKind::Poisoned, "a merge stopped by a broken invariant; open the store again");
        self.0.note_merge(&Err(failure), u64::MAX);
    }
}

/// Merges the files that the policy picks; `false` when there are none, or it was given up.
fn merge(control: &Arc<Control>, store: &Store) -> Result<bool> {
    let snapshot = store.snapshot();
    let columns = state_of::<Columns>(&snapshot)?;
    let registry = state_of::<Registry>(&snapshot)?;
    let sizes: Vec<FileSize> = columns.files.iter().map(|file| file.size()).collect();
    let picked = columns.merge.pick(&sizes);
    let (all, declared) = (Arc::clone(&columns.files), Arc::clone(&columns.declared));
    let (dir, schema) = (columns.dir.clone(), columns.event_schema(registry.schema()));
    // They hold a tail, which may be in a file long before the work has ended.
    drop((snapshot, columns, registry));
    let Some(picked) = picked else { return make_cubes(control, store, &dir, &all, &declared) };
    let files: Vec<_> = all.get(picked).unwrap_or_default().iter().take(FILES_MAX).cloned().collect();
    drop(all);
    let pace: Arc<dyn Pace> = Arc::clone(control) as _;
    let Some(merged) = merge_files(&dir, || control.next_file(), &files, &schema, &pace)? else {
        return Ok(false);
    };
    let mut merged = Some(merged);
    let replaced = store
        .update(|fold: &mut ColumnsFold, _| Ok(merged.take().is_some_and(|merged| fold.replace(&files, merged))))?;
    if replaced {
        files.iter().for_each(|file| file.drop_with_last_reader());
    }
    Ok(replaced)
}

/// Makes one cube that is declared, or takes away those that are not any more; `false` when all is as it is declared, or it was given up.
fn make_cubes(
    control: &Arc<Control>,
    store: &Store,
    dir: &ColumnDir,
    files: &[Arc<ColumnFile>],
    all_declared: &[Declared],
) -> Result<bool> {
    let pace: Arc<dyn Pace> = Arc::clone(control) as _;
    for file in files {
        let is_over = |cube: &StoredCube| all_declared.iter().all(|declared| declared.number != cube.declared);
        let missing = all_declared.iter().find(|declared| file.cube(declared.number).is_none());
        let made = match missing {
            Some(Declared { number, declaration }) => {
                let cube = cube_of_file(file, declaration, &pace)?;
                if pace.gives_up() {
                    return Ok(false);
                }
                let stored = match cube {
                    Some(cube) => {
                        let id = control.next_file();
                        let (bytes, checksums) = write_cube(dir, id, &cube, declaration)?;
                        let path = dir.of(Kind::Rollups).join(id.file_name());
                        Some((id, Arc::new(Stored::new(dir.storage(), path, bytes, checksums))))
                    }
                    None => None,
                };
                Some(StoredCube { declared: *number, stored })
            }
            None if file.cubes.iter().any(is_over) => None,
            None => continue,
        };
        let id = file.id;
        let mut superfluous = Vec::new();
        store.update(|fold: &mut ColumnsFold, _| {
            superfluous = fold.set_cubes(id, made);
            Ok(())
        })?;
        superfluous
            .iter()
            .filter_map(|cube| cube.stored.as_ref())
            .for_each(|(_, stored)| stored.drop_with_last_reader());
        return Ok(true);
    }
    Ok(false)
}

fn state<T: Send + Sync + 'static>(store: &Store) -> Result<Arc<T>> {
    state_of(&store.snapshot())
}

fn state_of<T: Send + Sync + 'static>(snapshot: &pugmark_store::Snapshot) -> Result<Arc<T>> {
    snapshot
        .state()
        .ok_or_else(|| Error::new(ErrorKind::Invalid, "the store was opened without its columns or its registry"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_merge_that_was_given_up_is_begun_anew() {
        for asked in [0, 1] {
            let control = Control::default();
            control.set_mergeable(true);
            control.lock().merges_wanted = asked;
            assert_eq!(control.next_merge(), Some(asked));
            control.lock().give_up_merge = true;
            assert!(control.gives_up());
            control.note_merge(&Ok(false), asked);
            {
                let work = control.lock();
                assert!(work.mergeable && !work.merging);
                assert_eq!(work.merges_answered, 0);
            }
            assert_eq!(control.next_merge(), Some(asked));
            assert!(!control.gives_up());
            // One that has failed is an answer, whoever gave it up.
            let failed = Err(Error::new(ErrorKind::Io, "no disk"));
            for (given_up, result) in [(false, Ok(false)), (true, failed)] {
                control.lock().merges_answered = 0;
                control.lock().give_up_merge = given_up;
                control.note_merge(&result, asked);
                assert_eq!(control.lock().merges_answered, asked);
            }
            assert!(!control.lock().mergeable);
        }
    }
}
