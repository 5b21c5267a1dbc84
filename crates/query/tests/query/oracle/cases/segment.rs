//! Segments of questions.

use serde_json::{Map, Value, json};

use super::super::oracle::local_date;
use super::Builder;

const DAY_US: i64 = 86_400_000_000;

/// Events that come together.
pub(super) const BURSTS: &[&[&str]] =
    &[&["a", "b"], &["a"], &["b"], &["b", "a", "b"], &["d", "a"], &["a", "a"], &["d"]];

impl Builder {
    /// Who is in a segment, of whatever form.
    pub(super) fn audience(&mut self, analysis: &mut Map<String, Value>, center: i64, zone: &str) {
        let (one, two) = (self.leaf(80, center, zone), self.leaf(60, center, zone));
        let segment = match self.pick(&[0, 1, 2, 0, 3]) {
            0 => one,
            1 => json!({ "all": [one, two] }),
            2 => json!({ "any": [one, two] }),
            _ => json!({ "not": { "all": [one, { "any": [two] }] } }),
        };
        let Value::Object(fields) = segment else { panic!("a segment is an object") };
        analysis.extend(fields);
        analysis.insert("people".to_owned(), json!(self.chance(70)));
    }

    pub(super) fn segment(&mut self, analysis: &mut Map<String, Value>, percent: u8, center: i64, zone: &str) {
        if !self.chance(percent) {
            return;
        }
        let (one, two) = (self.leaf(25, center, zone), self.leaf(25, center, zone));
        let segment = match self.pick(&[0, 1, 2, 1, 3]) {
            0 => one,
            1 => json!({ "all": [one, two] }),
            2 => json!({ "any": [one, two] }),
            _ => json!({ "not": { "all": [one, { "any": [two] }] } }),
        };
        analysis.insert("segment".to_owned(), segment);
    }

    /// What is asked of people; in so many percent of the cases something else than what they did.
    pub(super) fn leaf(&mut self, percent: u8, center: i64, zone: &str) -> Value {
        let form = if self.chance(percent) { self.pick(&[1, 4, 2, 3, 4, 3]) } else { 0 };
        match form {
            0 => self.did(center, zone),
            1 => {
                let mut leaf = Map::new();
                let end = self.pick(&["first", "last"]);
                let selector = match self.chance(70) {
                    true => json!({ "event": self.pick(&["a", "b"]) }),
                    false => Value::Object(self.selector(&["a", "b"])),
                };
                leaf.insert(end.to_owned(), selector);
                self.range_of_leaf(&mut leaf, 40, center, zone);
                Value::Object(leaf)
            }
            2 => json!({ "profile": self.pick(&["tier = 'x'", "score > 1", "tier = 'y' and score < 3"]) }),
            3 => {
                let steps: Vec<Value> = ["a", "b"].map(|name| json!({ "event": name })).into();
                let mut funnel = json!({ "steps": steps, "window": self.pick(&["1d", "30d", "2h"]) });
                funnel["range"] = json!({ "from": local_date(center - self.pick(&[30, 1, 0]) * DAY_US, zone) });
                funnel["range"]["to"] = local_date(center + 90 * DAY_US, zone).into();
                let (step, outcome) = self.pick(&[(2, "converted"), (2, "dropped"), (1, "converted"), (2, "dropped")]);
                json!({ "funnel": funnel, "step": step, "outcome": outcome })
            }
            _ => {
                let from = center - self.pick(&[0, 1, 2]) * DAY_US;
                let range = json!({ "from": local_date(from, zone), "to": local_date(center + 8 * DAY_US, zone) });
                let start = json!({ "event": self.pick(&["a", "*", "b"]) });
                let retention = json!({ "start": start, "return": { "event": "*" }, "interval": "day", "range": range,
                    "cohort": self.pick(&["first_in_range", "recurring", "first_time"]) });
                let cohort = local_date(from + self.pick(&[0, 1, 0]) * DAY_US, zone);
                json!({ "retention": retention, "cohort": cohort, "period": self.pick(&[0, 1, 1, 2]) })
            }
        }
    }

    fn did(&mut self, center: i64, zone: &str) -> Value {
        let mut leaf = Map::new();
        let name = self.pick(&["did", "did", "did_not"]);
        leaf.insert(name.to_owned(), Value::Object(self.selector(&["a", "b"])));
        if name == "did" && self.chance(80) {
            let times = [json!({ "at_least": 2 }), json!({ "at_most": 1 }), json!({ "exactly": 1 })];
            leaf.insert("times".to_owned(), self.pick(&times));
        }
        self.range_of_leaf(&mut leaf, 20, center, zone);
        Value::Object(leaf)
    }

    fn range_of_leaf(&mut self, leaf: &mut Map<String, Value>, percent: u8, center: i64, zone: &str) {
        if self.chance(percent) {
            let range = [json!({ "to": local_date(center, zone) }), json!({ "from": local_date(center, zone) })];
            leaf.insert("range".to_owned(), self.pick(&range));
        }
    }
}
