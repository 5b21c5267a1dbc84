//! A file system in memory that forgets what was not synced, made for tests.
//!
//! [`SimulatedStorage`] is a [`Storage`](super::Storage) that knows of every byte and every name whether it is durable. Two ways to use it:
//!
//! - **Replay**: run a workload once, noting with [`SimulatedStorage::mark`] what was acknowledged; then [`Journal::stop_after`] every operation,
//!   with every [`Loss`], open what is found, and compare it with [`Journal::marks_through`].
//! - **Live failures**: [`SimulatedStorage::fail_at`], [`fail_on`](SimulatedStorage::fail_on), [`stop_at`](SimulatedStorage::stop_at) and
//!   [`set_capacity`](SimulatedStorage::set_capacity) make operations fail while the workload runs.
//!
//! It is stricter than real file systems, which keep more: a name is durable only once its directory is synced, that of a directory too; whatever
//! is unsynced may be lost, torn or reordered, whichever way it was written.
//!
//! Everything that is left to chance follows from the seed that the test gives.

mod bytes;
mod directory;
mod fault;
mod file;
mod handle;
mod inspect;
mod journal;
mod machine;
mod operation;
mod survival;
#[cfg(test)]
mod tests;
mod world;

use std::sync::{Arc, Mutex, MutexGuard};

pub use fault::Failure;
pub use journal::Journal;
pub use operation::{OperationKind, Step};
pub use survival::Loss;
pub use world::Image;

use crate::queue::lock;
use machine::Machine;
use world::World;

/// A file system in memory that can be stopped at every operation. A clone is the same file system.
///
/// An *operation* is whatever changes something or makes it durable: making, writing, cutting, syncing, renaming, removing. Each has a number, from
/// 1, also when it fails. Opening, reading, listing and locking have none, but that a file made by opening or locking is an operation.
///
/// Paths begin at the root, with a `/` or without; names are UTF-8. Links, modes and times do not exist.
///
/// # Example
/// ```
/// use pugmark_store::simulated::Loss;
/// use pugmark_store::{OpenMode, SimulatedStorage, Storage, StorageFile};
/// use std::path::Path;
///
/// let storage = SimulatedStorage::new();
/// let file = storage.open(Path::new("/log"), OpenMode::WriteOrCreate)?;
/// file.write_all_at(b"written", 0)?;
/// file.sync_data()?;
/// let journal = storage.journal();
/// // The bytes were synced, the name was not.
/// assert!(journal.stop_after(3, Loss::Everything, 0).list(Path::new("/"))?.is_empty());
/// assert_eq!(journal.stop_after(3, Loss::Nothing, 0).read(Path::new("/log"))?, b"written");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct SimulatedStorage(Arc<Mutex<Machine>>);

impl SimulatedStorage {
    /// An empty root directory, which is durable.
    pub fn new() -> Self {
        Self::of(World::new())
    }

    fn of(world: World) -> Self {
        Self(Arc::new(Mutex::new(Machine::new(world))))
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        lock(&self.0)
    }

    /// Everything done up to now.
    pub fn journal(&self) -> Journal {
        Journal::new(self.machine().record.clone())
    }

    /// How many operations were done up to now: the number of the last one.
    pub fn operations(&self) -> u64 {
        self.machine().record.len()
    }

    /// Notes in the journal that something is known after the last operation, as that an append was acknowledged.
    pub fn mark(&self, label: u64) {
        self.machine().record.mark(label);
    }

    /// The file system that is found if everything stops now: [`Journal::stop_after`] the last operation.
    pub fn stopped(&self, loss: Loss, seed: u64) -> Self {
        let machine = self.machine();
        let found = journal::stopped(&machine.world, machine.record.len(), loss, seed);
        drop(machine);
        Self::of(found)
    }

    /// Makes the operation of this number fail, once.
    pub fn fail_at(&self, number: u64, failure: Failure) {
        self.machine().faults.at(number, failure);
    }

    /// Makes an operation of this kind fail, once: counted from now, the `occurrence`th, from 1, on a path that ends with `path_end`. The path of an
    /// open file is that by which it was opened; a rename has both its paths.
    pub fn fail_on(&self, kind: OperationKind, path_end: &str, occurrence: u64, failure: Failure) {
        self.machine().faults.matching(kind, path_end, occurrence, failure);
    }

    /// How many of the failures asked for are still to come.
    pub fn failures_to_come(&self) -> usize {
        self.machine().faults.count()
    }

    /// Makes the operation of this number fail without effect and everything after it, reading too: the process is dead. [`stopped`](Self::stopped) and the
    /// helpers still work.
    pub fn stop_at(&self, number: u64) {
        self.machine().stop_at = Some(number);
    }

    /// Sets the room that all files may take, in blocks of 4 KiB where something was written; holes take none. A write past it writes what has room
    /// and fails with [`StorageFull`](std::io::ErrorKind::StorageFull). `None` is no limit.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.machine().capacity = bytes;
    }

    /// The room that the files with a name take, as [`set_capacity`](Self::set_capacity) counts it.
    pub fn allocated(&self) -> u64 {
        self.machine().world.allocated()
    }

    /// Takes back all failures asked for, [`stop_at`](Self::stop_at) and the capacity.
    pub fn mend(&self) {
        let mut machine = self.machine();
        machine.faults.clear();
        machine.stop_at = None;
        machine.dead = false;
        machine.capacity = None;
    }
}

impl Default for SimulatedStorage {
    fn default() -> Self {
        Self::new()
    }
}
