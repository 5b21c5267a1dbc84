//! redb on a file of the store's own file system.

use std::io;
use std::sync::Arc;

use redb::StorageBackend;

use crate::storage::StorageFile;

/// A file of a [`Storage`](crate::Storage) as redb wants it.
///
/// It takes no lock of its own, and redb asks for none that it must have: the directory's lock is held by whoever opens the index, and a directory
/// has one index.
#[derive(Debug)]
pub(crate) struct Backend(Arc<dyn StorageFile>);

impl Backend {
    pub(crate) fn new(file: Arc<dyn StorageFile>) -> Self {
        Self(file)
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(out, offset)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write_all_at(data, offset)
    }
}

#[cfg(test)]
mod tests;
