//! The addresses that the SDKs of Segment and RudderStack call.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::openapi::path::{HttpMethod, OperationBuilder};
use utoipa::openapi::request_body::RequestBodyBuilder;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::{
    ContentBuilder, ObjectBuilder, OpenApi, PathItem, Ref, Required, ResponseBuilder, SecurityRequirement,
};
use utoipa::{IntoParams, IntoResponses, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::responses::{Bodied, Finding, Keyed, Storing};
use super::{Asked, Caller, Peer, Shared, from_json, json};
use crate::app::App;
use crate::auth;
use crate::body::{self, Held};
use crate::enrich::Sender;
use crate::ingest;
use crate::key::Scope;
use crate::limits::CONTEXTS_MAX_BYTES;
use crate::problem::{Answer, Problem};
use crate::wire::segment::Body as Sent;

/// The kinds of messages, with the letters by which the library for browsers calls them.
const KINDS: [(&str, &str); 6] =
    [("track", "t"), ("identify", "i"), ("page", "p"), ("screen", "s"), ("group", "g"), ("alias", "a")];

/// A picture of one transparent dot.
const DOT: &[u8] = b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";

/// Whether pages call this address: others are not for them, whatever their origin.
pub(super) fn is_for_pages(path: &str) -> bool {
    let Some((_, last)) = path.rsplit_once("/v1/") else { return false };
    let is_kind = KINDS.iter().any(|(kind, letter)| [*kind, *letter].contains(&last));
    is_kind
        || matches!(last, "batch" | "b" | "m" | "events")
        || last.starts_with("projects/")
        || last.starts_with("pixel/")
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    let mut router = Router::new();
    for (kind, letter) in KINDS {
        let take =
            move |app: Shared, peer: Peer, headers: HeaderMap, body: Body| take(app, peer, headers, body, Some(kind));
        router = router.route(&format!("/v1/{kind}"), post(take)).route(&format!("/v1/{letter}"), post(take));
    }
    let batch = |app: Shared, peer: Peer, headers: HeaderMap, body: Body| take(app, peer, headers, body, None);
    for address in ["/v1/batch", "/v1/b", "/v1/import"] {
        router = router.route(address, post(batch));
    }
    router = router
        // What the library for browsers counts of itself, which nobody asks for.
        .route("/v1/m", post(|| async { axum::http::StatusCode::NO_CONTENT }));
    OpenApiRouter::from(router).routes(routes!(settings)).routes(routes!(pixel))
}

/// Adds what the SDKs call to the document: the letters, which only the library for browsers uses, are left out.
pub(super) fn describe(document: &mut OpenApi) {
    let mut schemas = vec![(Taken::name().into_owned(), Taken::schema())];
    Taken::schemas(&mut schemas);
    document.components.get_or_insert_default().schemas.extend(schemas);
    let message = "A message, or several as `batch`, with `writeKey` where `Authorization` has no key";
    for (address, says) in KINDS
        .map(|(kind, _)| (kind, "Takes in one message of this kind"))
        .into_iter()
        .chain([("batch", "Takes in messages of any kind")])
    {
        let example = match address {
            "batch" => json!({ "batch": [{ "type": "track", "event": "Signed Up", "userId": "ann" }] }),
            "identify" => json!({ "userId": "ann", "anonymousId": "a1", "traits": { "plan": "pro" } }),
            "group" => json!({ "userId": "ann", "groupId": "acme" }),
            "alias" => json!({ "previousId": "a1", "userId": "ann" }),
            _ => json!({ "event": "Signed Up", "userId": "ann", "properties": { "url": "/" } }),
        };
        let form = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(true)));
        let body = ContentBuilder::new().schema(Some(form)).example(Some(example)).build();
        let answer = ContentBuilder::new().schema(Some(Ref::from_schema_name(Taken::name()))).build();
        let stored = ResponseBuilder::new()
            .description("What can be stored is on disk; `rejected` says what could not, and why")
            .content("application/json", answer);
        let operation = OperationBuilder::new()
            .tag("segment")
            .operation_id(Some(format!("send_{address}")))
            .summary(Some(says))
            .description(Some("What the SDKs of Segment and RudderStack send."))
            .security(SecurityRequirement::new("key", ["write"]))
            .security(SecurityRequirement::new("basic", [] as [&str; 0]))
            .security(SecurityRequirement::default())
            .request_body(Some(
                RequestBodyBuilder::new()
                    .description(Some(message))
                    .content("application/json", body)
                    .required(Some(Required::True))
                    .build(),
            ))
            .response("200", stored);
        let problems = [Keyed::responses(), Bodied::responses(), Storing::responses()].into_iter().flatten();
        let operation = problems.fold(operation, |operation, (status, problem)| operation.response(status, problem));
        let path = PathItem::new(HttpMethod::Post, operation);
        document.paths.paths.insert(format!("/v1/{address}"), path);
    }
}

/// What became of messages.
#[derive(Serialize, ToSchema)]
#[schema(as = MessagesResult)]
struct Taken {
    /// What can be stored is on disk.
    success: bool,
    /// What could not be stored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    rejected: Vec<Wrong>,
    /// How many events were left out by `sample_rate`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    sampled: Option<usize>,
}

/// A message that could not be stored.
#[derive(Serialize, ToSchema)]
#[schema(as = RejectedMessage)]
struct Wrong {
    /// Its place, from 0.
    at: usize,
    /// By the name that it has in a message.
    #[schema(required = true)]
    field: Option<String>,
    #[schema(required = true)]
    reason: Option<String>,
}

/// Takes messages in. What is wrong with one of them is in the answer, and the others are stored: an SDK would send all of them again, for ever.
async fn take(State(app): Shared, peer: Peer, headers: HeaderMap, body: Body, kind: Option<&'static str>) -> Answer {
    // Whoever shows a key beforehand shows one that stands.
    let (text, held) = if headers.contains_key(header::AUTHORIZATION) {
        auth::key(&app, &headers, None, Scope::Write)?;
        body::read(&app, body).await?
    } else {
        body::read_of_stranger(&app, body).await?
    };
    let sent: Sent = from_json(&text)?;
    drop(text);
    if kind.is_none() && sent.batch.is_none() {
        return Err(Problem::invalid("batch: missing"));
    }
    let caller = Caller::of(&app, &headers, sent.write_key.as_deref(), Scope::Write).await?;
    let sender = peer.sender(&app, &headers, &caller.key);
    stored(&app, &caller, &sender, sent, kind, held).await
}

async fn stored(app: &App, caller: &Caller, sender: &Sender, sent: Sent, kind: Option<&str>, held: Held) -> Answer {
    let messages = sent.messages(kind);
    let count = messages.len();
    ingest::check_count(app, count)?;
    if messages.context_bytes().saturating_mul(count) > CONTEXTS_MAX_BYTES {
        return Err(Problem::too_large("the context of the body, once for each of its messages: send them in parts")
            .on("context"));
    }
    app.rates.events(&caller.key.id, count)?;
    let messages: Vec<_> = messages.entries(caller.project.db.now()).collect();
    let mut rejected = Vec::new();
    let mut entries = Vec::new();
    for (at, message) in messages.into_iter().enumerate() {
        match message {
            Ok(made) => entries.extend(made.into_iter().map(|entry| (at, entry))),
            Err(rejection) => {
                rejected.push(Wrong { at, field: Some(rejection.field), reason: Some(rejection.reason) });
            }
        }
    }
    let places: Vec<usize> = entries.iter().map(|(at, _)| *at).collect();
    let told = ingest::store(app, &caller.project, sender, entries.into_iter().map(|(_, entry)| Ok(entry))).await?;
    drop(held);
    let wrong = told.iter().zip(places).filter(|(told, _)| told.outcome == "rejected");
    rejected.extend(wrong.map(|(told, at)| {
        // By the name that it has in a message.
        let field = told.field.as_deref().map(|field| if field == "distinct_id" { "userId" } else { field });
        Wrong { at, field: field.map(str::to_owned), reason: told.reason.clone() }
    }));
    let sampled = told.iter().filter(|told| told.is_sampled()).count();
    json(&Taken { success: true, rejected, sampled: Some(sampled).filter(|sampled| *sampled > 0) })
}

/// What the library for browsers asks for before it sends anything.
#[utoipa::path(get, operation_id = "show_browser_settings", path = "/v1/projects/{key}/settings", tag = "segment", params(("key" = String, Path, description = "A key that may write")),
    responses((status = 200, body = serde_json::Value), Keyed))]
async fn settings(State(app): Shared, peer: Peer, Path(key): Path<String>, headers: HeaderMap) -> Answer {
    let standing = auth::key(&app, &headers, Some(&key), Scope::Write)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let protocol = if app.config.tls.is_some() || peer.came_encrypted(&app, &headers) { "https" } else { "http" };
    let own = json!({ "apiKey": key, "apiHost": format!("{host}/v1"), "protocol": protocol });
    tracing::debug!(key = %standing.id, "settings");
    json(
        &json!({ "integrations": { "Segment.io": own }, "plan": {}, "edgeFunction": {}, "analyticsNextEnabled": true, "enabledMiddleware": {}, "metrics": { "sampleRate": 0 } }),
    )
}

/// A message in an address.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Pixel {
    /// The message as JSON in base64, with its `writeKey`.
    data: String,
}

/// Takes in a message that comes as the address of a picture.
#[utoipa::path(get, operation_id = "send_by_pixel", path = "/v1/pixel/{kind}", tag = "segment", params(("kind" = String, Path, description = "track, identify, page, screen, group or alias"), Pixel),
    responses((status = 200, body = Vec<u8>, content_type = "image/gif"), Keyed, Finding, Bodied, Storing))]
async fn pixel(
    State(app): Shared,
    peer: Peer,
    headers: HeaderMap,
    Path(kind): Path<String>,
    Asked(pixel): Asked<Pixel>,
) -> Answer {
    let known = KINDS.iter().find(|(name, _)| *name == kind).map(|(name, _)| *name);
    let kind = known.ok_or_else(|| Problem::not_found("there is no such message"))?;
    let data = pixel.data.trim_end_matches('=');
    let bytes = URL_SAFE_NO_PAD.decode(data).or_else(|_| STANDARD.decode(&pixel.data));
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let text = text.ok_or_else(|| Problem::invalid("expected JSON in base64").on("data"))?;
    let sent: Sent = from_json(&text)?;
    let caller = Caller::of(&app, &headers, sent.write_key.as_deref(), Scope::Write).await?;
    let sender = peer.sender(&app, &headers, &caller.key);
    stored(&app, &caller, &sender, sent, Some(kind), Held::none(&app.queue)).await?;
    Ok(([(header::CONTENT_TYPE, "image/gif"), (header::CACHE_CONTROL, "no-store")], DOT).into_response())
}
