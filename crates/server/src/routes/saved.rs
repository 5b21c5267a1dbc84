//! Questions, segments and cohorts that are saved under names.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use pugmark::{Defined, Definition, Sequence};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;

use super::query::of_question;
use super::responses::{Bodied, Computing, Finding, Keyed, Storing};
use super::{Asked, Caller, Shared, from_json, json};
use crate::body;
use crate::key::Scope;
use crate::problem::{Answer, Problem};

fn shown(defined: &Defined) -> Answer<Value> {
    let mut shown: Value = from_json(&defined.definition.body())?;
    shown["name"] = defined.definition.name.as_str().into();
    shown["version"] = defined.version.into();
    shown["sequence"] = defined.sequence.number().into();
    shown["at"] = defined.at.to_string().into();
    Ok(shown)
}

async fn all(caller: &Caller) -> Answer<Vec<Defined>> {
    caller.blocking(|project| project.db.definitions()).await
}

/// Everything that is saved, by name.
#[utoipa::path(get, path = "/v1/saved", tag = "saved", security(("key" = ["read"])),
    responses((status = 200, body = Vec<Value>), Keyed))]
pub(crate) async fn list(State(app): Shared, headers: HeaderMap) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let all = all(&caller).await?.iter().map(shown).collect::<Answer<Vec<Value>>>()?;
    json(&all)
}

fn unknown(name: &str) -> Problem {
    Problem::not_found(format!("nothing is saved as {name:?}"))
}

/// What is saved under a name.
#[utoipa::path(get, path = "/v1/saved/{name}", tag = "saved", security(("key" = ["read"])), params(("name" = String, Path)),
    responses((status = 200, body = Value), Keyed, Finding))]
pub(crate) async fn show(State(app): Shared, headers: HeaderMap, Path(name): Path<String>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let all = all(&caller).await?;
    let defined = all.iter().find(|defined| defined.definition.name == name).ok_or_else(|| unknown(&name))?;
    json(&shown(defined)?)
}

/// Saves `{"question": …}` or `{"segment": …}`, with a `description`, under a name: its next version.
#[utoipa::path(put, path = "/v1/saved/{name}", tag = "saved", security(("key" = ["admin"])), params(("name" = String, Path)), request_body(content = Value, example = json!({"question": {"trend": {"series": [{"event": "page_view"}], "range": {"last": "7d"}}}, "description": "views of a week"})),
    responses((status = 200, body = Value), Keyed, Bodied, Storing))]
pub(crate) async fn save(State(app): Shared, headers: HeaderMap, Path(name): Path<String>, body: Body) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Admin).await?;
    let text = body::read(&app, body).await?.0;
    let definition = Definition::from_body(&name, &text).map_err(pugmark::Error::from)?;
    let saved = caller.audited(&app, "saved", move |project| {
        let version = project.db.define(&definition)?;
        Ok((version, Some(vec![("version", version.into())])))
    });
    let version = saved.await?;
    json(&json!({ "name": name, "version": version }))
}

/// Takes away what is saved under a name.
#[utoipa::path(delete, path = "/v1/saved/{name}", tag = "saved", security(("key" = ["admin"])), params(("name" = String, Path)),
    responses((status = 200, body = Value), Keyed, Finding, Storing))]
pub(crate) async fn remove(State(app): Shared, headers: HeaderMap, Path(name): Path<String>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Admin).await?;
    if !all(&caller).await?.iter().any(|defined| defined.definition.name == name) {
        return Err(unknown(&name));
    }
    let of = name.clone();
    caller.audited(&app, "saved.removed", move |project| Ok((project.db.undefine(&of)?, Some(Vec::new())))).await?;
    json(&json!({ "name": name }))
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
#[utoipa::path(get, path = "/v1/saved/{name}/answer", tag = "saved", security(("key" = ["read"])), params(("name" = String, Path), AsOf),
    responses((status = 200, body = Value), Keyed, Finding, Computing))]
pub(crate) async fn answer(
    State(app): Shared,
    headers: HeaderMap,
    Path(name): Path<String>,
    Asked(of): Asked<AsOf>,
) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
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
