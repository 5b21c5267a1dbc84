//! What a caller is told of what went wrong.

use std::ops::Deref;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pugmark::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::request;

/// An error as `application/problem+json` (RFC 9457).
///
/// ```
/// use pugmark_server::Problem;
/// let problem = Problem::invalid("limit: 0, expected 1 to 1000");
/// assert_eq!(serde_json::to_value(&problem).unwrap()["status"], 400);
/// ```
///
/// It is one pointer wide.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[serde(transparent)]
pub struct Problem(Box<ProblemDetails>);

impl Deref for Problem {
    type Target = ProblemDetails;

    fn deref(&self) -> &ProblemDetails {
        &self.0
    }
}

/// What is said of a problem.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProblemDetails {
    /// The words of the status.
    pub title: String,
    /// The status.
    pub status: u16,
    /// What went wrong, for people.
    pub detail: String,
    /// What the caller can do about it: `invalid`, `unsupported`, `unauthorized`, `forbidden`, `not_found`, `too_large`, `busy`, `timeout`, `full`, `io`, `corrupt` and the like.
    pub kind: &'static str,
    /// The field at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub field: Option<String>,
    /// The byte at which reading stopped.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub at: Option<usize>,
    /// Known names that come nearest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nearest: Vec<String>,
    /// Seconds after which it is worth another try.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub retry_after_s: Option<u64>,
    #[serde(skip)]
    headers: Vec<(HeaderName, HeaderValue)>,
}

/// What a route returns.
pub type Answer<T = Response> = Result<T, Problem>;

impl Problem {
    /// A problem with this status.
    pub fn new(status: StatusCode, kind: &'static str, detail: impl Into<String>) -> Self {
        let problem = Self(Box::new(ProblemDetails {
            title: String::new(),
            status: 0,
            detail: detail.into(),
            kind,
            field: None,
            at: None,
            nearest: Vec::new(),
            retry_after_s: None,
            headers: Vec::new(),
        }));
        problem.with_status(status)
    }

    /// 400: the request is at fault.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", detail)
    }

    /// 401: no key was sent.
    pub fn keyless() -> Self {
        Self::unauthorized("no key was sent: send one as `Authorization: Bearer KEY`, or as the user name of Basic")
    }

    /// 401: a key was sent that is none, was revoked, or is another in its secret part: all of these are told alike.
    pub fn unknown_key() -> Self {
        Self::unauthorized("the key is not one of this server, or was revoked")
    }

    fn unauthorized(detail: &str) -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail);
        problem.with_header(header::WWW_AUTHENTICATE, "Bearer realm=\"pugmark\"")
    }

    /// 403: the key may not do it.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// 413.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// 429: this caller sends more than it may.
    pub fn too_many(detail: impl Into<String>, retry_after_s: u64) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "busy", detail).retry(retry_after_s)
    }

    /// 503: it will do later.
    pub fn busy(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry(1)
    }

    /// 504: an answer took longer than it may.
    pub fn timeout(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", detail)
    }

    /// 500: a fault of ours.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// The same, about a field of the request.
    #[must_use]
    pub fn on(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// The same, at this byte of what was read.
    #[must_use]
    pub fn at(mut self, at: usize) -> Self {
        self.0.at = Some(at);
        self
    }

    /// The same with another status.
    #[must_use]
    pub(crate) fn with_status(mut self, status: StatusCode) -> Self {
        (self.0.status, self.0.title) = (status.as_u16(), status.canonical_reason().unwrap_or("Error").to_owned());
        self
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: impl TryInto<HeaderValue>) -> Self {
        self.0.headers.extend(value.try_into().ok().map(|value| (name, value)));
        self
    }

    fn retry(mut self, after_s: u64) -> Self {
        self.0.retry_after_s = Some(after_s);
        self.with_header(header::RETRY_AFTER, after_s)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        use StatusCode as S;

        let (status, kind) = match error.kind() {
            ErrorKind::Invalid => (S::BAD_REQUEST, "invalid"),
            ErrorKind::Unsupported => (S::BAD_REQUEST, "unsupported"),
            ErrorKind::Busy => (S::SERVICE_UNAVAILABLE, "busy"),
            ErrorKind::Locked => (S::SERVICE_UNAVAILABLE, "locked"),
            ErrorKind::Full => (S::INSUFFICIENT_STORAGE, "full"),
            // What was sent may be on disk: whoever has ids sends it again.
            ErrorKind::Poisoned => (S::INTERNAL_SERVER_ERROR, "poisoned"),
            ErrorKind::Corrupt => (S::INTERNAL_SERVER_ERROR, "corrupt"),
            ErrorKind::Io => (S::INTERNAL_SERVER_ERROR, "io"),
            _ => (S::INTERNAL_SERVER_ERROR, "internal"),
        };
        let mut problem = Self::new(status, kind, error.to_string());
        (problem.0.field, problem.0.at) = (error.field().map(str::to_owned), error.position());
        problem.0.nearest = error.nearest().to_vec();
        if status == S::SERVICE_UNAVAILABLE { problem.retry(1) } else { problem }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            // What a caller wrote may be in it, and is not to begin a line of its own.
            tracing::error!(id = request::id(), kind = self.kind, status = self.status, detail = ?self.detail);
        }
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        self.0.headers.into_iter().for_each(|(name, value)| {
            response.headers_mut().insert(name, value);
        });
        response
    }
}
