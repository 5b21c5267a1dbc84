//! A trend: bars for one series, a line where it is long, a column or a sparkline for each of several.

use serde_json::Value;

use super::Style;
use super::bars::{bar, sparkline};
use super::grid::Grid;
use super::line::line_chart;
use super::words::{count, group, items, series_name, text};

/// More buckets than this become a line instead of bars, where a terminal shows it.
const BARS_MOST: usize = 45;
/// More series than this are shown as a row each instead of a column each.
const COLUMNS_MOST: usize = 6;
const LINE_HEIGHT: usize = 10;

pub(crate) fn trend(answer: &Value, titles: &[String], style: Style) -> String {
    let series = items(&answer["series"]);
    if series.iter().any(|one| one.get("frequency").is_some()) {
        return frequencies(series, titles, style);
    }
    let buckets: Vec<&str> = items(&answer["buckets"]).iter().map(text).collect();
    match series {
        [one] if style.terminal && buckets.len() > BARS_MOST => line(one, &buckets, style),
        [one] => bars(one, titles, &buckets, style),
        series if series.len() <= COLUMNS_MOST => columns(series, titles, &buckets, style),
        series => rows(series, titles, style),
    }
}

fn number(value: &Value) -> String {
    value.as_u64().map_or_else(|| value.as_f64().map_or_else(|| "-".to_owned(), real), count)
}

/// With the digits that say something: means and shares have as many as a double.
fn real(number: f64) -> String {
    let digits = match number.abs() {
        small if small < 1.0 => 4,
        small if small < 100.0 => 2,
        _ => 1,
    };
    let rounded = format!("{number:.digits$}");
    let plain = number.to_string();
    if plain.len() < rounded.len() { plain } else { rounded }
}

fn numbers(series: &Value) -> Vec<f64> {
    items(&series["values"]).iter().map(|value| value.as_f64().unwrap_or(0.0)).collect()
}

fn bars(series: &Value, titles: &[String], buckets: &[&str], style: Style) -> String {
    let values = numbers(series);
    let most = values.iter().copied().fold(0.0, f64::max);
    let label = buckets.iter().map(|bucket| bucket.chars().count()).max().unwrap_or(0);
    let room = style.width.saturating_sub(label + count(most as u64).len() + 10).clamp(10, 60);
    let mut grid = Grid::new(style, ["", series_name(series, titles).as_str(), ""]).left(0).left(2);
    for ((bucket, shown), value) in buckets.iter().zip(items(&series["values"])).zip(&values) {
        grid.row([(*bucket).to_owned(), number(shown), bar(*value, most, room)]);
    }
    grid.row(["total".to_owned(), number(&series["total"]), String::new()]);
    grid.to_string()
}

/// How many people did it how often: bars for one series, a column for each of several.
fn frequencies(series: &[Value], titles: &[String], style: Style) -> String {
    let mut times: Vec<u64> =
        series.iter().flat_map(|one| items(&one["frequency"]["times"])).filter_map(Value::as_u64).collect();
    times.sort_unstable();
    times.dedup();
    let people = |one: &Value, of: u64| {
        let place = items(&one["frequency"]["times"]).iter().position(|times| times.as_u64() == Some(of));
        place.and_then(|place| one["frequency"]["people"][place].as_u64()).unwrap_or(0)
    };
    let headings = series.iter().map(|one| series_name(one, titles));
    let [one] = series else {
        let mut grid = Grid::new(style, std::iter::once("times".to_owned()).chain(headings)).left(0);
        for of in times {
            grid.row(std::iter::once(count(of)).chain(series.iter().map(|one| count(people(one, of)))));
        }
        grid.row(std::iter::once("people".to_owned()).chain(series.iter().map(|one| number(&one["total"]))));
        return grid.to_string();
    };
    let most = times.iter().map(|of| people(one, *of)).max().unwrap_or(0);
    let label = times.last().map_or(0, |of| count(*of).len()).max("people".len());
    let room = style.width.saturating_sub(label + count(most).len() + 10).clamp(10, 60);
    let mut grid = Grid::new(style, ["times".to_owned(), series_name(one, titles), String::new()]).left(0).left(2);
    for of in times {
        let people = people(one, of);
        grid.row([count(of), count(people), bar(people as f64, most as f64, room)]);
    }
    grid.row(["people".to_owned(), number(&one["total"]), String::new()]);
    grid.to_string()
}

fn line(series: &Value, buckets: &[&str], style: Style) -> String {
    let labels = (buckets.first().copied().unwrap_or_default(), buckets.last().copied().unwrap_or_default());
    let chart = line_chart(&numbers(series), labels, style.width, LINE_HEIGHT);
    format!(" {}, total {}\n{chart}", text(&series["name"]), number(&series["total"]))
}

fn columns(series: &[Value], titles: &[String], buckets: &[&str], style: Style) -> String {
    let headings = std::iter::once(String::new()).chain(series.iter().map(|one| series_name(one, titles)));
    let mut grid = Grid::new(style, headings).left(0);
    for (place, bucket) in buckets.iter().enumerate() {
        let cells = series.iter().map(|one| number(&one["values"][place]));
        grid.row(std::iter::once((*bucket).to_owned()).chain(cells));
    }
    let totals = series.iter().map(|one| number(&one["total"]));
    grid.row(std::iter::once("total".to_owned()).chain(totals));
    grid.to_string()
}

fn rows(series: &[Value], titles: &[String], style: Style) -> String {
    let headings = std::iter::once("series").chain(titles.iter().map(String::as_str)).chain(["total", ""]);
    let mut grid = Grid::new(style, headings).left(0);
    for one in series {
        let mut cells = vec![text(&one["name"]).to_owned()];
        let values = group(&one["breakdown"], titles.len());
        cells.extend(titles.iter().enumerate().map(|(place, _)| values.get(place).cloned().unwrap_or_default()));
        cells.extend([number(&one["total"]), sparkline(&numbers(one), 60)]);
        grid.row(cells);
    }
    grid.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn one_series_is_a_table_with_bars() {
        let answer = json!({"buckets": ["2025-01-01", "2025-02-01"], "series": [
            {"name": "purchase", "breakdown": null, "values": [1200, 600], "total": 1800}]});
        let shown = trend(&answer, &[], Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[2], format!(" 2025-01-01     1,200  {}", "█".repeat(60)));
        assert_eq!(lines[3], format!(" 2025-02-01       600  {}", "█".repeat(30)));
        assert_eq!(lines[4], " total          1,800");
    }

    #[test]
    fn several_series_are_columns_and_many_are_rows() {
        let one = |country: Value| json!({"name": "view", "breakdown": [country], "values": [1, 2], "total": 3});
        let few = json!({"buckets": ["a", "b"], "series": [one(json!("DE")), one(Value::Null)]});
        let shown = trend(&few, &["country".to_owned()], Style::plain());
        assert!(shown.starts_with("        view · DE  view · (none)"), "{shown}");
        let many = json!({"buckets": ["a", "b"], "series": (0..7).map(|n| one(json!(n))).collect::<Vec<_>>()});
        let shown = trend(&many, &["country".to_owned()], Style::plain());
        assert!(shown.lines().last().is_some_and(|line| line.contains("6      3  ▅█")), "{shown}");
    }

    #[test]
    fn a_frequency_is_bars_by_how_often() {
        let answer = json!({"buckets": [], "series": [
            {"name": "buy", "breakdown": null, "frequency": {"times": [1, 12], "people": [40, 10]}, "total": 50}]});
        let shown = trend(&answer, &[], Style::plain());
        let lines: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0], ["times", "buy"]);
        assert_eq!(lines[2], ["1", "40", "█".repeat(60).as_str()]);
        assert_eq!(lines[3], ["12", "10", "█".repeat(15).as_str()]);
        assert_eq!(lines[4], ["people", "50"]);
    }

    #[test]
    fn what_has_no_value_is_a_dash_and_long_fractions_are_cut() {
        assert_eq!(
            [json!(null), json!(2.0 / 3.0), json!(33.333_333), json!(1234.56), json!(2.5)].map(|n| number(&n)),
            ["-", "0.6667", "33.33", "1234.6", "2.5"]
        );
    }
}
