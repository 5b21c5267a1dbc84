//! `index.redb`: the checkpoint of the folds. Derived: it can be deleted and is rebuilt from the log.

mod backend;
mod segments;
mod tables;

pub(crate) use tables::{FoldEntry, Index};
