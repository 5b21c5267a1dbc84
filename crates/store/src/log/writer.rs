//! The active segment: append, sync, rotate.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::segment::{Segment, sync_dir};
use crate::error::{Error, Result};
use crate::format::{FileHeader, FileKind, HEADER_BYTES, encode_frame};
use crate::id::Sequence;
use crate::time::Timestamp;

/// A place in the log: where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogPosition {
    /// The first sequence of the segment.
    pub(crate) segment: Sequence,
    pub(crate) offset: u64,
}

/// Writes frames. After any error the writer must not be used again: the file may hold anything past the last sync.
#[derive(Debug)]
pub(crate) struct LogWriter {
    log_dir: PathBuf,
    store_id: [u8; 16],
    segment: Segment,
    file: File,
    len: u64,
    synced_through: Sequence,
    segment_max_bytes: u64,
}

impl LogWriter {
    /// Begins the segment whose first record will be `first`; everything before it is durable.
    pub(crate) fn create(
        log_dir: &Path,
        store_id: [u8; 16],
        first: Sequence,
        frames: &[u8],
        now: Timestamp,
        segment_max_bytes: u64,
        synced_through: Sequence,
    ) -> Result<Self> {
        let segment = Segment::new(log_dir, first);
        let temporary = segment.path.with_extension("log.tmp");
        let failed = |e| Error::io("writing", &temporary, e);
        let header = FileHeader {
            kind: FileKind::Segment,
            store_id,
            first_sequence: first.number(),
            created_at: now.as_microsecond(),
        };
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary).map_err(failed)?;
        file.write_all(&header.encode()).map_err(failed)?;
        file.write_all(frames).map_err(failed)?;
        file.sync_all().map_err(|e| Error::io("syncing", &temporary, e))?;
        std::fs::rename(&temporary, &segment.path).map_err(|e| Error::io("renaming", &temporary, e))?;
        // The name must be durable before a frame in the file is acknowledged.
        sync_dir(log_dir)?;
        Ok(Self {
            log_dir: log_dir.to_owned(),
            store_id,
            segment,
            file,
            len: (HEADER_BYTES + frames.len()) as u64,
            synced_through,
            segment_max_bytes,
        })
    }

    pub(crate) fn synced_through(&self) -> Sequence {
        self.synced_through
    }

    /// Where the next frame will begin.
    pub(crate) fn position(&self) -> LogPosition {
        LogPosition { segment: self.segment.first, offset: self.len }
    }

    /// Appends whole frames. They are durable after [`LogWriter::sync`].
    pub(crate) fn append(&mut self, frames: &[u8]) -> Result<()> {
        self.file.write_all(frames).map_err(|e| Error::io("writing", &self.segment.path, e))?;
        self.len += frames.len() as u64;
        Ok(())
    }

    /// Makes everything appended durable; `last` is its last sequence.
    pub(crate) fn sync(&mut self, last: Sequence) -> Result<()> {
        self.file.sync_data().map_err(|e| Error::io("syncing", &self.segment.path, e))?;
        self.synced_through = last;
        Ok(())
    }

    /// Seals the segment once it is full and begins the next. Everything appended must be synced.
    pub(crate) fn rotate_if_full(&mut self, now: Timestamp) -> Result<()> {
        if self.len < self.segment_max_bytes {
            return Ok(());
        }
        self.seal()?;
        *self = Self::create(
            &self.log_dir,
            self.store_id,
            self.synced_through.plus(1),
            &[],
            now,
            self.segment_max_bytes,
            self.synced_through,
        )?;
        Ok(())
    }

    /// Ends the segment with a closing frame, durably. Everything appended must be synced.
    pub(crate) fn seal(&mut self) -> Result<()> {
        let next = self.synced_through.plus(1);
        let frame = closing_frame(next, self.synced_through, &self.segment.path)?;
        self.append(&frame)?;
        self.sync(self.synced_through)
    }
}

pub(super) fn closing_frame(next: Sequence, synced_through: Sequence, path: &Path) -> Result<Vec<u8>> {
    encode_frame(next.number(), 0, synced_through.number(), true, &[], None).map_err(|e| Error::io("writing", path, e))
}
