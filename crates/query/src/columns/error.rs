//! Errors of files, Parquet and the index as errors of the store, with their place.

use std::path::Path;

use datafusion::arrow::error::ArrowError;
use datafusion::parquet::errors::ParquetError;
use pugmark_store::{Error, ErrorKind, redb};

/// A failed operation of the operating system on `path`.
pub(crate) fn io(doing: &str, path: &Path, source: std::io::Error) -> Error {
    Error::with_source(io_kind(&source), format!("{doing} {}: {source}", path.display()), source)
}

fn io_kind(source: &std::io::Error) -> ErrorKind {
    match source.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Io,
    }
}

/// A failed write of a Parquet file.
pub(crate) fn parquet(doing: &str, path: &Path, source: ParquetError) -> Error {
    let kind = match &source {
        ParquetError::External(cause) => cause.downcast_ref().map_or(ErrorKind::Io, io_kind),
        _ => ErrorKind::Io,
    };
    Error::with_source(kind, format!("{doing} {}: {source}", path.display()), source)
}

/// A Parquet file that does not read.
pub(crate) fn reading(path: &Path, source: ParquetError) -> Error {
    match found(&source) {
        Some(own) => Error::new(own.kind(), own.to_string()),
        None => corrupt(path.display(), source),
    }
}

/// A Parquet file whose values do not read.
pub(crate) fn reading_arrow(path: &Path, source: &ArrowError) -> Error {
    match found(source) {
        Some(own) => Error::new(own.kind(), own.to_string()),
        None => corrupt(path.display(), source),
    }
}

/// The store's error that caused `error`, or is it.
pub(crate) fn found<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref() {
            return Some(own);
        }
        // An error of this kind passes over what it holds when it is asked for its source.
        let held = error.downcast_ref::<std::io::Error>().and_then(|error| error.get_ref());
        next = match held {
            Some(held) => Some(held as &(dyn std::error::Error + 'static)),
            None => error.source(),
        };
    }
    None
}

/// Rows of the tail that do not become arrays.
pub(crate) fn arrow(source: ArrowError) -> Error {
    Error::with_source(ErrorKind::Corrupt, format!("columns of the tail: {source}"), source)
}

/// A failed operation on the index.
pub(crate) fn index(doing: &str, source: impl Into<redb::Error>) -> Error {
    let source = source.into();
    let kind = match &source {
        redb::Error::Corrupted(_) => ErrorKind::Corrupt,
        redb::Error::Io(cause) => io_kind(cause),
        _ => ErrorKind::Io,
    };
    Error::with_source(kind, format!("index.redb: {doing}: {source}"), source)
}

/// Damage at `place`: what was found there.
pub(crate) fn corrupt(place: impl std::fmt::Display, what: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Corrupt, format!("{place}: {what}"))
}
