//! Spans of requests and of what they wait for, for whoever collects traces.

use axum::http::{HeaderMap, Method};
use tracing::Span;
use tracing::field::Empty;

/// The target of the spans: what writes a log leaves them out by it, since each request has its line there.
pub const TRACE_TARGET: &str = "pugmark_server::trace";

/// The span of a request, named and described as OpenTelemetry has it. With the feature `otlp` it hangs under that of the caller, where `traceparent` names one.
pub(crate) fn of_request(headers: &HeaderMap, method: &Method, route: &str, id: &str) -> Span {
    let span = tracing::info_span!(
        target: TRACE_TARGET,
        "request",
        otel.name = %format_args!("{method} {route}"),
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = %method,
        http.route = route,
        http.response.status_code = Empty,
        request_id = id,
    );
    #[cfg(feature = "otlp")]
    parent::adopt(headers, &span);
    #[cfg(not(feature = "otlp"))]
    let _ = headers;
    span
}

/// What became of a request.
pub(crate) fn answered(span: &Span, status: u16) {
    span.record("http.response.status_code", status);
    if status >= 500 {
        span.record("otel.status_code", "ERROR");
    }
}

/// The span of a question, and of the time for which it waits for its turn.
pub(crate) fn of_question(kind: &'static str) -> Span {
    tracing::info_span!(target: TRACE_TARGET, "question", kind)
}

/// The span of events on their way to the disk.
pub(crate) fn of_commit(entries: usize) -> Span {
    tracing::info_span!(target: TRACE_TARGET, "commit", entries)
}

#[cfg(feature = "otlp")]
mod parent {
    use axum::http::HeaderMap;
    use opentelemetry::propagation::{Extractor, TextMapPropagator};
    use opentelemetry_sdk::propagation::TraceContextPropagator;
    use tracing_opentelemetry::OpenTelemetrySpanExt;

    struct Headers<'h>(&'h HeaderMap);

    impl Extractor for Headers<'_> {
        fn get(&self, name: &str) -> Option<&str> {
            self.0.get(name)?.to_str().ok()
        }

        fn keys(&self) -> Vec<&str> {
            self.0.keys().map(axum::http::HeaderName::as_str).collect()
        }
    }

    pub(super) fn adopt(headers: &HeaderMap, span: &tracing::Span) {
        if headers.contains_key("traceparent") {
            // Where nobody collects there is nothing to hang it under.
            span.set_parent(TraceContextPropagator::new().extract(&Headers(headers))).ok();
        }
    }
}
