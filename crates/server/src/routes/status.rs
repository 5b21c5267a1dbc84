//! What a store holds, and how the server is.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use pugmark::{EventInfo, Interval, PropertyInfo, Trend, TrendResult};
use serde::Serialize;
use utoipa::ToSchema;

use super::query::of_question;
use super::responses::{Computing, Keyed};
use super::{Caller, Shared, json};
use crate::auth;
use crate::key::Scope;
use crate::problem::{Answer, Problem};

/// What a store holds.
#[derive(Serialize, ToSchema)]
struct Stats {
    /// The last.
    sequence: u64,
    events: u64,
    /// Links counted.
    people: u64,
    distinct_ids: u64,
    /// Null without people.
    #[schema(required = true)]
    events_per_person: Option<f64>,
    by_type: Vec<EventInfo>,
    /// Of the last thirty days.
    by_day: TrendResult,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Totals, and events day by day of the last thirty.
#[utoipa::path(get, operation_id = "show_stats", path = "/v1/stats", tag = "status", security(("key" = ["read"])),
    responses((status = 200, body = Stats), Keyed, Computing))]
pub(crate) async fn stats(State(app): Shared, headers: HeaderMap) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let info = caller.blocking(|project| project.db.info()).await?;
    let project = Arc::clone(&caller.project);
    let by_day = app.answer("trend", async move {
        let days = Trend::of("*").interval(Interval::Day).last(pugmark::days(30));
        project.db.trend(&days).await.map_err(of_question)
    });
    let by_day = by_day.await?;
    let per_person = if info.people == 0 { None } else { Some(info.events as f64 / info.people as f64) };
    json(&Stats {
        sequence: info.sequence,
        events: info.events,
        people: info.people,
        distinct_ids: info.distinct_ids,
        events_per_person: per_person,
        by_type: info.event_names,
        by_day,
        warnings: caller.project.db.warnings()?,
    })
}

/// The events that were seen: names, counts, when first and last.
#[utoipa::path(get, operation_id = "list_event_names", path = "/v1/registry/events", tag = "status", security(("key" = ["read"])),
    responses((status = 200, body = Vec<EventInfo>), Keyed))]
pub(crate) async fn registry_events(State(app): Shared, headers: HeaderMap) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    json(&caller.blocking(|project| project.db.info()).await?.event_names)
}

/// The properties that were seen: names, columns, types and counts.
#[utoipa::path(get, operation_id = "list_properties", path = "/v1/registry/properties", tag = "status", security(("key" = ["read"])),
    responses((status = 200, body = Vec<PropertyInfo>), Keyed))]
pub(crate) async fn registry_properties(State(app): Shared, headers: HeaderMap) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    json(&caller.blocking(|project| project.db.info()).await?.properties)
}

/// The process runs.
#[utoipa::path(get, operation_id = "is_live", path = "/health/live", tag = "status", responses((status = 200, body = String)))]
pub(crate) async fn live() -> &'static str {
    "live\n"
}

/// It takes requests: not while it shuts down.
#[utoipa::path(get, operation_id = "is_ready", path = "/health/ready", tag = "status", responses((status = 200, body = String), (status = 503, body = String)))]
pub(crate) async fn ready(State(app): Shared) -> (StatusCode, &'static str) {
    if app.is_stopping() { (StatusCode::SERVICE_UNAVAILABLE, "shutting down\n") } else { (StatusCode::OK, "ready\n") }
}

/// Numbers for Prometheus, to the key of an admin of all projects.
#[utoipa::path(get, operation_id = "show_metrics", path = "/metrics", tag = "status", security(("key" = ["admin"])),
    responses((status = 200, body = String, content_type = "application/openmetrics-text"), Keyed))]
pub(crate) async fn metrics(State(app): Shared, headers: HeaderMap) -> Answer {
    let key = auth::key(&app, &headers, None, Scope::Admin)?;
    if key.grant.project.is_some() {
        return Err(Problem::forbidden("the numbers are of all projects, and the key is of one"));
    }
    let measured = Arc::clone(&app);
    let done = tokio::task::spawn_blocking(move || measured.measure()).await;
    done.map_err(|error| Problem::internal(error.to_string()))?;
    let text = app.metrics.text().map_err(|error| Problem::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response())
}
