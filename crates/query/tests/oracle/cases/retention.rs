//! Questions of retention.

use serde_json::{Map, Value, json};

use super::{Builder, HOUR_US, MINUTE_US};

/// Events that come together.
pub(super) const BURSTS: &[&[&str]] =
    &[&["a"], &["a", "b"], &["b"], &["b", "a"], &["a", "a"], &["b", "a"], &["a", "c"]];
/// How far they begin from what a rule turns on.
pub(super) const JITTERS_US: &[i64] = &[0, 0, 30 * MINUTE_US, 0, -1, 1, -45 * MINUTE_US, 0, HOUR_US, 9 * HOUR_US];

impl Builder {
    pub(super) fn retention(&mut self, analysis: &mut Map<String, Value>, interval: &str) {
        let start = Value::Object(self.selector(&["a"]));
        match self.pick(&[0, 1, 3, 2, 0, 1, 3]) {
            0 => analysis.insert("start".to_owned(), start),
            1 => {
                analysis.insert("return".to_owned(), json!({ "event": "*" }));
                analysis.insert("start".to_owned(), start)
            }
            2 => analysis.insert("return".to_owned(), start),
            _ => {
                let returning = Value::Object(self.selector(&["b"]));
                analysis.insert("return".to_owned(), returning);
                analysis.insert("start".to_owned(), start)
            }
        };
        analysis.insert("interval".to_owned(), json!(interval));
        self.week(analysis);
        if self.chance(60) {
            analysis.insert("cohort".to_owned(), json!("recurring"));
        }
        if self.chance(75) {
            analysis.insert("period_zero".to_owned(), json!("returned"));
        }
        if self.chance(25) {
            analysis.insert("periods".to_owned(), json!(self.pick(&[2, 1, 3, 9])));
        }
        if self.chance(30) {
            analysis.insert("min_occurrences".to_owned(), json!(2));
        }
    }
}
