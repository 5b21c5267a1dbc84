//! `index.redb`: the checkpoint of the folds. Derived: it can be deleted and is rebuilt from the log.

mod backend;
mod tables;

#[expect(unused_imports, reason = "until the index is opened through the storage")]
pub(crate) use backend::Backend;
pub(crate) use tables::{FoldEntry, Index};
