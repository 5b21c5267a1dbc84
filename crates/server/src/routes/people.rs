//! People: lists, one of them, what they did, and what an admin may do to them.

use std::io::Write;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use pugmark::{Error, JourneyResult, Note, Outcome, PeopleResult, PersonEvent, PersonId, PersonLink, Query, Sequence};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, ToSchema};

use super::query::of_question;
use super::responses::{Bodied, Computing, Finding, Keyed, Storing};
use super::{Asked, Caller, Said, Shared, from_json, json};
use crate::app::App;
use crate::body;
use crate::ingest::Told;
use crate::key::Scope;
use crate::problem::{Answer, Problem};

/// Which people, and in which order.
#[derive(Debug, Clone, Deserialize, Serialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Page {
    /// `last_seen` (without it), `first_seen`, `events`, `sessions`, `days_active` or `revenue`.
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<String>,
    /// `descending` (without it) or `ascending`.
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
    /// How many, 1 to 1,000; 50 without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    /// Where the page before ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    /// The name of a saved segment or cohort.
    #[serde(skip_serializing_if = "Option::is_none")]
    segment: Option<String>,
}

/// Who is looked for.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    /// The text.
    q: String,
    /// `exact`, `prefix` or `contains` (without it).
    r#match: Option<String>,
    /// In this trait; in ids and all traits without it.
    r#trait: Option<String>,
    /// How many, 1 to 1,000; 50 without it.
    limit: Option<u64>,
    /// Where the page before ended.
    cursor: Option<String>,
}

/// Answers a question of one kind, whose fields are these.
async fn ask(app: &App, caller: &Caller, kind: &'static str, fields: Value) -> Answer {
    let question = json!({ kind: fields }).to_string();
    let query = Query::from_json(&question).map_err(pugmark::Error::from)?;
    let project = Arc::clone(&caller.project);
    json(&app.answer(kind, async move { project.db.query(&query).await.map_err(of_question) }).await?)
}

/// The people, page by page.
#[utoipa::path(get, operation_id = "list_people", path = "/v1/persons", tag = "people", security(("key" = ["read"])), params(Page),
    responses((status = 200, body = PeopleResult), Keyed, Computing))]
pub(crate) async fn list(State(app): Shared, headers: HeaderMap, Asked(page): Asked<Page>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let fields = serde_json::to_value(&page).map_err(|error| Problem::internal(error.to_string()))?;
    ask(&app, &caller, "people", fields).await
}

/// The people who have an id or a trait.
#[utoipa::path(get, operation_id = "search_people", path = "/v1/persons/search", tag = "people", security(("key" = ["read"])), params(Wanted),
    responses((status = 200, body = PeopleResult), Keyed, Computing))]
pub(crate) async fn search(State(app): Shared, headers: HeaderMap, Asked(wanted): Asked<Wanted>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let mut search = Map::from_iter([("text".to_owned(), Value::from(wanted.q))]);
    search.extend(wanted.r#match.map(|by| ("match".to_owned(), by.into())));
    search.extend(wanted.r#trait.map(|name| ("trait".to_owned(), name.into())));
    let mut fields = Map::from_iter([("search".to_owned(), Value::Object(search))]);
    fields.extend(wanted.limit.map(|limit| ("limit".to_owned(), limit.into())));
    fields.extend(wanted.cursor.map(|cursor| ("cursor".to_owned(), cursor.into())));
    ask(&app, &caller, "people", fields.into()).await
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("{id:?} was never seen, or has been erased"))
}

/// Somebody, and how they came to have these ids.
#[derive(Serialize, ToSchema)]
#[schema(as = Person)]
struct Known {
    /// The number, as in `events.person`.
    #[schema(required = true)]
    person: Option<u32>,
    /// The id that names them.
    name: String,
    ids: Vec<PersonId>,
    links: Vec<PersonLink>,
    /// What was decided about who they are.
    history: Vec<PersonEvent>,
}

/// Who has an id: all ids, links and what was decided about them.
#[utoipa::path(get, operation_id = "show_person", path = "/v1/persons/{id}", tag = "people", security(("key" = ["read"])), params(("id" = String, Path, description = "Any id of the person")),
    responses((status = 200, body = Known), Keyed, Finding))]
pub(crate) async fn show(State(app): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let of = id.clone();
    let found = caller.blocking(move |project| {
        let Some(person) = project.db.person(&of)? else { return Ok(None) };
        let number = project.db.person_number(&of)?;
        Ok(Some((person, number, project.db.person_links(&of)?, project.db.person_history(&of)?)))
    });
    let (person, number, links, history) = found.await?.ok_or_else(|| unknown(&id))?;
    json(&Known { person: number, name: person.name, ids: person.ids, links, history })
}

/// Which part of a journey.
#[derive(Debug, Clone, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct Part {
    /// The first day or instant.
    from: Option<String>,
    /// The day or instant after the last.
    to: Option<String>,
    /// How many events, 1 to 1,000; 100 without it.
    limit: Option<u64>,
    /// `newest` (without it) or `oldest`.
    order: Option<String>,
    /// Where the page before ended.
    cursor: Option<String>,
    /// A condition of SQL.
    filter: Option<String>,
}

/// What somebody did, session by session.
#[utoipa::path(get, operation_id = "show_journey", path = "/v1/persons/{id}/journey", tag = "people", security(("key" = ["read"])), params(("id" = String, Path, description = "Any id of the person"), Part),
    responses((status = 200, body = JourneyResult), Keyed, Finding, Computing))]
pub(crate) async fn journey(
    State(app): Shared,
    headers: HeaderMap,
    Path(id): Path<String>,
    Asked(part): Asked<Part>,
) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Read).await?;
    let mut fields = Map::from_iter([("distinct_id".to_owned(), Value::from(id))]);
    let mut range = Map::new();
    range.extend(part.from.map(|from| ("from".to_owned(), from.into())));
    range.extend(part.to.map(|to| ("to".to_owned(), to.into())));
    fields.extend((!range.is_empty()).then(|| ("range".to_owned(), Value::Object(range))));
    fields.extend(part.limit.map(|limit| ("limit".to_owned(), limit.into())));
    let texts = [("order", part.order), ("cursor", part.cursor), ("filter", part.filter)];
    fields.extend(texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), text?.into()))));
    ask(&app, &caller, "journey", fields.into()).await
}

/// Everything that is known of somebody, as lines that an import reads.
#[utoipa::path(get, operation_id = "export_person", path = "/v1/persons/{id}/export", tag = "people", security(("key" = ["admin"])), params(("id" = String, Path, description = "Any id of the person")),
    responses((status = 200, body = String, content_type = "application/x-ndjson"), Keyed, Finding, Computing))]
pub(crate) async fn export(State(app): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Admin).await?;
    let of = id.clone();
    let known = caller.audited(&app, "person.exported", move |project| {
        let known = project.db.person(&of)?.is_some();
        Ok((known, known.then(Vec::new)))
    });
    if !known.await? {
        return Err(unknown(&id));
    }
    let project = Arc::clone(&caller.project);
    let lines = app.answer_in_parts("export", move |parts| async move {
        let exported = tokio::task::spawn_blocking(move || {
            let mut lines = parts.writer();
            project.db.export_person(&id, &mut lines)?;
            lines.flush().map_err(|error| Problem::internal(format!("writing the lines: {error}")))
        });
        exported.await.map_err(|error| Problem::internal(format!("a thread ended: {error}")))?
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], lines.await?).into_response())
}

/// With whom somebody is one.
#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = MergeRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Merging {
    /// The other ids.
    ids: Vec<String>,
    /// Why.
    why: Option<String>,
}

/// What is taken back.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = SplitRequest)]
#[serde(deny_unknown_fields)]
pub(crate) struct Splitting {
    /// The sequence of one operation; every link that touches the id without it.
    sequence: Option<u64>,
    /// Why.
    why: Option<String>,
}

fn note(caller: &Caller, why: Option<String>) -> Note {
    let note = Note::by(format!("key {}", caller.key.id));
    match why {
        Some(why) => note.because(why),
        None => note,
    }
}

/// Tells of an operation.
fn told(outcome: Outcome) -> Answer {
    let told = Told::from(outcome);
    if let Some(reason) = told.reason.as_ref().filter(|_| told.outcome == "rejected") {
        let problem = Problem::invalid(reason.clone());
        return Err(told.field.iter().fold(problem, |problem, field| problem.on(field.clone())));
    }
    json(&told)
}

/// The place of an operation in the log, for the audit.
fn placed(outcome: Outcome) -> (Outcome, Said) {
    let sequence = Told::from(outcome.clone()).sequence;
    (outcome, sequence.map(|sequence| vec![("sequence", sequence)]))
}

/// Says that ids are one person.
#[utoipa::path(post, operation_id = "merge_person", path = "/v1/persons/{id}/merge", tag = "people", security(("key" = ["admin"])), params(("id" = String, Path, description = "An id of the person")), request_body(content = Merging, example = json!({"ids": ["ann@example.org"], "why": "the same person"})),
    responses((status = 200, body = Told), Keyed, Bodied, Storing))]
pub(crate) async fn merge(State(app): Shared, headers: HeaderMap, Path(id): Path<String>, body: Body) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Admin).await?;
    let merging: Merging = from_json(&body::read(&app, body).await?.0)?;
    let ids: Vec<String> = std::iter::once(id).chain(merging.ids).collect();
    let note = note(&caller, merging.why);
    let outcome = caller.audited(&app, "person.merged", move |project| Ok(placed(project.db.merge(ids, note)?)));
    told(outcome.await?)
}

/// Takes links back: those that touch the id, or those of one operation.
#[utoipa::path(post, operation_id = "split_person", path = "/v1/persons/{id}/split", tag = "people", security(("key" = ["admin"])), params(("id" = String, Path, description = "An id of the person")), request_body(content = Splitting, example = json!({"why": "two people on one device"})),
    responses((status = 200, body = Told), Keyed, Bodied, Storing))]
pub(crate) async fn split(State(app): Shared, headers: HeaderMap, Path(id): Path<String>, body: Body) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Admin).await?;
    let text = body::read(&app, body).await?.0;
    let splitting: Splitting = if text.trim().is_empty() { Splitting::default() } else { from_json(&text)? };
    let note = note(&caller, splitting.why);
    let outcome = caller.audited(&app, "person.split", move |project| {
        Ok(placed(match splitting.sequence {
            Some(sequence) => {
                // Of another person it would be a slip of the pen, and theirs to say.
                if !project.db.person_links(&id)?.iter().any(|link| link.sequence == sequence) {
                    let what = format!("operation {sequence} linked no id of the person with the id {id:?}");
                    return Err(Error::invalid(what).on("sequence"));
                }
                project.db.split_link(Sequence::new(sequence), note)?
            }
            None => project.db.split(id, note)?,
        }))
    });
    told(outcome.await?)
}

/// What is gone.
#[derive(Serialize, ToSchema)]
struct Erased {
    /// How many ids.
    ids: u64,
    /// How many events and operations.
    records: u64,
}

/// Erases somebody: no byte of their ids and events is in any file of the store when this returns.
#[utoipa::path(post, operation_id = "erase_person", path = "/v1/persons/{id}/erase", tag = "people", security(("key" = ["admin"])), params(("id" = String, Path, description = "Any id of the person")),
    responses((status = 200, body = Erased), Keyed, Finding, Storing))]
pub(crate) async fn erase(State(app): Shared, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let caller = Caller::of(&app, &headers, None, Scope::Admin).await?;
    let of = id.clone();
    let receipt = caller.audited(&app, "person.erased", move |project| {
        let receipt = project.db.erase(&[of])?;
        let said = vec![("ids", receipt.subjects), ("records", receipt.records)];
        Ok((receipt.clone(), (receipt.subjects > 0).then_some(said)))
    });
    let receipt = receipt.await?;
    if receipt.subjects == 0 {
        return Err(unknown(&id));
    }
    json(&Erased { ids: receipt.subjects, records: receipt.records })
}
