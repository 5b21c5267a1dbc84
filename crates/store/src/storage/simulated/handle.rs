//! The file system as the store sees it.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use super::SimulatedStorage;
use super::machine::Machine;
use super::operation::{Operation, OperationKind};
use super::world::{NodeId, names_of, path_of};
use crate::queue::lock;
use crate::storage::{DirEntry, LockAttempt, OpenMode, Storage, StorageFile};

impl Storage for SimulatedStorage {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>> {
        let names = names_of(path)?;
        let node = self.machine().open(&names, mode)?;
        let machine = Arc::clone(&self.0);
        Ok(Arc::new(SimulatedFile { machine, node, path: path_of(&names), writable: mode != OpenMode::Read }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let machine = self.machine();
        machine.check_alive()?;
        let world = &machine.world;
        let directory = world.directory(world.find(&names_of(dir)?)?)?;
        Ok(directory
            .live
            .iter()
            .map(|(name, node)| {
                let file = world.file(*node).ok();
                DirEntry {
                    name: name.to_string(),
                    bytes: file.map_or(0, |file| file.live.len()),
                    is_dir: file.is_none(),
                }
            })
            .collect())
    }

    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let names = names_of(dir)?;
        let mut machine = self.machine();
        machine.check_alive()?;
        for depth in 1..=names.len() {
            let (names, _) = names.split_at(depth);
            match machine.world.find(names) {
                Ok(node) => {
                    machine.world.directory(node)?;
                }
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let (dir, name) = machine.world.find_parent(names)?;
                    let node = machine.world.unused_node();
                    let operation = Operation::CreateDir { dir, name: Arc::clone(name), node };
                    machine.perform(OperationKind::CreateDir, &path_of(names), operation)?;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (names_of(from)?, names_of(to)?);
        let mut machine = self.machine();
        machine.check_alive()?;
        let world = &machine.world;
        let (dir, old) = world.find_parent(&from)?;
        let (to_dir, new) = world.find_parent(&to)?;
        if dir != to_dir {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{} and {} are in different directories", path_of(&from), path_of(&to)),
            ));
        }
        let node = world.find(&from)?;
        world.file(node)?;
        match world.find(&to) {
            Ok(replaced) => {
                world.file(replaced)?;
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        let operation = Operation::Rename { dir, from: Arc::clone(old), to: Arc::clone(new), node };
        machine.perform(OperationKind::Rename, &path_of(&to), operation)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let names = names_of(path)?;
        let mut machine = self.machine();
        machine.check_alive()?;
        machine.world.file(machine.world.find(&names)?)?;
        let (dir, name) = machine.world.find_parent(&names)?;
        machine.perform(OperationKind::Remove, &path_of(&names), Operation::Remove { dir, name: Arc::clone(name) })
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let names = names_of(dir)?;
        let mut machine = self.machine();
        machine.check_alive()?;
        let dir = machine.world.find(&names)?;
        machine.world.directory(dir)?;
        machine.perform(OperationKind::SyncDir, &path_of(&names), Operation::SyncDir { dir })
    }

    fn lock(&self, path: &Path) -> io::Result<LockAttempt> {
        let names = names_of(path)?;
        let mut machine = self.machine();
        machine.open(&names, OpenMode::WriteOrCreate)?;
        let path = path_of(&names);
        if machine.locks.insert(Arc::clone(&path)) {
            Ok(LockAttempt::Held(Box::new(HeldLock { machine: Arc::clone(&self.0), path })))
        } else {
            Ok(LockAttempt::Taken(Some(format!("process {}", std::process::id()))))
        }
    }
}

#[derive(Debug)]
struct HeldLock {
    machine: Arc<Mutex<Machine>>,
    path: Arc<str>,
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        lock(&self.machine).locks.remove(&self.path);
    }
}

struct SimulatedFile {
    machine: Arc<Mutex<Machine>>,
    node: NodeId,
    /// As it was opened.
    path: Arc<str>,
    writable: bool,
}

impl SimulatedFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.writable {
            Ok(())
        } else {
            Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                format!("{}: written, but opened to be read", self.path),
            ))
        }
    }
}

impl fmt::Debug for SimulatedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SimulatedFile").field(&self.path).finish()
    }
}

impl StorageFile for SimulatedFile {
    fn len(&self) -> io::Result<u64> {
        let machine = lock(&self.machine);
        machine.check_alive()?;
        Ok(machine.world.file(self.node)?.live.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        machine.check_read(&self.path)?;
        let read = machine.world.file(self.node)?.live.read(offset, bytes);
        if read { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut machine = lock(&self.machine);
        machine.check_alive()?;
        machine.write(self.node, &self.path, bytes, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut machine = lock(&self.machine);
        machine.check_alive()?;
        machine.set_len(self.node, &self.path, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut machine = lock(&self.machine);
        machine.check_alive()?;
        machine.perform(OperationKind::SyncData, &self.path, Operation::Sync { file: self.node })
    }
}
