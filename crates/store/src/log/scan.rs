//! Reads the log in order, beside a writer.

use std::path::PathBuf;

use super::dir::{LogDir, Segment};
use super::segment::{Next, SegmentReader};
use super::writer::LogPosition;
use crate::catalog::happened;
use crate::error::{Error, Result};
use crate::format::decode_payload;
use crate::id::Sequence;
use crate::record::Payload;
use crate::time::Timestamp;

/// One committed batch, read back.
#[derive(Debug)]
pub struct Frame {
    first_sequence: Sequence,
    bytes: Vec<u8>,
    path: PathBuf,
    place: LogPosition,
    count: u32,
    compressed: bool,
}

impl Frame {
    /// The sequence of its first record.
    pub fn first_sequence(&self) -> Sequence {
        self.first_sequence
    }

    /// Where it is.
    pub(crate) fn place(&self) -> LogPosition {
        self.place
    }

    /// Whether zstd makes it smaller where it is.
    pub(crate) fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// The batch.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when the payload's checksum is right and its content is not what `docs/format.md` says.
    pub fn payload(&self) -> Result<Payload<'_>> {
        let damaged = |what: String| {
            Error::corrupt(format!("{}: frame at byte {}", self.path.display(), self.place.offset), what)
        };
        let payload = decode_payload(&self.bytes).map_err(damaged)?;
        if payload.records.len() != self.count as usize {
            return Err(damaged(format!("{} records but the header says {}", payload.records.len(), self.count)));
        }
        Ok(payload)
    }
}

/// The batches of the log in order, up to the sequence that was last when the scan began.
#[derive(Debug)]
pub struct Scan {
    dir: LogDir,
    segments: std::vec::IntoIter<Segment>,
    reader: Option<SegmentReader>,
    next: Sequence,
    from: Sequence,
    last: Sequence,
    /// Whether segments are left out, so that there are gaps between them.
    sparse: bool,
    /// Whether a segment went since the scan began: there is a gap then, too.
    expired: bool,
}

/// Opens a segment; `None` if it expired since it was listed.
fn open_unless_expired(dir: &LogDir, segment: &Segment) -> Result<Option<SegmentReader>> {
    match SegmentReader::open(dir, segment) {
        Ok(reader) => Ok(Some(reader)),
        Err(error) => {
            // Segments go from the front only.
            let first = dir.segments()?.first().map(|first| first.first);
            if first.is_some_and(|first| first > segment.first) { Ok(None) } else { Err(error) }
        }
    }
}

impl Scan {
    /// From the batch that holds `from` to the one that holds `last`; `near` is a place at or before `from` to begin at.
    pub(crate) fn new(
        dir: &LogDir,
        from: Sequence,
        last: Sequence,
        near: Option<(Sequence, LogPosition)>,
    ) -> Result<Self> {
        let from = from.max(Sequence::FIRST);
        let segments = dir.segments()?;
        let skip = segments.partition_point(|segment| segment.first <= from).saturating_sub(1);
        let mut segments = segments.into_iter();
        let mut next = from;
        let mut reader = None;
        if from <= last
            && let Some(segment) = segments.nth(skip)
        {
            let mut opened = SegmentReader::open(dir, &segment)?;
            next = segment.first;
            if let Some((sequence, position)) = near
                && position.segment == segment.first
                && sequence <= from
                && sequence > next
                && opened.seek_frame(position.offset, sequence)?
            {
                next = sequence;
            }
            reader = Some(opened);
        }
        Ok(Self { dir: dir.clone(), segments, reader, next, from, last, sparse: false, expired: false })
    }

    /// The batches of `segments`, through `last`.
    pub(crate) fn of_segments(dir: &LogDir, segments: Vec<Segment>, last: Sequence) -> Self {
        let first = segments.first().map_or(last.plus(1), |segment| segment.first);
        let (dir, segments) = (dir.clone(), segments.into_iter());
        Self { dir, segments, reader: None, next: first, from: first, last, sparse: true, expired: false }
    }

    pub(super) fn dir(&self) -> &LogDir {
        &self.dir
    }

    /// The sequence after the last batch that was read.
    pub(crate) fn reached(&self) -> Sequence {
        self.next
    }

    /// Goes on through `last`, once all before it has been read.
    pub(crate) fn extend(&mut self, last: Sequence) -> Result<()> {
        let mut segments = self.dir.segments()?;
        // What was being read is read to its end, also where another file has its name by now.
        let reading = self.reader.as_ref().map(|reader| Sequence::new(reader.header.first_sequence));
        segments.retain(|segment| reading.is_none_or(|reading| segment.first > reading));
        if let Some(reader) = &mut self.reader {
            reader.refresh()?;
        }
        (self.segments, self.last) = (segments.into_iter(), last);
        Ok(())
    }

    /// Nothing after damage is given out.
    fn stop(&mut self) {
        self.last = Sequence::new(0);
        self.next = Sequence::FIRST;
    }

    fn read(&mut self) -> Result<Option<Frame>> {
        while self.next <= self.last {
            if self.reader.is_none() && self.sparse {
                let Some(segment) = self.segments.next() else { return Ok(None) };
                self.next = segment.first;
                self.reader = open_unless_expired(&self.dir, &segment)?;
                continue;
            }
            let Some(reader) = &mut self.reader else {
                return Err(Error::corrupt(
                    "log",
                    format!("sequence {} is in no segment, although the log ends at {}", self.next, self.last),
                ));
            };
            let offset = reader.offset();
            // A frame before `from` is passed over by its header; the one that holds it is read.
            let frame = match reader.skip()? {
                Next::Frame(header) if header.closing => None,
                Next::Frame(header) if header.first_sequence + u64::from(header.count) <= self.from.number() => {
                    self.next = Sequence::new(header.first_sequence + u64::from(header.count));
                    continue;
                }
                Next::Frame(_) => {
                    reader.seek(offset)?;
                    match reader.next()? {
                        Next::Frame(frame) => Some(frame),
                        Next::End => None,
                        Next::Bad(what) => return Err(reader.damaged(offset, what)),
                    }
                }
                Next::End => None,
                Next::Bad(what) => return Err(reader.damaged(offset, what)),
            };
            let Some(frame) = frame else {
                self.reader = None;
                if !self.sparse {
                    for segment in self.segments.by_ref() {
                        self.reader = open_unless_expired(&self.dir, &segment)?;
                        if self.reader.is_some() {
                            self.next = if self.expired { segment.first } else { self.next };
                            break;
                        }
                        self.expired = true;
                    }
                }
                continue;
            };
            if frame.header.first_sequence > self.next.number() {
                return Err(reader.damaged(
                    offset,
                    format!("a frame of sequence {} but {} expected", frame.header.first_sequence, self.next),
                ));
            }
            let first_sequence = Sequence::new(frame.header.first_sequence);
            self.next = first_sequence.plus(u64::from(frame.header.count));
            let place = LogPosition { segment: Sequence::new(reader.header.first_sequence), offset };
            let (count, compressed) = (frame.header.count, frame.header.is_compressed());
            let path = reader.path().to_owned();
            return Ok(Some(Frame { first_sequence, bytes: frame.payload, path, place, count, compressed }));
        }
        Ok(None)
    }
}

impl Iterator for Scan {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read().transpose();
        if matches!(item, Some(Err(_))) {
            self.stop();
        }
        item
    }
}

/// The batches that hold an event of a time, in the order of the log.
#[derive(Debug)]
pub struct TimeScan {
    scan: Scan,
    from: Timestamp,
    to: Timestamp,
}

impl TimeScan {
    /// The batches of `scan` that hold an event that happened at `from` or later, and before `to`.
    pub(crate) fn new(scan: Scan, from: Timestamp, to: Timestamp) -> Self {
        Self { scan, from, to }
    }

    fn is_wanted(&self, frame: &Frame) -> Result<bool> {
        let payload = frame.payload()?;
        Ok(happened(&payload).any(|time| time >= self.from && time < self.to))
    }
}

impl Iterator for TimeScan {
    type Item = Result<Frame>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let frame = match self.scan.next()? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(error)),
            };
            match self.is_wanted(&frame) {
                Ok(true) => return Some(Ok(frame)),
                Ok(false) => {}
                Err(error) => {
                    self.scan.stop();
                    return Some(Err(error));
                }
            }
        }
    }
}
