//! Segments, `docs/semantics.md`, section 4: who is in one.

use serde_json::Value;

use super::{Flip, OracleEvent, Rules, Surroundings, calendar::Time, selector::matches};

/// Whether the unit with these events is in the segment; everybody is in none.
pub(crate) fn holds(analysis: &Value, events: &[&OracleEvent], around: Surroundings, rules: Rules) -> bool {
    match &analysis["segment"] {
        Value::Null => true,
        _ if rules.flip(Flip::SegmentIgnored) => true,
        segment => part_holds(segment, analysis, events, around, rules),
    }
}

fn part_holds(part: &Value, analysis: &Value, events: &[&OracleEvent], around: Surroundings, rules: Rules) -> bool {
    let holds = |part: &Value| part_holds(part, analysis, events, around, rules);
    let parts = |name: &str| part[name].as_array().expect("a list of segments").iter().map(holds).collect::<Vec<_>>();
    let part = part.as_object().expect("a segment is an object");
    let (all, any) = match rules.flip(Flip::SegmentAllIsAny) {
        true => ("any", "all"),
        false => ("all", "any"),
    };
    if part.contains_key(all) {
        return parts(all).into_iter().all(|holds| holds);
    }
    if part.contains_key(any) {
        return parts(any).into_iter().any(|holds| holds);
    }
    if let Some(inner) = part.get("not") {
        return !holds(inner);
    }
    let (selector, did_not) = match (part.get("did"), part.get("did_not")) {
        (Some(selector), None) => (selector, false),
        (None, Some(selector)) => (selector, true),
        _ => panic!("the oracle knows no such segment"),
    };
    // A range of its own is read in the zone of the question.
    let mut own = analysis.clone();
    own["range"] = part.get("range").cloned().unwrap_or(Value::Null);
    let all = Surroundings { data_us: (i64::MIN, i64::MAX), ..around };
    let time = match rules.flip(Flip::SegmentInRange) {
        true => Time::of(analysis, around, rules),
        false => Time::of(&own, all, rules),
    };
    let count = events.iter().filter(|event| time.in_range(event.timestamp_us) && matches(selector, event, rules));
    let count = count.count() as u64;
    let times = part.get("times").and_then(Value::as_object).and_then(|times| times.iter().next());
    let (how, n) = times.map_or(("at_least", 1), |(how, n)| (how.as_str(), n.as_u64().expect("a number")));
    let did = match how {
        "at_least" => count >= n + u64::from(rules.flip(Flip::SegmentOnceMore)),
        "at_most" => count <= n,
        "exactly" => count == n,
        other => panic!("the oracle knows no {other}"),
    };
    did != did_not
}
