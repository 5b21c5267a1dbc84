//! Events in, counted, listed and followed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures::Stream;
use pugmark::{BatchReader, Entry, Interval, Number, Operation, Rejection, Trend, TrendResult};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::forms::EventsBody;
use super::query::{of_question, warned};
use super::responses::{Bodied, Computing, Keyed, Storing};
use super::{Asked, Caller, Peer, Shared, json};
use crate::app::App;
use crate::body;
use crate::ingest::{self, Told};
use crate::key::{KeyId, Scope};
use crate::limits::{IDEMPOTENCY_KEY_MAX_BYTES, RECENT_MAX, STREAM_EVERY_MS};
use crate::problem::{Answer, Problem};
use crate::project::ProjectName;
use crate::request;
use crate::rows::rows_as_json;

/// What became of a body of events.
#[derive(Serialize, ToSchema)]
struct Appended {
    /// How many are in the store now, by this request or an earlier one.
    stored: usize,
    /// What became of each, in the order of the body.
    outcomes: Vec<Told>,
}

/// Stores events.
///
/// The body is one event, a list of them, or one a line (`application/x-ndjson`), in the form that imports have; gzip, zstd or br. The answer comes when they are on disk.
/// An event without a `message_id` gets one of the header `Idempotency-Key` and its place, so that the same body sent again is stored once.
#[utoipa::path(post, operation_id = "send_events", path = "/v1/events", tag = "events", security(("key" = ["write"])),
    params(("Idempotency-Key" = Option<String>, Header, description = "Makes message ids of events that have none; at most 200 bytes")),
    request_body(content(
        (EventsBody = "application/json", example = json!({"event": "page_view", "distinct_id": "ann", "message_id": "view-1", "properties": {"url": "/"}})),
        (String = "application/x-ndjson"))),
    responses((status = 202, body = Appended, description = "What was to be stored is on disk"), (status = 422, body = Appended, description = "None could be stored"), Keyed, Bodied, Storing))]
pub(crate) async fn append(State(app): Shared, peer: Peer, headers: HeaderMap, body: Body) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Write).await?;
    let kind = headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap_or("?"));
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let is_lines = match kind.as_deref() {
        // The last is what programs say that were told nothing.
        None | Some("application/json" | "text/plain" | "application/x-www-form-urlencoded") => false,
        Some("application/x-ndjson" | "application/ndjson" | "application/jsonl") => true,
        Some(other) => {
            let detail = format!("{other:?}: expected application/json or application/x-ndjson");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported", detail).on("content-type"));
        }
    };
    let (text, held) = body::read(&app, body).await?;
    let reader = BatchReader::default();
    let reader = if caller.project.names_visitors { reader.nameless() } else { reader };
    let mut batch = if is_lines { reader.lines(&text) } else { reader.json(&text)? };
    if batch.is_empty() {
        return Err(Problem::invalid("the body has no event"));
    }
    ingest::check_count(&app, batch.len())?;
    app.rates.events(&caller.key.id, batch.len())?;
    if let Some(id) = headers.get("idempotency-key") {
        let id = id.to_str().ok().filter(|id| !id.trim().is_empty() && id.len() <= IDEMPOTENCY_KEY_MAX_BYTES);
        let wrong = || {
            Problem::invalid(format!("expected 1 to {IDEMPOTENCY_KEY_MAX_BYTES} bytes of text")).on("idempotency-key")
        };
        batch.identified_by(id.ok_or_else(wrong)?);
    }
    drop(text);
    let sender = peer.sender(&app, &headers, &caller.key);
    let is_admin = caller.key.may(Scope::Admin);
    let storing = async move {
        let mut deeds = Vec::new();
        let entries = batch.into_entries().enumerate().map(|(at, entry)| match entry {
            Ok(Entry::Operation(operation)) => match deed(&operation) {
                Some(_) if !is_admin => {
                    Err(Rejection::new("type", "merges, splits, forced links and remarks take the key of an admin"))
                }
                deed => {
                    deeds.extend(deed.map(|deed| (at, deed)));
                    Ok(Entry::Operation(operation))
                }
            },
            other => other,
        });
        let outcomes = ingest::store(&app, &caller.project, &sender, entries).await?;
        drop(held);
        audit(&app, &caller, &deeds, &outcomes).await?;
        Ok(outcomes)
    };
    // What an admin decided is in the audit once it is stored, whoever still waits for the answer.
    let outcomes: Vec<Told> = if is_admin { request::outlasting(storing).await? } else { storing.await? };
    let stored = outcomes.iter().filter(|told| told.is_stored()).count();
    let all_at_fault = outcomes.iter().all(Told::is_at_fault);
    let status = if all_at_fault { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::ACCEPTED };
    Ok((status, json(&Appended { stored, outcomes })?).into_response())
}

/// What the audit calls an operation that decides who is who beyond what a sender knows of itself, which takes the key of an admin; `None` of any other.
fn deed(operation: &Operation) -> Option<&'static str> {
    match operation {
        Operation::Identify { force, .. } | Operation::Alias { force, .. } => force.then_some("person.linked"),
        Operation::Profile(_) | Operation::Define { .. } => None,
        Operation::Merge { .. } => Some("person.merged"),
        Operation::Split { .. } | Operation::SplitLink { .. } => Some("person.split"),
        _ => Some("store.set"),
    }
}

/// Has the audit tell of the operations of a body, each kind of them once.
async fn audit(app: &Arc<App>, caller: &Caller, deeds: &[(usize, &'static str)], outcomes: &[Told]) -> Answer<()> {
    let mut done: BTreeMap<&'static str, Vec<u64>> = BTreeMap::new();
    for (at, deed) in deeds {
        let sequence = outcomes.get(*at).filter(|told| !told.is_at_fault()).and_then(|told| told.sequence);
        done.entry(deed).or_default().extend(sequence);
    }
    for (deed, sequences) in done {
        let (Some(first), Some(last)) = (sequences.iter().min(), sequences.iter().max()) else { continue };
        let operations = sequences.len() as u64;
        let said = vec![("operations", operations), ("sequence", *first), ("last_sequence", *last)];
        caller.audited(app, deed, move |_| Ok(((), Some(said)))).await?;
    }
    Ok(())
}

/// Of which events, and of when.
#[derive(Debug, Default, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    /// Their name; all without it.
    event: Option<String>,
    /// The first day or instant; the first event without it.
    from: Option<String>,
    /// The day or instant after the last; now without it.
    to: Option<String>,
    /// An IANA time zone; UTC without it.
    time_zone: Option<String>,
    /// A condition of SQL.
    filter: Option<String>,
}

impl Which {
    fn trend(self, interval: Interval) -> Trend {
        let mut trend = Trend::of(self.event.as_deref().unwrap_or("*")).interval(interval);
        if let Some(from) = self.from {
            trend = trend.from(from);
        }
        if let Some(to) = self.to {
            trend = trend.to(to);
        }
        if let Some(zone) = self.time_zone {
            trend = trend.time_zone(zone);
        }
        match self.filter {
            Some(filter) => trend.filter(filter),
            None => trend,
        }
    }
}

/// How many events there are.
#[derive(Serialize, ToSchema)]
struct Count {
    count: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// How many events there are, with `warnings` where there are any.
#[utoipa::path(get, operation_id = "count_events", path = "/v1/events/count", tag = "events", security(("key" = ["read"])), params(Which),
    responses((status = 200, body = Count), Keyed, Computing))]
pub(crate) async fn count(State(app): Shared, headers: HeaderMap, Asked(which): Asked<Which>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let project = Arc::clone(&caller.project);
    let trend = which.trend(Interval::Year);
    let answer = app.answer("trend", async move { project.db.trend(&trend).await.map_err(of_question) }).await?;
    let Some(Number::Count(count)) = answer.series.first().map(|series| series.total) else {
        return Err(Problem::internal("a count is of whole numbers, and there is none"));
    };
    json(&Count { count, warnings: answer.header.warnings })
}

/// How many events there are, day by day: a trend.
#[utoipa::path(get, operation_id = "count_events_by_day", path = "/v1/events/by-day", tag = "events", security(("key" = ["read"])), params(Which),
    responses((status = 200, body = TrendResult), Keyed, Computing))]
pub(crate) async fn by_day(State(app): Shared, headers: HeaderMap, Asked(which): Asked<Which>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let project = Arc::clone(&caller.project);
    let trend = which.trend(Interval::Day);
    json(&app.answer("trend", async move { project.db.trend(&trend).await.map_err(of_question) }).await?)
}

/// Which of the last events.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Last {
    /// A condition of SQL, as in `WHERE`.
    filter: Option<String>,
    /// How many, 1 to 1,000; 50 without it.
    limit: Option<usize>,
}

/// A statement over the events, of which a filter is but a condition.
fn statement(filter: Option<&str>, also: &str) -> Answer<String> {
    let conditions = match filter {
        Some(filter) => {
            pugmark::check_filter(filter)?;
            format!("({filter}\n)")
        }
        None => "true".to_owned(),
    };
    Ok(format!("SELECT * FROM events WHERE {conditions} {also}"))
}

/// The events that came last, the latest first.
#[utoipa::path(get, operation_id = "recent_events", path = "/v1/events/recent", tag = "events", security(("key" = ["read"])), params(Last),
    responses((status = 200, body = Vec<Map<String, Value>>), Keyed, Computing))]
pub(crate) async fn recent(State(app): Shared, headers: HeaderMap, Asked(last): Asked<Last>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let limit = last.limit.unwrap_or(50);
    if !(1..=RECENT_MAX).contains(&limit) {
        return Err(Problem::invalid(format!("{limit}, expected 1 to {RECENT_MAX}")).on("limit"));
    }
    let statement = statement(last.filter.as_deref(), &format!("ORDER BY sequence DESC LIMIT {limit}"))?;
    let project = Arc::clone(&caller.project);
    let warnings = project.db.warnings()?;
    let rows = app.answer("sql", async move { project.db.sql(&statement).await.map_err(of_question) }).await?;
    let response = ([(header::CONTENT_TYPE, "application/json")], rows_as_json(&rows)?).into_response();
    Ok(warned(response, &warnings))
}

/// Which events are followed.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Followed {
    /// A condition of SQL, as in `WHERE`.
    filter: Option<String>,
    /// After which sequence; those that come from now on without it.
    after: Option<u64>,
}

/// Events as they come, as server-sent events: each with its sequence as `id` and itself as JSON.
#[utoipa::path(get, operation_id = "stream_events", path = "/v1/events/stream", tag = "events", security(("key" = ["read"])), params(Followed),
    responses((status = 200, body = String, content_type = "text/event-stream"), Keyed))]
pub(crate) async fn stream(State(app): Shared, headers: HeaderMap, Asked(which): Asked<Followed>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    // A browser that connects again says what it had.
    let had = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let project = Arc::clone(&caller.project);
    let after = had.or(which.after).unwrap_or_else(|| project.db.sequence().number());
    which.filter.as_deref().map(pugmark::check_filter).transpose()?;
    let warnings = project.db.warnings()?;
    let begin = Follow { app, name: project.name.clone(), key: caller.key.id.clone(), filter: which.filter, after };
    Ok(warned(Sse::new(follow(begin)).keep_alive(KeepAlive::default()).into_response(), &warnings))
}

struct Follow {
    app: Arc<App>,
    name: ProjectName,
    key: KeyId,
    filter: Option<String>,
    after: u64,
}

impl Follow {
    /// What came since the last time, and whether it can go on.
    async fn next(&mut self) -> Answer<Vec<Sent>> {
        loop {
            if !self.app.control.stands(&self.key) {
                return Err(Problem::unknown_key());
            }
            // It is let go of in between: others may need its room.
            let project = self.app.projects.store(&self.name).await?;
            let last = project.db.sequence().number();
            if last > self.after {
                let also = format!(
                    "AND sequence > {} AND sequence <= {last} ORDER BY sequence LIMIT {RECENT_MAX}",
                    self.after
                );
                let statement = statement(self.filter.as_deref(), &also)?;
                let project = Arc::clone(&project);
                let found = async move { project.db.sql(&statement).await.map_err(of_question) };
                let rows = self.app.answer("sql", found).await?;
                let rows: Vec<serde_json::Value> = super::from_json(&String::from_utf8_lossy(&rows_as_json(&rows)?))?;
                let of = |row: &serde_json::Value| row["sequence"].as_u64().unwrap_or(last);
                self.after = if rows.len() < RECENT_MAX { last } else { rows.last().map_or(last, of) };
                if !rows.is_empty() {
                    let sent = |row: serde_json::Value| Sent::default().id(of(&row).to_string()).data(row.to_string());
                    return Ok(rows.into_iter().map(sent).collect());
                }
            }
            if self.app.is_stopping() {
                return Ok(Vec::new());
            }
            drop(project);
            tokio::time::sleep(Duration::from_millis(STREAM_EVERY_MS)).await;
        }
    }
}

fn follow(begin: Follow) -> impl Stream<Item = Result<Sent, Infallible>> {
    use futures::{StreamExt, stream};

    let batches = stream::unfold(Some(begin), |follow| async {
        let mut follow = follow?;
        match follow.next().await {
            Ok(sent) if sent.is_empty() => None,
            Ok(sent) => Some((sent, Some(follow))),
            // The end of it, said to whoever follows.
            Err(problem) => {
                let text = serde_json::to_string(&problem).unwrap_or_default();
                Some((vec![Sent::default().event("problem").data(text)], None))
            }
        }
    });
    batches.flat_map(|sent| stream::iter(sent.into_iter().map(Ok)))
}
