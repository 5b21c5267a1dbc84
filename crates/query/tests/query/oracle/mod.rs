//! A naive oracle for every analysis: short, slow and obviously right.
//!
//! It reads `docs/semantics.md` literally, searches every chain of events, walks the calendar step by step, and shares
//! no code with the engine. Each rule can be flipped, which makes a mutant: a test that cannot tell the mutant from the
//! oracle does not test the rule.

mod attribution;
mod audience;
mod breakdown;
mod calendar;
mod compare;
mod formula;
mod funnel;
mod journey;
mod lifecycle;
mod paths;
mod profile;
mod retention;
mod rules;
pub(crate) mod segment;
pub(crate) mod selector;
mod sessions;
mod stickiness;
mod trend;
mod units;

use std::collections::BTreeMap;

use serde_json::Value;

pub(crate) use calendar::{first_instant_of, local_date};
pub(crate) use compare::difference;
pub(crate) use profile::{OracleChange, property_of, with_traits};
pub(crate) use rules::{FLIPS, Flip, Rules};

/// A value of a property.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Text(String),
    Number(f64),
}

/// An event as the oracle sees it: whose it is has been settled already.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct OracleEvent {
    pub(crate) unit: u32,
    pub(crate) event: String,
    pub(crate) timestamp_us: i64,
    pub(crate) sequence: u64,
    /// `None` is an explicit null, which means the same as an absent property.
    pub(crate) properties: BTreeMap<String, Option<Scalar>>,
}

impl OracleEvent {
    /// That a unit is known, though it may have done nothing: of no name, before all time, with its traits.
    pub(crate) fn presence(unit: u32) -> Self {
        Self { unit, event: String::new(), timestamp_us: i64::MIN, sequence: 0, properties: BTreeMap::new() }
    }

    pub(crate) fn is_presence(&self) -> bool {
        self.event.is_empty()
    }
}

/// What the oracle knows beside the query and the events.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings {
    pub(crate) now_us: i64,
    /// Stands in for an end of the range that the query leaves out.
    pub(crate) data_us: (i64, i64),
}

/// The part of the result object that follows from the events, for a query such as `{"trend": {…}}`.
pub(crate) fn answer(query: &Value, events: &[OracleEvent], around: Surroundings, rules: Rules) -> Value {
    let mut sorted: Vec<&OracleEvent> = events.iter().collect();
    sorted.sort_by_key(|event| (event.timestamp_us, event.sequence));
    let (kind, analysis) = query.as_object().and_then(|query| query.iter().next()).expect("the query is one analysis");
    let mut cut = analysis.clone();
    if let Some(interval) = analysis.get("trend") {
        cut["interval"] = interval.clone();
    }
    let time = calendar::Time::of(&cut, around, rules);
    let sorted = within(analysis, sorted, around, rules);
    let kept = |event: &&OracleEvent| selector::filter_holds(&analysis["filter"], event, rules);
    let sorted: Vec<&OracleEvent> = sorted.into_iter().filter(kept).collect();
    let owned = units::counted(analysis, &sorted, &time, rules);
    let sorted: Vec<&OracleEvent> = owned.iter().collect();
    match kind.as_str() {
        "trend" if analysis["series"][0].get("attribution").is_some() => {
            attribution::answer(analysis, &sorted, &time, rules)
        }
        "trend" => trend::answer(analysis, &sorted, &time, rules),
        "funnel" => funnel::answer(analysis, &sorted, &time, rules),
        "retention" => retention::answer(analysis, &sorted, &time, rules),
        "sessions" => sessions::answer(analysis, &sorted, &time, rules),
        "stickiness" => stickiness::answer(analysis, &sorted, &time, rules),
        "paths" => paths::answer(analysis, &sorted, &time, rules),
        "lifecycle" => lifecycle::answer(analysis, &sorted, &time, rules),
        "journey" => journey::answer(analysis, &sorted, &time, rules),
        "segment" => audience::answer(analysis, &sorted, around, rules),
        other => panic!("the oracle knows no {other}"),
    }
}

/// The events of those who are in the segment of the question.
pub(crate) fn within<'a>(
    analysis: &Value,
    events: Vec<&'a OracleEvent>,
    around: Surroundings,
    rules: Rules,
) -> Vec<&'a OracleEvent> {
    let units = by_unit(&events);
    let is_in = |unit: u32| {
        let own = units.iter().find(|own| own[0].unit == unit).expect("it has an event");
        segment::holds(analysis, own, around, rules)
    };
    events.into_iter().filter(|event| is_in(event.unit)).collect()
}

/// The events of each unit, in order.
fn by_unit<'a>(events: &[&'a OracleEvent]) -> Vec<Vec<&'a OracleEvent>> {
    let mut units: BTreeMap<u32, Vec<&OracleEvent>> = BTreeMap::new();
    for event in events {
        units.entry(event.unit).or_default().push(event);
    }
    units.into_values().collect()
}

/// The number that an event has for a property.
fn number_of(event: &OracleEvent, property: &str) -> Option<f64> {
    match event.properties.get(property).cloned().flatten() {
        Some(Scalar::Number(number)) => Some(number),
        Some(Scalar::Text(_)) | None => None,
    }
}
