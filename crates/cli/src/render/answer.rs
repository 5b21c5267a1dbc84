//! Any answer, by its kind; its warnings; how it was found.

use serde_json::Value;

use super::Style;
use super::funnel::funnel;
use super::journey::journey;
use super::lifecycle::lifecycle;
use super::paths::paths;
use super::people::people;
use super::retention::retention;
use super::segment::segment;
use super::sessions::sessions;
use super::stickiness::stickiness;
use super::trend::trend;
use super::words::{items, range, text};

/// An answer for people; `titles` are the headings of its breakdown.
pub(crate) fn render(answer: &Value, titles: &[String], style: Style) -> String {
    if let Some(segments) = answer["segments"].as_array() {
        let shown = |of: &Value| format!(" {}\n\n{}", text(&of["segment"]), render(&of["answer"], titles, style));
        return segments.iter().map(shown).collect::<Vec<_>>().join("\n");
    }
    let shown = match text(&answer["kind"]) {
        "trend" => trend(answer, titles, style),
        "funnel" => funnel(answer, titles, style),
        "retention" => retention(answer, titles, style),
        "stickiness" => stickiness(answer, titles, style),
        "lifecycle" => lifecycle(answer, style),
        "journey" => journey(answer, style),
        "sessions" => sessions(answer, style),
        "paths" => paths(answer, style),
        "segment" => segment(answer, style),
        "people" => return people(answer, style),
        _ => format!("{answer:#}\n"),
    };
    let shown = format!("{shown} {}\n", range(answer));
    match answer["compare"].is_object() {
        true => format!("{shown}\n compared with\n\n{}", render(&answer["compare"], titles, style)),
        false => shown,
    }
}

/// What the asker should know.
pub(crate) fn warnings(answer: &Value) -> impl Iterator<Item = &str> {
    items(&answer["warnings"]).iter().map(text)
}

/// How the answer was found, one line for each thing said.
pub(crate) fn explanation(answer: &Value) -> Option<String> {
    let explain = answer["explain"].as_object()?;
    let mut out = String::new();
    explain_in(explain, " ", &mut out);
    Some(out)
}

fn explain_in(explain: &serde_json::Map<String, Value>, indent: &str, out: &mut String) {
    for (name, value) in explain {
        match value {
            Value::Object(inner) => {
                out.push_str(&format!("{indent}{name}:\n"));
                explain_in(inner, &format!("{indent}  "), out);
            }
            Value::String(text) if text.contains('\n') => {
                out.push_str(&format!("{indent}{name}:\n"));
                text.lines().for_each(|line| out.push_str(&format!("{indent}  {line}\n")));
            }
            Value::String(text) => out.push_str(&format!("{indent}{name}: {text}\n")),
            other => out.push_str(&format!("{indent}{name}: {other}\n")),
        }
    }
}
