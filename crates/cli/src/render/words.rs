//! Numbers, values and times as people read them.

use serde_json::Value;

/// A whole number with a comma between thousands.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// What a touch says, `name=value` each; a dash for nothing.
pub(crate) fn touch(touch: &Value) -> String {
    let said = touch.as_object().into_iter().flatten();
    let said: Vec<String> = said.map(|(name, value)| format!("{name}={}", text(value))).collect();
    if said.is_empty() { "-".to_owned() } else { said.join(" ") }
}

/// A count of things by their name: `1 file`, `2 files`.
pub(crate) fn many(number: u64, thing: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{} {thing}{ending}", count(number))
}

/// Bytes in the largest binary unit that keeps them at 1 or above.
pub(crate) fn bytes(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", number as f64 / *size as f64),
        None => format!("{number} B"),
    }
}

/// How many a second.
pub(crate) fn rate(number: u64, seconds: f64) -> String {
    if seconds > 0.0 { format!("{}/s", count((number as f64 / seconds).round() as u64)) } else { "-".to_owned() }
}

/// Seconds in the largest unit that keeps them at 1 or above; a dash for none.
pub(crate) fn seconds(number: Option<f64>) -> String {
    const UNITS: [(f64, &str); 3] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min")];
    let Some(number) = number else { return "-".to_owned() };
    match UNITS.iter().find(|(size, _)| number >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", number / size),
        None => format!("{number:.1} s"),
    }
}

/// A share as a percentage; a dash for none.
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

/// A number with two decimals and a comma between thousands; a dash for none.
pub(crate) fn amount(number: Option<f64>) -> String {
    let Some(number) = number else { return "-".to_owned() };
    let hundredths = (number.abs() * 100.0).round();
    // Beyond this there are no hundredths.
    if hundredths >= 9e15 {
        return format!("{number:e}");
    }
    let hundredths = hundredths as u64;
    let sign = if number < 0.0 && hundredths > 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", count(hundredths / 100), hundredths % 100)
}

/// The range of an answer and its zone; nothing where it has none.
pub(crate) fn range(answer: &Value) -> String {
    let moment = |end: &str| text(&answer["range"][end]).trim_end_matches("T00:00:00Z").to_owned();
    let (from, to) = (moment("from"), moment("to"));
    let shown = if from.is_empty() { from } else { format!("{from} to {to}, {}", text(&answer["time_zone"])) };
    match answer["history_from"].as_str() {
        Some(from) => format!("{shown}; what happened before {} has expired", from.trim_end_matches("T00:00:00Z")),
        None => shown,
    }
}

/// The breakdown values of a part of an answer, one text for each of `titles`.
pub(crate) fn group(breakdown: &Value, titles: usize) -> Vec<String> {
    match breakdown.as_array() {
        Some(values) if values.first().is_some_and(Value::is_object) => vec!["(other)".to_owned(); titles],
        Some(values) => values.iter().map(value).collect(),
        None => Vec::new(),
    }
}

/// What a series is called: its name, and the values of its breakdown.
pub(crate) fn series_name(series: &Value, titles: &[String]) -> String {
    let mut parts = vec![text(&series["name"]).to_owned()];
    parts.extend(group(&series["breakdown"], titles.len()));
    parts.join(" · ")
}

/// What a cell of a retention table shows: the share that came back, or the value of the measure.
pub(crate) fn cell_number(row: &Value, period: usize, is_measured: bool) -> Option<f64> {
    let size = row["size"].as_f64().filter(|size| *size > 0.0)?;
    let value = row["values"].get(period)?.as_f64()?;
    Some(if is_measured { value } else { value / size })
}

/// A node of a path; nothing is the end.
pub(crate) fn node(value: &Value) -> String {
    match value {
        Value::Null => "(end)".to_owned(),
        known => self::value(known),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "(none)".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The elements of a JSON array; none for anything else.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// A text of an answer; empty for anything else.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn amounts_have_two_decimals() {
        let amounts = [Some(1_234.567), Some(-0.5), Some(-0.001), Some(1e20), None].map(amount);
        assert_eq!(amounts, ["1,234.57", "-0.50", "0.00", "1e20", "-"]);
    }

    #[test]
    fn one_thing_is_no_plural() {
        assert_eq!([0, 1, 1_000].map(|number| many(number, "file")), ["0 files", "1 file", "1,000 files"]);
    }

    #[test]
    fn bytes_and_seconds_take_their_largest_unit() {
        assert_eq!([512, 2_048, 3 << 20].map(bytes), ["512 B", "2.0 KiB", "3.0 MiB"]);
        assert_eq!(seconds(Some(5_400.0)), "1.5 h");
        assert_eq!(seconds(None), "-");
    }

    #[test]
    fn null_and_other_are_named() {
        assert_eq!(group(&json!([null, 0]), 2), ["(none)", "0"]);
        assert_eq!(group(&json!([{"other": true}]), 2), ["(other)", "(other)"]);
        assert!(group(&Value::Null, 1).is_empty());
    }
}
