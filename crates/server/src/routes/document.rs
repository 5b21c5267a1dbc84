//! The document as it is served: what the derives say, for readers of JSON and for programs that make clients of it.

use pugmark::{QueryResult, SideBySide};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;
use utoipa::openapi::OpenApi;

/// The document, as text.
///
/// # Errors
/// Those of `serde_json`.
pub(super) fn text(document: &OpenApi) -> serde_json::Result<String> {
    let mut document = serde_json::to_value(document)?;
    amend(&mut document);
    if let Some(schemas) = document.pointer_mut("/components/schemas").and_then(Value::as_object_mut) {
        tell_kinds(schemas);
    }
    for operation in operations(&mut document) {
        describe_responses(operation);
        tell_headers(operation);
    }
    serde_json::to_string(&document)
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut).filter_map(Value::as_object_mut)
}

/// A response must have a description: without one of its own, what the operation does.
fn describe_responses(operation: &mut Map<String, Value>) {
    let summary = operation.get("summary").cloned().unwrap_or_else(|| json!("Done"));
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for response in responses.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        response.entry("description").or_insert_with(|| summary.clone());
    }
}

/// What every answer has in its head, and what those of operations with a key have; an operation without one wants none.
fn tell_headers(operation: &mut Map<String, Value>) {
    let header = |schema: Value, text: &str| json!({ "schema": schema, "description": text });
    let seconds = || json!({ "type": "integer", "minimum": 0 });
    let with_key = operation.entry("security").or_insert_with(|| json!([])) != &json!([]);
    let responses = operation.get_mut("responses").and_then(Value::as_object_mut);
    for (status, response) in responses.into_iter().flatten() {
        let mut headers = Map::new();
        headers.insert(
            "X-Request-Id".to_owned(),
            header(json!({ "type": "string" }), "By which the log knows the request"),
        );
        if matches!(status.as_str(), "429" | "503") {
            headers.insert("Retry-After".to_owned(), header(seconds(), "In how many seconds to come again"));
        }
        if with_key {
            for (name, text) in [
                ("RateLimit-Limit", "How much the key may send at once, where that is bounded"),
                ("RateLimit-Remaining", "How much of it is left"),
                ("RateLimit-Reset", "In how many seconds all of it is there again"),
            ] {
                headers.insert(name.to_owned(), header(seconds(), text));
            }
        }
        response["headers"] = headers.into();
    }
}

/// Answers are told apart by their kind: it is moved from what they have in common to what each has of its own.
fn tell_kinds(schemas: &mut Map<String, Value>) {
    let mut common = Value::Null;
    if let Some(header) = schemas.get_mut("Header") {
        common = header["properties"].as_object_mut().and_then(|own| own.remove("kind")).unwrap_or_default();
        header["required"].as_array_mut().into_iter().for_each(|names| names.retain(|name| name != "kind"));
    }
    let kinds = QueryResult::schema_kinds().into_iter().map(|(kind, name)| (vec![kind], name));
    let of_any: Vec<&str> = QueryResult::schema_kinds().into_iter().map(|(kind, _)| kind).collect();
    for (kinds, name) in kinds.chain([(of_any, SideBySide::name())]) {
        let parts = schemas.get_mut(name.as_ref()).and_then(|schema| schema["allOf"].as_array_mut());
        if let Some(own) = parts.into_iter().flatten().find(|part| part.get("properties").is_some()) {
            own["properties"]["kind"] = common.clone();
            own["properties"]["kind"]["enum"] = json!(kinds);
            own["required"].as_array_mut().into_iter().for_each(|names| names.push("kind".into()));
        }
    }
}

/// Amends what is said of values, everywhere.
fn amend(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            // A list of bytes is said of what is no JSON at all.
            if fields.get("items").is_some_and(|items| items["format"] == "u-int8") {
                *fields =
                    Map::from_iter([("type".to_owned(), "string".into()), ("format".to_owned(), "binary".into())]);
            }
            if fields.contains_key("in") && fields.get("required") == Some(&Value::Bool(false)) {
                fields.get_mut("schema").into_iter().for_each(without_null);
            }
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" => *text = in_words_of_json(text),
                    // As the registry of formats has them.
                    Value::String(text) if name == "format" => *text = text.replace("u-int", "uint"),
                    other => amend(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(amend),
        _ => {}
    }
}

/// What is not there in an address or a head is no null.
fn without_null(schema: &mut Value) {
    let Some(types) = schema["type"].as_array_mut() else { return };
    types.retain(|kind| kind != "null");
    if let [only] = types.as_slice() {
        schema["type"] = only.clone();
    }
}

/// Numbers that serialise as instants are told of as such, `None` is null, and links lead nowhere.
fn in_words_of_json(text: &str) -> String {
    let mut text = without_links(text);
    for (of_rust, of_json) in [
        (", in microseconds UTC; serialises as an instant", ""),
        (", in microseconds UTC", ""),
        ("; serialises as an instant", ""),
        ("; prints as a table and serialises as", ", as"),
        ("; serialises with the session", ""),
        ("; prints one after the other and serialises as", ", as"),
        ("`None`", "null"),
        (" NULL.", " null."),
    ] {
        text = text.replace(of_rust, of_json);
    }
    text
}

fn without_links(text: &str) -> String {
    let mut made = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, link)) = rest.split_once('[') {
        made.push_str(before);
        let shown = link.split_once(']').filter(|(shown, _)| !shown.contains('[')).and_then(|(shown, after)| {
            let target = after.strip_prefix('(').and_then(|target| Some(target.split_once(')')?.1));
            // Code alone is a link as well.
            let is_code = shown.starts_with('`') && shown.ends_with('`');
            Some((shown, target.or_else(|| is_code.then_some(after))?))
        });
        match shown {
            Some((shown, after)) => {
                made.push_str(shown);
                rest = after;
            }
            None => {
                made.push('[');
                rest = link;
            }
        }
    }
    made + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_rust_is_said_of_json() {
        for (of_rust, of_json) in [
            (
                "The answer of a [`Trend`](super::Trend); prints as a table and serialises as `docs/x.md` says.",
                "The answer of a `Trend`, as `docs/x.md` says.",
            ),
            ("When it was, in microseconds UTC; serialises as an instant.", "When it was."),
            ("The values; `None` without.", "The values; null without."),
            ("`[{\"other\": true}]` of [a](b), [`c`], [c] (d) [", "`[{\"other\": true}]` of a, `c`, [c] (d) ["),
        ] {
            assert_eq!(in_words_of_json(of_rust), of_json);
        }
    }
}
