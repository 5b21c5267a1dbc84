//! Questions of journeys. In the place of a cursor, which is opaque, stands how many pages are turned.

use serde_json::{Map, Value, json};

use super::Builder;

impl Builder {
    pub(super) fn journey(&mut self, analysis: &mut Map<String, Value>) {
        for name in ["breakdown", "limit"] {
            analysis.remove(name);
        }
        let ids = ["2-0", "1-2", "2-1", "3-0", "2-2", "4-1", "1-0", "2-1", "3-1", "4-2", "9-0"];
        analysis.insert("distinct_id".to_owned(), json!(self.pick(&ids)));
        if self.chance(80) {
            analysis.insert("limit".to_owned(), json!(self.pick(&[3, 2, 1, 4, 2, 6])));
        }
        if self.chance(45) {
            analysis.insert("order".to_owned(), json!(self.pick(&["oldest", "oldest", "newest"])));
        }
        if self.chance(50) {
            analysis.insert("cursor".to_owned(), json!(self.pick(&[1, 2, 1, 3])));
        }
        if self.chance(35) {
            let filters = ["plan = 'x'", "amount > 1", "amount < 3", "profile_at('tier') = 'x'"];
            analysis.insert("filter".to_owned(), json!(self.pick(&filters)));
        }
        if self.chance(15) {
            analysis.remove("range");
        }
    }
}
