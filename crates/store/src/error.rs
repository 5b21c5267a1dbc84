//! The one error of the store.

use std::fmt;
use std::path::Path;

/// What a caller can do about an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The input is at fault: mend it and call again.
    Invalid,
    /// Another process holds the store: close it there.
    Locked,
    /// Too much is under way: try again later.
    Busy,
    /// The disk, or a limit on size, is full: make room.
    Full,
    /// The operating system failed an operation: its cause is the source.
    Io,
    /// Bytes on disk are not what was written: restore from a backup, or rebuild what is derived.
    Corrupt,
    /// An earlier write or sync failed: reopen the store.
    Poisoned,
    /// Written by a newer version, or not built: update.
    Unsupported,
    /// A number space is used up for good.
    Exhausted,
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "invalid",
            Self::Locked => "locked",
            Self::Busy => "busy",
            Self::Full => "full",
            Self::Io => "io",
            Self::Corrupt => "corrupt",
            Self::Poisoned => "poisoned",
            Self::Unsupported => "unsupported",
            Self::Exhausted => "exhausted",
        })
    }
}

/// An error of the store: a [kind](ErrorKind) for programs, a message with the place for people.
///
/// It is one pointer wide. The message is not part of the interface.
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: None }))
    }

    /// An error of `kind` that says `message`, caused by `source`.
    pub fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), source: Some(source.into()) }))
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Damage at `place`: a file, an offset, and what was found there.
    pub(crate) fn corrupt(place: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Corrupt, format!("{place}: {what}"))
    }

    /// A failed operation of the operating system on `path`.
    pub(crate) fn io(doing: &str, path: &Path, source: std::io::Error) -> Self {
        let kind = match source.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        Self::with_source(kind, format!("{doing} {}: {source}", path.display()), source)
    }

    /// A failed operation on the index, for folds that keep tables there; `doing` names the table or the step.
    pub fn index(doing: &str, source: impl Into<redb::Error>) -> Self {
        let source = source.into();
        let kind = match &source {
            redb::Error::Corrupted(_) | redb::Error::TableTypeMismatch { .. } => ErrorKind::Corrupt,
            redb::Error::UpgradeRequired(_) => ErrorKind::Unsupported,
            redb::Error::DatabaseAlreadyOpen => ErrorKind::Locked,
            redb::Error::Io(cause) if cause.kind() == std::io::ErrorKind::StorageFull => ErrorKind::Full,
            _ => ErrorKind::Io,
        };
        Self::with_source(kind, format!("index.redb: {doing}: {source}"), source)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error").field("kind", &self.0.kind).field("message", &self.0.message).finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

/// The store's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;
