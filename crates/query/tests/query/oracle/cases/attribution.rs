//! Questions of trends that are shared out among what led to their events.

use serde_json::{Map, Value, json};

use super::{Builder, HOUR_US};

/// What leads to `a`, and what does not.
pub(super) const BURSTS: &[&[&str]] = &[&["b", "a"], &["c", "b", "b", "a"], &["a", "b"], &["b", "c", "a", "a"], &["a"]];
/// How far apart: windows are of a day, or of two.
pub(super) const STEPS_US: &[i64] = &[0, 24 * HOUR_US, 8 * HOUR_US, 0, 12 * HOUR_US, 48 * HOUR_US, 24 * HOUR_US + 1];

impl Builder {
    pub(super) fn attribution(&mut self, analysis: &mut Map<String, Value>, interval: &str) {
        let mut series = Vec::new();
        let property = self.pick(&["amount", "price"]);
        for _ in 0..self.pick(&[1, 2, 2]) {
            let mut one = self.selector(&["a"]);
            if self.chance(25) {
                one.insert("measure".to_owned(), json!("sum"));
                one.insert("property".to_owned(), json!(property));
            }
            let model = self.pick(&["position", "linear", "first", "last", "position", "first"]);
            let mut attribution = json!({ "model": model });
            if self.chance(90) {
                attribution["window"] = json!(self.pick(&["24h", "48h", "24h", "12h"]));
            }
            if self.chance(50) {
                let mut touch = self.selector(&["b"]);
                if self.chance(50) {
                    touch.insert("event".to_owned(), json!("*"));
                }
                attribution["touch"] = Value::Object(touch);
            }
            one.insert("attribution".to_owned(), attribution);
            series.push(Value::Object(one));
        }
        if series.len() > 1 && self.chance(30) {
            analysis.insert("formula".to_owned(), json!(self.pick(&["A + B / 2", "A + B * 2"])));
        }
        analysis.insert("series".to_owned(), Value::Array(series));
        analysis.insert("interval".to_owned(), json!(interval));
        self.week(analysis);
    }
}
