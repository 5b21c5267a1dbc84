//! Stickiness, `docs/semantics.md`, section 4.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules,
    breakdown::{Group, distinct, group_of, shown},
    calendar::Time,
    selector::matches,
};

struct Active {
    group: Group,
    bucket: String,
    unit: u32,
}

pub(crate) fn answer(stickiness: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let buckets = time.buckets();
    let mut all: Vec<Active> = Vec::new();
    for event in events.iter().filter(|event| matches(&stickiness["event"], event, rules)) {
        let bucket = time.bucket_of(event.timestamp_us);
        let whole = rules.flip(Flip::PartialBucketsCountWhole) && buckets.contains(&bucket);
        let Some(group) = group_of(stickiness, event, rules) else { continue };
        if whole || time.in_range(event.timestamp_us) {
            all.push(Active { group, bucket, unit: event.unit });
        }
    }
    let enough = match rules.flip(Flip::OccurrencesIgnored) {
        true => 1,
        false => stickiness["min_occurrences"].as_u64().unwrap_or(1) as usize,
    };
    let units: BTreeSet<u32> = all.iter().map(|one| one.unit).collect();
    // In how many buckets a unit was active, by its events of some groups.
    let active = |unit: u32, groups: &[Group]| {
        let own = || all.iter().filter(|one| one.unit == unit && groups.contains(&one.group));
        if rules.flip(Flip::ActiveOfEvents) {
            return own().count().min(buckets.len());
        }
        buckets.iter().filter(|bucket| own().filter(|one| one.bucket == **bucket).count() >= enough).count()
    };
    let at_least = (stickiness["at_least"] == true) != rules.flip(Flip::AtLeastOther);
    let people = |k: usize, groups: &[Group]| {
        let counts = |unit: &&u32| {
            let active = active(**unit, groups);
            active == k || (at_least && active > k)
        };
        units.iter().filter(counts).count()
    };
    let ranked = distinct(all.iter().map(|one| &one.group)).into_iter().map(|group| {
        let any = |unit: &&u32| active(**unit, std::slice::from_ref(&group)) > 0;
        let first = match rules.flip(Flip::RankedByOneBucket) {
            true => people(1, std::slice::from_ref(&group)),
            false => units.iter().filter(any).count(),
        };
        (group, first)
    });
    let parts = shown(stickiness, ranked.collect(), rules).into_iter().map(|(label, groups)| {
        let value = |k: usize| match rules.flip(Flip::OtherIsSum) {
            true => groups.iter().map(|group| people(k, std::slice::from_ref(group))).sum(),
            false => people(k, &groups),
        };
        let values: Vec<usize> = (1..=buckets.len()).map(value).collect();
        json!({ "breakdown": label, "values": values })
    });
    let groups: Vec<Value> = parts.collect();
    let intervals: Vec<usize> = (1..=buckets.len()).collect();
    json!({ "kind": "stickiness", "intervals": intervals, "groups": groups })
}
