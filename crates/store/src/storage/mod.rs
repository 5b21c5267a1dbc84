//! What a store needs of a file system, as a trait: the real one, and one that tests can crash.

mod disk;
pub mod simulated;
mod stream;

use std::any::Any;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

pub use disk::Disk;
pub use simulated::SimulatedStorage;
pub use stream::{FileReader, FileWriter};

/// A file system. The store touches files through it alone.
///
/// What it must keep, and [`Disk`] keeps on a file system that does: bytes are durable once [`StorageFile::sync_data`] has returned; a name made by
/// [`open`](Storage::open), [`rename`](Storage::rename) or [`remove`](Storage::remove) is durable once [`sync_dir`](Storage::sync_dir) of its directory has; a
/// rename within a directory happens whole or not at all. Whatever was not synced may be lost, torn or reordered when the machine stops.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Opens a file.
    ///
    /// # Errors
    /// Those of the file system; `NotFound` for a missing file unless `mode` makes one.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn StorageFile>>;

    /// The names in a directory, in no order.
    ///
    /// # Errors
    /// Those of the file system; `NotFound` for a missing directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;

    /// Makes a directory and those above it; no error if it is there.
    ///
    /// # Errors
    /// Those of the file system.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// Gives a file another name in the same directory; what had that name is replaced.
    ///
    /// # Errors
    /// Those of the file system.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file's name; whoever has the file open can go on reading it.
    ///
    /// # Errors
    /// Those of the file system; `NotFound` for a missing file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// Takes the lock that the file at `path` stands for, until what is returned is dropped or the process ends; never waits.
    ///
    /// # Errors
    /// Those of the file system.
    fn lock(&self, path: &Path) -> io::Result<LockAttempt>;
}

/// An open file, read and written at offsets.
#[expect(clippy::len_without_is_empty, reason = "a length that is asked of the file system, and may fail")]
pub trait StorageFile: fmt::Debug + Send + Sync + 'static {
    /// Its length in bytes.
    ///
    /// # Errors
    /// Those of the file system.
    fn len(&self) -> io::Result<u64>;

    /// Reads what begins at `offset` into the whole of `bytes`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before; those of the file system.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes all of `bytes` at `offset`, past the end too.
    ///
    /// # Errors
    /// Those of the file system. Any part of the bytes may then have been written.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Cuts or extends the file, with zeros.
    ///
    /// # Errors
    /// Those of the file system.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes bytes and length durable. After an error nothing is known of what was written since the last success: a later success says
    /// nothing about it.
    ///
    /// # Errors
    /// Those of the file system.
    fn sync_data(&self) -> io::Result<()>;
}

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To be read.
    Read,
    /// To be read and written; it must exist.
    Write,
    /// To be read and written; made if it is missing.
    WriteOrCreate,
    /// To be read and written, empty whatever it was.
    Truncate,
}

/// A name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// The name, without the directory; what is not UTF-8 is left out of listings, as no name of a store is.
    pub name: String,
    /// Bytes of the file; 0 for a directory.
    pub bytes: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// What came of trying to take a lock.
#[derive(Debug)]
pub enum LockAttempt {
    /// Held until this is dropped.
    Held(Box<dyn Any + Send + Sync>),
    /// Somebody else has it: who, if that is known.
    Taken(Option<String>),
}
