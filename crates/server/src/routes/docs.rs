//! The page that shows the document and lets one try requests. All of it is in the program.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::header;
use axum::response::{IntoResponse, Redirect};
use axum::routing::get;
use utoipa_swagger_ui::Config;

use crate::app::App;
use crate::problem::{Answer, Problem};

/// Addresses are told as seen from the page: the server may lie under another.
pub(super) fn routes() -> Router<Arc<App>> {
    // Nothing is asked of anybody else: a validator would be.
    let config = Config::new(["../openapi.json"])
        .validator_url("none")
        .try_it_out_enabled(true)
        .display_request_duration(true)
        .doc_expansion("list");
    let config = Arc::new(config);
    let first = Arc::clone(&config);
    Router::new()
        .route("/docs", get(|| async { Redirect::permanent("docs/") }))
        .route("/docs/", get(move || async move { file("", &first) }))
        .route("/docs/{*file}", get(move |Path(path): Path<String>| async move { file(&path, &config) }))
}

fn file(path: &str, config: &Arc<Config<'static>>) -> Answer {
    let found = utoipa_swagger_ui::serve(path, Arc::clone(config));
    let found = found.map_err(|error| Problem::internal(format!("the page: {error}")))?;
    let file = found.ok_or_else(|| Problem::not_found("there is nothing at this address"))?;
    let head = [(header::CONTENT_TYPE, file.content_type.as_str()), (header::X_FRAME_OPTIONS, "DENY")];
    Ok((head, file.bytes.into_owned()).into_response())
}
