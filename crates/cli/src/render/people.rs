//! People: a line for each, with what they did in all.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::Style;
use super::grid::Grid;
use super::words::{amount, count, items, text, touch};

pub(crate) fn people(answer: &Value, style: Style) -> String {
    let zone = TimeZone::get(text(&answer["time_zone"])).unwrap_or(TimeZone::UTC);
    let at = |value: &Value| match value.as_str().and_then(|text| text.parse::<Timestamp>().ok()) {
        Some(instant) => instant.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
        None => "-".to_owned(),
    };
    let rows = items(&answer["people"]);
    let names = rows.iter().filter_map(|row| row["traits"].as_object()).flat_map(|traits| traits.keys());
    let mut traits: Vec<&str> = Vec::new();
    for name in names.map(String::as_str) {
        if !traits.contains(&name) {
            traits.push(name);
        }
    }
    let has_revenue = rows.iter().any(|row| !row["revenue"].is_null());
    let is_found = rows.iter().any(|row| !row["found"].is_null());
    let has_touches = rows.iter().any(|row| row["first_touch"].is_object());
    let fixed = ["person", "last seen", "first seen", "events", "sessions", "days"];
    let revenue = has_revenue.then_some("revenue");
    let touches = ["first touch", "last touch"].into_iter().filter(|_| has_touches);
    let headings = fixed.into_iter().chain(revenue).chain(traits.iter().copied()).chain(touches);
    let headings = headings.chain(is_found.then_some("found"));
    let mut grid = Grid::new(style, headings).left(0);
    for row in rows {
        let number = |name: &str| count(row[name].as_u64().unwrap_or(0));
        let mut cells = vec![text(&row["person"]).to_owned(), at(&row["last_seen"]), at(&row["first_seen"])];
        cells.extend([number("events"), number("sessions"), number("days_active")]);
        cells.extend(has_revenue.then(|| amount(row["revenue"].as_f64())));
        cells.extend(traits.iter().map(|name| plain(&row["traits"][*name])));
        cells.extend(["first_touch", "last_touch"].into_iter().filter(|_| has_touches).map(|end| touch(&row[end])));
        cells.extend(is_found.then(|| found(&row["found"])));
        grid.row(cells);
    }
    let mut out = if rows.is_empty() { " nobody\n".to_owned() } else { grid.to_string() };
    if let Some(all) = answer["count"].as_u64() {
        let said = if all == 1 { "1 person".to_owned() } else { format!("{} people", count(all)) };
        out.push_str(&format!("\n {said} in all\n"));
    }
    if let Some(next) = answer["next"].as_str() {
        out.push_str(&format!("\n more: --cursor {next}\n"));
    }
    out
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn found(value: &Value) -> String {
    match value["id"].as_str() {
        Some(id) => id.to_owned(),
        None => format!("{}={}", text(&value["trait"]), text(&value["value"])),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_says_who_somebody_is_and_what_they_did() {
        let row = |person: &str, revenue: Value, found: Value| {
            json!({"person": person, "last_seen": "2025-01-02T09:00:00Z", "first_seen": "2025-01-01T23:30:00Z", "events": 1_200,
                "sessions": 3, "days_active": 2, "revenue": revenue, "traits": {"email": "a@x"}, "found": found})
        };
        let found = json!({"trait": "email", "value": "a@x"});
        let answer = json!({"time_zone": "Europe/Berlin", "count": 2, "next": "c", "people":
            [row("ann", json!(2.5), json!({"id": "ann-2"})), row("b\u{7}b", json!(0.0), found)]});
        let shown = people(&answer, Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with(" person") && lines[0].ends_with("found"), "{shown}");
        assert!(
            lines[2].contains("ann") && lines[2].contains("2025-01-02 00:30") && lines[2].contains("1,200"),
            "{shown}"
        );
        assert!(lines[2].contains("2.50") && lines[2].contains("a@x") && lines[2].ends_with("ann-2"), "{shown}");
        assert!(lines[3].contains("b\\u{7}b") && lines[3].ends_with("email=a@x"), "{shown}");
        assert!(shown.contains(" 2 people in all\n") && shown.ends_with(" more: --cursor c\n"), "{shown}");
    }

    #[test]
    fn nobody_is_said() {
        let nobody = json!({"time_zone": "UTC", "count": null, "next": null, "people": []});
        assert_eq!(people(&nobody, Style::plain()), " nobody\n");
    }
}
