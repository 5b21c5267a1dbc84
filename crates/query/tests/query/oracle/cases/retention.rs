//! Questions of retention.

use serde_json::{Map, Value, json};

use super::{Builder, HOUR_US, MINUTE_US};

/// Events that come together.
pub(super) const BURSTS: &[&[&str]] = &[
    &["a", "b"],
    &["a", "a", "b"],
    &["b", "a"],
    &["c", "a", "b"],
    &["a", "a", "a"],
    &["a", "b", "a", "b"],
    &["a", "b", "b"],
    &["c", "a", "b", "b"],
];
/// How far they begin from what a rule turns on.
pub(super) const JITTERS_US: &[i64] =
    &[0, 0, 30 * MINUTE_US, 0, -1, 1, -45 * MINUTE_US, 0, HOUR_US, 9 * HOUR_US, 50 * MINUTE_US];

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
        // What few events match tells little of everything else.
        for selector in ["start", "return"] {
            if self.chance(70)
                && let Some(selector) = analysis.get_mut(selector).and_then(Value::as_object_mut)
            {
                selector.remove("filter");
            }
        }
        analysis.insert("interval".to_owned(), json!(interval));
        self.week(analysis);
        let cohorts = [
            "first_time",
            "recurring",
            "first_of_event",
            "first_of_event",
            "first_ever",
            "first_in_range",
            "first_time",
            "recurring",
            "first_of_event",
            "first_ever",
            "first_in_range",
            "first_of_event",
        ];
        let rolling = self.chance(54);
        // Spans after each of several starts are those of the rolling clock.
        let cohort = if rolling && self.chance(68) { "recurring" } else { self.pick(&cohorts) };
        analysis.insert("cohort".to_owned(), json!(cohort));
        // Without a filter the first event of a name is the first start.
        let start = if analysis.contains_key("start") { "start" } else { "return" };
        if cohort == "first_of_event" && self.chance(65) {
            let filter = self.pick(&["amount > 1", "plan = 'x'", "amount > 1"]);
            analysis[start]["filter"] = json!(filter);
        }
        if cohort == "first_ever" && self.chance(70) {
            analysis[start] = json!({ "event": "a" });
        }
        if self.chance(75) {
            analysis.insert("period_zero".to_owned(), json!("returned"));
        }
        if rolling {
            analysis.insert("clock".to_owned(), json!("rolling"));
            if self.chance(70) {
                analysis.insert("round_to".to_owned(), json!("hour"));
            }
        }
        if self.chance(40) {
            analysis.insert("returns".to_owned(), json!("open"));
        }
        let criteria = [
            "on",
            "on_or_after",
            "brackets",
            "on_or_before",
            "streak",
            "on",
            "on_or_after",
            "on_or_before",
            "brackets",
            "streak",
            "on_or_before",
            "on_or_after",
            "streak",
            "streak",
        ];
        let criterion = self.pick(&criteria);
        match criterion {
            "brackets" => {
                let brackets = [json!([1, 3]), json!([0, 2]), json!([1, 2]), json!([0, 1, 3]), json!([0, 1])];
                analysis.insert("brackets".to_owned(), self.pick(&brackets));
            }
            _ => {
                analysis.insert("criterion".to_owned(), json!(criterion));
                if self.chance(if criterion == "on_or_after" { 85 } else { 25 }) {
                    let few = if criterion == "on_or_after" { [1, 2, 1, 3, 2] } else { [2, 3, 4, 9, 1] };
                    analysis.insert("periods".to_owned(), json!(self.pick(&few)));
                }
            }
        }
        if self.chance(if matches!(criterion, "on_or_after" | "on_or_before") { 70 } else { 20 }) {
            analysis.insert("min_occurrences".to_owned(), json!(2));
        }
        let measure = self.pick(&["units", "sum", "units", "avg", "units"]);
        if measure != "units" {
            analysis.insert("measure".to_owned(), json!(measure));
            analysis.insert(
                "property".to_owned(),
                json!(self.pick(&["amount", "amount", "amount", "plan", "amount", "amount"])),
            );
        }
        if analysis.contains_key("breakdown") && self.chance(40) {
            analysis.insert("breakdown_match".to_owned(), json!(true));
        }
    }
}
