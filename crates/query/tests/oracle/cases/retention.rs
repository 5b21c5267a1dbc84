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
        let cohorts = [
            "first_time",
            "recurring",
            "first_of_event",
            "recurring",
            "first_ever",
            "first_in_range",
            "recurring",
            "first_time",
        ];
        analysis.insert("cohort".to_owned(), json!(self.pick(&cohorts)));
        if self.chance(75) {
            analysis.insert("period_zero".to_owned(), json!("returned"));
        }
        if self.chance(45) {
            analysis.insert("clock".to_owned(), json!("rolling"));
            if self.chance(55) {
                analysis.insert("round_to".to_owned(), json!("hour"));
            }
        }
        if self.chance(40) {
            analysis.insert("returns".to_owned(), json!("open"));
        }
        // What is read until now would have many columns.
        let limited = analysis.contains_key("returns");
        match self.pick(&["on", "on_or_after", "brackets", "on_or_before", "brackets", "streak", "on", "on_or_before"])
        {
            "brackets" => {
                let brackets = [json!([1, 3]), json!([0, 2]), json!([1, 2]), json!([0, 1, 3]), json!([0, 1])];
                analysis.insert("brackets".to_owned(), self.pick(&brackets));
            }
            criterion => {
                analysis.insert("criterion".to_owned(), json!(criterion));
                if limited || self.chance(25) {
                    analysis.insert("periods".to_owned(), json!(self.pick(&[2, 3, 4, 1])));
                }
            }
        }
        if self.chance(30) {
            analysis.insert("min_occurrences".to_owned(), json!(2));
        }
        let measure = self.pick(&["units", "sum", "units", "avg", "units"]);
        if measure != "units" {
            analysis.insert("measure".to_owned(), json!(measure));
            analysis.insert("property".to_owned(), json!(self.pick(&["amount", "plan", "amount", "amount"])));
        }
        if analysis.contains_key("breakdown") && self.chance(30) {
            analysis.insert("breakdown_match".to_owned(), json!(true));
        }
    }
}
