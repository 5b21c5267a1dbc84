//! One segment file: its name, its header, its frames in order.

use std::borrow::Cow;
use std::fmt;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::dir::{LogDir, Segment};
use crate::error::{Error, ErrorKind, Result};
use crate::format::{
    FRAME_HEADER_BYTES, FileHeader, FileKind, FrameHeader, FrameSeed, HEADER_BYTES, HeaderError, HeaderVerdict,
    decode_payload_bytes,
};
use crate::id::Sequence;
use crate::storage::{FileReader, OpenMode, Storage};

/// A frame as it was read: its place, its header, its payload decompressed.
#[derive(Debug)]
pub(crate) struct ReadFrame {
    pub(crate) offset: u64,
    pub(crate) header: FrameHeader,
    pub(crate) payload: Vec<u8>,
}

/// A frame as it lies on disk: its payload is neither checked nor decompressed.
#[derive(Debug)]
pub(crate) struct StoredFrame {
    pub(crate) offset: u64,
    pub(crate) header: FrameHeader,
    pub(crate) stored: Vec<u8>,
}

impl StoredFrame {
    /// The payload, checked and decompressed; or found, expected.
    pub(crate) fn payload(&self) -> std::result::Result<Cow<'_, [u8]>, String> {
        decode_payload_bytes(&self.header, &self.stored)
    }
}

/// What stands at the reader's place.
#[derive(Debug)]
pub(crate) enum Next<T> {
    Frame(T),
    /// The file ends here.
    End,
    /// No whole frame stands here: found, expected.
    Bad(String),
}

/// Reads a segment's frames in order.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    path: PathBuf,
    file: BufReader<FileReader>,
    len: u64,
    offset: u64,
    pub(crate) header: FileHeader,
    seed: FrameSeed,
}

impl SegmentReader {
    /// Opens a segment and reads its header, which must be whole, of a known version and of `segment`'s first sequence.
    pub(crate) fn open(dir: &LogDir, segment: &Segment) -> Result<Self> {
        Self::open_file(dir.storage.as_ref(), &segment.path, FileKind::Segment, segment.first)
    }

    /// As [`open`](Self::open), of a file of either kind that is named by `first`.
    pub(crate) fn open_file(storage: &dyn Storage, path: &Path, kind: FileKind, first: Sequence) -> Result<Self> {
        let failed = |e| Error::io("reading", path, e);
        let path = path.to_owned();
        let file = storage.open(&path, OpenMode::Read).and_then(FileReader::new).map_err(failed)?;
        let len = file.file_len();
        let mut file = BufReader::with_capacity(1 << 18, file);
        let mut bytes = [0; HEADER_BYTES];
        if len < HEADER_BYTES as u64 {
            return Err(Error::corrupt(
                path.display(),
                format!("{len} bytes but a file header alone has {HEADER_BYTES}"),
            ));
        }
        file.read_exact(&mut bytes).map_err(failed)?;
        let header = FileHeader::decode(kind, &bytes).map_err(|e| match e {
            HeaderError::Damaged(what) => Error::corrupt(format!("{}: byte 0", path.display()), what),
            HeaderError::Newer(version) => Error::new(
                ErrorKind::Unsupported,
                format!(
                    "{}: format version {version}, but this build reads up to {}",
                    path.display(),
                    crate::FORMAT_VERSION
                ),
            ),
        })?;
        if header.first_sequence != first.number() {
            return Err(Error::corrupt(
                path.display(),
                format!("the header says first sequence {} but the name says {}", header.first_sequence, first),
            ));
        }
        Ok(Self { path, file, len, offset: HEADER_BYTES as u64, header, seed: FrameSeed::of(&header.store_id) })
    }

    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Damage of the frame at `offset`.
    pub(crate) fn damaged(&self, offset: u64, what: impl fmt::Display) -> Error {
        Error::corrupt(format!("{}: frame at byte {offset}", self.path.display()), what)
    }

    /// Goes to `offset`, where a frame begins.
    pub(crate) fn seek(&mut self, offset: u64) -> Result<()> {
        // Relative: what the buffer holds is not read again.
        let by = i64::try_from(i128::from(offset) - i128::from(self.offset)).unwrap_or(i64::MAX);
        self.file.seek_relative(by).map_err(|e| Error::io("reading", &self.path, e))?;
        self.offset = offset;
        Ok(())
    }

    /// Goes to `offset` if the frame that begins with `sequence` stands there: whoever noted the place may be wrong. Whether it does.
    pub(crate) fn seek_frame(&mut self, offset: u64, sequence: Sequence) -> Result<bool> {
        let before = self.offset;
        if offset < HEADER_BYTES as u64 || offset >= self.len {
            return Ok(false);
        }
        self.seek(offset)?;
        let found = match self.skip()? {
            Next::Frame(header) => !header.closing && header.first_sequence == sequence.number(),
            Next::End | Next::Bad(_) => false,
        };
        self.resume(if found { offset } else { before })?;
        Ok(found)
    }

    /// Asks for the length again: whoever writes the segment may have added to it.
    pub(crate) fn refresh(&mut self) -> Result<()> {
        // From the file, not from what is buffered: past what was read that may be half of a frame.
        let place = SeekFrom::Start(self.offset);
        let refreshed = self.file.seek(place).and_then(|_| self.file.get_mut().refresh());
        self.len = refreshed.map_err(|e| Error::io("reading", &self.path, e))?;
        Ok(())
    }

    /// Goes to `offset`, wherever the file was read last.
    pub(crate) fn resume(&mut self, offset: u64) -> Result<()> {
        self.file.seek(SeekFrom::Start(offset)).map_err(|e| Error::io("reading", &self.path, e))?;
        self.offset = offset;
        Ok(())
    }

    fn next_header(&mut self) -> Result<Next<FrameHeader>> {
        let left = self.len.saturating_sub(self.offset);
        if left == 0 {
            return Ok(Next::End);
        }
        if left < FRAME_HEADER_BYTES as u64 {
            return Ok(Next::Bad(format!("{left} bytes but a frame header has {FRAME_HEADER_BYTES}")));
        }
        let mut bytes = [0; FRAME_HEADER_BYTES];
        self.file.read_exact(&mut bytes).map_err(|e| Error::io("reading", &self.path, e))?;
        match FrameHeader::decode(&bytes, self.seed) {
            HeaderVerdict::Frame(header) if header.frame_bytes() > left => {
                Ok(Next::Bad(format!("a frame of {} bytes but {left} are left", header.frame_bytes())))
            }
            HeaderVerdict::Frame(header) => Ok(Next::Frame(header)),
            HeaderVerdict::Damaged(what) => Ok(Next::Bad(what)),
            HeaderVerdict::Newer(what) => Err(Error::new(
                ErrorKind::Unsupported,
                format!("{}: byte {}: {what}", self.path.display(), self.offset),
            )),
        }
    }

    /// Reads the frame here, payload and all.
    pub(crate) fn next(&mut self) -> Result<Next<ReadFrame>> {
        let frame = match self.next_stored()? {
            Next::Frame(frame) => frame,
            Next::End => return Ok(Next::End),
            Next::Bad(what) => return Ok(Next::Bad(what)),
        };
        let payload = match frame.payload() {
            Ok(Cow::Owned(raw)) => raw,
            Ok(Cow::Borrowed(_)) => frame.stored,
            Err(what) => return Ok(Next::Bad(what)),
        };
        Ok(Next::Frame(ReadFrame { offset: frame.offset, header: frame.header, payload }))
    }

    /// Reads the frame here as it is stored.
    pub(crate) fn next_stored(&mut self) -> Result<Next<StoredFrame>> {
        let offset = self.offset;
        let header = match self.next_header()? {
            Next::Frame(header) => header,
            Next::End => return Ok(Next::End),
            Next::Bad(what) => return Ok(Next::Bad(what)),
        };
        let mut stored = vec![0; header.len as usize];
        self.file.read_exact(&mut stored).map_err(|e| Error::io("reading", &self.path, e))?;
        self.offset += header.frame_bytes();
        Ok(Next::Frame(StoredFrame { offset, header, stored }))
    }

    /// Reads the frame header here and goes past the payload without reading it.
    pub(crate) fn skip(&mut self) -> Result<Next<FrameHeader>> {
        let next = self.next_header()?;
        if let Next::Frame(header) = &next {
            self.file.seek_relative(i64::from(header.len)).map_err(|e| Error::io("reading", &self.path, e))?;
            self.offset += header.frame_bytes();
        }
        Ok(next)
    }

    /// The first offset at or after `from` where a whole frame header stands for which `wanted` holds.
    pub(crate) fn find_header(
        &mut self,
        from: u64,
        wanted: impl Fn(&FrameHeader) -> bool,
    ) -> Result<Option<(u64, FrameHeader)>> {
        const WINDOW: usize = 1 << 20;
        let mut start = from;
        let mut window = Vec::new();
        while start + FRAME_HEADER_BYTES as u64 <= self.len {
            self.file.seek(SeekFrom::Start(start)).map_err(|e| Error::io("reading", &self.path, e))?;
            window.clear();
            (&mut self.file)
                .take(WINDOW as u64)
                .read_to_end(&mut window)
                .map_err(|e| Error::io("reading", &self.path, e))?;
            for (at, bytes) in window.windows(FRAME_HEADER_BYTES).enumerate() {
                let Some(bytes) = bytes.first_chunk::<FRAME_HEADER_BYTES>() else { continue };
                if bytes.starts_with(b"PUGF")
                    && let HeaderVerdict::Frame(header) = FrameHeader::decode(bytes, self.seed)
                    && wanted(&header)
                {
                    return Ok(Some((start + at as u64, header)));
                }
            }
            // Windows overlap by a header, so that none is missed at a border.
            start += (window.len().saturating_sub(FRAME_HEADER_BYTES - 1)).max(1) as u64;
        }
        Ok(None)
    }
}
