//! A lifecycle: bars of who is there above, and of who stayed away, bucket by bucket.

use serde_json::Value;

use super::Style;
use super::bars::bar;
use super::grid::Grid;
use super::words::{count, items, text};

const STATES: [&str; 4] = ["new", "returning", "resurrecting", "dormant"];

pub(crate) fn lifecycle(answer: &Value, style: Style) -> String {
    let of = |state: &str, place: usize| answer[state][place].as_u64().unwrap_or(0);
    let buckets = items(&answer["buckets"]);
    let active = |place: usize| STATES[..3].iter().map(|state| of(state, place)).sum::<u64>();
    let gone = |place: usize| of(STATES[3], place);
    let most = (0..buckets.len()).map(|place| active(place).max(gone(place))).max().unwrap_or(0);
    let room = (style.width.saturating_sub(66) / 2).clamp(8, 30);
    let headings = ["", "new", "returning", "resurrecting", "active", "dormant"];
    let mut grid = Grid::new(style, headings.into_iter().chain(["dormant ← → active"])).left(0).left(6);
    for (place, bucket) in buckets.iter().enumerate() {
        let (active, gone) = (active(place), gone(place));
        let mut cells = vec![text(bucket).to_owned()];
        cells.extend(STATES[..3].iter().map(|state| count(of(state, place))));
        cells.extend([count(active), count(gone)]);
        // A bar to the left is drawn in whole blocks: there are no parts of them that end on the right.
        let left: String = bar(gone as f64, most as f64, room).chars().map(|_| '░').collect();
        cells.push(format!("{left:>room$}│{}", bar(active as f64, most as f64, room)));
        grid.row(cells);
    }
    grid.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn those_who_stayed_away_are_drawn_to_the_left() {
        let answer = json!({"buckets": ["2025-01-01", "2025-01-02"], "new": [4, 0], "returning": [0, 1],
            "resurrecting": [0, 1], "dormant": [0, 3]});
        let shown = lifecycle(&answer, Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[2].starts_with(" 2025-01-01    4          0             0       4        0"), "{shown}");
        assert!(lines[2].ends_with("│█████████████████"), "{shown}");
        assert!(lines[3].ends_with("  ░░░░░░░░░░░░░│████████▌"), "{shown}");
    }
}
