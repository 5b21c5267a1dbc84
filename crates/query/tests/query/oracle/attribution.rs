//! Attribution, `docs/semantics.md`, section 1.

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules,
    breakdown::{Group, distinct, group_of, shown},
    calendar::Time,
    formula,
    selector::matches,
    trend::title,
};

/// What a group gets of a conversion.
struct Credit {
    series: usize,
    group: Group,
    bucket: String,
    worth: f64,
}

pub(crate) fn answer(trend: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let series = trend["series"].as_array().expect("a trend has series");
    let mut credits = Vec::new();
    for (index, one) in series.iter().enumerate() {
        for conversion in events.iter().filter(|event| time.in_range(event.timestamp_us) && matches(one, event, rules))
        {
            let worth = match one["measure"].as_str() {
                Some("sum") => super::number_of(conversion, one["property"].as_str().expect("a property")),
                _ => Some(1.0),
            };
            let Some(worth) = worth else { continue };
            let touches = touches(trend, &one["attribution"], events, conversion, rules);
            let shared = touches.iter().zip(shares(&one["attribution"], touches.len(), rules));
            for (group, share) in shared.filter(|(_, share)| *share > 0.0) {
                let bucket = time.bucket_of(conversion.timestamp_us);
                credits.push(Credit { series: index, group: group.clone(), bucket, worth: worth * share });
            }
            if touches.is_empty() && !rules.flip(Flip::NoTouchNoCredit) {
                let items = trend["breakdown"].as_array().map_or(0, Vec::len);
                let bucket = time.bucket_of(conversion.timestamp_us);
                credits.push(Credit { series: index, group: vec![Value::Null; items], bucket, worth });
            }
        }
    }
    let sum = |index: usize, groups: &[Group], bucket: Option<&String>| -> f64 {
        let own = credits.iter().filter(|credit| credit.series == index && groups.contains(&credit.group));
        own.filter(|credit| bucket.is_none_or(|bucket| *bucket == credit.bucket)).map(|credit| credit.worth).sum()
    };
    let groups = distinct(credits.iter().map(|credit| &credit.group));
    // Equal sums of thirds and fifths must rank as equal.
    let rounded = |number: f64| (number * 1e9).round();
    let ranked = groups.into_iter().map(|group| (group.clone(), rounded(sum(0, &[group], None))));
    let parts = shown(trend, ranked.collect(), rules);
    let buckets = time.buckets();
    let mut lines = Vec::new();
    for (index, one) in series.iter().enumerate() {
        for (label, groups) in &parts {
            let values: Vec<f64> = buckets.iter().map(|bucket| sum(index, groups, Some(bucket))).collect();
            let total = sum(index, groups, None);
            lines.push(json!({ "name": title(one), "breakdown": label, "values": values, "total": total }));
        }
    }
    if let Some(text) = trend["formula"].as_str() {
        for (label, groups) in &parts {
            let of = |bucket: &String| {
                let known: Vec<Option<f64>> = (0..series.len()).map(|at| Some(sum(at, groups, Some(bucket)))).collect();
                formula::value(text, &known, rules)
            };
            let values: Vec<Option<f64>> = buckets.iter().map(of).collect();
            lines.push(json!({ "name": text, "breakdown": label, "values": values, "total": null }));
        }
    }
    json!({ "kind": "trend", "buckets": buckets, "series": lines })
}

/// The groups of the touches of a conversion, in order.
fn touches(
    trend: &Value,
    attribution: &Value,
    events: &[&OracleEvent],
    conversion: &OracleEvent,
    rules: Rules,
) -> Vec<Group> {
    let order = |event: &OracleEvent| (event.timestamp_us, event.sequence);
    let days =
        attribution["window"].as_str().map_or(30 * 24, |text| text.trim_end_matches('h').parse().expect("hours"));
    let window_us = days * 3_600_000_000_i64;
    let is_near = |event: &OracleEvent| {
        let before = conversion.timestamp_us - event.timestamp_us;
        before < window_us
            || before == window_us && !rules.flip(Flip::TouchWindowExclusive)
            || rules.flip(Flip::TouchAnyTime)
    };
    let comes_first = |event: &OracleEvent| {
        let is_itself = event.sequence == conversion.sequence;
        let by_time = rules.flip(Flip::TouchByTime) && event.timestamp_us == conversion.timestamp_us;
        (order(event) <= order(conversion) || by_time) && !(is_itself && rules.flip(Flip::TouchNotItself))
    };
    let own = events.iter().filter(|event| event.unit == conversion.unit && is_near(event) && comes_first(event));
    let group = |event: &OracleEvent| group_of(trend, event, rules);
    let said = &attribution["touch"];
    let counts = |event: &OracleEvent, group: &Group| match said.is_null() || rules.flip(Flip::TouchIgnored) {
        true => group.is_empty() || group.iter().any(|value| !value.is_null()) || rules.flip(Flip::TouchNeedsNoValue),
        false => matches(said, event, rules),
    };
    let own = own.filter_map(|event| Some((event, group(event)?)));
    own.filter(|(event, group)| counts(event, group)).map(|(_, group)| group).collect()
}

/// What each of so many touches gets.
fn shares(attribution: &Value, count: usize, rules: Rules) -> Vec<f64> {
    let alone = |at: usize| (0..count).map(|own| if own == at { 1.0 } else { 0.0 }).collect();
    let same = || vec![1.0 / count as f64; count];
    match attribution["model"].as_str().unwrap_or("last") {
        "first" if !rules.flip(Flip::FirstTouchIsLast) => alone(0),
        "linear" if !rules.flip(Flip::LinearIsLast) => same(),
        "position" if !rules.flip(Flip::PositionIsLinear) && count > 2 => {
            let middle = 0.2 / (count - 2) as f64;
            (0..count).map(|at| if at == 0 || at == count - 1 { 0.4 } else { middle }).collect()
        }
        "position" => same(),
        "last" if rules.flip(Flip::LastTouchIsFirst) => alone(0),
        _ => alone(count.saturating_sub(1)),
    }
}
