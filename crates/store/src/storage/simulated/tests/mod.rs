mod durability;
mod failures;
mod journal;
mod losses;
mod tools;

use std::path::Path;
use std::sync::Arc;

use super::SimulatedStorage;
use crate::storage::{OpenMode, Storage, StorageFile};

fn open(storage: &SimulatedStorage, path: &str) -> Arc<dyn StorageFile> {
    storage.open(Path::new(path), OpenMode::WriteOrCreate).unwrap()
}

fn sync_dir(storage: &SimulatedStorage, path: &str) {
    storage.sync_dir(Path::new(path)).unwrap();
}

fn rename(storage: &SimulatedStorage, from: &str, to: &str) {
    storage.rename(Path::new(from), Path::new(to)).unwrap();
}

/// The bytes of a file, if it is there.
fn read(storage: &SimulatedStorage, path: &str) -> Option<Vec<u8>> {
    storage.read(Path::new(path)).ok()
}

/// A file whose name is durable.
fn named(storage: &SimulatedStorage, path: &str) -> Arc<dyn StorageFile> {
    let file = open(storage, path);
    sync_dir(storage, "/");
    file
}
