//! Finds the end of the log. A torn tail is cut; damage before the tail is `Corrupt`.
//!
//! docs/format.md, Recovery, gives the rules.

use super::dir::{LogDir, Segment};
use super::segment::{Next, SegmentReader};
use super::writer::{LogPosition, LogWriter, closing_frame};
use crate::error::{Error, Result};
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, FrameSeed, HEADER_BYTES, HeaderVerdict};
use crate::id::Sequence;
use crate::storage::OpenMode;
use crate::time::Timestamp;

/// A log that can be appended to; everything in it is durable.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) writer: LogWriter,
    pub(crate) last: Sequence,
    pub(crate) store_id: [u8; 16],
}

/// What recovery goes by.
#[derive(Debug)]
pub(crate) struct Recovery<'a> {
    pub(crate) dir: &'a LogDir,
    /// A place that the index names, with the sequence of the record there; everything before it was durable when the index was written,
    /// so the scan of the last segment begins there, if that is what stands there.
    pub(crate) known: Option<(Sequence, LogPosition)>,
    /// The last sequence that the index has seen.
    pub(crate) durable: Sequence,
    /// For a log that does not exist yet.
    pub(crate) new_store_id: [u8; 16],
    pub(crate) now: Timestamp,
    pub(crate) segment_max_bytes: u64,
}

/// Opens the log for appending.
pub(crate) fn recover(recovery: &Recovery<'_>) -> Result<Recovered> {
    let dir = recovery.dir;
    dir.remove_leftovers()?;
    let mut segments = dir.segments()?;
    let Some(active) = segments.pop() else {
        let store_id = recovery.new_store_id;
        let writer = recovery.create(store_id, Sequence::FIRST, &[], Sequence::new(0))?;
        return Ok(Recovered { writer, last: Sequence::new(0), store_id });
    };
    let store_id = SegmentReader::open(dir, &active)?.header.store_id;
    for (index, segment) in segments.iter().enumerate() {
        if SegmentReader::open(dir, segment)?.header.store_id != store_id {
            return Err(Error::corrupt(
                segment.path.display(),
                format!("it belongs to another store than the last segment, {}", active.path.display()),
            ));
        }
        finish_seal(dir, segment, segments.get(index + 1).unwrap_or(&active), index + 1 == segments.len())?;
    }
    recovery.recover_active(&active)
}

/// Checks that a segment with a follower ends in its closing frame. The last but one may lack it when a recovery was
/// interrupted after the follower was named: then the seal is made up for.
fn finish_seal(dir: &LogDir, segment: &Segment, follower: &Segment, may_mend: bool) -> Result<()> {
    if let Some(closing) = closing_frame_of(dir, segment)? {
        if closing.first_sequence == follower.first.number() {
            return Ok(());
        }
        return Err(Error::corrupt(
            segment.path.display(),
            format!(
                "the segment ends before sequence {} but the next one begins at {}: a segment is missing or was swapped",
                closing.first_sequence, follower.first
            ),
        ));
    }
    if may_mend && let Some(offset) = offset_of(dir, segment, follower.first)? {
        return cut_and_close(
            dir,
            &SegmentReader::open(dir, segment)?.header.store_id,
            segment,
            offset,
            Sequence::new(follower.first.number() - 1),
        );
    }
    Err(Error::corrupt(
        segment.path.display(),
        format!("no closing frame, although a segment follows that begins at sequence {}", follower.first),
    ))
}

/// Where the frame of `wanted` begins or would begin, if everything before it is whole.
fn offset_of(dir: &LogDir, segment: &Segment, wanted: Sequence) -> Result<Option<u64>> {
    let mut reader = SegmentReader::open(dir, segment)?;
    let mut next = segment.first;
    while next < wanted {
        match reader.next()? {
            Next::Frame(frame) if frame.header.first_sequence == next.number() && !frame.header.closing => {
                next = next.plus(u64::from(frame.header.count));
            }
            _ => return Ok(None),
        }
    }
    Ok((next == wanted).then(|| reader.offset()))
}

/// The closing frame that a segment ends in, if it does.
fn closing_frame_of(dir: &LogDir, segment: &Segment) -> Result<Option<FrameHeader>> {
    // Opened as a segment, so that its header is checked.
    let reader = SegmentReader::open(dir, segment)?;
    let Some(offset) =
        reader.len().checked_sub(FRAME_HEADER_BYTES as u64).filter(|offset| *offset >= HEADER_BYTES as u64)
    else {
        return Ok(None);
    };
    let mut bytes = [0; FRAME_HEADER_BYTES];
    dir.storage
        .open(&segment.path, OpenMode::Read)
        .and_then(|file| file.read_exact_at(&mut bytes, offset))
        .map_err(|e| Error::io("reading", &segment.path, e))?;
    Ok(match FrameHeader::decode(&bytes, FrameSeed::of(&reader.header.store_id)) {
        HeaderVerdict::Frame(header) if header.closing && header.len == 0 => Some(header),
        _ => None,
    })
}

impl Recovery<'_> {
    fn create(&self, store_id: [u8; 16], first: Sequence, frames: &[u8], last: Sequence) -> Result<LogWriter> {
        LogWriter::create(self.dir, store_id, first, frames, self.now, self.segment_max_bytes, last)
    }

    fn recover_active(&self, active: &Segment) -> Result<Recovered> {
        let mut reader = SegmentReader::open(self.dir, active)?;
        let store_id = reader.header.store_id;
        let mut next = active.first;
        let mut synced = self.durable.max(Sequence::new(active.first.number() - 1));
        if let Some((sequence, position)) = self.known
            && position.segment == active.first
            && sequence >= active.first
            && reader.seek_frame(position.offset, sequence)?
        {
            next = sequence;
        }
        // Where each frame begins that is whole, after the last known to be synced.
        let mut frames: Vec<(u64, Sequence)> = Vec::new();
        let mut closed = false;
        let end = loop {
            let offset = reader.offset();
            let what = match reader.next()? {
                Next::End => break offset,
                Next::Frame(frame) if closed => {
                    format!("a frame of sequence {} after the closing frame", frame.header.first_sequence)
                }
                Next::Frame(frame) if frame.header.first_sequence != next.number() => {
                    format!("a frame of sequence {} but {next} expected", frame.header.first_sequence)
                }
                Next::Frame(frame) => {
                    synced = synced.max(Sequence::new(frame.header.synced_through));
                    closed = frame.header.closing;
                    if !closed {
                        frames.push((frame.offset, next));
                        next = next.plus(u64::from(frame.header.count));
                    }
                    continue;
                }
                Next::Bad(what) => what,
            };
            // Everything past here counts as never written, unless a later frame knew it to be durable. Behind a whole header the search begins
            // after the payload, which is somebody's text and may look like anything.
            if let Some((at, header)) =
                reader.find_header(reader.offset().max(offset + 1), |header| header.synced_through >= next.number())?
            {
                return Err(Error::corrupt(
                    format!("{}: frame at byte {offset}", active.path.display()),
                    format!(
                        "{what}; the frame at byte {at} says that everything through sequence {} was durable, so sequence {next} has been damaged since",
                        header.synced_through
                    ),
                ));
            }
            if closed || synced >= next {
                return Err(Error::corrupt(format!("{}: frame at byte {offset}", active.path.display()), what));
            }
            break offset;
        };
        let last = Sequence::new(next.number() - 1);
        if last < self.durable {
            return Err(Error::corrupt(
                active.path.display(),
                format!(
                    "the log ends at sequence {last}, but the index has seen sequence {}: the end of the log is missing",
                    self.durable
                ),
            ));
        }
        if closed {
            // A sealed last segment: the next one begins after it. Its closing frame is written once more, because it may have been read back
            // from memory after its sync failed.
            cut_and_close(self.dir, &store_id, active, end - FRAME_HEADER_BYTES as u64, last)?;
            return Ok(Recovered { writer: self.create(store_id, next, &[], last)?, last, store_id });
        }
        frames.retain(|(_, first)| *first > synced);
        let (cut, first) = frames.first().copied().unwrap_or((end, next));
        let copied = read_range(self.dir, active, cut, end)?;
        // The copy must be durable under its name before the original goes. Where the copy begins with the segment, its name is the same and the rename replaces it.
        let writer = self.create(store_id, first, &copied, last)?;
        if first > active.first {
            cut_and_close(self.dir, &store_id, active, cut, Sequence::new(first.number() - 1))?;
            self.dir.sync()?;
        }
        Ok(Recovered { writer, last, store_id })
    }
}

fn read_range(dir: &LogDir, segment: &Segment, from: u64, to: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX)];
    dir.storage
        .open(&segment.path, OpenMode::Read)
        .and_then(|file| file.read_exact_at(&mut bytes, from))
        .map_err(|e| Error::io("reading", &segment.path, e))?;
    Ok(bytes)
}

fn cut_and_close(dir: &LogDir, store_id: &[u8; 16], segment: &Segment, offset: u64, last: Sequence) -> Result<()> {
    let cut = || {
        let file = dir.storage.open(&segment.path, OpenMode::Write)?;
        file.set_len(offset)?;
        file.write_all_at(&closing_frame(store_id, last)?, offset)?;
        file.sync_data()
    };
    cut().map_err(|e| Error::io("sealing", &segment.path, e))
}
