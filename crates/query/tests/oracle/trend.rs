//! Trend, `docs/semantics.md`, section 1.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules, Scalar,
    breakdown::{Group, distinct, group_of, shown},
    calendar::Time,
    selector::matches,
};

struct Point {
    series: usize,
    group: Group,
    /// Among all buckets, those that are looked back to included. `None` only in mutants, whose range and buckets may disagree.
    bucket: Option<usize>,
    in_range: bool,
    unit: u32,
    number: f64,
}

pub(crate) fn answer(trend: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let series = trend["series"].as_array().expect("a trend has series");
    let mut buckets = time.buckets();
    let rolling = |one: &Value| match rules.flip(Flip::RollingIgnored) {
        true => None,
        false => one["rolling"].as_u64().map(|n| n as usize - usize::from(rules.flip(Flip::RollingOneLess))),
    };
    let before = series.iter().filter_map(&rolling).max().filter(|_| !buckets.is_empty()).map_or(0, |n| n - 1);
    let earlier = time.buckets_before(before);
    let all: Vec<String> = earlier.iter().chain(&buckets).cloned().collect();
    let before = earlier.len();
    let mut points: Vec<Point> = Vec::new();
    for event in events {
        let bucket = all.iter().position(|label| *label == time.bucket_of(event.timestamp_us));
        let whole = rules.flip(Flip::PartialBucketsCountWhole) && bucket.is_some();
        let Some(group) = group_of(trend, event, rules) else { continue };
        for (index, one) in series.iter().enumerate() {
            let in_range = whole || time.in_range(event.timestamp_us);
            let looked_back = rolling(one).is_some()
                && bucket.is_some()
                && event.timestamp_us < time.from_us
                && !rules.flip(Flip::RollingFromRange);
            if (in_range || looked_back) && matches(one, event, rules) {
                let property = one["property"].as_str().and_then(|name| event.properties.get(name).cloned().flatten());
                let number = match property {
                    Some(Scalar::Number(number)) => number,
                    Some(Scalar::Text(_)) | None => 0.0,
                };
                let (group, unit) = (group.clone(), event.unit);
                points.push(Point { series: index, group, bucket, in_range, unit, number });
            }
        }
    }

    let measure = |points: &[&Point], series_index: usize| -> f64 {
        let units = || points.iter().map(|point| point.unit).collect::<BTreeSet<_>>().len() as f64;
        match series[series_index]["measure"].as_str() {
            Some("uniques") if !rules.flip(Flip::UniquesAreEvents) => units(),
            Some("sum") if !rules.flip(Flip::SumIsCount) => points.iter().map(|point| point.number).sum(),
            _ => points.len() as f64,
        }
    };
    let select = |index: usize, groups: &[Group], bucket: Option<usize>| -> Vec<&Point> {
        let of_series = points.iter().filter(|point| point.series == index && groups.contains(&point.group));
        let length = rolling(&series[index]).unwrap_or(1);
        let wanted = |point: &&Point| match bucket {
            None => point.in_range,
            Some(last) => point
                .bucket
                .is_some_and(|own| (before + last + 1).saturating_sub(length) <= own && own <= before + last),
        };
        of_series.filter(wanted).collect()
    };

    let ranking = if rules.flip(Flip::RankedByLastSeries) { series.len() - 1 } else { 0 };
    let ranked = distinct(points.iter().map(|point| &point.group)).into_iter().map(|group| {
        let first_number = measure(&select(ranking, std::slice::from_ref(&group), None), ranking);
        (group, first_number)
    });
    let parts = shown(trend, ranked.collect(), rules);

    let mut lines = Vec::new();
    for (index, one) in series.iter().enumerate() {
        for (label, groups) in &parts {
            let value = |bucket: Option<usize>| {
                if rules.flip(Flip::OtherIsSum) {
                    let each =
                        groups.iter().map(|group| measure(&select(index, std::slice::from_ref(group), bucket), index));
                    return each.sum::<f64>();
                }
                measure(&select(index, groups, bucket), index)
            };
            let values: Vec<f64> = (0..buckets.len()).map(|bucket| value(Some(bucket))).collect();
            let total = if rules.flip(Flip::TotalIsSum) { values.iter().sum::<f64>() } else { value(None) };
            lines.push(json!({ "name": title(one), "breakdown": label, "values": values, "total": total }));
        }
    }
    if let (true, Some(first)) = (rules.flip(Flip::FirstBucketLabelledByRange), buckets.first_mut()) {
        *first = time.label_of_instant(time.from_us);
    }
    if rules.flip(Flip::EmptyBucketsLeftOut) {
        let filled = |bucket: &usize| points.iter().any(|point| point.bucket == Some(before + *bucket));
        buckets = (0..buckets.len()).filter(filled).map(|bucket| buckets[bucket].clone()).collect();
    }
    json!({ "kind": "trend", "buckets": buckets, "series": lines })
}

/// The name of a series or a step, by default that of its events.
pub(crate) fn title(item: &Value) -> String {
    match (&item["name"], &item["event"]) {
        (Value::String(name), _) | (_, Value::String(name)) => name.clone(),
        (_, Value::Array(names)) => {
            names.iter().map(|name| name.as_str().expect("names are text")).collect::<Vec<_>>().join(", ")
        }
        (_, other) => panic!("the oracle knows no event names {other}"),
    }
}
