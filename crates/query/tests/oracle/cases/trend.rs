//! Questions of trends.

use serde_json::{Map, Value, json};

use super::{Builder, HOUR_US, MINUTE_US};

/// Events that come together.
pub(super) const BURSTS: &[&[&str]] = &[&["a"], &["b"], &["a"], &["c"], &["b"]];
/// How far they begin from what a rule turns on.
pub(super) const JITTERS_US: &[i64] =
    &[0, 30 * MINUTE_US, -30 * MINUTE_US, 0, -1, 1, -45 * MINUTE_US, HOUR_US, 0, 9 * HOUR_US, -5 * HOUR_US];

impl Builder {
    pub(super) fn trend(&mut self, analysis: &mut Map<String, Value>, interval: &str) {
        let mut series = Vec::new();
        for index in 0..self.pick(&[1, 2, 2]) {
            let mut one = self.selector(&["a", "b"]);
            let measure = self.pick(&["uniques", "count", "uniques", "sum", "uniques"]);
            one.insert("measure".to_owned(), json!(measure));
            if measure == "sum" {
                one.insert("property".to_owned(), json!(self.pick(&["amount", "plan", "amount"])));
            }
            if measure == "uniques" && self.chance(45) {
                one.insert("rolling".to_owned(), json!(self.pick(&[2, 3, 2, 4])));
            }
            if index == 0 && self.chance(20) {
                one.insert("name".to_owned(), json!("first"));
            }
            series.push(Value::Object(one));
        }
        analysis.insert("series".to_owned(), Value::Array(series));
        analysis.insert("interval".to_owned(), json!(interval));
        self.week(analysis);
    }
}
