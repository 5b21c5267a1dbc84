//! Writes a sealed segment anew: records removed, payloads compressed.
//!
//! What is written has the same name, the same frames and the same sequences. It replaces the old file by one rename once it is durable: a
//! stop at any moment leaves one of the two, whole.

mod names;
mod output;

use std::path::PathBuf;

use super::dir::{LogDir, Segment};
use super::segment::{Next, SegmentReader, StoredFrame};
use super::writer::LogPosition;
use crate::error::{Error, ErrorKind, Result};
use crate::format::{FrameOf, FrameSeed, decode_payload, encode_frame, encode_payload};
use crate::id::Sequence;
use crate::record::Payload;
use crate::state::POSITION_EVERY;
use names::drop_unused_names;
use output::Output;

/// Changes the batch that begins with a sequence, and says whether it did. A record that goes becomes a tombstone: their number
/// stays. A subject that is forgotten loses its distinct id. Names that nothing refers to any more go by themselves.
pub(crate) type Edit<'e> = dyn FnMut(Sequence, &mut Payload<'_>) -> Result<bool> + 'e;

/// What is to be done with one sealed segment.
pub(crate) struct Rewriting<'a, 'e> {
    pub(crate) dir: &'a LogDir,
    pub(crate) segment: &'a Segment,
    /// The level of zstd for whatever is not compressed yet.
    pub(crate) level: i32,
    /// Without one, payloads are compressed and otherwise left as they are.
    pub(crate) edit: Option<&'a mut Edit<'e>>,
    /// Asked between frames; a no ends the work without a result.
    pub(crate) go_on: &'a dyn Fn() -> bool,
}

/// A segment written anew, durable under its temporary name.
#[derive(Debug)]
pub(crate) struct Rewritten {
    dir: LogDir,
    first: Sequence,
    last: Sequence,
    temporary: PathBuf,
    /// Places in the new file.
    positions: Vec<(Sequence, LogPosition)>,
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
        self.last
    }

    /// Replaces the old file, and answers places in the new one. The directory is still to be synced.
    pub(crate) fn rename(self) -> Result<Vec<(Sequence, LogPosition)>> {
        let path = self.dir.segment_path(self.first);
        self.dir.storage.rename(&self.temporary, &path).map_err(|e| Error::io("renaming", &self.temporary, e))?;
        Ok(self.positions)
    }
}

impl Rewriting<'_, '_> {
    /// Writes the segment anew; `None` when it would be the same, or when it was told to stop.
    ///
    /// # Errors
    /// `Corrupt` for a segment that is not whole, naming the place, what the edit returns, and errors of the disk. The segment is then as it was.
    pub(crate) fn run(mut self) -> Result<Option<Rewritten>> {
        let mut output = None;
        let written = self.write(&mut output);
        match (written, output) {
            (Ok(Some((last, positions))), Some(output)) => {
                let Output { temporary, len, .. } = output;
                let (dir, first) = (self.dir.clone(), self.segment.first);
                Ok(Some(Rewritten { dir, first, last, temporary, positions, bytes: len }))
            }
            (written, output) => {
                if let Some(output) = output {
                    // What cannot be removed now is removed at the next open.
                    let _removed = self.dir.storage.remove(&output.temporary);
                }
                written.map(|_| None)
            }
        }
    }

    /// Goes through the segment, and begins the `output` with the first frame that changes. The last sequence and places in the new file, unless told to
    /// stop.
    #[expect(clippy::type_complexity, reason = "two results that are put in one at the end")]
    fn write(&mut self, output: &mut Option<Output>) -> Result<Option<(Sequence, Vec<(Sequence, LogPosition)>)>> {
        let mut reader = SegmentReader::open(self.dir, self.segment)?;
        let seed = FrameSeed::of(&reader.header.store_id);
        let mut next = self.segment.first;
        let mut positions: Vec<(Sequence, LogPosition)> = Vec::new();
        loop {
            if !(self.go_on)() {
                return Ok(None);
            }
            let offset = reader.offset();
            let frame = match reader.next_stored()? {
                Next::Frame(frame) => frame,
                Next::End => return Err(reader.damaged(offset, "the segment ends without a closing frame")),
                Next::Bad(what) => return Err(reader.damaged(offset, what)),
            };
            if frame.header.first_sequence != next.number() {
                let found = frame.header.first_sequence;
                return Err(reader.damaged(offset, format!("a frame of sequence {found} but {next} expected")));
            }
            if !frame.header.closing {
                let at = output.as_ref().map_or(offset, |output| output.len);
                if positions.last().map_or(self.segment.first, |(last, _)| *last).plus(POSITION_EVERY) <= next {
                    positions.push((next, LogPosition { segment: self.segment.first, offset: at }));
                }
                let anew = self.anew(&frame, seed).map_err(|flaw| match flaw {
                    Flaw::Damage(what) => reader.damaged(offset, what),
                    Flaw::Other(error) => error,
                })?;
                match (anew, &mut *output) {
                    (None, None) => {}
                    (None, Some(output)) => output.write_stored(&frame, seed)?,
                    (Some(bytes), Some(output)) => output.write(&bytes)?,
                    // Up to here the two files are the same.
                    (Some(bytes), None) => {
                        output.insert(Output::begin(self.dir, self.segment, offset)?).write(&bytes)?;
                    }
                }
                next = next.plus(u64::from(frame.header.count));
                continue;
            }
            if let Some(output) = output {
                output.write_stored(&frame, seed)?;
                output.finish()?;
            }
            let end = reader.offset();
            return match reader.next_stored()? {
                Next::End => Ok(Some((Sequence::new(next.number() - 1), positions))),
                Next::Frame(_) => Err(reader.damaged(end, "a frame after the closing frame")),
                Next::Bad(what) => Err(reader.damaged(end, format!("after the closing frame: {what}"))),
            };
        }
    }

    /// The bytes of a frame where they become others.
    fn anew(&mut self, frame: &StoredFrame, seed: FrameSeed) -> std::result::Result<Option<Vec<u8>>, Flaw> {
        let header = &frame.header;
        let raw = frame.payload().map_err(Flaw::Damage)?;
        let edited = match &mut self.edit {
            Some(edit) => {
                let mut payload = decode_payload(&raw).map_err(Flaw::Damage)?;
                let changed = edit(Sequence::new(header.first_sequence), &mut payload).map_err(Flaw::Other)?;
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
            None => None,
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
