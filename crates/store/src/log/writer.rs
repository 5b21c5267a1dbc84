//! The active segment: append, sync, rotate.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::dir::LogDir;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{FileHeader, FileKind, FrameOf, FrameSeed, HEADER_BYTES, encode_frame};
use crate::id::Sequence;
use crate::queue::lock;
use crate::storage::{OpenMode, StorageFile};
use crate::time::Timestamp;

/// A place in the log: where a frame begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogPosition {
    /// The first sequence of the segment.
    pub(crate) segment: Sequence,
    pub(crate) offset: u64,
}

/// The file of one segment and how far it is durable: shared by the thread that writes it and those that sync it.
#[derive(Debug)]
pub(crate) struct ActiveFile {
    path: PathBuf,
    file: Arc<dyn StorageFile>,
    /// The last sequence whose frame has been written whole.
    written: AtomicU64,
    synced: Mutex<Synced>,
}

#[derive(Debug)]
struct Synced {
    through: Sequence,
    /// The first sync that failed. One sync at a time, and none after a failure: the system reports lost pages once, and the next
    /// sync would succeed without them.
    failed: Option<String>,
}

impl Synced {
    fn check(&self) -> Result<()> {
        match &self.failed {
            None => Ok(()),
            Some(first) => Err(Error::new(
                ErrorKind::Poisoned,
                format!("an earlier sync failed ({first}); open the store again to go on"),
            )),
        }
    }
}

impl ActiveFile {
    fn new(path: PathBuf, file: Arc<dyn StorageFile>, through: Sequence) -> Arc<Self> {
        let synced = Mutex::new(Synced { through, failed: None });
        Arc::new(Self { path, file, written: AtomicU64::new(through.number()), synced })
    }

    /// The last sequence known to be durable.
    pub(crate) fn synced_through(&self) -> Sequence {
        lock(&self.synced).through
    }

    /// Whether every sync so far succeeded.
    ///
    /// # Errors
    /// `Poisoned` after a failure.
    pub(crate) fn check(&self) -> Result<()> {
        lock(&self.synced).check()
    }

    /// Makes everything durable that was written before the call, through `wanted` at least.
    ///
    /// # Errors
    /// What the disk says; `Poisoned` after an earlier failure.
    pub(crate) fn sync(&self, wanted: Sequence) -> Result<()> {
        let mut synced = lock(&self.synced);
        synced.check()?;
        if synced.through >= wanted {
            return Ok(());
        }
        let written = Sequence::new(self.written.load(Ordering::Acquire));
        self.sync_file(&mut synced)?;
        synced.through = written;
        Ok(())
    }

    fn sync_file(&self, synced: &mut Synced) -> Result<()> {
        self.file.sync_data().map_err(|e| {
            let error = Error::io("syncing", &self.path, e);
            synced.failed = Some(error.to_string());
            error
        })
    }
}

/// Writes frames. After any error the writer must not be used again: the file may hold anything past the last sync.
#[derive(Debug)]
pub(crate) struct LogWriter {
    dir: LogDir,
    store_id: [u8; 16],
    first: Sequence,
    active: Arc<ActiveFile>,
    len: u64,
    segment_max_bytes: u64,
}

impl LogWriter {
    /// Begins the segment whose first record will be `first`; everything before it is durable.
    pub(crate) fn create(
        dir: &LogDir,
        store_id: [u8; 16],
        first: Sequence,
        frames: &[u8],
        now: Timestamp,
        segment_max_bytes: u64,
        synced_through: Sequence,
    ) -> Result<Self> {
        let path = dir.segment_path(first);
        let temporary = dir.unfinished_path(first);
        let failed = |e| Error::io("writing", &temporary, e);
        let header = FileHeader {
            kind: FileKind::Segment,
            store_id,
            first_sequence: first.number(),
            created_at: now.as_microsecond(),
        };
        let file = dir.storage.open(&temporary, OpenMode::Truncate).map_err(failed)?;
        file.write_all_at(&header.encode(), 0).map_err(failed)?;
        if !frames.is_empty() {
            file.write_all_at(frames, HEADER_BYTES as u64).map_err(failed)?;
        }
        file.sync_data().map_err(|e| Error::io("syncing", &temporary, e))?;
        dir.storage.rename(&temporary, &path).map_err(|e| Error::io("renaming", &temporary, e))?;
        // The name must be durable before a frame in the file is acknowledged.
        dir.sync()?;
        Ok(Self {
            dir: dir.clone(),
            store_id,
            first,
            active: ActiveFile::new(path, file, synced_through),
            len: (HEADER_BYTES + frames.len()) as u64,
            segment_max_bytes,
        })
    }

    pub(crate) fn dir(&self) -> &LogDir {
        &self.dir
    }

    pub(crate) fn frame_seed(&self) -> FrameSeed {
        FrameSeed::of(&self.store_id)
    }

    pub(crate) fn store_id(&self) -> [u8; 16] {
        self.store_id
    }

    /// The active segment's file.
    pub(crate) fn active(&self) -> &Arc<ActiveFile> {
        &self.active
    }

    /// The last sequence written.
    pub(crate) fn written_through(&self) -> Sequence {
        Sequence::new(self.active.written.load(Ordering::Relaxed))
    }

    /// Where the next frame will begin.
    pub(crate) fn position(&self) -> LogPosition {
        LogPosition { segment: self.first, offset: self.len }
    }

    /// Appends a whole frame that ends with the sequence `last`. It is durable after a [sync](ActiveFile::sync).
    pub(crate) fn append(&mut self, frame: &[u8], last: Sequence) -> Result<()> {
        self.active.file.write_all_at(frame, self.len).map_err(|e| Error::io("writing", &self.active.path, e))?;
        self.len += frame.len() as u64;
        self.active.written.store(last.number(), Ordering::Release);
        Ok(())
    }

    /// Makes everything written durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.active.sync(self.written_through())
    }

    /// Seals the segment once it is full and begins the next. Whether it did.
    pub(crate) fn rotate_if_full(&mut self, now: Timestamp) -> Result<bool> {
        if self.len < self.segment_max_bytes { Ok(false) } else { self.rotate(now) }
    }

    /// Seals the segment and begins the next, unless it is empty: the next would have its name. Whether it did.
    pub(crate) fn rotate(&mut self, now: Timestamp) -> Result<bool> {
        let last = self.written_through();
        if last < self.first {
            return Ok(false);
        }
        self.seal()?;
        *self = Self::create(&self.dir, self.store_id, last.plus(1), &[], now, self.segment_max_bytes, last)?;
        Ok(true)
    }

    /// Ends the segment with a closing frame, durably, after everything before it.
    pub(crate) fn seal(&mut self) -> Result<()> {
        self.sync()?;
        let last = self.written_through();
        let frame = closing_frame(&self.store_id, last).map_err(|e| Error::io("writing", &self.active.path, e))?;
        self.append(&frame, last)?;
        self.active.sync_file(&mut lock(&self.active.synced))
    }
}

/// The frame that ends a segment whose last sequence is `last`.
pub(crate) fn closing_frame(store_id: &[u8; 16], last: Sequence) -> std::io::Result<Vec<u8>> {
    let frame = FrameOf {
        first_sequence: last.plus(1).number(),
        count: 0,
        synced_through: last.number(),
        closing: true,
        payload: &[],
        compress: None,
    };
    encode_frame(FrameSeed::of(store_id), &frame)
}
