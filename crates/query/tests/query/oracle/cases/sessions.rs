//! Questions of sessions.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Builder, DAY_US, HOUR_US, MINUTE_US, OracleEvent, SECOND_US, Scalar, pick};

/// Events that come together.
pub(super) const BURSTS: &[&[&str]] =
    &[&["a", "b", "a"], &["a"], &["a", "b"], &["b", "a", "b", "a"], &["a", "a"], &["b"]];
/// How far they begin from what a rule turns on.
pub(super) const JITTERS_US: &[i64] = &[
    0,
    -15 * MINUTE_US,
    -25 * MINUTE_US,
    10 * MINUTE_US,
    -1,
    -10 * MINUTE_US,
    1,
    HOUR_US,
    -HOUR_US,
    9 * HOUR_US,
    -DAY_US / 2,
];
/// How far one of them is from the next.
pub(super) const STEPS_US: &[i64] = &[
    10 * MINUTE_US,
    30 * MINUTE_US,
    0,
    20 * MINUTE_US,
    30 * MINUTE_US,
    30 * MINUTE_US + SECOND_US,
    15 * MINUTE_US,
    HOUR_US,
];

impl Builder {
    pub(super) fn sessions(&mut self, analysis: &mut Map<String, Value>) {
        for name in ["breakdown", "limit"] {
            analysis.remove(name);
        }
        if self.chance(50) {
            analysis.insert("gap".to_owned(), json!(self.pick(&["10m", "1h", "20m", "0s"])));
        }
        if self.chance(50) {
            analysis.insert("gap_at".to_owned(), json!("new"));
        }
        if self.chance(80) {
            analysis.insert("max".to_owned(), json!(self.pick(&["20m", "30m", "45m"])));
        }
        if self.chance(50) {
            analysis.insert("midnight".to_owned(), json!(true));
        }
        if self.chance(50) {
            analysis.insert("by".to_owned(), Value::Null);
        }
        if self.chance(50) {
            let names = [json!(["plan"]), json!(["plan", "amount"]), json!(["amount"])];
            analysis.insert("split_on".to_owned(), self.pick(&names));
        }
        if self.chance(70) {
            analysis.insert("rows".to_owned(), json!(true));
        }
        if analysis.get("rows").is_some() && self.chance(75) {
            let names = [json!(["url"]), json!(["url", "page.url"]), json!(["page.url", "plan"]), json!(["page.url"])];
            analysis.insert("touch".to_owned(), self.pick(&names));
        }
        if self.chance(40) {
            analysis.insert("page".to_owned(), json!(self.pick(&["plan", "page.url"])));
        }
        if self.chance(40) {
            analysis.insert("interval".to_owned(), json!(self.pick(&["day", "week", "hour", "month"])));
            self.week(analysis);
        }
        if self.chance(35) {
            let filters = ["plan = 'x'", "amount > 1", "profile_at('tier') = 'x'", "plan = 'y'"];
            analysis.insert("filter".to_owned(), json!(self.pick(&filters)));
        }
    }
}

/// What events have for sessions besides: that of their sender, and a page.
pub(super) fn add_properties(event: &mut OracleEvent, byte: u8) {
    let mut add = |name: &str, value: Option<&str>| {
        let properties: &mut BTreeMap<String, Option<Scalar>> = &mut event.properties;
        properties.extend(value.map(|value| (name.to_owned(), Some(Scalar::Text(value.to_owned())))));
    };
    add("session_id", pick(&[None, None, Some("s1"), None, Some("s2")], byte));
    add("url", pick(&[None, Some("/a"), None, Some("/b")], byte / 3));
    add("page.url", pick(&[None, None, Some("/c"), Some("/d")], byte / 5));
}
