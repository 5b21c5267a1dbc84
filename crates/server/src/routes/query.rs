//! Questions and SQL.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use pugmark::arrow::array::RecordBatch;
use pugmark::arrow::{csv, ipc, json as arrow_json};
use pugmark::parquet::arrow::ArrowWriter;
use pugmark::{ErrorKind, Query, Sequence};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{Caller, Shared, from_json, json};
use crate::body;
use crate::key::Scope;
use crate::problem::{Answer, Problem};

/// Answers a question in the JSON form of `docs/semantics.md`, section 6: trend, funnel, retention, stickiness, lifecycle, journey, sessions, paths, people or segment.
#[utoipa::path(post, path = "/v1/query", tag = "questions", security(("key" = ["read"])), request_body = serde_json::Value,
    responses((status = 200, body = serde_json::Value), (status = "default", body = Problem)))]
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

/// A statement of SQL.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Statement {
    /// One `SELECT`.
    sql: String,
    /// As of which sequence; as things stand without it.
    as_of: Option<u64>,
}

/// In which form rows are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    Json,
    Csv,
    Arrow,
    Parquet,
}

const FORMS: [(&str, Form); 4] = [
    ("application/json", Form::Json),
    ("text/csv", Form::Csv),
    ("application/vnd.apache.arrow.stream", Form::Arrow),
    ("application/vnd.apache.parquet", Form::Parquet),
];

/// Runs one `SELECT` over the tables events, persons, groups, identities and the like.
///
/// The body is `{"sql": "…"}`, or the statement as `text/plain`. The rows come as `Accept` says: JSON, CSV, a stream of Arrow, or Parquet.
#[utoipa::path(post, path = "/v1/sql", tag = "questions", security(("key" = ["read"])), request_body(content((Statement = "application/json"), (String = "text/plain"))),
    responses((status = 200, content((serde_json::Value = "application/json"), (String = "text/csv"), (Vec<u8> = "application/vnd.apache.arrow.stream"), (Vec<u8> = "application/vnd.apache.parquet"))), (status = "default", body = Problem)))]
pub(crate) async fn sql(State(app): Shared, headers: HeaderMap, body: Body) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let (kind, form) = form_of(&headers)?;
    let (text, _held) = body::read(&app, body).await?;
    let is_plain = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let statement = if is_plain { Statement { sql: text, as_of: None } } else { from_json(&text)? };
    let project = Arc::clone(&caller.project);
    let rows_max = app.config.rows_max;
    let bytes = app.answer("sql", async move {
        let as_of = statement.as_of.map(Sequence::new);
        let rows = project.db.sql_up_to(&statement.sql, as_of, rows_max).await.map_err(of_question)?;
        written(&rows, form)
    });
    Ok(([(header::CONTENT_TYPE, kind)], bytes.await?).into_response())
}

fn form_of(headers: &HeaderMap) -> Answer<(&'static str, Form)> {
    let Some(accept) = headers.get(header::ACCEPT) else { return Ok(FORMS[0]) };
    let accept = accept.to_str().unwrap_or_default().to_ascii_lowercase();
    for one in accept.split(',').map(|one| one.split(';').next().unwrap_or_default().trim()) {
        if matches!(one, "*/*" | "application/*" | "") {
            return Ok(FORMS[0]);
        }
        if let Some(form) = FORMS.iter().find(|(kind, _)| *kind == one) {
            return Ok(*form);
        }
    }
    let known = FORMS.map(|(kind, _)| kind).join(", ");
    Err(Problem::new(StatusCode::NOT_ACCEPTABLE, "unsupported", format!("{accept:?}: expected one of {known}"))
        .on("accept"))
}

fn failed(error: impl std::fmt::Display) -> Problem {
    Problem::internal(format!("writing the rows: {error}"))
}

fn written(rows: &[RecordBatch], form: Form) -> Answer<Vec<u8>> {
    let Some(first) = rows.first() else { return Ok(Vec::new()) };
    let schema = first.schema();
    let mut bytes = Vec::new();
    match form {
        Form::Json => return rows_as_json(rows),
        Form::Csv => {
            let mut writer = csv::Writer::new(&mut bytes);
            rows.iter().try_for_each(|batch| writer.write(&guarded(batch)?).map_err(failed))?;
        }
        Form::Arrow => {
            let mut writer = ipc::writer::StreamWriter::try_new(&mut bytes, &schema).map_err(failed)?;
            rows.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
            writer.finish().map_err(failed)?;
        }
        Form::Parquet => {
            let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).map_err(failed)?;
            rows.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
            writer.close().map_err(failed)?;
        }
    }
    Ok(bytes)
}

/// Rows as a list of objects; a NULL is `null`.
pub(crate) fn rows_as_json(rows: &[RecordBatch]) -> Answer<Vec<u8>> {
    let mut writer = arrow_json::writer::WriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, arrow_json::writer::JsonArray>(Vec::new());
    rows.iter().try_for_each(|batch| writer.write(batch)).map_err(failed)?;
    writer.finish().map_err(failed)?;
    let bytes = writer.into_inner();
    Ok(if bytes.is_empty() { b"[]".to_vec() } else { bytes })
}

/// A spreadsheet takes a text that begins with one of these for a formula: an apostrophe keeps it a text.
fn guarded(batch: &RecordBatch) -> Answer<RecordBatch> {
    use pugmark::arrow::array::{Array, ArrayRef, AsArray, StringArray};
    use pugmark::arrow::compute::cast;
    use pugmark::arrow::datatypes::{DataType, Field, Schema};

    let is_text = |kind: &DataType| match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, value) => matches!(**value, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View),
        _ => false,
    };
    let mut fields = Vec::with_capacity(batch.num_columns());
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(batch.num_columns());
    let guard = |text: &str| match text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    };
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        // Names of columns are those of properties, which senders choose.
        let field = &Arc::new(field.as_ref().clone().with_name(guard(field.name())));
        if !is_text(column.data_type()) {
            fields.push(Arc::clone(field));
            columns.push(Arc::clone(column));
            continue;
        }
        let texts = cast(column, &DataType::Utf8).map_err(failed)?;
        let texts: StringArray = texts.as_string::<i32>().iter().map(|text| text.map(guard)).collect();
        fields.push(Arc::new(Field::new(field.name(), DataType::Utf8, texts.is_nullable() || field.is_nullable())));
        columns.push(Arc::new(texts));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(failed)
}
