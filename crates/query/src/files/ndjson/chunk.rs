//! An input of lines, cut where lines end.

use std::io::Read;

use pugmark_store::EventBlock;

use super::line::{Line, LineParser};
use crate::error::Result;
use crate::files::pipeline::{Parsed, Piece, PieceReader, Place, REJECT_TEXT_MAX_BYTES, Reading, Reject};
use crate::files::source::failed;

/// Longest line that is read; a longer one is rejected unread.
pub(in crate::files) const LINE_MAX_BYTES: usize = 8 << 20;
/// How much is read at once: what becomes of it stays in a processor's cache from one step to the next.
const CHUNK_BYTES: usize = 256 << 10;

/// Reads whole lines, about 256 KiB at a time.
pub(in crate::files) struct LineReader<R> {
    input: R,
    name: String,
    /// The beginning of a line whose end has not been read.
    carry: Vec<u8>,
    pub(super) chunk_bytes: usize,
}

impl<R: Read + Send> LineReader<R> {
    pub(in crate::files) fn new(input: R, name: &str) -> Self {
        Self { input, name: name.to_owned(), carry: Vec::new(), chunk_bytes: CHUNK_BYTES }
    }

    fn fill(&mut self, bytes: &mut Vec<u8>, count: usize) -> Result<usize> {
        self.input.by_ref().take(count as u64).read_to_end(bytes).map_err(|e| failed(&self.name, e))
    }

    /// Reads the rest of a line that is too long to keep, and what stands behind its end.
    fn skip_line(&mut self, beginning: &[u8]) -> Result<LineChunk> {
        let mut length = beginning.len() as u64;
        let mut bytes = beginning[..beginning.len().min(REJECT_TEXT_MAX_BYTES)].to_vec();
        bytes.shrink_to_fit();
        let mut buffer = Vec::new();
        loop {
            buffer.clear();
            if self.fill(&mut buffer, self.chunk_bytes)? == 0 {
                break;
            }
            if let Some(end) = buffer.iter().position(|b| *b == b'\n') {
                length += end as u64;
                self.carry = buffer.split_off(end + 1);
                break;
            }
            length += buffer.len() as u64;
        }
        Ok(LineChunk { bytes, too_long: Some(length) })
    }
}

impl<R: Read + Send> PieceReader for LineReader<R> {
    type Piece = LineChunk;

    fn next_piece(&mut self) -> Result<Option<LineChunk>> {
        let mut bytes = std::mem::take(&mut self.carry);
        bytes.reserve(self.chunk_bytes);
        loop {
            let known = bytes.len();
            let missing = self.chunk_bytes.saturating_sub(known).max(self.chunk_bytes / 2).max(1);
            let read = self.fill(&mut bytes, missing)?;
            // What was carried over has no line end, except behind a line that was skipped.
            if let Some(end) = bytes.iter().rposition(|b| *b == b'\n') {
                self.carry = bytes.split_off(end + 1);
                return Ok(Some(LineChunk { bytes, too_long: None }));
            }
            if read == 0 {
                return Ok((!bytes.is_empty()).then_some(LineChunk { bytes, too_long: None }));
            }
            if bytes.len() > LINE_MAX_BYTES {
                return self.skip_line(&bytes).map(Some);
            }
        }
    }
}

/// Whole lines, or the beginning of one that is too long.
pub(in crate::files) struct LineChunk {
    bytes: Vec<u8>,
    /// The length of the line of which this is the beginning.
    too_long: Option<u64>,
}

fn too_long(length: u64) -> String {
    format!("a line of {length} bytes, at most {LINE_MAX_BYTES} are read")
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(REJECT_TEXT_MAX_BYTES)]).into_owned()
}

impl Piece for LineChunk {
    fn parse(&self, reading: &Reading) -> Parsed {
        let mut parsed = Parsed { block: EventBlock::with_capacity(self.bytes.len() / 2), ..Parsed::default() };
        if let Some(length) = self.too_long {
            parsed.rejects.push(Reject { line: 1, reason: too_long(length), text: shown(&self.bytes) });
            parsed.lines = 1;
            return parsed;
        }
        let mut parser = LineParser::new(reading);
        let mut buffer = Vec::new();
        let mut rest = self.bytes.as_slice();
        while !rest.is_empty() {
            let start = self.bytes.len() - rest.len();
            let (line, ahead) = rest.split_at(memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1));
            let line = line.trim_ascii_end();
            rest = ahead;
            parsed.lines += 1;
            if line.is_empty() {
                continue;
            }
            let place = Place { line: parsed.lines, start, len: line.len() };
            let read = if line.len() > LINE_MAX_BYTES {
                Err(too_long(line.len() as u64))
            } else {
                match std::str::from_utf8(line) {
                    Ok(line) => parser.parse(line, &mut parsed.block),
                    Err(error) => Err(format!("not UTF-8: byte {} of the line", error.valid_up_to() + 1)),
                }
            };
            match read {
                Ok(Line::Event) => parsed.push_packed(place, &mut buffer),
                Ok(Line::Operation(operation)) => parsed.push_operation(operation, place, &mut buffer),
                Err(reason) => parsed.reject(reason, place, shown(line)),
            }
        }
        parsed
    }

    fn text(&self, place: Place) -> String {
        self.bytes.get(place.start..place.start + place.len).map(shown).unwrap_or_default()
    }
}
