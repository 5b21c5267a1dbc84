//! The directory of the columnar files, on the file system of the store.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_store::{FileWriter, OpenMode, Result, Storage, StorageFile};

use super::catalog::{ColumnFile, FileId};
use super::error;

/// Where columnar files are.
#[derive(Debug, Clone)]
pub(crate) struct ColumnDir {
    storage: Arc<dyn Storage>,
    path: Arc<Path>,
}

impl ColumnDir {
    pub(crate) fn new(storage: Arc<dyn Storage>, path: PathBuf) -> Self {
        Self { storage, path: path.into() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Begins a file, which has a name of its own until [`Unfinished::finish`].
    pub(crate) fn begin(&self, id: FileId) -> Result<Unfinished<'_>> {
        self.storage.create_dir_all(&self.path).map_err(|e| error::io("creating", &self.path, e))?;
        let path = self.path.join(format!("{}.tmp", id.file_name()));
        let file = self.storage.open(&path, OpenMode::Truncate).map_err(|e| error::io("creating", &path, e))?;
        Ok(Unfinished { dir: self, id, path, file, is_whole: false })
    }

    fn sync(&self, dir: &Path) -> Result<()> {
        self.storage.sync_dir(dir).map_err(|e| error::io("syncing", dir, e))
    }

    /// The columnar files by their paths, whole ones and those left behind in the middle of writing.
    fn files(&self) -> Result<BTreeMap<PathBuf, FileId>> {
        let entries = match self.storage.list(&self.path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(e) => return Err(error::io("listing", &self.path, e)),
        };
        let files = entries.into_iter().filter_map(|entry| {
            let name = entry.name.strip_suffix(".tmp").unwrap_or(&entry.name);
            let id = name.strip_suffix(".parquet").filter(|digits| digits.len() == 20)?.parse().ok()?;
            Some((self.path.join(&entry.name), FileId::new(id)))
        });
        Ok(files.collect())
    }

    /// Removes every columnar file that `keep` does not hold, durably, and answers with the highest id that there was.
    pub(crate) fn remove_others(&self, keep: &[Arc<ColumnFile>]) -> Result<u64> {
        let mut highest = 0;
        for (path, id) in self.files()? {
            highest = highest.max(id.number());
            if !keep.iter().any(|file| file.path == path) {
                self.storage.remove(&path).map_err(|e| error::io("removing", &path, e))?;
            }
        }
        // Also for what an earlier process removed, and could not sync any more.
        match self.storage.sync_dir(&self.path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(error::io("syncing", &self.path, e)),
            _ => Ok(highest),
        }
    }
}

/// A file that is being written. Given up, it goes: it takes room on a disk that may be full, and may hold somebody who is erased before the store is next opened.
pub(crate) struct Unfinished<'a> {
    dir: &'a ColumnDir,
    id: FileId,
    /// Where it is at present.
    path: PathBuf,
    file: Arc<dyn StorageFile>,
    is_whole: bool,
}

impl Unfinished<'_> {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn writer(&self) -> FileWriter {
        FileWriter::new(Arc::clone(&self.file), 0)
    }

    /// Makes the file durable under its name, and says how many bytes it has.
    pub(crate) fn finish(mut self) -> Result<u64> {
        let (dir, id) = (self.dir, self.id);
        self.file.sync_data().map_err(|e| error::io("syncing", &self.path, e))?;
        let bytes = self.file.len().map_err(|e| error::io("reading", &self.path, e))?;
        // Whole and durable before it has its name, and its name durable before the catalog names it.
        let path = dir.path.join(id.file_name());
        dir.storage.rename(&self.path, &path).map_err(|e| error::io("renaming", &self.path, e))?;
        self.path = path;
        dir.sync(&dir.path)?;
        if let Some(parent) = dir.path.parent() {
            dir.sync(parent)?;
        }
        self.is_whole = true;
        Ok(bytes)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // What stays behind is named nowhere, and removed when the store is next opened.
            let removed = self.dir.storage.remove(&self.path);
            let _removed = removed.and_then(|()| self.dir.storage.sync_dir(&self.dir.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use pugmark_store::SimulatedStorage;

    use super::*;

    #[test]
    fn a_file_that_is_given_up_goes_and_one_that_is_finished_stays() {
        let storage = SimulatedStorage::new();
        storage.create_dir_all(Path::new("/store")).unwrap();
        let dir = ColumnDir::new(Arc::new(storage.clone()), "/store/columns".into());
        let begun = |id| {
            let file = dir.begin(FileId::new(id)).unwrap();
            file.writer().write_all(b"of somebody").unwrap();
            assert_eq!(storage.files_with(b"of somebody").len(), 1);
            file
        };
        drop(begun(1));
        assert!(storage.files_with(b"of somebody").is_empty());
        begun(2).finish().unwrap();
        assert_eq!(storage.files_with(b"of somebody"), [dir.path().join(FileId::new(2).file_name())]);
    }
}
