//! The running file system: operations are tried, noted and applied.

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

use super::bytes::MAX_FILE_BYTES;
use super::fault::{Failure, Faults};
use super::file::Change;
use super::journal::Record;
use super::operation::{Operation, OperationKind, Step, renamed_from};
use super::survival::index_below;
use super::world::{NodeId, World, path_of};
use crate::entropy::SplitMix64;
use crate::storage::OpenMode;

#[derive(Debug)]
pub(super) struct Machine {
    pub(super) world: World,
    pub(super) record: Record,
    pub(super) faults: Faults,
    pub(super) capacity: Option<u64>,
    pub(super) stop_at: Option<u64>,
    /// The process ended when it tried the operation at which it was to stop.
    pub(super) dead: bool,
    pub(super) locks: BTreeSet<Arc<str>>,
}

impl Machine {
    pub(super) fn new(world: World) -> Self {
        Self {
            record: Record::new(world.clone()),
            world,
            faults: Faults::default(),
            capacity: None,
            stop_at: None,
            dead: false,
            locks: BTreeSet::new(),
        }
    }

    /// Fails once the process is dead.
    pub(super) fn check_alive(&self) -> io::Result<()> {
        match self.stop_at {
            // Before the operation is tried, everything else goes on.
            Some(at) if self.dead || at <= self.record.len() => Err(stopped(at)),
            _ => Ok(()),
        }
    }

    /// Fails if reading this path is to fail.
    pub(super) fn check_read(&mut self, path: &str) -> io::Result<()> {
        self.check_alive()?;
        match self.faults.take(None, OperationKind::Read, &[path]) {
            None => Ok(()),
            Some(failure) => {
                Err(io::Error::new(failure.kind(), format!("{path}: reading fails, as the simulation was asked to")))
            }
        }
    }

    pub(super) fn open(&mut self, names: &[Arc<str>], mode: OpenMode) -> io::Result<NodeId> {
        self.check_alive()?;
        let path = path_of(names);
        match self.world.find(names) {
            Ok(node) => {
                self.world.file(node)?;
                if mode == OpenMode::Truncate {
                    let operation = Operation::Change { file: node, change: Change::SetLen(0) };
                    self.perform(OperationKind::SetLen, &path, operation)?;
                }
                Ok(node)
            }
            Err(e)
                if e.kind() == io::ErrorKind::NotFound
                    && matches!(mode, OpenMode::WriteOrCreate | OpenMode::Truncate) =>
            {
                let (dir, name) = self.world.find_parent(names)?;
                let node = self.world.unused_node();
                let operation = Operation::CreateFile { dir, name: Arc::clone(name), node };
                self.perform(OperationKind::Create, &path, operation)?;
                Ok(node)
            }
            Err(e) => Err(e),
        }
    }

    pub(super) fn write(&mut self, file: NodeId, path: &Arc<str>, data: &[u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(data.len() as u64).is_none_or(|end| end > MAX_FILE_BYTES) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let fits = match self.capacity {
            None => data.len(),
            Some(capacity) => {
                let room = capacity.saturating_sub(self.world.allocated());
                self.world.file(file)?.live.fitting(offset, data.len(), room)
            }
        };
        let change = |data: &[u8]| Operation::Change { file, change: Change::Write { offset, data: data.into() } };
        if fits == data.len() {
            return self.perform(OperationKind::Write, path, change(data));
        }
        self.check_number()?;
        // What was asked for on top of it counts as having come.
        let number = self.record.len() + 1;
        self.faults.take(Some(number), OperationKind::Write, &[path]);
        let (written, _) = data.split_at(fits);
        self.note(OperationKind::Write, path, true, if fits == 0 { Operation::Nothing } else { change(written) });
        Err(io::Error::new(
            io::ErrorKind::StorageFull,
            format!("{path}: {fits} of {} bytes have room on the simulated disk (operation {number})", data.len()),
        ))
    }

    pub(super) fn set_len(&mut self, file: NodeId, path: &Arc<str>, len: u64) -> io::Result<()> {
        if len > MAX_FILE_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.perform(OperationKind::SetLen, path, Operation::Change { file, change: Change::SetLen(len) })
    }

    /// Does the operation, or makes it fail if that was asked for.
    pub(super) fn perform(&mut self, kind: OperationKind, path: &Arc<str>, operation: Operation) -> io::Result<()> {
        self.check_number()?;
        let number = self.record.len() + 1;
        let old = renamed_from(&operation, path);
        let paths: Vec<&str> = [path.as_ref()].into_iter().chain(old.as_deref()).collect();
        let Some(failure) = self.faults.take(Some(number), kind, &paths) else {
            self.note(kind, path, false, operation);
            return Ok(());
        };
        self.note(kind, path, true, failing(operation, failure, number));
        Err(io::Error::new(
            failure.kind(),
            format!("{path}: {kind} fails, as the simulation was asked to (operation {number})"),
        ))
    }

    /// Fails if the next operation is not to come any more, and nothing else then.
    fn check_number(&mut self) -> io::Result<()> {
        self.dead |= self.stop_at.is_some_and(|at| at <= self.record.len() + 1);
        self.check_alive()
    }

    /// Applies the operation, whatever was asked for.
    pub(super) fn note(&mut self, kind: OperationKind, path: &Arc<str>, failed: bool, operation: Operation) {
        self.world.apply(&operation);
        self.record.push(Step { kind, path: Arc::clone(path), failed, operation });
    }
}

fn stopped(at: u64) -> io::Error {
    io::Error::other(format!("the simulated process was stopped at operation {at}"))
}

/// What is left of an operation that fails.
fn failing(operation: Operation, failure: Failure, number: u64) -> Operation {
    let short = matches!(failure, Failure::Short(_));
    match operation {
        Operation::Sync { file } => Operation::FailedSync { file, reached: short.then_some(number) },
        Operation::Change { file, change: Change::Write { offset, data } } if short => {
            let written = data.split_at(index_below(&mut SplitMix64::new(number), data.len())).0;
            Operation::Change { file, change: Change::Write { offset, data: written.into() } }
        }
        _ => Operation::Nothing,
    }
}
