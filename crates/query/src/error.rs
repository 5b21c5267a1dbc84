//! The one error of the query engine.

use std::fmt;

use datafusion::arrow::error::ArrowError;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
pub use pugmark_store::ErrorKind;
use serde_json::{Map, Value, json};

use crate::engine::{CATALOG, SCHEMA};
use crate::spec::{SpecError, SpecErrorKind};

/// An error of the query engine: a [kind](ErrorKind) for programs, a message for people and, where the question is at
/// fault, the place in it.
///
/// It is one pointer wide. The message is not part of the interface; [`to_json`](Self::to_json) is.
///
/// # Example
/// ```
/// use pugmark_query::{Error, ErrorKind};
/// let error = Error::invalid("the filter is empty").on("steps[2].filter").at(0);
/// assert_eq!(error.kind(), ErrorKind::Invalid);
/// assert_eq!(
///     error.to_json().to_string(),
///     r#"{"error":{"kind":"invalid","message":"the filter is empty","field":"steps[2].filter","at":0}}"#
/// );
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    kind: ErrorKind,
    message: String,
    field: Option<String>,
    at: Option<usize>,
    /// The text around that byte, which is marked.
    marked: Option<String>,
    nearest: Vec<String>,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// The engine's result.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error of `kind` that says `message`.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            field: None,
            at: None,
            marked: None,
            nearest: Vec::new(),
            source: None,
        }))
    }

    /// An error of kind [`ErrorKind::Invalid`]: the question is at fault.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// An error of kind [`ErrorKind::Unsupported`]: the question is sound, but asks for what is not built.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unsupported, message)
    }

    /// The same error, caused by `source`.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// The same error, said of the field at this path of the question, such as `steps[2].filter`; an inner field that
    /// is named already is kept, and an empty path names none.
    #[must_use]
    pub fn on(mut self, field: impl Into<String>) -> Self {
        let field = field.into();
        if !field.is_empty() {
            self.0.field.get_or_insert(field);
        }
        self
    }

    /// The same error of what stands within the field at this path: `steps[2]` becomes `segment.funnel.steps[2]`.
    #[must_use]
    pub fn within(mut self, path: &str) -> Self {
        let inner = self.0.field.take();
        let parts: Vec<&str> = [path].into_iter().chain(inner.as_deref()).filter(|part| !part.is_empty()).collect();
        self.0.field = Some(parts.join(".")).filter(|field| !field.is_empty());
        self
    }

    /// The same error of an item of a list: what is said of `field` is said of `field[at]`.
    #[must_use]
    pub(crate) fn of_item(mut self, field: &str, at: usize) -> Self {
        if let Some(rest) = self.0.field.as_deref().and_then(|own| own.strip_prefix(field)) {
            let dot = if field.is_empty() && !rest.is_empty() { "." } else { "" };
            self.0.field = Some(format!("{field}[{at}]{dot}{rest}"));
        }
        self
    }

    /// The same error, at this byte of the text that was parsed.
    #[must_use]
    pub fn at(mut self, at: usize) -> Self {
        self.0.at = Some(at);
        self
    }

    /// The same error, showing the place in the text that was parsed.
    #[must_use]
    pub(crate) fn marking(mut self, text: &str) -> Self {
        const SHOWN: usize = 40;
        let Some((before, after)) = self.0.at.and_then(|at| text.split_at_checked(at)) else { return self };
        let start = before.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
        let end = after.char_indices().nth(SHOWN).map_or(after.len(), |(at, _)| at);
        let (dots, more) = (if start > 0 { "…" } else { "" }, if end < after.len() { "…" } else { "" });
        self.0.marked = Some(format!("{dots}{}<HERE>{}{more}", &before[start..], &after[..end]));
        self
    }

    /// The same error, with the known names that come nearest to the one given.
    #[must_use]
    pub fn nearest_names(mut self, nearest: Vec<String>) -> Self {
        self.0.nearest = nearest;
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The field of the question that is at fault.
    pub fn field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The byte of the filter or statement where reading it stopped.
    pub fn position(&self) -> Option<usize> {
        self.0.at
    }

    /// Known names that come nearest to one that is not known.
    pub fn nearest(&self) -> &[String] {
        &self.0.nearest
    }

    /// The error as `docs/semantics.md`, section 6 writes it: `{"error": {"kind", "message", "field", "at", "nearest"}}`,
    /// without what does not apply.
    pub fn to_json(&self) -> Value {
        let mut error = Map::new();
        error.insert("kind".to_owned(), json!(self.0.kind.to_string()));
        error.insert("message".to_owned(), json!(self.0.message));
        if let Some(field) = &self.0.field {
            error.insert("field".to_owned(), json!(field));
        }
        if let Some(at) = self.0.at {
            error.insert("at".to_owned(), json!(at));
        }
        if !self.0.nearest.is_empty() {
            error.insert("nearest".to_owned(), json!(self.0.nearest));
        }
        json!({ "error": error })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A message that begins with the path says it already.
        let begins = self.0.message.split_whitespace().next().unwrap_or_default();
        if let Some(field) = self.0.field.as_ref().filter(|field| !begins.ends_with(field.as_str())) {
            write!(f, "{field}: ")?;
        }
        f.write_str(&self.0.message)?;
        match (self.0.at, &self.0.marked) {
            (Some(at), Some(marked)) => write!(f, " (at byte {at}: {marked})")?,
            (Some(at), None) => write!(f, " (at byte {at})")?,
            (None, _) => {}
        }
        match self.0.nearest.as_slice() {
            [] => Ok(()),
            names => write!(f, " (nearest: {})", names.join(", ")),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("kind", &self.0.kind)
            .field("message", &self.0.message)
            .field("field", &self.0.field)
            .field("at", &self.0.at)
            .field("nearest", &self.0.nearest)
            .finish()
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}

impl From<pugmark_store::Error> for Error {
    fn from(error: pugmark_store::Error) -> Self {
        Self::new(error.kind(), error.to_string()).caused_by(error)
    }
}

impl From<SpecError> for Error {
    fn from(error: SpecError) -> Self {
        let kind = match error.kind() {
            SpecErrorKind::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Invalid,
        };
        let mut made = Self::new(kind, error.message).nearest_names(error.nearest);
        made.0.field = error.field;
        made.0.at = error.at;
        made
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        match error {
            // What the engine's own scans and functions raised comes back as it was.
            DataFusionError::External(source) => match source.downcast::<Self>() {
                Ok(own) => *own,
                Err(source) => match source.downcast::<pugmark_store::Error>() {
                    Ok(store) => (*store).into(),
                    Err(source) => Self::new(ErrorKind::Io, source.to_string()).caused_by(source),
                },
            },
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => (*inner).into(),
            DataFusionError::Shared(shared) => match std::sync::Arc::try_unwrap(shared) {
                Ok(inner) => inner.into(),
                Err(shared) => classify(&shared).caused_by(shared.to_string()),
            },
            DataFusionError::Collection(mut errors) if !errors.is_empty() => errors.swap_remove(0).into(),
            DataFusionError::ArrowError(inner, None) => match *inner {
                ArrowError::ExternalError(source) => DataFusionError::External(source).into(),
                inner => from_datafusion(DataFusionError::ArrowError(Box::new(inner), None)),
            },
            other => from_datafusion(other),
        }
    }
}

fn from_datafusion(error: DataFusionError) -> Error {
    classify(&error).caused_by(error)
}

/// Kind and message of an error that DataFusion raised by itself.
fn classify(error: &DataFusionError) -> Error {
    // Damage of a columnar file and failures of reading it, from beneath the readers of Parquet.
    if let Some(own) = crate::columns::found(error) {
        return Error::new(own.kind(), own.to_string());
    }
    match error {
        DataFusionError::External(source) => match source.downcast_ref::<Error>() {
            Some(own) => Error::new(own.kind(), own.0.message.clone()),
            None => Error::new(ErrorKind::Io, source.to_string()),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => classify(inner),
        DataFusionError::Shared(inner) => classify(inner),
        DataFusionError::ResourcesExhausted(message) => Error::new(
            ErrorKind::Full,
            format!(
                "the query needs more memory than the engine may use: raise the memory limit, or narrow the range or the breakdown ({})",
                first_line(message)
            ),
        ),
        DataFusionError::IoError(cause) => Error::new(io_kind(cause), format!("reading columnar files: {cause}")),
        DataFusionError::ObjectStore(cause) => Error::new(ErrorKind::Io, format!("reading columnar files: {cause}")),
        DataFusionError::ParquetError(cause) => {
            Error::new(ErrorKind::Corrupt, format!("a columnar file does not read: {cause}"))
        }
        DataFusionError::SQL(cause, _) => Error::invalid(cause.to_string()),
        DataFusionError::SchemaError(cause, _) => schema_error(cause),
        // Said with the whole expression as the program has it.
        DataFusionError::NotImplemented(message) if message.contains("OuterReferenceColumn") => Error::unsupported(
            "a subquery uses a column of the statement around it where that cannot be done: write it as a JOIN",
        ),
        DataFusionError::NotImplemented(message) => Error::unsupported(first_line(message)),
        // Nobody has named the catalog.
        DataFusionError::Plan(message) | DataFusionError::Configuration(message) => {
            Error::invalid(first_line(message).replace(&format!("{CATALOG}.{SCHEMA}."), ""))
        }
        DataFusionError::ArrowError(cause, _) => match cause.as_ref() {
            // Mostly a literal beside a property whose column is of another type.
            ArrowError::CastError(what) => Error::invalid(format!(
                "{}; a property is compared as the type of its column: prop('name') reads a value of whatever type as text",
                lower_first(what)
            )),
            other => Error::invalid(other.to_string()),
        },
        DataFusionError::Execution(message) => Error::invalid(first_line(message)),
        other => Error::new(ErrorKind::Invalid, first_line(&other.strip_backtrace())),
    }
}

fn lower_first(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

fn schema_error(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let nearest =
                |name: &str| pugmark_registry::nearest(name, valid_fields.iter().map(|field| field.name.as_str()));
            // What looks like a table may be the first part of a dotted property.
            let named = nearest(&field.name);
            let names = if named.is_empty() { nearest(&field.flat_name()) } else { named };
            Error::invalid(format!("there is no column \"{}\"", field.flat_name())).nearest_names(names)
        }
        SchemaError::AmbiguousReference { field } => {
            Error::invalid(format!("the column \"{}\" is ambiguous: write which table it is of", field.name))
        }
        other => Error::invalid(other.to_string()),
    }
}

fn io_kind(cause: &std::io::Error) -> ErrorKind {
    match cause.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => ErrorKind::Full,
        _ => ErrorKind::Io,
    }
}

fn first_line(message: &str) -> &str {
    message.lines().next().unwrap_or(message)
}
