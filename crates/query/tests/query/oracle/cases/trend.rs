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

    /// Questions of every measure.
    pub(super) fn measures(&mut self, analysis: &mut Map<String, Value>, interval: &str) {
        let mut series = Vec::new();
        let of_times = self.chance(18);
        let count = if of_times { self.pick(&[1, 2]) } else { self.pick(&[5, 3, 6, 4, 5]) };
        for _ in 0..count {
            let mut one = self.selector(&["a", "b"]);
            if self.chance(50) {
                one.insert("event".to_owned(), json!("*"));
            }
            let measure = match of_times {
                true => "frequency",
                false => self.pick(MEASURES),
            };
            one.insert("measure".to_owned(), json!(measure));
            // What somebody did before without the filter shows only where there is one.
            if measure == "first_time" && self.chance(75) {
                one.insert("filter".to_owned(), json!(self.pick(&["amount > 1", "plan = 'x'", "amount > 1"])));
            }
            if OF_PROPERTIES.contains(&measure) {
                let property = if measure == "distinct" { "plan" } else { "price" };
                one.insert("property".to_owned(), json!(self.pick(&[property, property, "amount"])));
            }
            if OF_ALL_SO_FAR.contains(&measure) && self.chance(75) {
                one.insert("cumulative".to_owned(), json!(true));
            }
            series.push(Value::Object(one));
        }
        if series.len() > 1 && !of_times && self.chance(60) {
            let formulas = [
                "A - B / 2 + 1",
                "A / B * 100",
                "B + A * 2",
                "-(A - B) / (A + 1)",
                "A / (B - 1) - -2.5",
                "A + 1 / (B - B)",
                "B / A",
            ];
            analysis.insert("formula".to_owned(), json!(self.pick(&formulas)));
            if self.chance(30) {
                analysis.insert("name".to_owned(), json!("ratio"));
            }
        }
        analysis.insert("series".to_owned(), Value::Array(series));
        analysis.insert("interval".to_owned(), json!(interval));
        self.week(analysis);
    }
}

/// Those that only few events tell apart come more often.
const MEASURES: &[&str] = &[
    "p90",
    "median",
    "count_per_user",
    "first_time",
    "sum_per_user",
    "avg",
    "min",
    "p95",
    "max",
    "distinct",
    "p75",
    "uniques",
    "p99",
    "first_time",
    "uniques",
    "p95",
    "sum",
    "sum_per_user",
    "count",
    "distinct",
    "uniques",
    "p95",
    "first_time",
    "uniques",
    "count_per_user",
    "min",
    "median",
    "avg",
    "median",
];
const OF_PROPERTIES: &[&str] =
    &["sum", "sum_per_user", "avg", "min", "max", "median", "p75", "p90", "p95", "p99", "distinct"];
const OF_ALL_SO_FAR: &[&str] = &["count", "uniques", "sum", "first_time"];
