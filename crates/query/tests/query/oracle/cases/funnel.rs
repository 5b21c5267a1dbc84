//! Questions of funnels: plain ones, and those about one group of choices.

use serde_json::{Map, Value, json};

use super::{Builder, DAY_US, HOUR_US, MINUTE_US, SECOND_US};

/// Events that come together: steps in and out of order and, where it matters, what lies between them.
pub(super) fn bursts(kind: &str) -> &'static [&'static [&'static str]] {
    match kind {
        "funnel" => {
            &[&["a"], &["a", "b", "c"], &["b"], &["a", "b"], &["c"], &["b", "a"], &["a", "b", "c"], &["a", "a", "b"]]
        }
        "funnel_exclude" | "funnel_hold" => &[
            &["a", "d", "b", "c"],
            &["a", "b", "c"],
            &["a", "b", "d", "c"],
            &["d"],
            &["a", "b", "d"],
            &["a", "d", "b"],
        ],
        "funnel_session" => &[&["a", "d", "b"], &["a", "d", "b", "d", "c"], &["a", "b"], &["a", "b", "d", "c"], &["c"]],
        "funnel_tolerance" => &[&["a", "b"], &["b", "a", "c"], &["b", "a"], &["a", "c", "b"], &["c", "b", "a"], &["c"]],
        _ => &[
            &["a"],
            &["a", "b", "c"],
            &["a", "a", "b", "c"],
            &["b"],
            &["a", "b"],
            &["c"],
            &["a", "d", "b", "c"],
            &["b", "a"],
            &["a", "b", "d", "c"],
        ],
    }
}

/// How far they begin from what a rule turns on.
pub(super) const JITTERS_US: &[i64] = &[0, 0, 0, 0, -1, SECOND_US, 10 * MINUTE_US];

impl Builder {
    /// Returns the window. `kind` says which choices the question is about.
    pub(super) fn funnel(&mut self, kind: &str, analysis: &mut Map<String, Value>) -> i64 {
        let (window, window_us) = self.pick(&[
            ("1h", HOUR_US),
            ("30m", 30 * MINUTE_US),
            ("1d", DAY_US),
            ("10s", 10 * SECOND_US),
            ("1h", HOUR_US),
            ("0s", 0),
        ]);
        let names = ["a", "b", "c", "a", "b"];
        let counts: &[usize] = if kind == "funnel" { &[3, 2, 3, 2, 4, 3, 1] } else { &[3, 2, 3, 3, 4] };
        let count = self.pick(counts);
        let plain = self.chance(if kind == "funnel" { 50 } else { 85 });
        let steps = (0..count).map(|step| {
            if plain { json!({ "event": names[step] }) } else { Value::Object(self.selector(&["a", "b", "c"])) }
        });
        let steps: Vec<Value> = steps.collect();
        analysis.insert("steps".to_owned(), Value::Array(steps));
        analysis.insert("window".to_owned(), json!(window));
        // Each question is about one group of choices, and now and then about another besides.
        let about = |builder: &mut Self, group: &str| kind == group || (kind != "funnel" && builder.chance(12));
        if about(self, "funnel_order") {
            self.order(analysis);
        }
        if about(self, "funnel_steps") {
            self.steps(analysis, window_us);
        }
        if about(self, "funnel_exclude") {
            self.exclude(analysis, count);
        }
        if about(self, "funnel_tolerance") && analysis.get("order") != Some(&json!("strict")) {
            analysis.insert("tolerance".to_owned(), json!(self.pick(&["30m", "10m", "2s", "1h"])));
        }
        if about(self, "funnel_hold") {
            let held = [json!(["plan"]), json!(["amount"]), json!(["plan", "amount"])];
            analysis.insert("hold".to_owned(), self.pick(&held));
            if self.chance(75) {
                self.exclude(analysis, count);
            }
        }
        if about(self, "funnel_at") {
            self.at(analysis, count);
        }
        if about(self, "funnel_entry") {
            self.entry(analysis);
        }
        if about(self, "funnel_answer") {
            self.answer(analysis, count);
        }
        if kind == "funnel_session" {
            analysis.insert("window".to_owned(), json!("session"));
            if analysis.get("histogram").is_some_and(|histogram| histogram.get("bins").is_some()) {
                analysis.remove("histogram");
            }
        }
        if kind == "funnel_like" && analysis.get("order") != Some(&json!("strict")) {
            let like = self.pick(&["clickhouse", "posthog", "mixpanel", "posthog", "amplitude"]);
            analysis.insert("like".to_owned(), json!(like));
            if self.chance(50) {
                self.exclude(analysis, count);
            }
        }
        window_us
    }

    fn order(&mut self, analysis: &mut Map<String, Value>) {
        let order = self.pick(&["strict", "any", "strict_steps", "strict", "ordered", "any"]);
        analysis.insert("order".to_owned(), json!(order));
        if order.starts_with("strict") && self.chance(75) {
            analysis.insert("repeats".to_owned(), json!("break"));
        }
        if order != "strict" && self.chance(85) {
            analysis.insert("ties".to_owned(), json!(self.pick(&["sequence", "apart"])));
        }
    }

    fn steps(&mut self, analysis: &mut Map<String, Value>, window_us: i64) {
        let any_order = analysis.get("order") == Some(&json!("any"));
        if self.chance(25) {
            analysis.insert("reuse".to_owned(), json!(true));
            // The same event for two steps.
            let wide = json!({ "event": ["a", "b"] });
            let steps = analysis["steps"].as_array_mut().expect("a list");
            let last = steps.len() - 1;
            steps[last] = wide.clone();
            steps[0] = wide;
        }
        if any_order {
            return;
        }
        let count = analysis["steps"].as_array().map_or(0, Vec::len);
        let mut changes: Vec<(usize, &str, Value)> = Vec::new();
        for step in 1..count {
            if self.chance(45) {
                changes.push((step, "optional", json!(true)));
            }
            let half = format!("{}ms", window_us / 2_000);
            let third = format!("{}ms", window_us / 3_000);
            // Of the second step the time since the previous one is that since the first.
            if self.chance(if step > 1 { 90 } else { 35 }) {
                let bounds = [
                    json!({ "max": third }),
                    json!({ "min": third }),
                    json!({ "min": third, "max": half }),
                    json!({ "max": "0s" }),
                ];
                changes.push((step, "after", self.pick(&bounds)));
            }
        }
        for (step, name, value) in changes {
            analysis["steps"][step][name] = value;
        }
    }

    fn exclude(&mut self, analysis: &mut Map<String, Value>, count: usize) {
        if count < 2 {
            return;
        }
        let exclusions = (0..self.pick(&[1, 1, 2])).map(|_| {
            let event = self.pick(&["d", "d", "d", "c", "d", "b"]);
            let mut exclusion = json!({ "event": event });
            let from = self.pick(&[1, 1, 2, 1]).min(count - 1);
            let to = self.pick(&[count, from + 1, count]);
            exclusion["from_step"] = json!(from);
            exclusion["to_step"] = json!(to);
            if self.chance(70) {
                exclusion["outcome"] = json!(self.pick(&["void", "drop"]));
            }
            exclusion
        });
        let exclusions: Vec<Value> = exclusions.collect();
        analysis.insert("exclude".to_owned(), json!(exclusions));
    }

    fn at(&mut self, analysis: &mut Map<String, Value>, count: usize) {
        let items = [
            json!([{ "property": "plan" }]),
            json!([{ "property": "amount" }]),
            json!([{ "property": "plan" }, { "property": "amount" }]),
        ];
        analysis.insert("breakdown".to_owned(), self.pick(&items));
        let at = [
            json!("first_touch"),
            json!("all"),
            json!("last"),
            json!({ "step": count.min(2) }),
            json!("first_touch"),
            json!("last_touch"),
            json!("all"),
            json!("all"),
        ];
        analysis.insert("at".to_owned(), self.pick(&at));
        analysis.insert("limit".to_owned(), json!(self.pick(&[1, 1, 1, 1, 25])));
    }

    fn entry(&mut self, analysis: &mut Map<String, Value>) {
        if self.chance(60) {
            analysis.insert("entry".to_owned(), json!(self.pick(&["every", "first"])));
        } else if self.chance(95) {
            analysis.insert("pick".to_owned(), json!("latest"));
        }
        if self.chance(65) {
            analysis.insert("completion".to_owned(), json!("in_range"));
        }
    }

    fn answer(&mut self, analysis: &mut Map<String, Value>, count: usize) {
        if self.chance(40) {
            analysis.insert("trend".to_owned(), json!(self.pick(&["day", "hour", "day"])));
        }
        if self.chance(50) {
            let outcome = if count > 1 { self.pick(&["dropped", "converted"]) } else { "converted" };
            analysis.insert("people".to_owned(), json!({ "step": count, "outcome": outcome }));
        }
        if count > 1 && self.chance(35) {
            let histograms = [
                json!({ "bins": 4 }),
                json!({ "from_step": count - 1, "to_step": count }),
                json!({ "from_step": 1, "to_step": 2, "bins": 2 }),
            ];
            analysis.insert("histogram".to_owned(), self.pick(&histograms));
        }
    }
}
