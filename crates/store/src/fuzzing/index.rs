//! Rows of the index.

use std::path::Path;

use redb::WriteTransaction;

use crate::index::Index;
use crate::storage::Storage;

/// Changes the index of a closed store in `dir`, durably.
pub fn change_index(storage: &dyn Storage, dir: &Path, change: impl FnOnce(&WriteTransaction)) {
    let index = Index::open(storage, &dir.join("index.redb"), 1 << 20).expect("the index is whole");
    let txn = index.begin_write().expect("the index is whole");
    change(&txn);
    Index::commit(txn).expect("memory does not fail");
}
