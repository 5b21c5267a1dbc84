//! Stickiness: a line for each number of buckets, with a bar; several groups side by side.

use serde_json::Value;

use super::Style;
use super::bars::{bar, sparkline};
use super::grid::Grid;
use super::words::{count, group, items, percent};

/// More groups than this are lines with a sparkline each.
const COLUMNS_MOST: usize = 6;

pub(crate) fn stickiness(answer: &Value, titles: &[String], style: Style) -> String {
    let intervals = items(&answer["intervals"]);
    match items(&answer["groups"]) {
        [one] => bars(one, titles, intervals, (answer["at_least"] == true, style)),
        groups if groups.len() <= COLUMNS_MOST => columns(groups, titles, intervals, style),
        groups => rows(groups, titles, style),
    }
}

fn numbers(part: &Value) -> Vec<u64> {
    items(&part["values"]).iter().map(|value| value.as_u64().unwrap_or(0)).collect()
}

/// What a group is called above its numbers.
fn heading(part: &Value, titles: &[String]) -> String {
    match group(&part["breakdown"], titles.len()) {
        values if values.is_empty() => "people".to_owned(),
        values => values.join(" · "),
    }
}

/// The last number of buckets that somebody reached: lines of zeros after it say nothing.
fn reached(groups: &[Value]) -> usize {
    let last = |part: &Value| numbers(part).iter().rposition(|people| *people > 0).map_or(0, |last| last + 1);
    groups.iter().map(last).max().unwrap_or(0).max(1)
}

fn left_out(intervals: &[Value], shown: usize) -> String {
    match intervals.len() - shown.min(intervals.len()) {
        0 => String::new(),
        _ => format!(" nobody was active in more, up to {}\n", intervals.len()),
    }
}

fn bars(part: &Value, titles: &[String], intervals: &[Value], (at_least, style): (bool, Style)) -> String {
    let values = numbers(part);
    let most = values.iter().copied().max().unwrap_or(0);
    // Who was active in more is then in the first number, too.
    let all = if at_least { most } else { values.iter().sum::<u64>() };
    let shown = reached(std::slice::from_ref(part));
    let mut grid = Grid::new(style, ["active in", heading(part, titles).as_str(), "of all", ""]).left(3);
    for (interval, people) in intervals.iter().zip(&values).take(shown) {
        let share = (all > 0).then(|| *people as f64 / all as f64);
        let room = style.width.saturating_sub(40).clamp(10, 60);
        grid.row([interval.to_string(), count(*people), percent(share), bar(*people as f64, most as f64, room)]);
    }
    format!("{grid}{}", left_out(intervals, shown))
}

fn columns(groups: &[Value], titles: &[String], intervals: &[Value], style: Style) -> String {
    let headings = std::iter::once("active in".to_owned()).chain(groups.iter().map(|part| heading(part, titles)));
    let mut grid = Grid::new(style, headings);
    let shown = reached(groups);
    for (place, interval) in intervals.iter().enumerate().take(shown) {
        let cells = groups.iter().map(|part| count(part["values"][place].as_u64().unwrap_or(0)));
        grid.row(std::iter::once(interval.to_string()).chain(cells));
    }
    format!("{grid}{}", left_out(intervals, shown))
}

fn rows(groups: &[Value], titles: &[String], style: Style) -> String {
    let mut grid = Grid::new(style, titles.iter().map(String::as_str).chain(["1", "2", "3", "4", "5", ""])).left(0);
    for part in groups {
        let values = numbers(part);
        let mut cells = group(&part["breakdown"], titles.len());
        cells.extend((0..5).map(|place| values.get(place).map_or_else(String::new, |people| count(*people))));
        cells.push(sparkline(&values.iter().map(|people| *people as f64).collect::<Vec<_>>(), 60));
        grid.row(cells);
    }
    grid.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_number_of_buckets_has_a_bar_and_the_zeros_at_the_end_have_none() {
        let answer = json!({"intervals": [1, 2, 3, 4], "groups": [{"breakdown": null, "values": [30, 10, 0, 0]}]});
        let shown = stickiness(&answer, &[], Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[2].starts_with("         1      30  75.0 %  █"), "{shown}");
        assert!(lines[3].starts_with("         2      10  25.0 %  █"), "{shown}");
        assert_eq!(lines[4], " nobody was active in more, up to 4");
    }

    #[test]
    fn shares_are_of_all_people_also_where_more_counts_as_fewer() {
        let answer =
            json!({"intervals": [1, 2], "at_least": true, "groups": [{"breakdown": null, "values": [40, 10]}]});
        let shown = stickiness(&answer, &[], Style::plain());
        assert!(shown.contains("100.0 %") && shown.contains("25.0 %"), "{shown}");
    }

    #[test]
    fn groups_are_side_by_side() {
        let answer = json!({"intervals": [1], "groups": [
            {"breakdown": ["DE"], "values": [3]}, {"breakdown": [null], "values": [2]}]});
        let shown = stickiness(&answer, &["country".to_owned()], Style::plain());
        assert!(shown.starts_with(" active in  DE  (none)"), "{shown}");
    }
}
