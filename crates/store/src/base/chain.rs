//! Which bases there are. Together they cover the log from sequence 1 to where it begins.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader::BaseReader;
use crate::error::{Error, Result};
use crate::id::Sequence;
use crate::log::{LogDir, Segment};
use crate::storage::Storage;

const SUFFIX: &str = ".base";
const UNFINISHED: &str = ".base.tmp";

/// A base on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseFile {
    /// The first sequence that it does not cover.
    pub(crate) end: Sequence,
    pub(crate) path: PathBuf,
}

/// The folder `base` of a store, which is made with the first base.
#[derive(Debug, Clone)]
pub(crate) struct BaseDir {
    pub(crate) storage: Arc<dyn Storage>,
    path: PathBuf,
}

impl BaseDir {
    /// That of the store in `dir`.
    pub(crate) fn new(storage: Arc<dyn Storage>, dir: &Path) -> Self {
        Self { storage, path: dir.join("base") }
    }

    /// Makes the folder, durably.
    pub(super) fn create(&self) -> Result<()> {
        let parent = self.path.parent().unwrap_or(&self.path);
        self.storage.create_dir_all(&self.path).map_err(|e| Error::io("creating", &self.path, e))?;
        self.storage.sync_dir(parent).map_err(|e| Error::io("syncing directory", parent, e))
    }

    /// Makes the names durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.storage.sync_dir(&self.path).map_err(|e| Error::io("syncing directory", &self.path, e))
    }

    pub(super) fn base_path(&self, end: Sequence) -> PathBuf {
        self.path.join(format!("{:020}{SUFFIX}", end.number()))
    }

    pub(super) fn unfinished_path(&self, end: Sequence) -> PathBuf {
        self.path.join(format!("{:020}{UNFINISHED}", end.number()))
    }

    /// The bases in order; anything else in the folder is left alone.
    pub(crate) fn bases(&self) -> Result<Vec<BaseFile>> {
        let entries = match self.storage.list(&self.path) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(Error::io("listing", &self.path, e)),
        };
        let mut bases: Vec<BaseFile> = entries
            .into_iter()
            .filter_map(|entry| {
                let stem = entry.name.strip_suffix(SUFFIX).filter(|stem| stem.len() == 20)?;
                Some(BaseFile { end: Sequence::new(stem.parse().ok()?), path: self.path.join(&entry.name) })
            })
            .collect();
        bases.sort_by_key(|base| base.end);
        Ok(bases)
    }

    /// Makes sure that the bases follow one another from sequence 1 and that the log follows them, and finishes a removal that was interrupted: segments that a base
    /// has taken over go. For a store that nobody works on yet.
    ///
    /// # Errors
    /// `Corrupt`, naming the gap.
    pub(crate) fn check(&self, log: &LogDir) -> Result<()> {
        let bases = self.bases()?;
        self.remove_leftovers()?;
        let mut next = Sequence::FIRST;
        for base in &bases {
            let from = BaseReader::open(self, base)?.from();
            if from != next {
                return Err(Error::corrupt(
                    base.path.display(),
                    format!(
                        "it covers the log from sequence {from}, but what is before it ends before sequence {next}: a base is missing"
                    ),
                ));
            }
            next = base.end;
        }
        let segments = log.segments()?;
        let Some(first) = segments.first().map(|segment| segment.first) else {
            return match bases.last() {
                Some(base) => Err(Error::corrupt(
                    log.path().display(),
                    format!(
                        "no segment, although {} says that the log goes on at sequence {next}",
                        base.path.display()
                    ),
                )),
                None => Ok(()),
            };
        };
        for base in &bases {
            let (of, log_of) = (BaseReader::open(self, base)?.store_id(), log.store_id(&segments)?);
            if log_of.is_some_and(|log_of| log_of != of) {
                return Err(Error::corrupt(base.path.display(), "it belongs to another store than the log"));
            }
        }
        if first > next {
            return Err(Error::corrupt(
                log.path().display(),
                format!(
                    "the log begins at sequence {first}, but the bases end before sequence {next}: a base or a segment is missing"
                ),
            ));
        }
        if first < next {
            self.finish(log, &bases, &segments, next)?;
        }
        Ok(())
    }

    /// Removes the segments that the bases have taken over.
    fn finish(&self, log: &LogDir, bases: &[BaseFile], segments: &[Segment], next: Sequence) -> Result<()> {
        if !segments.iter().any(|segment| segment.first == next) {
            return Err(Error::corrupt(
                log.path().display(),
                format!("no segment begins at sequence {next}, where the bases end: a segment is missing"),
            ));
        }
        // Nothing goes before what takes its place has been read from end to end.
        for base in bases {
            let mut reader = BaseReader::open(self, base)?;
            while reader.next()?.is_some() {}
        }
        // After a failed sync the name of a base may be on no disk.
        self.sync()?;
        for segment in segments.iter().filter(|segment| segment.first < next) {
            log.remove(segment)?;
        }
        log.sync()
    }

    fn remove_leftovers(&self) -> Result<()> {
        let Ok(entries) = self.storage.list(&self.path) else { return Ok(()) };
        for entry in entries.iter().filter(|entry| entry.name.ends_with(UNFINISHED)) {
            let path = self.path.join(&entry.name);
            self.storage.remove(&path).map_err(|e| Error::io("removing", &path, e))?;
        }
        Ok(())
    }
}
