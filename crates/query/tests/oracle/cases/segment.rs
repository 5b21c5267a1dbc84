//! Segments of questions.

use serde_json::{Map, Value, json};

use super::super::oracle::local_date;
use super::Builder;

impl Builder {
    pub(super) fn segment(&mut self, analysis: &mut Map<String, Value>, percent: u8, center: i64, zone: &str) {
        if !self.chance(percent) {
            return;
        }
        let mut leaf = || {
            let mut leaf = Map::new();
            let name = self.pick(&["did", "did", "did_not"]);
            leaf.insert(name.to_owned(), Value::Object(self.selector(&["a", "b"])));
            if name == "did" && self.chance(80) {
                let times = [json!({ "at_least": 2 }), json!({ "at_most": 1 }), json!({ "exactly": 1 })];
                leaf.insert("times".to_owned(), self.pick(&times));
            }
            if self.chance(20) {
                let range = [json!({ "to": local_date(center, zone) }), json!({ "from": local_date(center, zone) })];
                leaf.insert("range".to_owned(), self.pick(&range));
            }
            Value::Object(leaf)
        };
        let (one, two) = (leaf(), leaf());
        let segment = match self.pick(&[0, 1, 2, 1, 3]) {
            0 => one,
            1 => json!({ "all": [one, two] }),
            2 => json!({ "any": [one, two] }),
            _ => json!({ "not": { "all": [one, { "any": [two] }] } }),
        };
        analysis.insert("segment".to_owned(), segment);
    }
}
