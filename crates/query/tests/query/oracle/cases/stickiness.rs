//! Questions of stickiness and of lifecycles.

use serde_json::{Map, Value, json};

use super::Builder;

/// Events that come together.
pub(super) const BURSTS: &[&[&str]] = &[&["a"], &["b"], &["a", "a"], &["c"], &["b", "b"], &["a"]];

impl Builder {
    pub(super) fn stickiness(&mut self, analysis: &mut Map<String, Value>, interval: &str) {
        let event = Value::Object(self.selector(&["a", "b"]));
        analysis.insert("event".to_owned(), event);
        analysis.insert("interval".to_owned(), json!(interval));
        self.week(analysis);
        if self.chance(35) {
            analysis.insert("at_least".to_owned(), json!(true));
        }
        if self.chance(30) {
            analysis.insert("min_occurrences".to_owned(), json!(self.pick(&[2, 2, 3])));
        }
    }

    pub(super) fn lifecycle(&mut self, analysis: &mut Map<String, Value>, interval: &str) {
        let event = Value::Object(self.selector(&["a", "b"]));
        analysis.insert("event".to_owned(), event);
        analysis.insert("interval".to_owned(), json!(interval));
        self.week(analysis);
        analysis.remove("breakdown");
        analysis.remove("limit");
    }
}
