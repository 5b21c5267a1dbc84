//! Writes a sealed segment anew: records removed, payloads compressed.
//!
//! What is written has the same name, the same frames and the same sequences. It replaces the old file by one rename once it is durable: a
//! stop at any moment leaves one of the two, whole.

mod frames;
mod names;
mod output;

use std::path::PathBuf;

use super::dir::{LogDir, Segment};
use super::segment::StoredFrame;
use super::writer::LogPosition;
use crate::catalog::SegmentSpan;
use crate::error::{Error, ErrorKind, Result};
use crate::fold::Committed;
use crate::format::{FrameOf, FrameSeed, decode_payload, encode_frame, encode_payload};
use crate::id::Sequence;
use crate::record::Payload;
use crate::state::POSITION_EVERY;
use frames::SealedFrames;
use output::Output;

pub(crate) use frames::{read_sealed, survey};
pub(crate) use names::drop_unused_names;

/// Changes the batch that begins with a sequence, and says whether it did. A record that goes becomes a tombstone: their number
/// stays. A subject that is forgotten loses its distinct id. Names that nothing refers to any more go by themselves.
pub(crate) type Edit<'e> = dyn FnMut(Sequence, &mut Payload<'_>) -> Result<bool> + 'e;

/// What is to be done with one sealed segment.
pub(crate) struct Rewriting<'a, 'e> {
    pub(crate) dir: &'a LogDir,
    pub(crate) segment: &'a Segment,
    /// The level of zstd for whatever is not compressed yet.
    pub(crate) level: i32,
    /// What is known of the segment; else it is found out on the way.
    pub(crate) known: Option<SegmentSpan>,
    /// Without one, payloads are compressed and otherwise left as they are.
    pub(crate) edit: Option<&'a mut Edit<'e>>,
    /// Asked between frames; a no ends the work without a result.
    pub(crate) go_on: &'a dyn Fn() -> bool,
}

/// What became of a segment.
#[derive(Debug)]
pub(crate) enum Written {
    /// It is to be swapped for the old one.
    Anew(Rewritten),
    /// It would be the same.
    Same(SegmentSpan),
    /// It was told to stop.
    Stopped,
}

/// A segment written anew, durable under its temporary name.
#[derive(Debug)]
pub(crate) struct Rewritten {
    dir: LogDir,
    first: Sequence,
    span: SegmentSpan,
    temporary: PathBuf,
    /// Places in the new file.
    positions: Positions,
    /// Its length.
    pub(crate) bytes: u64,
}

impl Rewritten {
    /// The first sequence, by which the segment is named.
    pub(crate) fn first(&self) -> Sequence {
        self.first
    }

    /// The last sequence in it.
    pub(crate) fn last(&self) -> Sequence {
        self.span.last
    }

    /// What is in it.
    pub(crate) fn span(&self) -> SegmentSpan {
        self.span
    }

    /// Replaces the old file, and answers places in the new one. The directory is still to be synced.
    pub(crate) fn rename(self) -> Result<Positions> {
        let path = self.dir.segment_path(self.first);
        self.dir.storage.rename(&self.temporary, &path).map_err(|e| Error::io("renaming", &self.temporary, e))?;
        Ok(self.positions)
    }
}

impl Rewriting<'_, '_> {
    /// Writes the segment anew, unless it would be the same.
    ///
    /// # Errors
    /// `Corrupt` for a segment that is not whole, naming the place, what the edit returns, and errors of the disk. The segment is then as it was.
    pub(crate) fn run(mut self) -> Result<Written> {
        let mut output = None;
        let written = self.write(&mut output);
        match (written, output) {
            (Ok(Some(end)), Some(Output { temporary, len, .. })) => {
                let (dir, first) = (self.dir.clone(), self.segment.first);
                let (span, positions) = end;
                Ok(Written::Anew(Rewritten { dir, first, span, temporary, positions, bytes: len }))
            }
            (Ok(Some((span, _))), None) => Ok(Written::Same(span)),
            (written, output) => {
                if let Some(output) = output {
                    // What cannot be removed now is removed at the next open.
                    let _removed = self.dir.storage.remove(&output.temporary);
                }
                written.map(|_| Written::Stopped)
            }
        }
    }

    /// Goes through the segment, and begins the `output` with the first frame that changes. What is in it then, and places in it; `None` when
    /// told to stop.
    fn write(&mut self, output: &mut Option<Output>) -> Result<Option<(SegmentSpan, Positions)>> {
        let mut frames = SealedFrames::open(self.dir, self.segment)?;
        let seed = frames.seed;
        let mut span = match self.known.filter(|_| self.edit.is_none()) {
            Some(span) => Found::Known(span),
            None => Found::Counted(SegmentSpan::empty(self.segment.first)),
        };
        let mut positions = Positions::new();
        loop {
            if !(self.go_on)() {
                return Ok(None);
            }
            let frame = frames.next()?;
            if frame.header.closing {
                if let Some(output) = output {
                    output.write_stored(&frame, seed)?;
                    output.finish()?;
                }
                let span = SegmentSpan { compressed: true, ..span.into_span() };
                return Ok(Some((span, positions)));
            }
            let first = Sequence::new(frame.header.first_sequence);
            if positions.last().map_or(self.segment.first, |(last, _)| *last).plus(POSITION_EVERY) <= first {
                let offset = output.as_ref().map_or(frame.offset, |output| output.len);
                positions.push((first, LogPosition { segment: self.segment.first, offset }));
            }
            let anew = self.anew(&frame, seed, &mut span).map_err(|flaw| match flaw {
                Flaw::Damage(what) => frames.reader.damaged(frame.offset, what),
                Flaw::Other(error) => error,
            })?;
            match (anew, &mut *output) {
                (None, None) => {}
                (None, Some(output)) => output.write_stored(&frame, seed)?,
                (Some(bytes), Some(output)) => output.write(&bytes)?,
                // Up to here the two files are the same.
                (Some(bytes), None) => {
                    output.insert(Output::begin(self.dir, self.segment, frame.offset)?).write(&bytes)?;
                }
            }
        }
    }

    /// The bytes of a frame where they become others.
    fn anew(
        &mut self,
        frame: &StoredFrame,
        seed: FrameSeed,
        span: &mut Found,
    ) -> std::result::Result<Option<Vec<u8>>, Flaw> {
        let header = &frame.header;
        let raw = frame.payload().map_err(Flaw::Damage)?;
        let edited = match span {
            Found::Counted(span) => {
                let mut payload = decode_payload(&raw).map_err(Flaw::Damage)?;
                let first_sequence = Sequence::new(header.first_sequence);
                let changed = match &mut self.edit {
                    Some(edit) => edit(first_sequence, &mut payload).map_err(Flaw::Other)?,
                    None => false,
                };
                span.add(&Committed { first_sequence, payload: &payload }, true);
                if changed {
                    if payload.records.len() != header.count as usize {
                        let what = format!("{} records became {}", header.count, payload.records.len());
                        return Err(Flaw::invalid(header.first_sequence, &what));
                    }
                    drop_unused_names(&mut payload).map_err(Flaw::Damage)?;
                    Some(encode_payload(&payload).map_err(|what| Flaw::invalid(header.first_sequence, &what))?)
                } else {
                    None
                }
            }
            Found::Known(_) => None,
        };
        if edited.is_none() && header.is_compressed() {
            return Ok(None);
        }
        let spec = FrameOf {
            first_sequence: header.first_sequence,
            count: header.count,
            synced_through: header.synced_through,
            closing: false,
            payload: edited.as_deref().unwrap_or(&raw),
            compress: Some(self.level),
        };
        let bytes = encode_frame(seed, &spec).map_err(|e| Flaw::invalid(header.first_sequence, &e.to_string()))?;
        // What zstd does not make smaller is stored as it is: then it is the same.
        let same = edited.is_none() && bytes.len() as u64 >= header.frame_bytes();
        Ok((!same).then_some(bytes))
    }
}

/// Places in a segment: where the frames of some sequences begin.
type Positions = Vec<(Sequence, LogPosition)>;

/// What a segment holds, as far as that is known on the way through it.
enum Found {
    Known(SegmentSpan),
    Counted(SegmentSpan),
}

impl Found {
    fn into_span(self) -> SegmentSpan {
        match self {
            Self::Known(span) | Self::Counted(span) => span,
        }
    }
}

/// Why a frame was not written anew.
enum Flaw {
    /// The frame is not what docs/format.md says: found, expected.
    Damage(String),
    Other(Error),
}

impl Flaw {
    fn invalid(first_sequence: u64, what: &str) -> Self {
        let message = format!("the batch of sequence {first_sequence} cannot be rewritten: {what}");
        Self::Other(Error::new(ErrorKind::Invalid, message))
    }
}
