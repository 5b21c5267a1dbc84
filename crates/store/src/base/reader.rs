//! Reads a base, section by section.

use std::ops::Range;

use super::chain::{BaseDir, BaseFile};
use crate::error::{Error, Result};
use crate::fold::Committed;
use crate::format::{FileKind, decode_base};
use crate::id::Sequence;
use crate::log::{Next, SegmentReader};
use crate::record::{BaseRecord, BaseSection, Payload};

/// One section as it was read.
pub(crate) struct Section {
    place: String,
    bytes: Vec<u8>,
    covers: Range<Sequence>,
}

impl Section {
    /// # Errors
    /// `Corrupt` for what is not as docs/format.md says.
    pub(crate) fn decode(&self) -> Result<BaseSection<'_>> {
        let section = decode_base(&self.bytes).map_err(|what| Error::corrupt(&self.place, what))?;
        if let BaseSection::Operations { records, .. } = &section
            && let Some(outside) = records.iter().find(|record| !self.covers.contains(&Sequence::new(record.sequence)))
        {
            let Range { start, end } = self.covers;
            let what = format!("a record of sequence {}, expected from {start} to before {end}", outside.sequence);
            return Err(Error::corrupt(&self.place, what));
        }
        Ok(section)
    }
}

pub(crate) struct BaseReader {
    reader: SegmentReader,
    from: Sequence,
    end: Sequence,
    done: bool,
}

impl BaseReader {
    pub(crate) fn open(dir: &BaseDir, base: &BaseFile) -> Result<Self> {
        let mut reader = SegmentReader::open_file(dir.storage.as_ref(), &base.path, FileKind::Base, base.end)?;
        let offset = reader.offset();
        let from = match reader.skip()? {
            Next::Frame(header) if header.closing => base.end,
            Next::Frame(header) => Sequence::new(header.first_sequence),
            Next::End => return Err(reader.damaged(offset, "the base ends without a closing frame")),
            Next::Bad(what) => return Err(reader.damaged(offset, what)),
        };
        reader.seek(offset)?;
        Ok(Self { reader, from, end: base.end, done: false })
    }

    /// The first sequence that it covers.
    pub(crate) fn from(&self) -> Sequence {
        self.from
    }

    /// The store that it belongs to.
    pub(crate) fn store_id(&self) -> [u8; 16] {
        self.reader.header.store_id
    }

    /// The next section, until the closing frame.
    pub(crate) fn next(&mut self) -> Result<Option<Section>> {
        if self.done {
            return Ok(None);
        }
        let offset = self.reader.offset();
        let frame = match self.reader.next()? {
            Next::Frame(frame) => frame,
            Next::End => return Err(self.reader.damaged(offset, "the base ends without a closing frame")),
            Next::Bad(what) => return Err(self.reader.damaged(offset, what)),
        };
        let expected = if frame.header.closing { self.end } else { self.from };
        if frame.header.first_sequence != expected.number() || frame.header.count != 0 {
            let (first, count) = (frame.header.first_sequence, frame.header.count);
            let what = format!("a frame of sequence {first} with {count} records but {expected} and none expected");
            return Err(self.reader.damaged(offset, what));
        }
        if frame.header.closing {
            let left = self.reader.len() - self.reader.offset();
            if left > 0 {
                return Err(self.reader.damaged(offset, format!("{left} bytes after the closing frame")));
            }
            self.done = true;
            return Ok(None);
        }
        let place = format!("{}: frame at byte {offset}", self.reader.path().display());
        Ok(Some(Section { place, bytes: frame.payload, covers: self.from..self.end }))
    }
}

/// Gives each record of a section of operations to `each`, as a batch of its own.
pub(crate) fn each_operation<E>(
    names: &[&str],
    records: Vec<BaseRecord<'_>>,
    mut each: impl FnMut(&Committed<'_>) -> Result<(), E>,
) -> Result<(), E> {
    let mut names = names.to_vec();
    for BaseRecord { sequence, received_at, record } in records {
        let (subjects, records) = (Vec::new(), vec![record]);
        let payload = Payload { received_at, import: None, base_time: received_at, names, subjects, records };
        each(&Committed { first_sequence: Sequence::new(sequence), payload: &payload })?;
        names = payload.names;
    }
    Ok(())
}
