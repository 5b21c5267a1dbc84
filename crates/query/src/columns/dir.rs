//! The directory of the columnar files, on the file system of the store.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pugmark_store::{FileWriter, OpenMode, Result, Storage, StorageFile};

use super::catalog::{ColumnFile, FileId};
use super::error;

/// What a file of the columns holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Events.
    Columns,
    /// The rollup of a file of events.
    Rollups,
}

impl Kind {
    const ALL: [Self; 2] = [Self::Columns, Self::Rollups];
}

/// Where columnar files and their rollups are.
#[derive(Debug, Clone)]
pub(crate) struct ColumnDir {
    storage: Arc<dyn Storage>,
    columns: Arc<Path>,
    rollups: Arc<Path>,
}

impl ColumnDir {
    /// Those of the store in `store`: the directories `columns` and `rollups`.
    pub(crate) fn new(storage: Arc<dyn Storage>, store: &Path) -> Self {
        Self { storage, columns: store.join("columns").into(), rollups: store.join("rollups").into() }
    }

    /// The directory of the columnar files.
    pub(crate) fn path(&self) -> &Path {
        &self.columns
    }

    pub(crate) fn of(&self, kind: Kind) -> &Path {
        match kind {
            Kind::Columns => &self.columns,
            Kind::Rollups => &self.rollups,
        }
    }

    pub(crate) fn storage(&self) -> &Arc<dyn Storage> {
        &self.storage
    }

    /// Begins a file, which has a name of its own until [`Unfinished::finish`].
    pub(crate) fn begin(&self, kind: Kind, id: FileId) -> Result<Unfinished<'_>> {
        let dir = self.of(kind);
        self.storage.create_dir_all(dir).map_err(|e| error::io("creating", dir, e))?;
        let path = dir.join(format!("{}.tmp", id.file_name()));
        let file = self.storage.open(&path, OpenMode::Truncate).map_err(|e| error::io("creating", &path, e))?;
        Ok(Unfinished { storage: &self.storage, dir, id, path, file, is_whole: false })
    }

    /// The files in `dir` by their paths, whole ones and those left behind in the middle of writing.
    fn files(&self, dir: &Path) -> Result<BTreeMap<PathBuf, FileId>> {
        let entries = match self.storage.list(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            Err(e) => return Err(error::io("listing", dir, e)),
        };
        let files = entries.into_iter().filter_map(|entry| {
            let name = entry.name.strip_suffix(".tmp").unwrap_or(&entry.name);
            let id = name.strip_suffix(".parquet").filter(|digits| digits.len() == 20)?.parse().ok()?;
            Some((dir.join(&entry.name), FileId::new(id)))
        });
        Ok(files.collect())
    }

    /// Removes a file that nobody names. What stays behind goes at the next open.
    pub(crate) fn remove(&self, kind: Kind, id: FileId) {
        let dir = self.of(kind);
        let _removed = self.storage.remove(&dir.join(id.file_name())).and_then(|()| self.storage.sync_dir(dir));
    }

    /// Removes every file that `keep` does not hold, durably, and answers with the highest id that there was.
    pub(crate) fn remove_others(&self, keep: &[Arc<ColumnFile>]) -> Result<u64> {
        let keep: HashSet<&Path> =
            keep.iter().flat_map(|file| file.all_stored()).map(|stored| stored.path.as_path()).collect();
        let mut highest = 0;
        for kind in Kind::ALL {
            let dir = self.of(kind);
            for (path, id) in self.files(dir)? {
                highest = highest.max(id.number());
                if !keep.contains(path.as_path()) {
                    self.storage.remove(&path).map_err(|e| error::io("removing", &path, e))?;
                }
            }
            // Also for what an earlier process removed, and could not sync any more.
            match self.storage.sync_dir(dir) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(error::io("syncing", dir, e)),
                _ => {}
            }
        }
        Ok(highest)
    }
}

/// A file that is being written. Given up, it goes: it takes room on a disk that may be full, and may hold somebody who is erased before the store is next opened.
pub(crate) struct Unfinished<'a> {
    storage: &'a Arc<dyn Storage>,
    dir: &'a Path,
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
        let (storage, dir) = (self.storage, self.dir);
        let sync = |dir: &Path| storage.sync_dir(dir).map_err(|e| error::io("syncing", dir, e));
        self.file.sync_data().map_err(|e| error::io("syncing", &self.path, e))?;
        let bytes = self.file.len().map_err(|e| error::io("reading", &self.path, e))?;
        // Whole and durable before it has its name, and its name durable before the catalog names it.
        let path = dir.join(self.id.file_name());
        storage.rename(&self.path, &path).map_err(|e| error::io("renaming", &self.path, e))?;
        self.path = path;
        sync(dir)?;
        if let Some(parent) = dir.parent() {
            sync(parent)?;
        }
        self.is_whole = true;
        Ok(bytes)
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if !self.is_whole {
            // What stays behind is named nowhere, and removed when the store is next opened.
            let removed = self.storage.remove(&self.path);
            let _removed = removed.and_then(|()| self.storage.sync_dir(self.dir));
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
        let dir = ColumnDir::new(Arc::new(storage.clone()), Path::new("/store"));
        let begun = |id| {
            let file = dir.begin(Kind::Columns, FileId::new(id)).unwrap();
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
