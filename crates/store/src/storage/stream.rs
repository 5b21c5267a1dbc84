//! Files in order, for whoever wants `Read`, `Seek` or `Write`.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use super::StorageFile;

/// Reads a file from a place onwards. The length is that at the time when the reader was made.
#[derive(Debug, Clone)]
pub struct FileReader {
    file: Arc<dyn StorageFile>,
    offset: u64,
    len: u64,
}

impl FileReader {
    /// From the beginning of `file`.
    ///
    /// # Errors
    /// Those of asking for its length.
    pub fn new(file: Arc<dyn StorageFile>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Self { file, offset: 0, len })
    }

    /// Takes the file's present length for its length.
    ///
    /// # Errors
    /// Those of asking for it.
    pub fn refresh(&mut self) -> io::Result<u64> {
        self.len = self.file.len()?;
        Ok(self.len)
    }

    /// The file's length in bytes.
    pub fn file_len(&self) -> u64 {
        self.len
    }
}

impl Read for FileReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let left = self.len.saturating_sub(self.offset);
        let wanted = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        self.file.read_exact_at(bytes.split_at_mut(wanted).0, self.offset)?;
        self.offset += wanted as u64;
        Ok(wanted)
    }
}

impl Seek for FileReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
        };
        self.offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}

/// Writes a file from a place onwards. It has no buffer and syncs nothing.
#[derive(Debug)]
pub struct FileWriter {
    file: Arc<dyn StorageFile>,
    offset: u64,
}

impl FileWriter {
    /// From `offset` of `file` on.
    pub fn new(file: Arc<dyn StorageFile>, offset: u64) -> Self {
        Self { file, offset }
    }

    /// Where the next byte goes.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The file.
    pub fn file(&self) -> &Arc<dyn StorageFile> {
        &self.file
    }
}

impl Write for FileWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all_at(bytes, self.offset)?;
        self.offset += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Seek for FileWriter {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(by) => self.file.len()?.checked_add_signed(by),
            SeekFrom::Current(by) => self.offset.checked_add_signed(by),
        };
        self.offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}
