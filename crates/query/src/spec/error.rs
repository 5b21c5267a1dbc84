//! Why a question cannot be asked: kind, message, place and the nearest known names.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

/// What the caller can do about a [`SpecError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SpecErrorKind {
    /// The question is malformed or contradicts itself: change it.
    Invalid,
    /// The question is well formed, but asks for something that is not built yet.
    Unsupported,
}

impl fmt::Display for SpecErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Invalid => "invalid",
            Self::Unsupported => "unsupported",
        })
    }
}

/// A question that cannot be answered as it stands; serialises as the error object of `docs/semantics.md`, section 6.
///
/// ```
/// use pugmark_query::spec::{Query, SpecErrorKind};
///
/// let error = Query::from_json(r#"{"funnel": {"stpes": []}}"#).unwrap_err();
/// assert_eq!(error.kind(), SpecErrorKind::Invalid);
/// assert_eq!(error.field.as_deref(), Some("stpes"));
/// assert_eq!(error.nearest[0], "steps");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SpecError {
    /// What the caller can do about it.
    pub kind: SpecErrorKind,
    /// Prose, lower case, without a full stop.
    pub message: String,
    /// Path of the field within the analysis, such as `steps[2].filter`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Byte offset in the text that was parsed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<usize>,
    /// Known names close to the one that was given, nearest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<String>,
}

impl SpecError {
    /// An error of kind [`SpecErrorKind::Invalid`] without a place.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(SpecErrorKind::Invalid, message)
    }

    /// An error of kind [`SpecErrorKind::Unsupported`] without a place.
    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(SpecErrorKind::Unsupported, message)
    }

    fn new(kind: SpecErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), field: None, at: None, nearest: Vec::new() }
    }

    /// The same error, said of `field`.
    #[must_use]
    pub fn on(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// The same error, at byte `at` of the text.
    #[must_use]
    pub fn at(mut self, at: usize) -> Self {
        self.at = Some(at);
        self
    }

    /// The same error, with the known names nearest to the one given.
    #[must_use]
    pub fn nearest(mut self, nearest: Vec<String>) -> Self {
        self.nearest = nearest;
        self
    }

    /// What the caller can do about it.
    pub fn kind(&self) -> SpecErrorKind {
        self.kind
    }

    /// The whole JSON object `{"error": {…}}`.
    pub fn to_json(&self) -> Value {
        json!({ "error": self })
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(at) = self.at {
            write!(f, " at byte {at}")?;
        }
        match self.nearest.as_slice() {
            [] => Ok(()),
            names => write!(f, " (nearest: {})", names.join(", ")),
        }
    }
}

impl std::error::Error for SpecError {}
