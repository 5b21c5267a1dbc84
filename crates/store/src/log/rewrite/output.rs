//! The file that becomes the segment.

use std::io::{BufWriter, Read, Write};
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::format::FrameSeed;
use crate::log::dir::{LogDir, Segment};
use crate::log::segment::StoredFrame;
use crate::storage::{FileReader, FileWriter, OpenMode};

const BUFFER_BYTES: usize = 1 << 20;

pub(super) struct Output {
    pub(super) temporary: PathBuf,
    pub(super) len: u64,
    out: BufWriter<FileWriter>,
}

impl Output {
    /// Begins with the first `same` bytes of `segment`.
    pub(super) fn begin(dir: &LogDir, segment: &Segment, same: u64) -> Result<Self> {
        let temporary = dir.unfinished_path(segment.first);
        let old = dir.storage.open(&segment.path, OpenMode::Read).and_then(FileReader::new);
        let old = old.map_err(|e| Error::io("reading", &segment.path, e))?;
        let failed = |e| Error::io("writing", &temporary, e);
        let file = dir.storage.open(&temporary, OpenMode::Truncate).map_err(failed)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, FileWriter::new(file, 0));
        std::io::copy(&mut old.take(same), &mut out).map_err(failed)?;
        Ok(Self { temporary, len: same, out })
    }

    /// Adds the bytes of a frame.
    pub(super) fn write(&mut self, frame: &[u8]) -> Result<()> {
        self.out.write_all(frame).map_err(|e| Error::io("writing", &self.temporary, e))?;
        self.len += frame.len() as u64;
        Ok(())
    }

    /// Adds a frame as it was.
    pub(super) fn write_stored(&mut self, frame: &StoredFrame, seed: FrameSeed) -> Result<()> {
        self.write(&frame.header.encode(seed))?;
        self.write(&frame.stored)
    }

    /// Makes it durable.
    pub(super) fn finish(&mut self) -> Result<()> {
        let synced = self.out.flush().and_then(|()| self.out.get_ref().file().sync_data());
        synced.map_err(|e| Error::io("syncing", &self.temporary, e))
    }
}
