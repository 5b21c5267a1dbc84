//! The folder of the log: which segments there are.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::id::Sequence;
use crate::storage::Storage;

const SUFFIX: &str = ".log";
const UNFINISHED: &str = ".log.tmp";

/// A segment on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) first: Sequence,
    pub(crate) path: PathBuf,
    /// Its length when it was listed.
    pub(crate) bytes: u64,
}

/// The folder `log` of a store.
#[derive(Debug, Clone)]
pub(crate) struct LogDir {
    pub(crate) storage: Arc<dyn Storage>,
    path: PathBuf,
}

impl LogDir {
    pub(crate) fn new(storage: Arc<dyn Storage>, path: PathBuf) -> Self {
        Self { storage, path }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn segment_path(&self, first: Sequence) -> PathBuf {
        self.path.join(format!("{:020}{SUFFIX}", first.number()))
    }

    /// The name under which a segment is written before it has its own.
    pub(crate) fn unfinished_path(&self, first: Sequence) -> PathBuf {
        self.path.join(format!("{:020}{UNFINISHED}", first.number()))
    }

    /// The segments in order; anything else in the folder is left alone.
    pub(crate) fn segments(&self) -> Result<Vec<Segment>> {
        let mut segments: Vec<Segment> = self
            .storage
            .list(&self.path)
            .map_err(|e| Error::io("listing", &self.path, e))?
            .into_iter()
            .filter_map(|entry| {
                let stem = entry.name.strip_suffix(SUFFIX).filter(|stem| stem.len() == 20)?;
                let first = Sequence::new(stem.parse().ok()?);
                Some(Segment { first, path: self.path.join(&entry.name), bytes: entry.bytes })
            })
            .collect();
        segments.sort_by_key(|segment| segment.first);
        Ok(segments)
    }

    /// Removes what an interrupted write left; nobody may be writing.
    pub(crate) fn remove_leftovers(&self) -> Result<()> {
        for entry in self.storage.list(&self.path).map_err(|e| Error::io("listing", &self.path, e))? {
            if entry.name.ends_with(UNFINISHED) {
                let path = self.path.join(&entry.name);
                self.storage.remove(&path).map_err(|e| Error::io("removing", &path, e))?;
            }
        }
        Ok(())
    }

    /// The store that the first of these segments belongs to.
    pub(crate) fn store_id(&self, segments: &[Segment]) -> Result<Option<[u8; 16]>> {
        let Some(first) = segments.first() else { return Ok(None) };
        Ok(Some(super::segment::SegmentReader::open(self, first)?.header.store_id))
    }

    /// Removes a segment. The directory is still to be synced.
    pub(crate) fn remove(&self, segment: &Segment) -> Result<()> {
        match self.storage.remove(&segment.path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("removing", &segment.path, e)),
            _ => Ok(()),
        }
    }

    /// Makes the names durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.storage.sync_dir(&self.path).map_err(|e| Error::io("syncing directory", &self.path, e))
    }
}
