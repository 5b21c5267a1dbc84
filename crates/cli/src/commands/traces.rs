//! Traces of what the server does, sent to a collector by OTLP.

use std::time::Duration;

use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use pugmark_server::TRACE_TARGET;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::failure::Result;

/// How long a collector may take for the last traces.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends spans in batches, from a thread of its own; none where no collector is named.
pub(super) struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Where to and how is said by the variables that OpenTelemetry has for it.
    pub(super) fn begin() -> Result<Self> {
        let names = ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"];
        if names.iter().all(|name| std::env::var_os(name).is_none()) {
            return Ok(Self(None));
        }
        let exporter = SpanExporter::builder().with_http().build().map_err(anyhow::Error::from)?;
        let mut resource = Resource::builder();
        if std::env::var_os("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("pugmark");
        }
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        Ok(Self(Some(provider.build())))
    }

    pub(super) fn layer<S: tracing::Subscriber + for<'s> LookupSpan<'s>>(&self) -> Option<impl Layer<S> + use<S>> {
        let tracer = self.0.as_ref()?.tracer("pugmark");
        let only_ours = filter_fn(|metadata| metadata.target() == TRACE_TARGET);
        Some(tracing_opentelemetry::layer().with_tracer(tracer).with_filter(only_ours))
    }

    /// Sends what waits, unless nobody takes it.
    pub(super) fn end(self) {
        if let Some(Err(error)) = self.0.map(|provider| provider.shutdown_with_timeout(PATIENCE)) {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}
