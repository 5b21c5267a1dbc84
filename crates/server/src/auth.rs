//! Who calls, and what they may.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::app::App;
use crate::key::{Key, Scope};
use crate::problem::{Answer, Problem};
use crate::project::{Project, ProjectName};

/// By which header the key of all projects says of which one it speaks.
pub(crate) const PROJECT_HEADER: &str = "pugmark-project";

/// The key of a request that may do what needs this scope: that of `Authorization` as Bearer or as the user name of Basic, or the one in its body or address.
pub(crate) fn key(app: &App, headers: &HeaderMap, given: Option<&str>, scope: Scope) -> Answer<Arc<Key>> {
    let shown = authorization(headers).or_else(|| given.map(str::to_owned)).ok_or_else(Problem::keyless)?;
    let key = app.control.verify(shown.trim()).ok_or_else(Problem::unknown_key)?;
    if !key.may(scope) {
        return Err(Problem::forbidden(format!(
            "the key is one to {}, and this needs one to {scope}",
            key.grant.scope
        )));
    }
    if let Some(origin) = headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) {
        let allows = |allowed: &String| allowed == "*" || allowed == origin;
        let own = &key.grant.origins;
        if !own.is_empty() && !own.iter().chain(&app.config.origins).any(allows) {
            return Err(Problem::forbidden(format!("the key is not for pages of {origin}")));
        }
    }
    app.control.note_use(&key);
    Ok(key)
}

/// The project that a key is for; that of all projects names one in the header `Pugmark-Project`.
///
/// Whoever only asks makes no store by it: where a project is named that nothing was sent to, that is the answer.
pub(crate) async fn project(app: &App, key: &Key, headers: &HeaderMap, scope: Scope) -> Answer<Arc<Project>> {
    let named = headers.get(PROJECT_HEADER).map(|name| {
        let name = name.to_str().map_err(|_| "no text".to_owned());
        let name = name.and_then(str::parse::<ProjectName>);
        name.map_err(|why| Problem::invalid(format!("{PROJECT_HEADER}: {why}")).on(PROJECT_HEADER))
    });
    let name = match (&key.grant.project, named.transpose()?) {
        (Some(own), None) => own.clone(),
        (Some(own), Some(named)) if *own == named => named,
        (Some(_), Some(_)) => return Err(Problem::forbidden("the key is of another project")),
        (None, Some(named)) if scope == Scope::Read && !app.projects.has(&named) => {
            return Err(Problem::not_found(format!("nothing was sent to {named} yet")).on(PROJECT_HEADER));
        }
        (None, Some(named)) => named,
        (None, None) => {
            return Err(Problem::invalid(format!(
                "the key is of all projects: name one in the header {PROJECT_HEADER}"
            ))
            .on(PROJECT_HEADER));
        }
    };
    app.projects.store(&name).await
}

/// The key in the header `Authorization`.
fn authorization(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
        return decoded.split(':').next().map(str::to_owned);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(value: &str) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        authorization(&headers)
    }

    #[test]
    fn a_key_is_read_from_bearer_and_from_the_user_name_of_basic() {
        assert_eq!(shown("Bearer pm_1").as_deref(), Some("pm_1"));
        assert_eq!(shown("bearer  pm_1 ").as_deref(), Some("pm_1"));
        assert_eq!(shown(&format!("Basic {}", STANDARD.encode("pm_1:"))).as_deref(), Some("pm_1"));
        for wrong in ["Basic !!", "Digest x", "pm_1", "Basic /w=="] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }
}
