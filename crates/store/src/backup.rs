//! A copy of a store's truth while it is written: segments and bases. What is derived is left out: an open derives it again.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::format::{FRAME_HEADER_BYTES, FrameHeader};
use crate::id::Sequence;
use crate::log::{LogDir, LogPosition, Next, Segment, SegmentReader, closing_frame};
use crate::storage::{OpenMode, Storage};

/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;
const INDEX: &str = "index.redb";

/// What a backup did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupReport {
    /// The copy holds everything up to here.
    pub through: Sequence,
    /// Files that were copied.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that the copy had already.
    pub kept: u64,
    /// Files of an earlier copy that the store no longer has.
    pub removed: u64,
}

/// How much of the log is copied: what was durable at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) store_id: [u8; 16],
    pub(crate) last: Sequence,
    /// Where the active segment ended.
    pub(crate) end: LogPosition,
}

/// Copies the truth of the store in `dir` to `to`, which is locked and a directory of its own.
pub(crate) fn backup(storage: &Arc<dyn Storage>, dir: &Path, to: &Path, extent: Extent) -> Result<BackupReport> {
    let from = LogDir::new(Arc::clone(storage), dir.join("log"));
    let target = LogDir::new(Arc::clone(storage), to.join("log"));
    storage.create_dir_all(target.path()).map_err(|e| Error::io("creating", target.path(), e))?;
    sync_dir(storage, to)?;
    let mut segments = from.segments()?;
    // What was begun since is of a later backup.
    segments.retain(|segment| segment.first <= extent.end.segment);
    let backup = Backup { storage, from, target, extent };
    let had = backup.target.segments()?;
    backup.check_target(to, &segments, &had)?;
    backup.target.remove_leftovers()?;
    let mut report = BackupReport { through: extent.last, copied: 0, bytes: 0, kept: 0, removed: 0 };
    // Before the segments that they take the place of go from the copy.
    backup.copy_bases(dir, to, &mut report)?;
    for (at, segment) in segments.iter().enumerate() {
        let next = segments.get(at + 1).map(|follower| follower.first);
        backup.copy_segment(segment, next, &had, &mut report)?;
    }
    for old in had.iter().filter(|old| segments.iter().all(|segment| segment.first != old.first)) {
        storage.remove(&old.path).map_err(|e| Error::io("removing", &old.path, e))?;
        report.removed += 1;
    }
    backup.target.sync()?;
    Ok(report)
}

fn sync_dir(storage: &Arc<dyn Storage>, dir: &Path) -> Result<()> {
    storage.sync_dir(dir).map_err(|e| Error::io("syncing directory", dir, e))
}

struct Backup<'a> {
    storage: &'a Arc<dyn Storage>,
    from: LogDir,
    target: LogDir,
    extent: Extent,
}

impl Backup<'_> {
    /// Refuses a directory that holds another store, or this one with entries of its own.
    fn check_target(&self, to: &Path, segments: &[Segment], had: &[Segment]) -> Result<()> {
        let refused = |what: String| Err(Error::new(ErrorKind::Invalid, format!("{}: {what}", to.display())));
        for segment in had {
            // A damaged one is copied again or removed.
            if let Ok(reader) = SegmentReader::open(&self.target, segment)
                && reader.header.store_id != self.extent.store_id
            {
                return refused("holds another store; a backup needs a directory of its own".to_owned());
            }
        }
        let index = to.join(INDEX);
        let entries = self.storage.list(to).map_err(|e| Error::io("listing", to, e))?;
        if !entries.iter().any(|entry| entry.name == INDEX) {
            return Ok(());
        }
        // It has been opened as a store since: nothing that was stored there alone is overwritten.
        let mut known = HashSet::new();
        for segment in segments {
            self.frames(&self.from, segment, &mut |frame| {
                known.insert(frame);
            })?;
        }
        let mut own = None;
        for segment in had {
            self.frames(&self.target, segment, &mut |frame| {
                own = own.or((!known.contains(&frame)).then_some(frame.0));
            })?;
        }
        if let Some(sequence) = own {
            return refused(format!(
                "has been opened, and holds at sequence {sequence} what this store does not; make the backup elsewhere"
            ));
        }
        // It would speak of segments as they were.
        self.storage.remove(&index).map_err(|e| Error::io("removing", &index, e))?;
        sync_dir(self.storage, to)
    }

    /// First sequence of every frame of a segment that has records, and a checksum of them however they are stored, as far as they are whole.
    fn frames(&self, dir: &LogDir, segment: &Segment, take: &mut dyn FnMut((u64, u32))) -> Result<()> {
        let Ok(mut reader) = SegmentReader::open(dir, segment) else { return Ok(()) };
        while let Next::Frame(frame) = reader.next()? {
            if !frame.header.closing {
                take((frame.header.first_sequence, crc32fast::hash(&frame.payload)));
            }
        }
        Ok(())
    }

    fn copy_segment(
        &self,
        segment: &Segment,
        next: Option<Sequence>,
        had: &[Segment],
        report: &mut BackupReport,
    ) -> Result<()> {
        let open = segment.first == self.extent.end.segment;
        let bytes = if open { self.extent.end.offset } else { segment.bytes };
        let next = next.unwrap_or(self.extent.last.plus(1));
        if let Some(copy) = had.iter().find(|copy| copy.first == segment.first)
            && self.is_same(segment, bytes, copy, next)?
        {
            report.kept += 1;
            return Ok(());
        }
        let path = self.target.segment_path(segment.first);
        let temporary = self.target.unfinished_path(segment.first);
        self.copy_bytes(&segment.path, bytes, &temporary, open.then_some(next))?;
        // Read back before it has its name: a backup is worth what can be read of it.
        let copied = Segment { first: segment.first, path: temporary.clone(), bytes };
        check_copy(&self.target, &copied, next)
            .map_err(|e| Error::new(e.kind(), format!("the copy of {} does not read: {e}", segment.path.display())))?;
        self.storage.rename(&temporary, &path).map_err(|e| Error::io("renaming", &temporary, e))?;
        // One after the other: an interrupted backup holds the beginning of the log.
        self.target.sync()?;
        report.copied += 1;
        report.bytes += bytes;
        Ok(())
    }

    /// Whether `copy` is the first `bytes` of a segment and a closing frame, going by the checksum that every frame has of its payload.
    fn is_same(&self, segment: &Segment, bytes: u64, copy: &Segment, next: Sequence) -> Result<bool> {
        let Ok(mut there) = SegmentReader::open(&self.target, copy) else { return Ok(false) };
        let mut here = SegmentReader::open(&self.from, segment)?;
        if here.header != there.header {
            return Ok(false);
        }
        loop {
            let ours = if here.offset() < bytes { here.skip()? } else { Next::End };
            match (ours, there.skip()?) {
                (Next::Frame(ours), Next::Frame(theirs)) if ours == theirs => {}
                (Next::End, Next::Frame(closing)) => return Ok(is_end(&closing, next) && there.offset() == there.len()),
                (Next::End, Next::End) => return Ok(here.offset() == there.offset() && bytes == copy.bytes),
                _ => return Ok(false),
            }
        }
    }

    /// Copies the first `bytes` of a file, and behind them a closing frame for the sequence before `closed_at`; durable under the name `to` has.
    fn copy_bytes(&self, from: &Path, bytes: u64, to: &Path, closed_at: Option<Sequence>) -> Result<()> {
        let source = self.storage.open(from, OpenMode::Read).map_err(|e| Error::io("opening", from, e))?;
        let target = self.storage.open(to, OpenMode::Truncate).map_err(|e| Error::io("writing", to, e))?;
        let mut at = 0;
        let mut buffer = Vec::new();
        while at < bytes {
            let now = COPY_BYTES.min(bytes - at);
            buffer.resize(usize::try_from(now).unwrap_or(0), 0);
            source.read_exact_at(&mut buffer, at).map_err(|e| Error::io("reading", from, e))?;
            target.write_all_at(&buffer, at).map_err(|e| Error::io("writing", to, e))?;
            at += now;
        }
        if let Some(next) = closed_at {
            let frame = closing_frame(&self.extent.store_id, Sequence::new(next.number() - 1));
            let written = frame.and_then(|frame| target.write_all_at(&frame, at));
            written.map_err(|e| Error::io("writing", to, e))?;
        }
        target.sync_data().map_err(|e| Error::io("syncing", to, e))
    }

    /// Copies the bases, durable under their names once this returns.
    fn copy_bases(&self, dir: &Path, copy: &Path, report: &mut BackupReport) -> Result<()> {
        let (from, to) = (dir.join("base"), copy.join("base"));
        let bases = match self.storage.list(&from) {
            Ok(entries) => entries.into_iter().filter(|entry| entry.name.ends_with(".base")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(Error::io("listing", &from, e)),
        };
        self.storage.create_dir_all(&to).map_err(|e| Error::io("creating", &to, e))?;
        sync_dir(self.storage, copy)?;
        for base in bases {
            let (source, path) = (from.join(&base.name), to.join(&base.name));
            if self.has_bytes_of(&source, &path, base.bytes)? {
                report.kept += 1;
                continue;
            }
            let temporary: PathBuf = path.with_extension("base.tmp");
            self.copy_bytes(&source, base.bytes, &temporary, None)?;
            self.storage.rename(&temporary, &path).map_err(|e| Error::io("renaming", &temporary, e))?;
            report.copied += 1;
            report.bytes += base.bytes;
        }
        // Also the names that a backup before this one did not come to make durable.
        sync_dir(self.storage, &to)
    }

    fn has_bytes_of(&self, source: &Path, copy: &Path, bytes: u64) -> Result<bool> {
        let Ok(there) = self.storage.open(copy, OpenMode::Read) else { return Ok(false) };
        if there.len().map_err(|e| Error::io("reading", copy, e))? != bytes {
            return Ok(false);
        }
        let here = self.storage.open(source, OpenMode::Read).map_err(|e| Error::io("opening", source, e))?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        let mut at = 0;
        while at < bytes {
            let now = COPY_BYTES.min(bytes - at);
            for buffer in [&mut ours, &mut theirs] {
                buffer.resize(usize::try_from(now).unwrap_or(0), 0);
            }
            here.read_exact_at(&mut ours, at).map_err(|e| Error::io("reading", source, e))?;
            there.read_exact_at(&mut theirs, at).map_err(|e| Error::io("reading", copy, e))?;
            if ours != theirs {
                return Ok(false);
            }
            at += now;
        }
        Ok(true)
    }
}

fn is_end(header: &FrameHeader, next: Sequence) -> bool {
    header.closing && header.first_sequence == next.number()
}

/// Reads a copied segment with every checksum, up to the closing frame before `next`.
fn check_copy(dir: &LogDir, segment: &Segment, next: Sequence) -> Result<()> {
    let mut reader = SegmentReader::open(dir, segment)?;
    let mut expected = segment.first.number();
    loop {
        let offset = reader.offset();
        let damaged = |what: String| Err(Error::corrupt(format!("frame at byte {offset}"), what));
        match reader.next()? {
            Next::Frame(frame) if frame.header.first_sequence != expected => {
                return damaged(format!("sequence {} but {expected} expected", frame.header.first_sequence));
            }
            Next::Frame(frame) if frame.header.closing => {
                let ends = reader.offset() == reader.len() && is_end(&frame.header, next);
                let what = || format!("closing frame at sequence {expected}, expected it at {next} and at the end");
                return if ends { Ok(()) } else { damaged(what()) };
            }
            Next::Frame(frame) => expected += u64::from(frame.header.count),
            Next::End => return damaged(format!("no closing frame of {FRAME_HEADER_BYTES} bytes")),
            Next::Bad(what) => return damaged(what),
        }
    }
}
