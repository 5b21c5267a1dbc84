//! A retention table: one row a cohort, shares shaded by how many came back.

use serde_json::Value;

use super::Style;
use super::grid::{Grid, Shade};
use super::words::{amount, cell_number, count, group, items, percent, text};

/// From few to many.
const SHADES: [Shade; 7] = [
    Shade { ground: 235, ink: 245 },
    Shade { ground: 23, ink: 252 },
    Shade { ground: 29, ink: 255 },
    Shade { ground: 35, ink: 232 },
    Shade { ground: 41, ink: 232 },
    Shade { ground: 47, ink: 232 },
    Shade { ground: 83, ink: 232 },
];

pub(crate) fn retention(answer: &Value, titles: &[String], style: Style) -> String {
    let periods = items(&answer["periods"]);
    let mut out = String::new();
    let mut incomplete = false;
    let measured = answer["measure"].as_str().is_some_and(|measure| measure != "units");
    for part in items(&answer["groups"]) {
        let values = group(&part["breakdown"], titles.len());
        if !values.is_empty() {
            let named: Vec<String> =
                titles.iter().zip(&values).map(|(title, value)| format!("{title} = {value}")).collect();
            out.push_str(&format!(" {}\n", named.join(", ")));
        }
        out.push_str(&triangle(part, periods, measured, style, &mut incomplete));
    }
    if incomplete {
        out.push_str(" * the period has not ended: left out of the average\n");
    }
    out
}

fn triangle(part: &Value, periods: &[Value], measured: bool, style: Style, incomplete: &mut bool) -> String {
    let rows = items(&part["rows"]);
    let shown = |number: Option<f64>| if measured { amount(number) } else { percent(number) };
    // Period 0 is everybody unless asked otherwise, and would leave the others pale.
    let first = periods.iter().position(|period| measured || text(period) != "0").unwrap_or(0);
    let numbers =
        rows.iter().flat_map(|row| (first..periods.len()).filter_map(move |period| cell_number(row, period, measured)));
    let most = numbers.fold(0.0, f64::max);
    let open = rows.iter().any(|row| items(&row["complete"]).iter().any(|complete| complete == false));
    *incomplete |= open;
    // A blank in place of the star keeps the digits of a column below each other.
    let blank = if open { " " } else { "" };
    let headings = ["cohort", "size"].into_iter().chain(periods.iter().map(text));
    let mut grid = Grid::new(style, headings).left(0);
    for row in rows {
        let size = row["size"].as_u64().unwrap_or(0);
        let mut cells = vec![(text(&row["cohort"]).to_owned(), None), (count(size), None)];
        for period in 0..items(&row["values"]).len() {
            let Some(number) = cell_number(row, period, measured) else {
                cells.push(("-".to_owned(), None));
                continue;
            };
            let complete = row["complete"].get(period).and_then(Value::as_bool).unwrap_or(true);
            let mark = if complete { blank } else { "*" };
            cells.push((format!("{}{mark}", shown(Some(number))), Some(shade(number, most))));
        }
        cells.resize(periods.len() + 2, (String::new(), None));
        grid.shaded_row(cells);
    }
    for (name, kind) in [("weighted average", "weighted"), ("simple average", "simple")] {
        let averages = items(&part["average"][kind]).iter().map(|number| format!("{}{blank}", shown(number.as_f64())));
        grid.row([name.to_owned(), String::new()].into_iter().chain(averages));
    }
    grid.to_string()
}

fn shade(number: f64, most: f64) -> Shade {
    let steps = SHADES.len() - 1;
    let place = if most > 0.0 { (number.max(0.0) / most * steps as f64).ceil() as usize } else { 0 };
    SHADES[place.min(steps)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer() -> Value {
        json!({"periods": ["0", "1"], "groups": [{"breakdown": null, "rows": [
            {"cohort": "2025-01-06", "size": 4, "values": [4, 1], "complete": [true, true]},
            {"cohort": "2025-01-13", "size": 2, "values": [2], "complete": [false]}],
            "average": {"weighted": [1.0, 0.25], "simple": [1.0, 0.25]}}]})
    }

    #[test]
    fn the_triangle_is_plain_without_colours() {
        let shown = retention(&answer(), &[], Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(!shown.contains('\u{1b}'), "{shown}");
        assert_eq!(lines[2], " 2025-01-06           4  100.0 %   25.0 %");
        assert_eq!(lines[3], " 2025-01-13           2  100.0 %*");
        assert_eq!(lines[4], " weighted average        100.0 %   25.0 %");
        assert!(lines[6].starts_with(" * the period has not ended"), "{shown}");
    }

    #[test]
    fn measures_and_brackets_are_shown_as_they_are() {
        let answer = json!({"measure": "sum", "periods": ["1-2", "3+"], "groups": [{"breakdown": null, "rows": [
            {"cohort": "2025-01-06", "size": 4, "values": [12345.5, 10], "complete": [true, true]},
            {"cohort": "2025-01-13", "size": 2, "values": [null], "complete": [false]}],
            "average": {"weighted": [12345.5, 10], "simple": [12345.5, null]}}]});
        let shown = retention(&answer, &[], Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], " cohort            size         1-2  3+", "{shown}");
        assert_eq!(lines[2], " 2025-01-06           4  12,345.50   10.00", "{shown}");
        assert_eq!(lines[3], " 2025-01-13           2           -", "{shown}");
        assert_eq!(lines[5], " simple average          12,345.50   -", "{shown}");
    }

    #[test]
    fn the_triangle_is_shaded_with_colours() {
        let shown = retention(&answer(), &[], Style { color: true, ..Style::plain() });
        assert!(shown.contains("\u{1b}[48;5;83m"), "{shown:?}");
    }
}
