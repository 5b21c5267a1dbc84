//! What documentation says to readers of Rust, for readers of JSON.

use serde_json::Value;
use utoipa::openapi::OpenApi;

/// The document, as text.
///
/// # Errors
/// Those of `serde_json`.
pub(super) fn document(document: &OpenApi) -> serde_json::Result<String> {
    let mut value = serde_json::to_value(document)?;
    describe(&mut value);
    serde_json::to_string(&value)
}

fn describe(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "description" => *text = in_words_of_json(text),
                    other => describe(other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(describe),
        _ => {}
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
        ("`None`", "null"),
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
        let shown = link.split_once("](").and_then(|(shown, target)| Some((shown, target.split_once(')')?.1)));
        match shown.filter(|(shown, _)| !shown.contains(['[', ']', '\n'])) {
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
            ("`[{\"other\": true}]` of [a](b), [c] (d) [", "`[{\"other\": true}]` of a, [c] (d) ["),
        ] {
            assert_eq!(in_words_of_json(of_rust), of_json);
        }
    }
}
