//! Who is in a segment: how many they are, and their names where they were asked for.

use serde_json::Value;

use super::Style;
use super::grid::Grid;
use super::words::{count, items, text};

pub(crate) fn segment(answer: &Value, style: Style) -> String {
    let number = answer["count"].as_u64().unwrap_or(0);
    let said = if number == 1 { "1 person".to_owned() } else { format!("{} people", count(number)) };
    if !answer["people"].is_array() {
        return format!(" {said}\n");
    }
    let mut grid = Grid::new(style, ["person"]).left(0);
    items(&answer["people"]).iter().for_each(|name| grid.row([text(name)]));
    format!(" {said}\n\n{grid}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn they_are_counted_and_named_where_that_was_asked_for() {
        assert_eq!(segment(&json!({"count": 1}), Style::plain()), " 1 person\n");
        assert_eq!(segment(&json!({"count": 1_200}), Style::plain()), " 1,200 people\n");
        let named = segment(&json!({"count": 2, "people": ["ann", "bob"]}), Style::plain());
        assert!(named.starts_with(" 2 people\n\n person\n"), "{named}");
        assert!(named.ends_with(" ann\n bob\n"), "{named}");
    }
}
