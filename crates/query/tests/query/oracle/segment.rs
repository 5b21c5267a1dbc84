//! Segments, `docs/semantics.md`, section 4: who is in one.

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules, Surroundings,
    calendar::Time,
    selector::{filter_holds, matches},
};

/// Whether the unit with these events is in the segment; everybody is in none.
pub(crate) fn holds(analysis: &Value, events: &[&OracleEvent], around: Surroundings, rules: Rules) -> bool {
    match &analysis["segment"] {
        Value::Null => true,
        _ if rules.flip(Flip::SegmentIgnored) => true,
        segment => {
            // Of every event the traits are those of its unit.
            let done: Vec<&OracleEvent> = events.iter().copied().filter(|event| !event.is_presence()).collect();
            part_holds(segment, analysis, (&done, events[0]), around, rules)
        }
    }
}

fn part_holds(
    part: &Value,
    analysis: &Value,
    (events, who): (&[&OracleEvent], &OracleEvent),
    around: Surroundings,
    rules: Rules,
) -> bool {
    let holds = |part: &Value| part_holds(part, analysis, (events, who), around, rules);
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
    // A question within a segment is asked of each unit alone: who it is about is one more or none.
    let asked = |kind: &str, mut inner: Value| {
        if inner["time_zone"].is_null() && !rules.flip(Flip::SegmentZoneOfItsOwn) {
            inner["time_zone"] = analysis["time_zone"].clone();
        }
        let own: Vec<OracleEvent> = events.iter().copied().cloned().collect();
        super::answer(&json!({ kind: inner }), &own, around, rules)
    };
    if let Some(funnel) = part.get("funnel") {
        let mut funnel = funnel.clone();
        let outcome = match (part["outcome"].as_str(), rules.flip(Flip::SegmentOutcomeIgnored)) {
            (Some("dropped"), false) => "dropped",
            _ => "converted",
        };
        funnel["people"] = json!({ "step": part["step"], "outcome": outcome });
        return asked("funnel", funnel)["people"].as_array().is_some_and(|people| !people.is_empty());
    }
    if let Some(retention) = part.get("retention") {
        let answer = asked("retention", retention.clone());
        let later = u64::from(rules.flip(Flip::SegmentPeriodIsNext));
        let period = (part["period"].as_u64().expect("a number") + later) as usize;
        let groups = answer["groups"].as_array().expect("it has groups");
        let rows = groups.iter().flat_map(|group| group["rows"].as_array().expect("it has rows"));
        let mut own = rows.filter(|row| row["cohort"] == part["cohort"] || rules.flip(Flip::SegmentAnyCohort));
        return own.any(|row| row["values"][period].as_f64().is_some_and(|units| units > 0.0));
    }
    if let Some(sql) = part.get("profile") {
        let mut traits = who.clone();
        traits.properties = (traits.properties.into_iter())
            .filter_map(|(name, value)| Some((name.strip_prefix("profile('")?.strip_suffix("')")?.to_owned(), value)))
            .collect();
        return filter_holds(sql, &traits, rules);
    }
    // A range of its own is read in the zone of the question.
    let mut own = analysis.clone();
    own["range"] = part.get("range").cloned().unwrap_or(Value::Null);
    let all = Surroundings { data_us: (i64::MIN, i64::MAX), ..around };
    let time = match rules.flip(Flip::SegmentInRange) {
        true => Time::of(analysis, around, rules),
        false => Time::of(&own, all, rules),
    };
    let in_range: Vec<&&OracleEvent> = events.iter().filter(|event| time.in_range(event.timestamp_us)).collect();
    for (end, at_end) in [("first", in_range.first()), ("last", in_range.last())] {
        let Some(selector) = part.get(end) else { continue };
        let mut at_end = at_end.copied();
        if rules.flip(Flip::SegmentFirstIsLast) {
            at_end = if end == "first" { in_range.last().copied() } else { in_range.first().copied() };
        }
        if rules.flip(Flip::SegmentEndOfMatching) {
            at_end = in_range.iter().copied().find(|event| matches(selector, event, rules));
        }
        return at_end.is_some_and(|event| matches(selector, event, rules));
    }
    let (selector, did_not) = match (part.get("did"), part.get("did_not")) {
        (Some(selector), None) => (selector, false),
        (None, Some(selector)) => (selector, true),
        _ => panic!("the oracle knows no such segment"),
    };
    let count = in_range.into_iter().filter(|event| matches(selector, event, rules)).count() as u64;
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
