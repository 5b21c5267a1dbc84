//! A funnel: a bar for each step; with a breakdown a row for each value.

use serde_json::Value;

use super::Style;
use super::bars::bar;
use super::grid::Grid;
use super::words::{count, group, items, many, percent, seconds, text};

pub(crate) fn funnel(answer: &Value, titles: &[String], style: Style) -> String {
    let groups = items(&answer["groups"]);
    let mut shown = match groups {
        [one] if one["breakdown"].is_null() => steps(items(&one["steps"]), style),
        groups => by_value(groups, titles, style),
    };
    for one in groups {
        let label = group(&one["breakdown"], titles.len()).join(", ");
        if one["trend"].is_object() {
            shown.push_str(&headed(&label, &by_bucket(one, style)));
        }
        if one["rows"].is_array() {
            shown.push_str(&headed(&label, &rows(one, style)));
        }
    }
    if let Some(people) = answer["people"].as_array() {
        shown.push_str(&format!("\n {}\n", many(people.len() as u64, "person")));
        people.iter().for_each(|person| shown.push_str(&format!(" {}\n", text(person))));
    }
    shown
}

fn headed(label: &str, table: &str) -> String {
    if label.is_empty() { format!("\n{table}") } else { format!("\n {label}\n{table}") }
}

/// The counts of each bucket in which attempts begin.
fn by_bucket(one: &Value, style: Style) -> String {
    let steps = items(&one["steps"]);
    let mut headings = vec!["beginning".to_owned()];
    headings.extend(steps.iter().enumerate().map(|(place, step)| format!("{}. {}", place + 1, text(&step["name"]))));
    headings.push("of first".to_owned());
    let mut grid = Grid::new(style, headings).left(0);
    for (bucket, label) in items(&one["trend"]["buckets"]).iter().enumerate() {
        let counts: Vec<u64> =
            items(&one["trend"]["steps"]).iter().map(|counts| counts[bucket].as_u64().unwrap_or(0)).collect();
        let share = counts.first().zip(counts.last()).filter(|(first, _)| **first > 0);
        let mut cells = vec![text(label).to_owned()];
        cells.extend(counts.iter().map(|number| count(*number)));
        cells.push(percent(share.map(|(first, last)| *last as f64 / *first as f64)));
        grid.row(cells);
    }
    grid.to_string()
}

/// When each person did which step.
fn rows(one: &Value, style: Style) -> String {
    let steps = items(&one["steps"]);
    let mut headings = vec!["person".to_owned()];
    headings.extend(steps.iter().enumerate().map(|(place, step)| format!("{}. {}", place + 1, text(&step["name"]))));
    let mut grid = (0..=steps.len()).fold(Grid::new(style, headings), Grid::left);
    for row in items(&one["rows"]) {
        let mut cells = vec![text(&row["person"]).to_owned()];
        cells.extend(items(&row["steps"]).iter().map(|event| text(&event["timestamp"]).to_owned()));
        grid.row(cells);
    }
    grid.to_string()
}

fn reached(step: &Value) -> u64 {
    step["count"].as_u64().unwrap_or(0)
}

fn steps(steps: &[Value], style: Style) -> String {
    let most = steps.first().map_or(0, reached) as f64;
    let headings = ["step", "count", "", "of first", "of previous", "dropped", "median from previous"];
    let mut grid = Grid::new(style, headings).left(0).left(2);
    let room = style.width.saturating_sub(80).clamp(16, 40);
    for (place, step) in steps.iter().enumerate() {
        let first = place == 0;
        grid.row([
            match step["optional"] == true {
                true => format!("{}. ({})", place + 1, text(&step["name"])),
                false => format!("{}. {}", place + 1, text(&step["name"])),
            },
            count(reached(step)),
            bar(reached(step) as f64, most, room),
            percent(step["from_first"].as_f64()),
            if first { String::new() } else { percent(step["from_previous"].as_f64()) },
            if first { String::new() } else { count(step["dropped"].as_u64().unwrap_or(0)) },
            if first { String::new() } else { seconds(step["seconds_from_previous"]["median"].as_f64()) },
        ]);
    }
    grid.to_string()
}

fn by_value(groups: &[Value], titles: &[String], style: Style) -> String {
    let names: Vec<&str> =
        groups.first().map_or(&[][..], |one| items(&one["steps"])).iter().map(|step| text(&step["name"])).collect();
    let mut headings: Vec<String> = titles.to_vec();
    for (place, name) in names.iter().enumerate() {
        headings.push(format!("{}. {name}", place + 1));
        if place > 0 {
            headings.push("of first".to_owned());
        }
    }
    headings.push("median to last".to_owned());
    headings.push(String::new());
    let mut grid = Grid::new(style, headings).left(0);
    for one in groups {
        let steps = items(&one["steps"]);
        let mut cells = group(&one["breakdown"], titles.len());
        for (place, step) in steps.iter().enumerate() {
            cells.push(count(reached(step)));
            if place > 0 {
                cells.push(percent(step["from_first"].as_f64()));
            }
        }
        let last = steps.last().unwrap_or(&Value::Null);
        cells.push(seconds(last["seconds_from_first"]["median"].as_f64()));
        cells.push(bar(last["from_first"].as_f64().unwrap_or(0.0), best(groups), 16));
        grid.row(cells);
    }
    grid.to_string()
}

/// The best share of any value that did the last step.
fn best(groups: &[Value]) -> f64 {
    let lasts = groups.iter().filter_map(|one| items(&one["steps"]).last()?["from_first"].as_f64());
    lasts.fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn group_of(breakdown: Value, counts: [u64; 2]) -> Value {
        let share = counts[1] as f64 / counts[0] as f64;
        json!({"breakdown": breakdown, "steps": [
            {"name": "view", "count": counts[0], "from_first": 1.0, "from_previous": 1.0, "dropped": 0,
             "seconds_from_previous": null, "seconds_from_first": null},
            {"name": "cart", "count": counts[1], "from_first": share, "from_previous": share, "dropped": counts[0] - counts[1],
             "seconds_from_previous": {"mean": 90.0, "median": 60.0, "p90": 120.0},
             "seconds_from_first": {"mean": 90.0, "median": 60.0, "p90": 120.0}}]})
    }

    #[test]
    fn steps_are_bars() {
        let shown = funnel(&json!({"groups": [group_of(Value::Null, [2000, 500])]}), &[], Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[2].starts_with(" 1. view  2,000  ████████████████████   100.0 %"), "{shown}");
        assert!(
            lines[3].starts_with(" 2. cart    500  █████                   25.0 %       25.0 %    1,500"),
            "{shown}"
        );
        assert!(lines[3].ends_with("1.0 min"), "{shown}");
    }

    #[test]
    fn values_of_a_breakdown_are_rows() {
        let groups =
            json!({"groups": [group_of(json!(["DE"]), [100, 50]), group_of(json!([{"other": true}]), [10, 1])]});
        let shown = funnel(&groups, &["country".to_owned()], Style::plain());
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with(" country  1. view  2. cart  of first  median to last"), "{shown}");
        assert!(lines[3].starts_with(" (other)       10        1    10.0 %"), "{shown}");
    }
}
