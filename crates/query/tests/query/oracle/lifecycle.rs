//! Lifecycle, `docs/semantics.md`, section 4.

use serde_json::{Value, json};

use super::{Flip, OracleEvent, Rules, by_unit, calendar::Time, selector::matches};

pub(crate) fn answer(lifecycle: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let buckets = time.buckets();
    let previous = buckets.first().map(|_| time.buckets_before(1).remove(0));
    let matching: Vec<&OracleEvent> =
        events.iter().copied().filter(|event| matches(&lifecycle["event"], event, rules)).collect();
    let mut states = vec![[0_i64; 4]; buckets.len()];
    for unit in by_unit(&matching) {
        let until = |event: &&&OracleEvent| time.in_range(event.timestamp_us) || event.timestamp_us < time.from_us;
        let before = |event: &OracleEvent| !time.in_range(event.timestamp_us);
        // Whether it was active in a bucket: 0 is the one before the first. What the range leaves out of the first is before.
        let active = |at: usize| {
            unit.iter().filter(until).any(|event| {
                let label = time.bucket_of(event.timestamp_us);
                match at.checked_sub(1) {
                    None if rules.flip(Flip::LifecycleFromRange) => false,
                    None => {
                        let rest_of_first =
                            rules.flip(Flip::RestOfFirstIsPrevious) && before(event) && Some(&label) == buckets.first();
                        Some(&label) == previous.as_ref() || rest_of_first
                    }
                    Some(bucket) => {
                        let whole = rules.flip(Flip::PartialBucketsCountWhole);
                        label == buckets[bucket] && (whole || !before(event))
                    }
                }
            })
        };
        let first = unit.iter().filter(until).find(|event| !before(event) || !rules.flip(Flip::FirstInRange));
        let is_new = |bucket: usize| {
            first.is_some_and(|first| {
                let whole = rules.flip(Flip::PartialBucketsCountWhole);
                time.bucket_of(first.timestamp_us) == buckets[bucket] && (whole || !before(first))
            })
        };
        for (bucket, states) in states.iter_mut().enumerate() {
            let (here, last) = (active(bucket + 1), active(bucket));
            let ever = (0..=bucket).any(active);
            let last = if rules.flip(Flip::ReturningIsEver) { last || (ever && here) } else { last };
            let gone = if rules.flip(Flip::DormantForever) { ever } else { last };
            let counted = [here && is_new(bucket), here && last, here && !is_new(bucket) && !last, gone && !here];
            for (state, counted) in states.iter_mut().zip(counted) {
                *state += i64::from(counted);
            }
        }
    }
    let of = |state: usize| states.iter().map(|states| states[state]).collect::<Vec<i64>>();
    let sign = if rules.flip(Flip::DormantNegative) { -1 } else { 1 };
    let dormant: Vec<i64> = of(3).into_iter().map(|people| sign * people).collect();
    json!({
        "kind": "lifecycle", "buckets": buckets,
        "new": of(0), "returning": of(1), "resurrecting": of(2), "dormant": dormant,
    })
}
