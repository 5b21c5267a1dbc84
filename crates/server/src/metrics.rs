//! What the server counts, for Prometheus. Names and units are in `docs/server.md`.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfOutcome {
    pub(crate) outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfRoute {
    pub(crate) route: String,
    pub(crate) status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct OfKind {
    pub(crate) kind: &'static str,
}

type Times = Family<OfKind, Histogram, fn() -> Histogram>;

pub(crate) struct Metrics {
    registry: Registry,
    /// What became of events.
    pub(crate) events: Family<OfOutcome, Counter>,
    /// From the first byte of a batch that was read to its acknowledgement.
    pub(crate) commit_seconds: Histogram,
    pub(crate) batch_events: Histogram,
    /// Of bodies that are under way.
    pub(crate) queue_bytes: Gauge,
    pub(crate) requests: Family<OfRoute, Counter>,
    pub(crate) query_seconds: Times,
    pub(crate) stores_open: Gauge,
    pub(crate) connections: Gauge,
    pub(crate) log_bytes: Gauge,
    pub(crate) columns_bytes: Gauge,
    pub(crate) unflushed_events: Gauge,
    pub(crate) flushes: Gauge,
    pub(crate) merges: Gauge,
    pub(crate) message_id_blocks: Gauge,
    pub(crate) message_id_bytes: Gauge,
    pub(crate) resident_bytes: Gauge,
}

/// From half a millisecond to half a minute.
fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_5, 2.0, 17))
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("pugmark"),
            events: Family::default(),
            commit_seconds: seconds(),
            batch_events: Histogram::new(exponential_buckets(1.0, 4.0, 8)),
            queue_bytes: Gauge::default(),
            requests: Family::default(),
            query_seconds: Family::new_with_constructor(seconds),
            stores_open: Gauge::default(),
            connections: Gauge::default(),
            log_bytes: Gauge::default(),
            columns_bytes: Gauge::default(),
            unflushed_events: Gauge::default(),
            flushes: Gauge::default(),
            merges: Gauge::default(),
            message_id_blocks: Gauge::default(),
            message_id_bytes: Gauge::default(),
            resident_bytes: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("events", "Events and operations that came, by what became of them", metrics.events.clone());
        let help = "From a batch that is read to its acknowledgement";
        registry.register_with_unit("commit", help, Unit::Seconds, metrics.commit_seconds.clone());
        registry.register("batch_events", "Events and operations in a body", metrics.batch_events.clone());
        registry.register_with_unit("queue", "Bodies that are under way", Unit::Bytes, metrics.queue_bytes.clone());
        registry.register("requests", "Requests, by route and status", metrics.requests.clone());
        registry.register_with_unit(
            "query",
            "Answers, by what was asked",
            Unit::Seconds,
            metrics.query_seconds.clone(),
        );
        registry.register("stores_open", "Stores that are open", metrics.stores_open.clone());
        registry.register("connections", "Connections that are open", metrics.connections.clone());
        registry.register_with_unit("log", "Logs of the open stores", Unit::Bytes, metrics.log_bytes.clone());
        let help = "Columnar files of the open stores";
        registry.register_with_unit("columns", help, Unit::Bytes, metrics.columns_bytes.clone());
        let help = "Events of the open stores that are in no columnar file yet";
        registry.register("unflushed_events", help, metrics.unflushed_events.clone());
        let help = "Times that events went to a columnar file, of the open stores since each was opened";
        registry.register("flushes", help, metrics.flushes.clone());
        let help = "Times that columnar files were merged, of the open stores since each was opened";
        registry.register("merges", help, metrics.merges.clone());
        let help = "Blocks read to tell whether a message id is stored, of the open stores since each was opened";
        registry.register("message_id_blocks_read", help, metrics.message_id_blocks.clone());
        let help = "Memory by which message ids are known to be new, of the open stores";
        registry.register_with_unit("message_id_filter", help, Unit::Bytes, metrics.message_id_bytes.clone());
        let help = "Memory of the process";
        registry.register_with_unit("resident", help, Unit::Bytes, metrics.resident_bytes.clone());
        metrics
    }

    /// Everything in the text form of OpenMetrics.
    pub(crate) fn text(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
