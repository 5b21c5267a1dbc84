//! Finds the end of the log. A torn tail is cut; damage before the tail is `Corrupt`.
//!
//! docs/format.md, Recovery, gives the rules.

use std::fs::OpenOptions;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::segment::{Next, Segment, SegmentReader, list_segments, remove_leftovers, sync_dir};
use super::writer::{LogPosition, LogWriter, closing_frame};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{FRAME_HEADER_BYTES, FrameHeader, HEADER_BYTES, HeaderVerdict};
use crate::id::Sequence;
use crate::time::Timestamp;

/// A log that can be appended to; everything in it is durable.
#[derive(Debug)]
pub(crate) struct Recovered {
    pub(crate) writer: LogWriter,
    pub(crate) last: Sequence,
    pub(crate) store_id: [u8; 16],
}

/// Opens the log in `log_dir` for appending. `known` is a place that the index names, with the sequence of the record there; everything before it
/// was durable when the index was written, so the scan of the last segment begins there. `durable` is the last sequence that the index has seen.
/// `store_id` is used for a log that does not exist yet.
pub(crate) fn recover(
    log_dir: &Path,
    known: Option<(Sequence, LogPosition)>,
    durable: Sequence,
    store_id: [u8; 16],
    now: Timestamp,
    segment_max_bytes: u64,
) -> Result<Recovered> {
    remove_leftovers(log_dir)?;
    let mut segments = list_segments(log_dir)?;
    let Some(active) = segments.pop() else {
        let writer =
            LogWriter::create(log_dir, store_id, Sequence::FIRST, &[], now, segment_max_bytes, Sequence::new(0))?;
        return Ok(Recovered { writer, last: Sequence::new(0), store_id });
    };
    for (index, segment) in segments.iter().enumerate() {
        let follower = segments.get(index + 1).unwrap_or(&active);
        finish_seal(segment, follower, index + 1 == segments.len())?;
    }
    recover_active(log_dir, &active, known, durable, now, segment_max_bytes)
}

/// Checks that a segment with a follower ends in its closing frame. The last but one may lack it when a recovery was
/// interrupted after the follower was named: then the seal is made up for.
fn finish_seal(segment: &Segment, follower: &Segment, may_mend: bool) -> Result<()> {
    if let Some(closing) = closing_frame_of(segment)? {
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
    if may_mend && let Some(offset) = offset_of(segment, follower.first)? {
        return cut_and_close(segment, offset, Sequence::new(follower.first.number() - 1));
    }
    Err(Error::corrupt(
        segment.path.display(),
        format!("no closing frame, although a segment follows that begins at sequence {}", follower.first),
    ))
}

/// Where the frame of `wanted` begins or would begin, if everything before it is whole.
fn offset_of(segment: &Segment, wanted: Sequence) -> Result<Option<u64>> {
    let mut reader = SegmentReader::open(segment)?;
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
fn closing_frame_of(segment: &Segment) -> Result<Option<FrameHeader>> {
    let reader = SegmentReader::open(segment)?;
    let Some(offset) =
        reader.len().checked_sub(FRAME_HEADER_BYTES as u64).filter(|offset| *offset >= HEADER_BYTES as u64)
    else {
        return Ok(None);
    };
    let failed = |e| Error::io("reading", &segment.path, e);
    let mut file = std::fs::File::open(&segment.path).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let mut bytes = [0; FRAME_HEADER_BYTES];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(match FrameHeader::decode(&bytes) {
        HeaderVerdict::Frame(header) if header.closing && header.len == 0 => Some(header),
        _ => None,
    })
}

fn recover_active(
    log_dir: &Path,
    active: &Segment,
    known: Option<(Sequence, LogPosition)>,
    durable: Sequence,
    now: Timestamp,
    segment_max_bytes: u64,
) -> Result<Recovered> {
    let mut reader = SegmentReader::open(active)?;
    let store_id = reader.header.store_id;
    let mut next = active.first;
    let mut synced = durable.max(Sequence::new(active.first.number() - 1));
    if let Some((sequence, position)) = known
        && position.segment == active.first
        && sequence >= active.first
    {
        if position.offset > reader.len() {
            return Err(Error::corrupt(
                active.path.display(),
                format!(
                    "{} bytes, but sequence {sequence} was stored durably from byte {} on",
                    reader.len(),
                    position.offset
                ),
            ));
        }
        reader.seek(position.offset)?;
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
    if last < durable {
        return Err(Error::corrupt(
            active.path.display(),
            format!(
                "the log ends at sequence {last}, but the index has seen sequence {durable}: the end of the log is missing"
            ),
        ));
    }
    let create = |frames: &[u8], first: Sequence| {
        LogWriter::create(log_dir, store_id, first, frames, now, segment_max_bytes, last)
    };
    if closed {
        // A sealed last segment: the next one begins after it.
        return Ok(Recovered { writer: create(&[], next)?, last, store_id });
    }
    frames.retain(|(_, first)| *first > synced);
    let (cut, first) = frames.first().copied().unwrap_or((end, next));
    let copied = read_range(active, cut, end)?;
    // The copy must be durable under its name before the original goes. Where the copy begins with the segment, its name is the same and the rename replaces it.
    let writer = create(&copied, first)?;
    if first > active.first {
        cut_and_close(active, cut, Sequence::new(first.number() - 1))?;
        sync_dir(log_dir)?;
    }
    Ok(Recovered { writer, last, store_id })
}

fn read_range(segment: &Segment, from: u64, to: u64) -> Result<Vec<u8>> {
    let failed = |e| Error::io("reading", &segment.path, e);
    let mut file = std::fs::File::open(&segment.path).map_err(failed)?;
    file.seek(SeekFrom::Start(from)).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(to - from).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 != to - from {
        return Err(Error::new(ErrorKind::Io, format!("{} became shorter while it was read", segment.path.display())));
    }
    Ok(bytes)
}

fn cut_and_close(segment: &Segment, offset: u64, last: Sequence) -> Result<()> {
    let failed = |e| Error::io("sealing", &segment.path, e);
    let mut file = OpenOptions::new().write(true).open(&segment.path).map_err(failed)?;
    file.set_len(offset).map_err(failed)?;
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    file.write_all(&closing_frame(last.plus(1), last, &segment.path)?).map_err(failed)?;
    file.sync_all().map_err(failed)
}
