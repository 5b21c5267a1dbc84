//! A journey: a block for each session, a line for each event.

use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde_json::{Map, Value};

use super::Style;
use super::grid::shown;
use super::words::{items, many, text};

/// Names longer than this push the properties of their line aside.
const NAME_MAX: usize = 32;
/// Less room than this is not worth a property.
const ROOM_LEAST: usize = 12;

pub(crate) fn journey(answer: &Value, style: Style) -> String {
    let zone = TimeZone::get(text(&answer["time_zone"])).unwrap_or(TimeZone::UTC);
    let at = |value: &Value| text(value).parse::<Timestamp>().ok().map(|instant| instant.to_zoned(zone.clone()));
    let person = text(&answer["person"]);
    let sessions = items(&answer["sessions"]);
    let strong = |line: &str| if style.color { format!("\u{1b}[1m{line}\u{1b}[0m") } else { line.to_owned() };
    let mut out = match person {
        "" => String::new(),
        person => format!(" {}\n", strong(&shown(person.to_owned()))),
    };
    if sessions.is_empty() {
        out.push_str(" no events\n");
    }
    let names = sessions.iter().flat_map(|session| items(&session["events"])).map(|event| text(&event["event"]));
    let width = names.map(|name| name.chars().count()).max().unwrap_or(0).min(NAME_MAX);
    for session in sessions {
        let (from, to) = (at(&session["from"]), at(&session["to"]));
        let is_one_day = from.as_ref().zip(to.as_ref()).is_some_and(|(from, to)| from.date() == to.date());
        let events = items(&session["events"]);
        let mut heading = day(from.as_ref(), &session["from"]);
        if from != to {
            let end = if is_one_day { time(to.as_ref(), &session["to"]) } else { day(to.as_ref(), &session["to"]) };
            heading.push_str(&format!(" to {end}"));
        }
        heading.push_str(&format!(" · {}", many(events.len() as u64, "event")));
        if let Some(id) = session["session"].as_str() {
            heading.push_str(&format!(" · session {}", shown(id.to_owned())));
        }
        out.push_str(&format!("\n {}\n", strong(&heading)));
        for event in events {
            let when = at(&event["timestamp"]);
            let when = match is_one_day {
                true => time(when.as_ref(), &event["timestamp"]),
                false => day(when.as_ref(), &event["timestamp"]),
            };
            let name = shown(text(&event["event"]).to_owned());
            let mut line = format!("   {when}  {name:width$}");
            let id = text(&event["distinct_id"]);
            if id != person && !id.is_empty() {
                line.push_str(&format!("  as {}", shown(id.to_owned())));
            }
            let room = style.width.saturating_sub(line.chars().count() + 2);
            let properties = event["properties"].as_object().map(|properties| first_of(properties, room));
            line.push_str(&format!("  {}", properties.unwrap_or_default()));
            out.push_str(line.trim_end());
            out.push('\n');
        }
    }
    if let Some(next) = answer["next"].as_str() {
        out.push_str(&format!("\n more: --cursor {next}\n"));
    }
    out.push('\n');
    out
}

fn day(at: Option<&Zoned>, or: &Value) -> String {
    at.map_or_else(|| text(or).to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())
}

fn time(at: Option<&Zoned>, or: &Value) -> String {
    at.map_or_else(|| text(or).to_owned(), |at| at.strftime("%H:%M:%S").to_string())
}

/// The first properties, as many as there is room for.
fn first_of(properties: &Map<String, Value>, room: usize) -> String {
    let mut line = String::new();
    let mut used = 0;
    for (place, (name, value)) in properties.iter().enumerate() {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let pair = shown(format!("{name}={value}"));
        let gap = if place > 0 { "  " } else { "" };
        let length = gap.len() + pair.chars().count();
        // Room is kept for the sign that there is more.
        let is_last = place + 1 == properties.len();
        if used + length + if is_last { 0 } else { 3 } > room {
            let left = room.saturating_sub(used + gap.len() + 1);
            if place == 0 && left >= ROOM_LEAST {
                line.extend(pair.chars().take(left));
            }
            line.push_str(if line.is_empty() || place == 0 { "…" } else { "  …" });
            break;
        }
        line.push_str(gap);
        line.push_str(&pair);
        used += length;
    }
    line
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        let event = |name: &str, at: &str, id: &str, properties: Value| json!({"sequence": 1, "event": name, "timestamp": at, "distinct_id": id, "properties": properties});
        json!({"kind": "journey", "person": "ann", "time_zone": "Europe/Berlin", "next": "n1", "sessions": [
            {"session": null, "from": "2025-01-01T09:00:00Z", "to": "2025-01-01T09:05:00Z", "events": [
                event("purchase", "2025-01-01T09:05:00Z", "ann", json!({"country": "DE", "amount": 12.5})),
                event("view", "2025-01-01T09:00:00Z", "phone", json!({"url": "/".repeat(200)}))]},
            {"session": "s\u{7}", "from": "2024-12-31T22:00:00Z", "to": "2025-01-01T01:00:00Z", "events": [
                event("view", "2025-01-01T01:00:00Z", "ann", json!({}))]}]})
    }

    #[test]
    fn sessions_are_blocks_in_the_time_of_the_question() {
        let shown = journey(&answer(), Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[..3], [" ann", "", " 2025-01-01 10:00:00 to 10:05:00 · 2 events"]);
        assert_eq!(lines[3], "   10:05:00  purchase  country=DE  amount=12.5");
        assert!(lines[4].starts_with("   10:00:00  view      as phone  url=///") && lines[4].ends_with('…'), "{shown}");
        assert_eq!(lines[4].chars().count(), 100);
        assert_eq!(lines[6], " 2024-12-31 23:00:00 to 2025-01-01 02:00:00 · 1 event · session s\\u{7}");
        assert_eq!(lines[7], "   2025-01-01 02:00:00  view");
        assert_eq!(lines[9], " more: --cursor n1");
    }

    #[test]
    fn a_page_without_events_says_so() {
        let answer = json!({"person": null, "sessions": [], "next": null, "time_zone": "UTC"});
        assert_eq!(journey(&answer, Style::plain()), " no events\n\n");
    }

    #[test]
    fn properties_beyond_the_width_are_left_out() {
        let properties = json!({"a": 1, "b": 2, "c": 3});
        let properties = properties.as_object().expect("an object");
        assert_eq!(first_of(properties, 13), "a=1  b=2  c=3");
        assert_eq!(first_of(properties, 12), "a=1  b=2  …");
        assert_eq!(first_of(properties, 3), "…");
    }
}
