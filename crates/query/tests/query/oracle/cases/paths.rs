//! Questions of paths.

use serde_json::{Map, Value, json};

use super::{Builder, HOUR_US, MINUTE_US, SECOND_US};

/// Events that come together.
pub(super) const BURSTS: &[&[&str]] = &[
    &["a", "b", "c"],
    &["a", "b"],
    &["a", "a", "b", "c"],
    &["b", "a", "c", "c", "a"],
    &["a", "c", "b", "a"],
    &["b", "b", "a"],
    &["a"],
    &["c", "a", "b", "b"],
    &["a", "b", "a", "c", "d"],
    &["b", "a", "b", "d"],
];
/// How far one of them is from the next.
pub(super) const STEPS_US: &[i64] = &[
    10 * MINUTE_US,
    20 * MINUTE_US,
    0,
    10 * MINUTE_US,
    30 * MINUTE_US,
    5 * MINUTE_US,
    30 * MINUTE_US + SECOND_US,
    20 * MINUTE_US,
    HOUR_US,
];

impl Builder {
    /// Of paths; of `paths_window` always within a time, and of `paths_end` always with an end.
    pub(super) fn paths(&mut self, kind: &str, analysis: &mut Map<String, Value>) {
        for name in ["breakdown", "limit"] {
            analysis.remove(name);
        }
        if self.chance(65) {
            let anchor = self.selector(&["a", "b", "a", "c"]);
            analysis.insert("anchor".to_owned(), Value::Object(anchor));
        }
        if self.chance(45) {
            analysis.insert("direction".to_owned(), json!("before"));
        }
        if self.chance(80) {
            analysis.insert("depth".to_owned(), json!(self.pick(&[3, 2, 4, 2, 3, 2])));
        }
        if kind == "paths_window" {
            analysis.insert("within".to_owned(), json!(self.pick(&["30m", "20m", "1h", "10m", "30m", "1h"])));
        } else if self.chance(65) {
            analysis.insert("within".to_owned(), json!(self.pick(&["30m", "all", "20m", "10m", "1h", "30m", "0s"])));
        }
        if self.chance(35) {
            analysis.insert("collapse".to_owned(), json!(false));
        }
        if self.chance(45) {
            analysis.insert("count".to_owned(), json!("occurrences"));
        }
        if self.chance(35) {
            analysis.insert("node".to_owned(), json!(self.pick(&["url", "amount", "url"])));
        }
        if self.chance(66) {
            let selectors = [
                json!([{ "event": "b" }]),
                json!([{ "event": "c" }]),
                json!([{ "event": ["b", "c"], "filter": "amount > 1" }]),
                json!([{ "event": "*", "filter": "plan = 'x'" }]),
                json!([{ "event": "c" }, { "event": "a", "filter": "amount > 1" }]),
                json!([{ "event": "a" }]),
            ];
            analysis.insert("exclude".to_owned(), self.pick(&selectors));
        }
        if kind == "paths_end" || self.chance(35) {
            let end = self.selector(&["b", "c", "a"]);
            // One that is met late.
            let end = if self.chance(60) { json!({ "event": self.pick(&["c", "d"]) }) } else { Value::Object(end) };
            analysis.insert("end".to_owned(), end);
        }
        if self.chance(60) {
            analysis.insert("limit".to_owned(), json!(self.pick(&[1, 2, 1, 3])));
        }
        if self.chance(20) {
            let filters = ["plan = 'x'", "amount > 1", "profile_at('tier') = 'x'", "plan = 'y'"];
            analysis.insert("filter".to_owned(), json!(self.pick(&filters)));
        }
    }
}
