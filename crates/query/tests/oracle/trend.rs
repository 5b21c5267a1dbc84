//! Trend, `docs/semantics.md`, section 1.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules,
    breakdown::{Group, distinct, group_of, shown},
    calendar::Time,
    selector::matches,
};

struct Point {
    series: usize,
    group: Group,
    /// `None` only in mutants, whose range and buckets may disagree.
    bucket: Option<usize>,
    unit: u32,
}

pub(crate) fn answer(trend: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let series = trend["series"].as_array().expect("a trend has series");
    let mut buckets = time.buckets();
    let mut points: Vec<Point> = Vec::new();
    for event in events {
        let bucket = buckets.iter().position(|label| *label == time.bucket_of(event.timestamp_us));
        let whole = rules.flip(Flip::PartialBucketsCountWhole) && bucket.is_some();
        let Some(group) = group_of(trend, event, rules) else { continue };
        for (index, one) in series.iter().enumerate() {
            if (whole || time.in_range(event.timestamp_us)) && matches(one, event, rules) {
                points.push(Point { series: index, group: group.clone(), bucket, unit: event.unit });
            }
        }
    }

    let measure = |points: &[&Point], series_index: usize| {
        let uniques = series[series_index]["measure"] == "uniques" && !rules.flip(Flip::UniquesAreEvents);
        if uniques { points.iter().map(|point| point.unit).collect::<BTreeSet<_>>().len() } else { points.len() }
    };
    let select = |index: usize, groups: &[Group], bucket: Option<usize>| -> Vec<&Point> {
        let of_series = points.iter().filter(|point| point.series == index && groups.contains(&point.group));
        of_series.filter(|point| bucket.is_none() || point.bucket == bucket).collect()
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
                    return each.sum();
                }
                measure(&select(index, groups, bucket), index)
            };
            let values: Vec<usize> = (0..buckets.len()).map(|bucket| value(Some(bucket))).collect();
            let total = if rules.flip(Flip::TotalIsSum) { values.iter().sum() } else { value(None) };
            lines.push(json!({ "name": title(one), "breakdown": label, "values": values, "total": total }));
        }
    }
    if let (true, Some(first)) = (rules.flip(Flip::FirstBucketLabelledByRange), buckets.first_mut()) {
        *first = time.label_of_instant(time.from_us);
    }
    if rules.flip(Flip::EmptyBucketsLeftOut) {
        let filled = |bucket: &usize| points.iter().any(|point| point.bucket == Some(*bucket));
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
