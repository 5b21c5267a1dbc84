//! Sessions: a line about all of them, a bar for each bucket, and the sessions themselves where they were asked for.

use serde_json::Value;

use super::Style;
use super::bars::bar;
use super::grid::Grid;
use super::words::{count, items, percent, seconds, text, touch};

pub(crate) fn sessions(answer: &Value, style: Style) -> String {
    let of = |part: &str| seconds(answer["seconds"][part].as_f64());
    let mut grid = Grid::new(style, ["sessions", "bounce rate", "mean", "median", "p90"]);
    let (all, bounced) = (answer["count"].as_u64().unwrap_or(0), answer["bounce_rate"].as_f64());
    grid.row([count(all), percent(bounced), of("mean"), of("median"), of("p90")]);
    let mut shown = grid.to_string();
    if answer["buckets"].is_array() {
        shown.push_str(&format!("\n{}", buckets(answer, style)));
    }
    if answer["rows"].is_array() {
        shown.push_str(&format!("\n{}", rows(items(&answer["rows"]), style)));
    }
    shown
}

fn buckets(answer: &Value, style: Style) -> Grid {
    let counts: Vec<u64> = items(&answer["counts"]).iter().map(|count| count.as_u64().unwrap_or(0)).collect();
    let most = counts.iter().copied().max().unwrap_or(0);
    let room = style.width.saturating_sub(40).clamp(10, 60);
    let mut grid = Grid::new(style, ["begun in", "sessions", ""]).left(0).left(2);
    for (bucket, number) in items(&answer["buckets"]).iter().zip(counts) {
        grid.row([text(bucket).to_owned(), count(number), bar(number as f64, most as f64, room)]);
    }
    grid
}

fn rows(rows: &[Value], style: Style) -> Grid {
    let headings = ["person", "from", "took", "events", "entry", "exit", "session"];
    let has_touches = rows.iter().any(|row| row["first_touch"].is_object());
    let touches = ["first touch", "last touch"].into_iter().filter(|_| has_touches);
    let mut grid = Grid::new(style, headings.into_iter().chain(touches)).left(0).left(1).left(4).left(5).left(6);
    if has_touches {
        grid = grid.left(7).left(8);
    }
    for row in rows {
        let mut cells = vec![
            text(&row["person"]).to_owned(),
            text(&row["from"]).to_owned(),
            seconds(row["seconds"].as_f64()),
            count(row["events"].as_u64().unwrap_or(0)),
            text(&row["entry"]).to_owned(),
            text(&row["exit"]).to_owned(),
            row["session"].as_str().unwrap_or("-").to_owned(),
        ];
        cells.extend(["first_touch", "last_touch"].into_iter().filter(|_| has_touches).map(|end| touch(&row[end])));
        grid.row(cells);
    }
    grid
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_of_them_are_in_a_line_and_buckets_and_sessions_below() {
        let answer = json!({"count": 1_200, "bounce_rate": 0.25, "seconds": {"mean": 90.0, "median": 30.0, "p90": 5_400.0},
            "buckets": ["2025-01-01", "2025-01-02"], "counts": [300, 900],
            "rows": [{"person": "ann", "session": null, "from": "2025-01-01T09:00:00Z", "to": "2025-01-01T09:40:00Z",
                "seconds": 2_400.0, "events": 3, "entry": "/", "exit": "/cart"}]});
        let shown = sessions(&answer, Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], " sessions  bounce rate     mean  median    p90", "{shown}");
        assert_eq!(lines[2], "    1,200       25.0 %  1.5 min  30.0 s  1.5 h", "{shown}");
        assert!(lines[6].starts_with(" 2025-01-01       300  ██"), "{shown}");
        assert!(lines[11].starts_with(" ann     2025-01-01T09:00:00Z  40.0 min       3  /      /cart  -"), "{shown}");
    }

    #[test]
    fn none_have_no_length() {
        let answer = json!({"count": 0, "bounce_rate": null, "seconds": null});
        let shown = sessions(&answer, Style::plain());
        assert!(shown.ends_with(" 0            -     -       -    -\n"), "{shown}");
    }
}
