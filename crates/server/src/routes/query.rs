//! Questions and SQL.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use pugmark::{ErrorKind, Query, QueryResult, Sequence};
use serde::Deserialize;
use utoipa::ToSchema;

use super::responses::{Bodied, Choosing, Computing, Keyed};
use super::{Caller, Shared, from_json, json};
use crate::body;
use crate::key::Scope;
use crate::problem::{Answer, Problem};
use crate::rows::{RowWriter, form_of};

/// Answers a question in the JSON form of `docs/semantics.md`, section 6: trend, funnel, retention, stickiness, lifecycle, journey, sessions, paths, people or segment.
#[utoipa::path(post, operation_id = "ask", path = "/v1/query", tag = "questions", security(("key" = ["read"])), request_body(content = Query, example = json!({"trend": {"series": [{"event": "page_view", "measure": "uniques"}], "interval": "day", "range": {"last": "7d"}}})),
    responses((status = 200, body = QueryResult), Keyed, Bodied, Computing))]
pub(crate) async fn query(State(app): Shared, headers: HeaderMap, body: Body) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let (text, _held) = body::read(&app, body).await?;
    let query = Query::from_json(&text).map_err(pugmark::Error::from)?;
    let kind = query.analysis.name();
    let project = Arc::clone(&caller.project);
    json(&app.answer(kind, async move { project.db.query(&query).await.map_err(of_question) }).await?)
}

/// The problem of a question: what it asks for may be too much, and is then its own affair.
pub(crate) fn of_question(error: pugmark::Error) -> Problem {
    let is_too_much = error.kind() == ErrorKind::Full;
    let problem = Problem::from(error);
    if is_too_much { problem.with_status(StatusCode::UNPROCESSABLE_ENTITY) } else { problem }
}

/// The header for what an answer in rows has no other place for.
const WARNING: HeaderName = HeaderName::from_static("pugmark-warning");

/// An answer in rows, with what every answer of the store warns of.
pub(crate) fn warned(mut response: Response, warnings: &[String]) -> Response {
    for warning in warnings {
        // Texts of our own, of numbers and instants.
        response.headers_mut().extend(warning.parse().ok().map(|warning| (WARNING, warning)));
    }
    response
}

/// A statement of SQL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement {
    /// One `SELECT`.
    sql: String,
    /// As of which sequence; as things stand without it.
    as_of: Option<u64>,
}

/// Runs one `SELECT` over the tables events, persons, groups, identities and the like.
///
/// The body is `{"sql": "…"}`, or the statement alone. The header `Pugmark-Warning` says what every answer of the store warns of. The rows come as `Accept` says: JSON, CSV, a stream of Arrow, or Parquet. An answer that cannot be finished once it has begun ends before its end, and the connection with it.
#[utoipa::path(post, operation_id = "run_sql", path = "/v1/sql", tag = "questions", security(("key" = ["read"])), request_body(content((Statement = "application/json", example = json!({"sql": "SELECT event, count(*) AS events FROM events GROUP BY event"})), (String = "text/plain", example = "SELECT count(*) FROM events"))),
    responses((status = 200, content((Vec<Map<String, Value>> = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))), Keyed, Bodied, Choosing, Computing))]
pub(crate) async fn sql(State(app): Shared, headers: HeaderMap, body: Body) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let (kind, form) = form_of(&headers)?;
    let (text, _held) = body::read(&app, body).await?;
    // No statement begins with a brace.
    let is_plain = !text.trim_start().starts_with('{');
    let statement = if is_plain { Statement { sql: text, as_of: None } } else { from_json(&text)? };
    let project = Arc::clone(&caller.project);
    let (rows_max, warnings) = (app.config.rows_max, project.db.warnings()?);
    let body = app.answer_in_parts("sql", move |parts| async move {
        let as_of = statement.as_of.map(Sequence::new);
        if rows_max > 0 {
            // They are all there before the first is sent, so that whoever asks for too many is told.
            let rows = project.db.sql_up_to(&statement.sql, as_of, rows_max).await.map_err(of_question)?;
            let mut writer = RowWriter::new(form, &rows[0].schema())?;
            for batch in &rows {
                parts.send(writer.write(batch)?).await?;
            }
            return parts.send(writer.finish()?).await;
        }
        let mut rows = project.db.sql_stream(&statement.sql, as_of).await.map_err(of_question)?;
        let mut writer = RowWriter::new(form, &rows.schema())?;
        while let Some(batch) = rows.next().await.map_err(of_question)? {
            parts.send(writer.write(&batch)?).await?;
        }
        parts.send(writer.finish()?).await
    });
    Ok(warned(([(header::CONTENT_TYPE, kind)], body.await?).into_response(), &warnings))
}
