//! Where the bytes of an import come from.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pugmark_store::ErrorKind;

use crate::error::{Error, Result};

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const RAW_BUFFER_BYTES: usize = 256 << 10;

/// An input: a file, standard input, or any reader. gzip and zstd are told by their first bytes and unpacked.
///
/// # Example
/// ```
/// use pugmark_query::files::Source;
/// let source = Source::from_reader("events", &b"{\"event\":\"view\",\"distinct_id\":\"u1\"}\n"[..])?;
/// assert_eq!(source.name(), "events");
/// assert_eq!(source.total_bytes(), None);
/// # Ok::<(), pugmark_query::Error>(())
/// ```
pub struct Source {
    name: String,
    path: Option<PathBuf>,
    total_bytes: Option<u64>,
    read_bytes: ByteCount,
    /// Unpacked bytes that were looked at and not yet taken.
    ahead: io::Cursor<Vec<u8>>,
    unpacked: Box<dyn Read + Send>,
    packed: bool,
}

/// How many bytes of a source have been read, shared between who reads and who shows it.
#[derive(Debug, Clone, Default)]
pub(super) struct ByteCount(Arc<AtomicU64>);

impl ByteCount {
    pub(super) fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

struct Counted<R> {
    inner: R,
    count: ByteCount,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.count.add(read as u64);
        Ok(read)
    }
}

impl Source {
    /// Opens a file; `-` is standard input.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] if there is no such file or it is a directory, [`ErrorKind::Io`] if it does not open or read.
    pub fn open(path: &Path) -> Result<Self> {
        if path == Path::new("-") {
            return Self::stdin();
        }
        let name = path.display().to_string();
        let file = File::open(path).map_err(|e| failed(&name, e))?;
        let metadata = file.metadata().map_err(|e| failed(&name, e))?;
        if metadata.is_dir() {
            return Err(Error::invalid(format!("{name} is a directory, expected a file of events")));
        }
        let mut source = Self::from_reader(name, file)?;
        if metadata.is_file() {
            source.path = Some(path.to_owned());
            source.total_bytes = Some(metadata.len());
        }
        Ok(source)
    }

    /// Standard input.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if it does not read.
    pub fn stdin() -> Result<Self> {
        Self::from_reader("standard input", io::stdin())
    }

    /// Any reader, called `name` in messages.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] if its first bytes do not read.
    pub fn from_reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Result<Self> {
        let name = name.into();
        let read_bytes = ByteCount::default();
        let mut raw = Counted { inner: reader, count: read_bytes.clone() };
        let mut magic = Vec::new();
        raw.by_ref().take(ZSTD_MAGIC.len() as u64).read_to_end(&mut magic).map_err(|e| failed(&name, e))?;
        let gzip = magic.starts_with(&GZIP_MAGIC);
        let zstd = magic.starts_with(&ZSTD_MAGIC);
        let raw = io::BufReader::with_capacity(RAW_BUFFER_BYTES, io::Cursor::new(magic).chain(raw));
        let unpacked: Box<dyn Read + Send> = if gzip {
            Box::new(flate2::bufread::MultiGzDecoder::new(raw))
        } else if zstd {
            Box::new(zstd::stream::read::Decoder::with_buffer(raw).map_err(|e| failed(&name, e))?)
        } else {
            Box::new(raw)
        };
        let ahead = io::Cursor::new(Vec::new());
        Ok(Self { name, path: None, total_bytes: None, read_bytes, ahead, unpacked, packed: gzip || zstd })
    }

    /// What the input is called in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The size of the input as it lies on disk, if it is a file.
    pub fn total_bytes(&self) -> Option<u64> {
        self.total_bytes
    }

    /// How many bytes of the input have been read so far, packed if it is packed.
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes.bytes()
    }

    pub(super) fn byte_count(&self) -> ByteCount {
        self.read_bytes.clone()
    }

    /// The first unpacked bytes, at most `count`; they stay to be read.
    pub(super) fn peek(&mut self, count: usize) -> Result<&[u8]> {
        let missing = count.saturating_sub(self.ahead.get_ref().len());
        if missing > 0 {
            let read = self.unpacked.by_ref().take(missing as u64).read_to_end(self.ahead.get_mut());
            read.map_err(|e| failed(&self.name, e))?;
        }
        let bytes = self.ahead.get_ref();
        Ok(&bytes[..bytes.len().min(count)])
    }

    /// Leaves out a UTF-8 byte order mark at the beginning.
    pub(super) fn skip_byte_order_mark(&mut self) -> Result<()> {
        if self.peek(BYTE_ORDER_MARK.len())? == BYTE_ORDER_MARK {
            self.ahead.set_position(BYTE_ORDER_MARK.len() as u64);
        }
        Ok(())
    }

    /// The file itself where it can be read at any place; else a nameless copy in `scratch_dir`, unpacked.
    pub(super) fn into_file(mut self, scratch_dir: &Path) -> Result<File> {
        if let (Some(path), false) = (&self.path, self.packed) {
            return File::open(path).map_err(|e| failed(&self.name, e));
        }
        let copying = |e| {
            let message = format!("copying {} to {}: {e}", self.name, scratch_dir.display());
            Error::new(ErrorKind::Io, message).caused_by(e)
        };
        let mut copy = tempfile::tempfile_in(scratch_dir).map_err(copying)?;
        io::copy(&mut self.ahead, &mut copy).map_err(copying)?;
        io::copy(&mut self.unpacked, &mut copy).map_err(copying)?;
        copy.seek(SeekFrom::Start(0)).map_err(copying)?;
        Ok(copy)
    }

    /// The name without endings of compression, in lower case.
    pub(super) fn plain_name(&self) -> String {
        let name = self.name.to_lowercase();
        let plain = [".gz", ".gzip", ".zst", ".zstd"].iter().find_map(|ending| name.strip_suffix(ending));
        plain.unwrap_or(&name).to_owned()
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.ahead.read(buffer)? {
            0 => self.unpacked.read(buffer),
            read => Ok(read),
        }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source")
            .field("name", &self.name)
            .field("total_bytes", &self.total_bytes)
            .finish_non_exhaustive()
    }
}

/// An error of reading the input `name`.
pub(super) fn failed(name: &str, error: io::Error) -> Error {
    let kind = match error.kind() {
        // What a decoder says of bytes that are cut off or damaged, and a path that leads nowhere: the input is at fault.
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::NotFound
        | io::ErrorKind::Other => ErrorKind::Invalid,
        _ => ErrorKind::Io,
    };
    Error::new(kind, format!("reading {name}: {error}")).caused_by(error)
}
