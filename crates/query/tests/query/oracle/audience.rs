//! How many people are in a segment, `docs/semantics.md`, section 4: everybody is asked whom the store knows.

use serde_json::{Value, json};

use super::{Flip, OracleEvent, Rules, Surroundings, by_unit, segment};

pub(crate) fn answer(analysis: &Value, events: &[&OracleEvent], around: Surroundings, rules: Rules) -> Value {
    let asked = json!({ "segment": analysis, "time_zone": analysis["time_zone"] });
    let units = by_unit(events);
    let only_active = rules.flip(Flip::AudienceOfThoseWithEvents);
    let people: Vec<u32> = (units.iter())
        .filter(|own| !only_active || own.iter().any(|event| !event.is_presence()))
        .filter(|own| segment::holds(&asked, own, around, rules))
        .map(|own| own[0].unit)
        .collect();
    match analysis["people"].as_bool() {
        Some(true) => json!({ "count": people.len(), "people": people }),
        _ => json!({ "count": people.len() }),
    }
}
