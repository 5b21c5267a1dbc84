//! What changes something, as it is noted.

use std::fmt;
use std::sync::Arc;

use super::file::Change;
use super::world::NodeId;

/// The kinds of operations, to choose failures and places to stop by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OperationKind {
    /// A file is made. Opening one that is there is no operation, emptying it a [`SetLen`](Self::SetLen).
    Create,
    /// Bytes are written.
    Write,
    /// A file is cut or made longer.
    SetLen,
    /// Bytes and length of a file are made durable.
    SyncData,
    /// A file gets another name.
    Rename,
    /// A name is removed.
    Remove,
    /// A directory is made.
    CreateDir,
    /// The names of a directory are made durable.
    SyncDir,
    /// Bytes are read. It changes nothing and has no number, but can be made to fail.
    Read,
}

impl fmt::Display for OperationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Create => "create",
            Self::Write => "write",
            Self::SetLen => "set length",
            Self::SyncData => "sync data",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::CreateDir => "create directory",
            Self::SyncDir => "sync directory",
            Self::Read => "read",
        })
    }
}

#[derive(Debug, Clone)]
pub(super) enum Operation {
    CreateFile {
        dir: NodeId,
        name: Arc<str>,
        node: NodeId,
    },
    CreateDir {
        dir: NodeId,
        name: Arc<str>,
        node: NodeId,
    },
    Change {
        file: NodeId,
        change: Change,
    },
    Sync {
        file: NodeId,
    },
    /// With the seed of what did reach the disk, if anything did.
    FailedSync {
        file: NodeId,
        reached: Option<u64>,
    },
    Rename {
        dir: NodeId,
        from: Arc<str>,
        to: Arc<str>,
        node: NodeId,
    },
    Remove {
        dir: NodeId,
        name: Arc<str>,
    },
    SyncDir {
        dir: NodeId,
    },
    /// It failed and changed nothing.
    Nothing,
}

/// An operation, and what is said of it.
#[derive(Debug, Clone)]
pub struct Step {
    pub(super) kind: OperationKind,
    pub(super) path: Arc<str>,
    pub(super) failed: bool,
    pub(super) operation: Operation,
}

impl Step {
    /// What was done or tried.
    pub fn kind(&self) -> OperationKind {
        self.kind
    }

    /// To which file or directory; for a rename, the new name.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether it was made to fail.
    pub fn failed(&self) -> bool {
        self.failed
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.path)?;
        match &self.operation {
            Operation::Change { change: Change::Write { offset, data }, .. } => {
                write!(f, ": {} bytes at {offset}", data.len())?;
            }
            Operation::Change { change: Change::SetLen(len), .. } => write!(f, ": {len} bytes")?,
            _ => {}
        }
        if let Some(old) = renamed_from(&self.operation, &self.path) {
            write!(f, " from {old}")?;
        }
        if self.failed { f.write_str(", failing") } else { Ok(()) }
    }
}

/// The path that was that of `path` before a rename.
pub(super) fn renamed_from(operation: &Operation, path: &str) -> Option<String> {
    let Operation::Rename { from, .. } = operation else { return None };
    let (dir, _) = path.rsplit_once('/')?;
    Some(format!("{dir}/{from}"))
}
