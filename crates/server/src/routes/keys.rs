//! Keys, which an admin makes and revokes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use pugmark::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::responses::{Bodied, Finding, Keyed, Storing};
use super::{Shared, from_json, json};
use crate::app::App;
use crate::auth;
use crate::body;
use crate::key::{Grant, Key, KeyId, Scope};
use crate::problem::{Answer, Problem};
use crate::project::ProjectName;

/// A key, without its secret.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyShown {
    id: KeyId,
    scope: Scope,
    /// None is all projects.
    #[schema(value_type = Option<String>, required = true)]
    project: Option<ProjectName>,
    /// The origins whose pages may use it.
    origins: Vec<String>,
    #[schema(required = true)]
    note: Option<String>,
    #[schema(format = DateTime)]
    created: String,
    /// To the hour.
    #[schema(format = DateTime, required = true)]
    last_used: Option<String>,
    #[schema(format = DateTime, required = true)]
    revoked: Option<String>,
    /// The key itself, once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    key: Option<String>,
}

impl KeyShown {
    fn of(key: &Key, secret: Option<String>) -> Self {
        let at = |us: i64| Timestamp::from_microsecond(us).to_string();
        Self {
            id: key.id.clone(),
            scope: key.grant.scope,
            project: key.grant.project.clone(),
            origins: key.grant.origins.clone(),
            note: key.grant.note.clone(),
            created: at(key.created_us),
            last_used: key.used_us.map(at),
            revoked: key.revoked_us.map(at),
            key: secret,
        }
    }
}

/// What a new key is for.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = NewKey)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyWanted {
    scope: Scope,
    /// `project` or `project/environment`; that of the asking key without it.
    project: Option<String>,
    /// Origins whose pages may use it, such as `https://shop.example`; it may then only write.
    #[serde(default)]
    origins: Vec<String>,
    note: Option<String>,
}

/// The key that asks must be an admin's, and sees the keys of its project alone.
fn asking(app: &App, headers: &HeaderMap) -> Answer<Arc<Key>> {
    let key = auth::key(app, headers, None, Scope::Admin)?;
    app.rates.request(&key.id)?;
    Ok(key)
}

fn sees(asking: &Key, other: &Key) -> bool {
    asking.grant.project.is_none() || asking.grant.project == other.grant.project
}

/// The keys, revoked ones included.
#[utoipa::path(get, operation_id = "list_keys", path = "/v1/keys", tag = "keys", security(("key" = ["admin"])),
    responses((status = 200, body = Vec<KeyShown>), Keyed))]
pub(crate) async fn list(State(app): Shared, headers: HeaderMap) -> Answer {
    let asking = asking(&app, &headers)?;
    let keys = app.control.keys();
    json(&keys.iter().filter(|key| sees(&asking, key)).map(|key| KeyShown::of(key, None)).collect::<Vec<_>>())
}

/// Makes a key. It is shown in this answer and never again.
#[utoipa::path(post, operation_id = "create_key", path = "/v1/keys", tag = "keys", security(("key" = ["admin"])), request_body(content = KeyWanted, example = json!({"scope": "write", "origins": ["https://shop.example"], "note": "the shop"})),
    responses((status = 201, body = KeyShown), Keyed, Bodied, Storing))]
pub(crate) async fn create(State(app): Shared, headers: HeaderMap, body: Body) -> Answer {
    let asking = asking(&app, &headers)?;
    let wanted: KeyWanted = from_json(&body::read(&app, body).await?.0)?;
    let named = wanted.project.map(|name| name.parse::<ProjectName>()).transpose();
    let named = named.map_err(|why| Problem::invalid(why).on("project"))?;
    let project = match (&asking.grant.project, named) {
        (Some(own), Some(named)) if *own != named => return Err(Problem::forbidden("the key is of another project")),
        (Some(own), _) => Some(own.clone()),
        (None, named) => named,
    };
    let grant = Grant { project, scope: wanted.scope, origins: wanted.origins, note: wanted.note };
    let (shared, by) = (Arc::clone(&app), asking.id.clone());
    let made = tokio::task::spawn_blocking(move || shared.control.create(grant, Some(&by))).await;
    let secret = made.map_err(|error| Problem::internal(error.to_string()))??;
    let key = app.control.verify(secret.as_str()).ok_or_else(|| Problem::internal("the key is not there"))?;
    Ok((StatusCode::CREATED, json(&KeyShown::of(&key, Some(secret.as_str().to_owned())))?).into_response())
}

/// Revokes a key, for good.
#[utoipa::path(delete, operation_id = "revoke_key", path = "/v1/keys/{id}", tag = "keys", security(("key" = ["admin"])), params(("id" = String, Path)),
    responses((status = 200, body = KeyShown), Keyed, Finding, Storing))]
pub(crate) async fn revoke(State(app): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let asking = asking(&app, &headers)?;
    let find = |app: &App| app.control.keys().into_iter().find(|key| key.id.as_str() == id && sees(&asking, key));
    let unknown = || Problem::not_found(format!("there is no key {id:?}"));
    let key = find(&app).ok_or_else(unknown)?;
    let (shared, of, by) = (Arc::clone(&app), key.id.clone(), asking.id.clone());
    let done = tokio::task::spawn_blocking(move || shared.control.revoke(&of, Some(&by))).await;
    done.map_err(|error| Problem::internal(error.to_string()))??;
    json(&KeyShown::of(&*find(&app).ok_or_else(unknown)?, None))
}
