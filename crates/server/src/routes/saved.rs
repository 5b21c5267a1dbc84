//! Questions, segments and cohorts that are saved under names.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pugmark::{Defined, Definition, Query, QueryResult, Segment, Sequence};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::query::of_question;
use super::responses::{Bodied, Computing, Finding, Keyed, Storing};
use super::{Asked, Caller, Shared, from_json, json};
use crate::body;
use crate::key::Scope;
use crate::problem::{Answer, Problem};

/// What is saved: a question, a segment or a cohort.
#[derive(Serialize, ToSchema)]
struct SavedVersion {
    name: String,
    /// From 1.
    version: u32,
    /// Under which sequence.
    sequence: u64,
    #[schema(format = DateTime)]
    at: String,
    #[serde(flatten)]
    saved: Saved,
}

/// A question, a segment, or a cohort: exactly one of them.
#[derive(Deserialize, Serialize, ToSchema)]
struct Saved {
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Query>)]
    question: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Segment>)]
    segment: Option<Value>,
    /// Numbers of distinct ids.
    #[serde(skip_serializing_if = "Option::is_none")]
    cohort: Option<Vec<u32>>,
}

fn shown(defined: &Defined) -> Answer<SavedVersion> {
    Ok(SavedVersion {
        name: defined.definition.name.clone(),
        version: defined.version,
        sequence: defined.sequence.number(),
        at: defined.at.to_string(),
        saved: from_json(&defined.definition.body())?,
    })
}

async fn all(caller: &Caller) -> Answer<Vec<Defined>> {
    caller.blocking(|project| project.db.definitions()).await
}

/// Everything that is saved, by name.
#[utoipa::path(get, operation_id = "list_saved", path = "/v1/saved", tag = "saved", security(("key" = ["read"])),
    responses((status = 200, body = Vec<SavedVersion>), Keyed))]
pub(crate) async fn list(State(app): Shared, headers: HeaderMap) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let all = all(&caller).await?.iter().map(shown).collect::<Answer<Vec<SavedVersion>>>()?;
    json(&all)
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("nothing is saved as {name:?}"))
}

/// What is saved under a name.
#[utoipa::path(get, operation_id = "show_saved", path = "/v1/saved/{name}", tag = "saved", security(("key" = ["read"])), params(("name" = String, Path)),
    responses((status = 200, body = SavedVersion), Keyed, Finding))]
pub(crate) async fn show(State(app): Shared, headers: HeaderMap, Path(name): Path<String>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let all = all(&caller).await?;
    let defined = all.iter().find(|defined| defined.definition.name == name).ok_or_else(|| unknown(&name))?;
    json(&shown(defined)?)
}

/// What was done to what is saved under a name.
#[derive(Serialize, ToSchema)]
#[schema(as = SavedName)]
struct Named {
    name: String,
    /// What was saved; of what was taken away there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    version: Option<u32>,
}

/// Saves `{"question": …}` or `{"segment": …}`, with a `description`, under a name: its next version.
#[utoipa::path(put, operation_id = "save", path = "/v1/saved/{name}", tag = "saved", security(("key" = ["admin"])), params(("name" = String, Path)), request_body(content = Saved, example = json!({"question": {"trend": {"series": [{"event": "page_view"}], "range": {"last": "7d"}}}, "description": "views of a week"})),
    responses((status = 200, body = Named), Keyed, Bodied, Storing))]
pub(crate) async fn save(State(app): Shared, headers: HeaderMap, Path(name): Path<String>, body: Body) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Admin).await?;
    let text = body::read(&app, body).await?.0;
    let definition = Definition::from_body(&name, &text).map_err(pugmark::Error::from)?;
    let saved = caller.audited(&app, "saved", move |project| {
        let version = project.db.define(&definition)?;
        Ok((version, Some(vec![("version", version.into())])))
    });
    let version = saved.await?;
    json(&Named { name, version: Some(version) })
}

/// Takes away what is saved under a name.
#[utoipa::path(delete, operation_id = "remove_saved", path = "/v1/saved/{name}", tag = "saved", security(("key" = ["admin"])), params(("name" = String, Path)),
    responses((status = 200, body = Named), Keyed, Finding, Storing))]
pub(crate) async fn remove(State(app): Shared, headers: HeaderMap, Path(name): Path<String>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Admin).await?;
    if !all(&caller).await?.iter().any(|defined| defined.definition.name == name) {
        return Err(unknown(&name));
    }
    let of = name.clone();
    caller.audited(&app, "saved.removed", move |project| Ok((project.db.undefine(&of)?, Some(Vec::new())))).await?;
    json(&Named { name, version: None })
}

/// As of when.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AsOf {
    /// A sequence; as things stand without it.
    as_of: Option<u64>,
}

/// Asks the question that is saved under a name.
#[utoipa::path(get, operation_id = "answer_saved", path = "/v1/saved/{name}/answer", tag = "saved", security(("key" = ["read"])), params(("name" = String, Path), AsOf),
    responses((status = 200, body = QueryResult), Keyed, Finding, Computing))]
pub(crate) async fn answer(
    State(app): Shared,
    headers: HeaderMap,
    Path(name): Path<String>,
    Asked(of): Asked<AsOf>,
) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    if of.as_of.is_none() && !all(&caller).await?.iter().any(|defined| defined.definition.name == name) {
        return Err(unknown(&name));
    }
    let project = Arc::clone(&caller.project);
    let answered = app.answer("saved", async move {
        let answered = match of.as_of {
            Some(sequence) => project.db.ask_as_of(&name, Sequence::new(sequence)).await,
            None => project.db.ask(&name).await,
        };
        answered.map_err(of_question)
    });
    json(&answered.await?)
}
