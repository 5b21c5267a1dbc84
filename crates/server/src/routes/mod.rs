//! The routes: each a few lines over the facade.

mod docs;
mod document;
mod events;
mod forms;
mod keys;
mod people;
mod query;
mod responses;
mod saved;
mod segment;
mod status;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tower_http::decompression::RequestDecompressionLayer;
use tracing::Instrument;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{PathItem, Required};
use utoipa::{IntoResponses, OpenApi, PartialSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::auth;
use crate::enrich::Sender;
use crate::key::{Key, Scope};
use crate::metrics::OfRoute;
use crate::problem::{Answer, Problem, ProblemDetails};
use crate::project::Project;
use crate::rate::Limited;
use crate::request;
use crate::trace;

type Shared = State<Arc<App>>;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(OpenApi)]
#[openapi(info(
    title = "pugmark",
    description = "Events in, answers out. Every acknowledged event is on disk; every answer is exact. Keys go in `Authorization: Bearer KEY`."
))]
struct Document;

/// All routes, and the document that describes them.
fn described() -> (Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(events::append))
        .routes(routes!(events::count))
        .routes(routes!(events::by_day))
        .routes(routes!(events::recent))
        .routes(routes!(events::stream))
        .routes(routes!(query::query))
        .routes(routes!(query::sql))
        .routes(routes!(people::list))
        .routes(routes!(people::search))
        .routes(routes!(people::show))
        .routes(routes!(people::journey))
        .routes(routes!(people::export))
        .routes(routes!(people::merge))
        .routes(routes!(people::split))
        .routes(routes!(people::erase))
        .routes(routes!(saved::list))
        .routes(routes!(saved::show, saved::save, saved::remove))
        .routes(routes!(saved::answer))
        .routes(routes!(status::stats))
        .routes(routes!(status::registry_events))
        .routes(routes!(status::registry_properties))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(status::live))
        .routes(routes!(status::ready))
        .routes(routes!(status::metrics))
        .merge(segment::routes())
        .split_for_parts();
    segment::describe(&mut document);
    document.paths.paths.values_mut().flat_map(operations).for_each(name_project);
    let components = document.components.get_or_insert_default();
    components.schemas.insert(responses::PROBLEM.to_owned(), ProblemDetails::schema());
    components.add_security_scheme("key", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.add_security_scheme("basic", SecurityScheme::Http(Http::new(HttpAuthScheme::Basic)));
    (router, document)
}

fn operations(path: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut path.get, &mut path.post, &mut path.put, &mut path.delete].into_iter().filter_map(Option::as_mut)
}

/// Whoever has a key of all projects says by a header of which one it speaks.
fn name_project(operation: &mut Operation) {
    if operation.security.is_none() {
        return;
    }
    let header = ParameterBuilder::new()
        .name(auth::PROJECT_HEADER)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("`project` or `project/environment`, where the key is one of all projects"))
        .schema(Some(String::schema()));
    operation.parameters.get_or_insert_default().push(header.build().into());
    let unknown = responses::Finding::responses();
    unknown.into_iter().for_each(|(status, problem)| {
        operation.responses.responses.entry(status).or_insert(problem);
    });
}

pub(crate) fn router(app: Arc<App>) -> Router {
    let (router, document) = described();
    let text = document::text(&document).unwrap_or_else(|error| format!("{{\"error\":\"{error}\"}}"));
    let document = move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], text.clone()));
    router
        .route("/openapi.json", axum::routing::get(document))
        .merge(docs::routes())
        .fallback(|| async { Problem::not_found("there is nothing at this address") })
        .method_not_allowed_fallback(|| async {
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "invalid", "the method is not for this address")
        })
        .layer(RequestDecompressionLayer::new().gzip(true).br(true).zstd(true))
        .layer(map_response(unpackable))
        .layer(cors(&app))
        .layer(CatchPanicLayer::custom(|_: Box<dyn std::any::Any + Send>| {
            Problem::internal("a fault in the server, which is in its log").into_response()
        }))
        .layer(from_fn_with_state(Arc::clone(&app), counted))
        .with_state(app)
}

/// Says what is wrong with a body that is packed in a way that the layer does not know, of which it says nothing.
async fn unpackable(response: Response) -> Response {
    if response.status() != StatusCode::UNSUPPORTED_MEDIA_TYPE || response.headers().contains_key(header::CONTENT_TYPE)
    {
        return response;
    }
    let problem =
        Problem::new(response.status(), "unsupported", "packed in a way that is not known: expected gzip, br or zstd");
    problem.on("content-encoding").into_response()
}

/// Pages may send from the origins in the settings and from those of keys that stand; nothing else is for pages.
fn cors(app: &Arc<App>) -> CorsLayer {
    let app = Arc::clone(app);
    let allows = move |origin: &HeaderValue, request: &Parts| {
        let Ok(origin) = origin.to_str() else { return false };
        if !segment::is_for_pages(request.uri.path()) {
            return false;
        }
        let is_origin = |allowed: &String| allowed == "*" || allowed == origin;
        let of_keys =
            || app.control.keys().iter().any(|key| key.revoked_us.is_none() && key.grant.origins.iter().any(is_origin));
        app.config.origins.iter().any(is_origin) || of_keys()
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allows))
        .allow_methods([Method::GET, Method::POST])
        // Libraries have headers of their own, and beacons come with credentials, of which none mean anything here.
        .allow_headers(AllowHeaders::mirror_request())
        .allow_credentials(true)
        .expose_headers([header::RETRY_AFTER, REQUEST_ID])
}

/// Gives a request its id, and counts and logs what became of it.
async fn counted(State(app): Shared, request: Request, next: Next) -> Response {
    let id = uuid::Uuid::now_v7().to_string();
    let route = request.extensions().get::<MatchedPath>().map_or("none", MatchedPath::as_str).to_owned();
    let method = request.method().clone();
    let begun = tokio::time::Instant::now();
    let span = trace::of_request(request.headers(), &method, &route, &id);
    let (mut response, limited) = request::scope(id.clone(), next.run(request).instrument(span.clone())).await;
    let status = response.status().as_u16();
    trace::answered(&span, status);
    app.metrics.requests.get_or_create(&OfRoute { route: route.clone(), status }).inc();
    // The route and not the address: what a caller writes there is theirs.
    tracing::info!(id, %method, route, status, milliseconds = begun.elapsed().as_millis() as u64);
    response.headers_mut().extend(HeaderValue::from_str(&id).ok().map(|id| (REQUEST_ID, id)));
    response.headers_mut().extend(limited.iter().flat_map(Limited::headers));
    response
}

/// Numbers that the audit tells of a deed; none where nothing was done.
pub(crate) type Said = Option<Vec<(&'static str, u64)>>;

/// Who asks, of which project, and what the head of the request says of them.
pub(crate) struct Caller {
    pub(crate) key: Arc<Key>,
    pub(crate) project: Arc<Project>,
}

impl Caller {
    pub(crate) async fn of(app: &App, headers: &HeaderMap, given: Option<&str>, scope: Scope) -> Answer<Self> {
        let key = auth::key(app, headers, given, scope)?;
        if scope != Scope::Write {
            app.rates.request(&key.id)?;
        }
        let project = auth::project(app, &key, headers, scope).await?;
        Ok(Self { key, project })
    }

    /// Does something that waits for the disk, on a thread that may.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Project) -> pugmark::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let project = Arc::clone(&self.project);
        let done = tokio::task::spawn_blocking(move || what(&project)).await;
        Ok(done.map_err(|error| Problem::internal(format!("a thread ended: {error}")))??)
    }

    /// Does something to the store that the audit tells of, with what it says besides; both are done, whoever still waits for it.
    pub(crate) async fn audited<T: Send + 'static>(
        &self,
        app: &Arc<App>,
        action: &'static str,
        deed: impl FnOnce(&Project) -> pugmark::Result<(T, Said)> + Send + 'static,
    ) -> Answer<T> {
        let (app, key, request) = (Arc::clone(app), Arc::clone(&self.key), request::id());
        let done = self.blocking(move |project| {
            let deed = deed(project);
            if let Err(error) = &deed {
                app.projects.heed(project, error);
            }
            let (done, said) = deed?;
            // What was done stands in the log of the project, whether the audit can be written or not.
            if let Some(said) = said
                && let Err(error) = app.control.audit(action, &key, &project.name.to_string(), &said)
            {
                tracing::error!(id = request, "the audit of {action} by {}: {error}", key.id);
            }
            Ok(done)
        });
        done.await
    }
}

/// The address of the connection, where one is known.
pub(crate) struct Peer(Option<IpAddr>);

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip())))
    }
}

impl Peer {
    /// Whether a proxy that is trusted says that it was asked over TLS.
    pub(crate) fn came_encrypted(&self, app: &App, headers: &HeaderMap) -> bool {
        let is_trusted = |peer: IpAddr| app.config.trusted_proxies.iter().any(|network| network.contains(&peer));
        let says = headers.get("x-forwarded-proto").is_some_and(|protocol| protocol == "https");
        says && self.0.is_some_and(|peer| is_trusted(peer.to_canonical()))
    }

    pub(crate) fn sender(&self, app: &App, headers: &HeaderMap, key: &Key) -> Sender {
        Sender::of(headers, self.0, &app.config.trusted_proxies, !key.grant.origins.is_empty())
    }
}

/// What stands behind the question mark, with a problem where it is wrong.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) =
            Query::from_request_parts(parts, state).await.map_err(|e| Problem::invalid(e.body_text()))?;
        Ok(Self(asked))
    }
}

/// An answer in JSON.
pub(crate) fn json(answer: &impl Serialize) -> Answer {
    let body = serde_json::to_vec(answer).map_err(|error| Problem::internal(format!("writing the answer: {error}")))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
}

/// Reads a body as JSON of this form.
pub(crate) fn from_json<T: DeserializeOwned>(text: &str) -> Answer<T> {
    if text.trim().is_empty() {
        return Err(Problem::invalid("the body is empty, expected JSON"));
    }
    serde_json::from_str(text).map_err(|error| Problem::invalid(format!("the body: {error}")))
}
