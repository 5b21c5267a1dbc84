//! Whom a question counts, `docs/semantics.md`, section 0.

use serde_json::{Value, json};

use super::{Flip, OracleEvent, Rules, Scalar, by_unit, calendar::Time, sessions::sessions_of};

/// A unit that is a session has the number of its person times this, and its own.
const SESSIONS: u32 = 1_000;

/// The events with the unit that each belongs to, without those that belong to none.
pub(crate) fn counted(analysis: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Vec<OracleEvent> {
    let given = analysis["unit"].as_str().unwrap_or("person");
    let mut all: Vec<OracleEvent> = Vec::new();
    if let Some(property) = given.strip_prefix("group:").filter(|_| !rules.flip(Flip::UnitGroupIsPerson)) {
        let mut seen: Vec<Scalar> = Vec::new();
        for event in events {
            let value = event.properties.get(property).cloned().flatten();
            let value = value.or_else(|| rules.flip(Flip::GroupOfNull).then(|| Scalar::Text("none".to_owned())));
            let Some(value) = value else { continue };
            let unit = seen.iter().position(|known| *known == value).unwrap_or_else(|| {
                seen.push(value);
                seen.len() - 1
            });
            all.push(OracleEvent { unit: unit as u32, ..(*event).clone() });
        }
        return all;
    }
    if given != "session" || rules.flip(Flip::UnitSessionIsPerson) {
        return events.iter().copied().cloned().collect();
    }
    let gap = if rules.flip(Flip::UnitSessionAcrossRange) { "3000d" } else { "30m" };
    for unit in by_unit(events) {
        for (session, number) in sessions_of(&json!({ "gap": gap }), &unit, time, rules).iter().zip(0..) {
            let own = |event: &&OracleEvent| OracleEvent { unit: event.unit * SESSIONS + number, ..(**event).clone() };
            all.extend(session.iter().map(own));
        }
    }
    all.sort_by_key(|event| (event.timestamp_us, event.sequence));
    all
}
