//! Questions of funnels.

use serde_json::{Map, Value, json};

use super::{Builder, DAY_US, HOUR_US, MINUTE_US, SECOND_US};

/// Events that come together.
pub(super) const BURSTS: &[&[&str]] =
    &[&["a"], &["a", "b", "c"], &["b"], &["a", "b"], &["c"], &["b", "a"], &["a", "b", "c"], &["a", "a", "b"]];
/// How far they begin from what a rule turns on.
pub(super) const JITTERS_US: &[i64] = &[0, 0, 0, 0, -1, SECOND_US, 10 * MINUTE_US];

impl Builder {
    /// Returns the window.
    pub(super) fn funnel(&mut self, analysis: &mut Map<String, Value>) -> i64 {
        let (window, window_us) = self.pick(&[
            ("1h", HOUR_US),
            ("30m", 30 * MINUTE_US),
            ("1d", DAY_US),
            ("10s", 10 * SECOND_US),
            ("1h", HOUR_US),
            ("0s", 0),
        ]);
        let names = ["a", "b", "c", "a", "b"];
        let count = self.pick(&[3, 2, 3, 4, 4, 3, 1]);
        let plain = self.chance(50);
        let steps = (0..count).map(|step| {
            if plain { json!({ "event": names[step] }) } else { Value::Object(self.selector(&["a", "b", "c"])) }
        });
        analysis.insert("steps".to_owned(), Value::Array(steps.collect()));
        analysis.insert("window".to_owned(), json!(window));
        window_us
    }
}
