//! The frames of a sealed segment, which must be whole from end to end.

use crate::catalog::SegmentSpan;
use crate::error::{Error, Result};
use crate::fold::Committed;
use crate::format::{FrameSeed, decode_payload};
use crate::id::Sequence;
use crate::log::dir::{LogDir, Segment};
use crate::log::segment::{Next, SegmentReader, StoredFrame};
use crate::record::Payload;

pub(super) struct SealedFrames {
    pub(super) reader: SegmentReader,
    pub(super) seed: FrameSeed,
    next: Sequence,
}

impl SealedFrames {
    pub(super) fn open(dir: &LogDir, segment: &Segment) -> Result<Self> {
        let reader = SegmentReader::open(dir, segment)?;
        let seed = FrameSeed::of(&reader.header.store_id);
        Ok(Self { reader, seed, next: segment.first })
    }

    /// The next frame, up to the closing frame, after which there is none.
    pub(super) fn next(&mut self) -> Result<StoredFrame> {
        let offset = self.reader.offset();
        let damaged = |reader: &SegmentReader, what: String| Err(reader.damaged(offset, what));
        let frame = match self.reader.next_stored()? {
            Next::Frame(frame) => frame,
            Next::End => return damaged(&self.reader, "the segment ends without a closing frame".to_owned()),
            Next::Bad(what) => return damaged(&self.reader, what),
        };
        if frame.header.first_sequence != self.next.number() {
            let found = frame.header.first_sequence;
            return damaged(&self.reader, format!("a frame of sequence {found} but {} expected", self.next));
        }
        self.next = self.next.plus(u64::from(frame.header.count));
        if frame.header.closing {
            let end = self.reader.offset();
            match self.reader.next_stored()? {
                Next::End => {}
                Next::Frame(_) => return Err(self.reader.damaged(end, "a frame after the closing frame")),
                Next::Bad(what) => return Err(self.reader.damaged(end, format!("after the closing frame: {what}"))),
            }
        }
        Ok(frame)
    }

    fn damaged(&self, frame: &StoredFrame, what: &str) -> Error {
        self.reader.damaged(frame.offset, what)
    }
}

/// Reads what a sealed segment holds; `None` when told to stop, which is asked between frames.
///
/// # Errors
/// `Corrupt` for a segment that is not whole, naming the place.
pub(crate) fn survey(dir: &LogDir, segment: &Segment, go_on: &dyn Fn() -> bool) -> Result<Option<SegmentSpan>> {
    let mut span = SegmentSpan::empty(segment.first);
    let whole = read_sealed(dir, segment, go_on, |first_sequence, payload, compressed| {
        span.add(&Committed { first_sequence, payload }, compressed);
        Ok(())
    })?;
    Ok(whole.then_some(span))
}

/// Gives each batch of a sealed segment to `each`, with whether it is compressed; whether that was all, or it was told to stop.
///
/// # Errors
/// `Corrupt` for a segment that is not whole, naming the place; what `each` returns.
pub(crate) fn read_sealed(
    dir: &LogDir,
    segment: &Segment,
    go_on: &dyn Fn() -> bool,
    mut each: impl FnMut(Sequence, &mut Payload<'_>, bool) -> Result<()>,
) -> Result<bool> {
    let mut frames = SealedFrames::open(dir, segment)?;
    while go_on() {
        let frame = frames.next()?;
        if frame.header.closing {
            return Ok(true);
        }
        let raw = frame.payload().map_err(|what| frames.damaged(&frame, &what))?;
        let mut payload = decode_payload(&raw).map_err(|what| frames.damaged(&frame, &what))?;
        each(Sequence::new(frame.header.first_sequence), &mut payload, frame.header.is_compressed())?;
    }
    Ok(false)
}
