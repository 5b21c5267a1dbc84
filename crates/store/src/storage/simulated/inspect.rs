//! What a test looks at and damages behind the store's back.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::SimulatedStorage;
use super::file::Change;
use super::machine::Machine;
use super::operation::{Operation, OperationKind};
use super::world::{Image, NodeId, names_of, path_of};

/// None of these fails by a failure that was asked for, nor because the process is dead. Each damage is durable at once, and so are the other
/// changes of that file, or for a removal of that directory. It is noted in the journal, as if another process had done it.
impl SimulatedStorage {
    /// All files that have a name and their bytes, in the order of their paths.
    pub fn files(&self, image: Image) -> Vec<(PathBuf, Vec<u8>)> {
        let machine = self.machine();
        let files = machine.world.files(image).into_iter();
        files
            .map(|(path, file)| {
                let bytes = match image {
                    Image::Live => &file.live,
                    Image::Durable => &file.durable,
                };
                (path.into(), bytes.to_vec())
            })
            .collect()
    }

    /// The paths of all files in which `wanted` stands, as they are seen or as they are durable.
    pub fn files_with(&self, wanted: &[u8]) -> Vec<PathBuf> {
        let mut found: Vec<PathBuf> = [Image::Live, Image::Durable]
            .into_iter()
            .flat_map(|image| self.files(image))
            .filter(|(_, bytes)| wanted.is_empty() || bytes.windows(wanted.len()).any(|window| window == wanted))
            .map(|(path, _)| path)
            .collect();
        found.sort();
        found.dedup();
        found
    }

    /// All bytes of a file as they are seen.
    ///
    /// # Errors
    /// `NotFound` for a missing file.
    pub fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        let machine = self.machine();
        let world = &machine.world;
        Ok(world.file(world.find(&names_of(path)?)?)?.live.to_vec())
    }

    /// Turns the bits of `mask` of the byte at `offset`.
    ///
    /// # Errors
    /// `NotFound` for a missing file; `UnexpectedEof` if it has no such byte.
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        self.damage(path, OperationKind::Write, |machine, file| {
            let mut byte = [0];
            if !machine.world.file(file)?.live.read(offset, &mut byte) {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let data = byte.map(|byte| byte ^ mask).as_slice().into();
            Ok(Change::Write { offset, data })
        })
    }

    /// Cuts a file to `len` bytes.
    ///
    /// # Errors
    /// `NotFound` for a missing file; `UnexpectedEof` if it is shorter.
    pub fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.damage(path, OperationKind::SetLen, |machine, file| {
            if machine.world.file(file)?.live.len() < len {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            Ok(Change::SetLen(len))
        })
    }

    /// Takes a file away.
    ///
    /// # Errors
    /// `NotFound` for a missing file.
    pub fn lose(&self, path: &Path) -> io::Result<()> {
        let names = names_of(path)?;
        let mut machine = self.machine();
        machine.world.file(machine.world.find(&names)?)?;
        let (dir, name) = machine.world.find_parent(&names)?;
        let (dir_path, path) = (path_of(names.split_last().map_or(&[], |(_, dirs)| dirs)), path_of(&names));
        machine.note(OperationKind::Remove, &path, false, Operation::Remove { dir, name: Arc::clone(name) });
        machine.note(OperationKind::SyncDir, &dir_path, false, Operation::SyncDir { dir });
        Ok(())
    }

    /// Copies all files as they are seen to a real directory, to look into them.
    ///
    /// # Errors
    /// Those of the real file system.
    pub fn write_to(&self, dir: &Path) -> io::Result<()> {
        let machine = self.machine();
        let place = |path: &str| dir.join(path.trim_start_matches('/'));
        std::fs::create_dir_all(dir)?;
        for path in machine.world.directories() {
            std::fs::create_dir_all(place(&path))?;
        }
        for (path, file) in machine.world.files(Image::Live) {
            std::fs::write(place(&path), file.live.to_vec())?;
        }
        Ok(())
    }

    fn damage(
        &self,
        path: &Path,
        kind: OperationKind,
        change: impl FnOnce(&Machine, NodeId) -> io::Result<Change>,
    ) -> io::Result<()> {
        let names = names_of(path)?;
        let mut machine = self.machine();
        let file = machine.world.find(&names)?;
        let change = change(&machine, file)?;
        let path = path_of(&names);
        machine.note(kind, &path, false, Operation::Change { file, change });
        machine.note(OperationKind::SyncData, &path, false, Operation::Sync { file });
        Ok(())
    }
}
