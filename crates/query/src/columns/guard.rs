//! Checksums of the bytes of columnar files, by block: whatever part of a file is read, its blocks are checked.
//!
//! Parquet has checksums for pages, which no writer of ours can make, and none for headers, indexes and footers. These cover every byte, and are kept outside of the file: the
//! wrong file in the place of the right one is noticed, too.

use std::io::{self, BufReader, Read, Write};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use datafusion::object_store::PutPayload;
use datafusion::parquet::errors::{ParquetError, Result as ParquetResult};
use datafusion::parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use datafusion::parquet::file::reader::{ChunkReader, Length};
use pugmark_store::{FileWriter, OpenMode, Result, Storage, StorageFile};

use super::error;
use super::pace::Pace;

/// Bytes that share a checksum: little beside a page, so that a read costs little more than it asks for.
pub(crate) const BLOCK_BYTES: usize = 16 << 10;

/// What readers of Parquet hand bytes over in.
pub(crate) type Bytes = <PutPayload as IntoIterator>::Item;

/// Writes to a file, and makes the checksums of its blocks.
pub(crate) struct Guarding<'a> {
    file: FileWriter,
    sums: Sums,
    pace: &'a dyn Pace,
}

/// The checksums of blocks whose bytes come in order.
#[derive(Default)]
pub(crate) struct Sums {
    done: Vec<u32>,
    block: crc32fast::Hasher,
    /// Bytes in `block`.
    filled: usize,
}

impl Sums {
    pub(crate) fn add(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(BLOCK_BYTES - self.filled));
            self.block.update(now);
            self.filled += now.len();
            if self.filled == BLOCK_BYTES {
                self.done.push(std::mem::take(&mut self.block).finalize());
                self.filled = 0;
            }
            bytes = later;
        }
    }

    pub(crate) fn finish(mut self) -> Vec<u32> {
        if self.filled > 0 {
            self.done.push(self.block.finalize());
        }
        self.done
    }
}

impl<'a> Guarding<'a> {
    pub(crate) fn new(file: FileWriter, pace: &'a dyn Pace) -> Self {
        Self { file, sums: Sums::default(), pace }
    }

    /// The checksum of each block; the last may be shorter.
    pub(crate) fn finish(self) -> Vec<u32> {
        self.sums.finish()
    }
}

impl Write for Guarding<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pace.spend(bytes.len() as u64);
        let written = self.file.write(bytes)?;
        self.sums.add(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file that was written whole and never changes, and the checksum of each of its blocks.
///
/// It stays on disk as long as the catalog names it or somebody holds this value.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
    pub(crate) checksums: Box<[u32]>,
    storage: Arc<dyn Storage>,
    dropped: AtomicBool,
}

impl Stored {
    pub(crate) fn new(storage: &Arc<dyn Storage>, path: PathBuf, bytes: u64, checksums: Vec<u32>) -> Self {
        let storage = Arc::clone(storage);
        Self { path, bytes, checksums: checksums.into(), storage, dropped: AtomicBool::new(false) }
    }

    /// The catalog names it no more: it goes with the last who holds it.
    pub(crate) fn drop_with_last_reader(&self) {
        self.dropped.store(true, Ordering::Release);
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        if self.dropped.load(Ordering::Acquire) {
            // What stays behind is named nowhere, and removed when the store is next opened. That it is gone is made durable: it may hold who was erased.
            let dir = self.path.parent().unwrap_or(&self.path);
            let _removed = self.storage.remove(&self.path).and_then(|()| self.storage.sync_dir(dir));
        }
    }
}

/// A [`Stored`] file, open: what it gives out has been checked.
#[derive(Debug, Clone)]
pub(crate) struct Guarded {
    of: Arc<Stored>,
    file: Arc<dyn StorageFile>,
    /// That of the work in the background that reads it.
    pace: Option<Arc<dyn Pace>>,
}

impl Guarded {
    /// # Errors
    /// `Corrupt` if the file is missing.
    pub(crate) fn open(of: Arc<Stored>) -> Result<Self> {
        let file = of.storage.open(&of.path, OpenMode::Read).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => error::corrupt(of.path.display(), "missing, but the catalog names it"),
            _ => error::io("opening", &of.path, e),
        })?;
        Ok(Self { of, file, pace: None })
    }

    /// The same file, read no faster than this.
    pub(crate) fn paced(self, pace: &Arc<dyn Pace>) -> Self {
        Self { pace: Some(Arc::clone(pace)), ..self }
    }

    /// # Errors
    /// `Corrupt` if the file is shorter or longer than it was written.
    pub(crate) fn check_length(&self) -> Result<()> {
        let path = &self.of.path;
        let bytes = self.file.len().map_err(|e| error::io("reading", path, e))?;
        if bytes != self.of.bytes {
            return Err(error::corrupt(path.display(), format_args!("{bytes} bytes, expected {}", self.of.bytes)));
        }
        Ok(())
    }

    /// The bytes in `range`.
    ///
    /// # Errors
    /// `Corrupt` if the file does not have them, or one of their blocks is not as it was written.
    pub(crate) fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let path = &self.of.path;
        if range.start > range.end || range.end > self.of.bytes {
            let what = format!("bytes {} to {} are asked for, it has {}", range.start, range.end, self.of.bytes);
            return Err(error::corrupt(path.display(), what));
        }
        let block = BLOCK_BYTES as u64;
        let start = range.start - range.start % block;
        let end = range.end.next_multiple_of(block).min(self.of.bytes);
        let size = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        if let Some(pace) = &self.pace {
            pace.spend(end - start);
        }
        let mut bytes = vec![0; size(start, end)];
        self.file.read_exact_at(&mut bytes, start).map_err(|e| match e.kind() {
            io::ErrorKind::UnexpectedEof => {
                error::corrupt(path.display(), format!("it ends before byte {end}, expected {} bytes", self.of.bytes))
            }
            _ => error::io("reading", path, e),
        })?;
        let first = size(0, start / block);
        let expected = self.of.checksums.get(first..).unwrap_or_default();
        for (at, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
            let (found, expected) = (crc32fast::hash(block), expected.get(at).copied());
            if Some(found) != expected {
                let place = format!("{}: block at byte {}", path.display(), start + (at * BLOCK_BYTES) as u64);
                let what = match expected {
                    Some(expected) => format!("checksum {found:#010x} but the catalog says {expected:#010x}"),
                    None => "the catalog has no checksum for it".to_owned(),
                };
                return Err(error::corrupt(place, what));
            }
        }
        Ok(Bytes::from(bytes).slice(size(start, range.start)..size(start, range.end)))
    }
}

impl Length for Guarded {
    fn len(&self) -> u64 {
        self.of.bytes
    }
}

impl ChunkReader for Guarded {
    type T = BufReader<Stream>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(BufReader::with_capacity(BLOCK_BYTES, Stream { file: self.clone(), at: start }))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        self.read(start..start.saturating_add(length as u64)).map_err(external)
    }
}

/// Parts of a [`Guarded`] file in memory, each read at once: page by page, blocks that pages share would be read and checked for each of them.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    of: Arc<Stored>,
    /// Where they begin.
    parts: Vec<(u64, Bytes)>,
}

impl Parts {
    /// Reads the columns at these places of a row group, one part each.
    ///
    /// # Errors
    /// Those of [`Guarded::read`].
    pub(crate) fn of_columns(file: &Guarded, group: &RowGroupMetaData, columns: &[usize]) -> Result<Self> {
        let chunks = columns.iter().filter_map(|column| group.columns().get(*column));
        let part = |column: &ColumnChunkMetaData| {
            let (start, bytes) = column.byte_range();
            Ok((start, file.read(start..start.saturating_add(bytes))?))
        };
        let parts = chunks.map(part).collect::<Result<_>>()?;
        Ok(Self { of: Arc::clone(&file.of), parts })
    }

    /// From `start` on, to the end of the part.
    fn rest(&self, start: u64) -> ParquetResult<Bytes> {
        let found = self.parts.iter().find_map(|(first, bytes)| {
            let offset = usize::try_from(start.checked_sub(*first)?).ok()?;
            (offset < bytes.len()).then(|| bytes.slice(offset..))
        });
        found.ok_or_else(|| self.outside(start))
    }

    fn outside(&self, start: u64) -> ParquetError {
        let what = format_args!("its footer leads to byte {start}, past the end of the column");
        external(error::corrupt(self.of.path.display(), what))
    }
}

impl Length for Parts {
    fn len(&self) -> u64 {
        self.of.bytes
    }
}

impl ChunkReader for Parts {
    type T = io::Cursor<Bytes>;

    fn get_read(&self, start: u64) -> ParquetResult<Self::T> {
        Ok(io::Cursor::new(self.rest(start)?))
    }

    fn get_bytes(&self, start: u64, length: usize) -> ParquetResult<Bytes> {
        if length == 0 {
            return Ok(Bytes::new());
        }
        let rest = self.rest(start)?;
        if length > rest.len() {
            return Err(self.outside(start.saturating_add(length as u64)));
        }
        Ok(rest.slice(..length))
    }
}

/// An error on its way through readers of Parquet.
pub(crate) fn external(error: pugmark_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// A file from a place onwards.
#[derive(Debug)]
pub(crate) struct Stream {
    file: Guarded,
    at: u64,
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        // To the end of a block at most: a longer read would check the next one, too.
        let block_end = (self.at + 1).next_multiple_of(BLOCK_BYTES as u64).min(self.file.of.bytes);
        let end = block_end.min(self.at.saturating_add(into.len() as u64)).max(self.at);
        let bytes = self.file.read(self.at..end).map_err(io::Error::other)?;
        into.split_at_mut(bytes.len()).0.copy_from_slice(&bytes);
        self.at = end;
        Ok(bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_the_checksums_of_their_bytes_however_they_are_written() {
        let bytes: Vec<u8> = (0..BLOCK_BYTES * 2 + 77).map(|n| (n % 251) as u8).collect();
        let expected: Vec<u32> = bytes.chunks(BLOCK_BYTES).map(crc32fast::hash).collect();
        for step in [1, 1_000, BLOCK_BYTES, bytes.len()] {
            let mut sums = Sums::default();
            bytes.chunks(step).for_each(|bytes| sums.add(bytes));
            assert_eq!(sums.finish(), expected, "{step} bytes at a time");
        }
        assert_eq!(Sums::default().finish(), Vec::<u32>::new());
    }
}
