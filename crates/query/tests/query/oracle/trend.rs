//! Trend, `docs/semantics.md`, section 1.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules, Scalar,
    breakdown::{Group, distinct, group_of, shown},
    calendar::Time,
    formula,
    selector::{filter_holds, matches},
};

struct Point {
    series: usize,
    group: Group,
    /// Among all buckets, those that are looked back to included. `None` only in mutants, whose range and buckets may disagree.
    bucket: Option<usize>,
    in_range: bool,
    unit: u32,
    value: Option<Scalar>,
}

/// Of each bucket, and of the range.
type Values = (Vec<Option<f64>>, Option<f64>);

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
    let is_first_time = |one: &Value| one["measure"] == "first_time" && !rules.flip(Flip::FirstTimeIsUniques);
    let mut points: Vec<Point> = Vec::new();
    let mut seen: BTreeSet<(usize, u32)> = BTreeSet::new();
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
            if is_first_time(one) {
                let of_name =
                    rules.flip(Flip::FirstTimeOfEvent) && matches(&json!({"event": one["event"]}), event, rules);
                let in_history = in_range || !rules.flip(Flip::FirstTimeInRange);
                // Only the first one of all history is a point, if it is one.
                if !in_history
                    || !(of_name || matches(one, event, rules))
                    || !seen.insert((index, event.unit))
                    || !filter_holds(&one["filter"], event, rules)
                {
                    continue;
                }
            }
            let of_all = one["measure"] == "frequency" && rules.flip(Flip::FrequencyOfHistory);
            if (in_range || looked_back || of_all) && matches(one, event, rules) {
                let value = one["property"].as_str().and_then(|name| event.properties.get(name).cloned().flatten());
                let (group, unit) = (group.clone(), event.unit);
                points.push(Point { series: index, group, bucket, in_range: in_range || of_all, unit, value });
            }
        }
    }

    let measure = |points: &[&Point], series_index: usize| measured(&series[series_index], points, rules);
    let cumulative = |one: &Value| one["cumulative"] == true && !rules.flip(Flip::CumulativeIgnored);
    let select = |index: usize, groups: &[Group], bucket: Option<usize>| -> Vec<&Point> {
        let of_series = points.iter().filter(|point| point.series == index && groups.contains(&point.group));
        let length = match cumulative(&series[index]) {
            true => usize::MAX,
            false => rolling(&series[index]).unwrap_or(1),
        };
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
    if series.iter().any(|one| one["measure"] == "frequency") {
        let lines = series.iter().enumerate().flat_map(|(index, one)| {
            let select = &select;
            parts.iter().map(move |(label, groups)| {
                let own = select(index, groups, None);
                let total = own.iter().map(|point| point.unit).collect::<BTreeSet<_>>().len();
                json!({"name": title(one), "breakdown": label, "frequency": frequency(&own, rules), "total": total})
            })
        });
        return json!({ "kind": "trend", "buckets": [], "series": lines.collect::<Vec<_>>() });
    }

    let mut lines = Vec::new();
    // Of each shown group, the values and the total of each series.
    let mut known: Vec<Vec<Values>> = vec![Vec::new(); parts.len()];
    for (index, one) in series.iter().enumerate() {
        for ((label, groups), known) in parts.iter().zip(&mut known) {
            let value = |bucket: Option<usize>| {
                if rules.flip(Flip::OtherIsSum) && groups.len() > 1 {
                    let each = groups
                        .iter()
                        .filter_map(|group| measure(&select(index, std::slice::from_ref(group), bucket), index));
                    return Some(each.sum::<f64>());
                }
                measure(&select(index, groups, bucket), index)
            };
            let mut values: Vec<Option<f64>> = (0..buckets.len()).map(|bucket| value(Some(bucket))).collect();
            if cumulative(one) && rules.flip(Flip::CumulativeAddsUp) {
                let alone = |bucket: usize| {
                    let mut own = select(index, groups, Some(bucket));
                    own.retain(|point| point.bucket == Some(before + bucket));
                    measure(&own, index).unwrap_or(0.0)
                };
                values = (0..buckets.len()).map(|last| Some((0..=last).map(alone).sum())).collect();
            }
            let sum = || Some(values.iter().flatten().sum::<f64>());
            let total = if rules.flip(Flip::TotalIsSum) { sum() } else { value(None) };
            lines.push(json!({ "name": title(one), "breakdown": label, "values": values, "total": total }));
            known.push((values, total));
        }
    }
    if let Some(text) = trend["formula"].as_str() {
        for ((label, _), known) in parts.iter().zip(&known) {
            let of = |values: Vec<Option<f64>>| formula::value(text, &values, rules);
            let values = (0..buckets.len()).map(|at| of(known.iter().map(|(values, _)| values[at]).collect()));
            let values: Vec<Option<f64>> = values.collect();
            let totals = || of(known.iter().map(|(_, total)| *total).collect());
            let total = rules.flip(Flip::FormulaHasTotal).then(totals).flatten();
            let name = trend["name"].as_str().unwrap_or(text);
            lines.push(json!({ "name": name, "breakdown": label, "values": values, "total": total }));
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

/// The measure of some points of a series.
fn measured(series: &Value, points: &[&Point], rules: Rules) -> Option<f64> {
    let number = |point: &&Point| match point.value {
        Some(Scalar::Number(number)) => Some(number),
        Some(Scalar::Text(_)) | None => None,
    };
    let units = points.iter().map(|point| point.unit).collect::<BTreeSet<_>>().len() as f64;
    let events = points.len() as f64;
    let mut numbers: Vec<f64> = points.iter().filter_map(number).collect();
    numbers.sort_by(|a, b| a.partial_cmp(b).expect("numbers are finite"));
    let sum: f64 = numbers.iter().sum();
    let per = |number: f64, of: f64| (of > 0.0).then(|| number / of);
    let percentile = |share: f64| {
        let rank = share * (numbers.len().checked_sub(1)? as f64);
        let (low, high) = (numbers[rank.floor() as usize], numbers[rank.ceil() as usize]);
        match rules.flip(Flip::PercentileNearestRank) {
            true => Some(numbers[rank.round() as usize]),
            false => Some(low + (high - low) * rank.fract()),
        }
    };
    let flip = |flip: Flip| rules.flip(flip);
    let of_nobody = || if flip(Flip::NobodyIsNull) { None } else { Some(0.0) };
    let found = match series["measure"].as_str().unwrap_or("count") {
        "uniques" | "first_time" | "frequency" if !flip(Flip::UniquesAreEvents) => Some(units),
        "sum" if !flip(Flip::SumIsCount) => Some(sum),
        "count_per_user" if !flip(Flip::CountPerUserIsCount) => per(events, units).or_else(of_nobody),
        "sum_per_user" if flip(Flip::SumPerUserOfThoseWithNumbers) => {
            let with = points.iter().filter(|point| number(point).is_some()).map(|point| point.unit);
            Some(per(sum, with.collect::<BTreeSet<_>>().len() as f64).unwrap_or(0.0))
        }
        "sum_per_user" if flip(Flip::SumPerUserIsSum) => Some(sum),
        "sum_per_user" => per(sum, units).or_else(of_nobody),
        "avg" if flip(Flip::AvgOfAllEvents) => per(sum, events),
        "avg" if flip(Flip::AvgIsMedian) => percentile(0.5),
        "avg" => per(sum, numbers.len() as f64),
        "min" if !flip(Flip::MinIsMax) => numbers.first().copied(),
        "max" if flip(Flip::MaxIsMin) => numbers.first().copied(),
        "min" | "max" => numbers.last().copied(),
        "median" => percentile(if flip(Flip::MedianIsP75) { 0.75 } else { 0.5 }),
        "p75" => percentile(if flip(Flip::P75IsMedian) { 0.5 } else { 0.75 }),
        "p90" => percentile(if flip(Flip::P90IsP75) { 0.75 } else { 0.9 }),
        "p95" => percentile(if flip(Flip::P95IsP90) { 0.9 } else { 0.95 }),
        "p99" => percentile(if flip(Flip::P99IsP95) { 0.95 } else { 0.99 }),
        "distinct" if !flip(Flip::DistinctIsCount) => {
            let null = flip(Flip::DistinctTakesNull);
            let text = |point: &&Point| match &point.value {
                Some(Scalar::Text(_)) if flip(Flip::DistinctOfNumbers) => None,
                Some(Scalar::Text(text)) => Some(format!("text {text}")),
                Some(Scalar::Number(number)) => Some(format!("number {number}")),
                None => null.then(String::new),
            };
            Some(points.iter().filter_map(text).collect::<BTreeSet<_>>().len() as f64)
        }
        _ => Some(events),
    };
    if flip(Flip::NothingIsZero) { Some(found.unwrap_or(0.0)) } else { found }
}

/// How many people did it exactly so often.
fn frequency(points: &[&Point], rules: Rules) -> Value {
    let mut of_unit: BTreeMap<u32, u64> = BTreeMap::new();
    for point in points {
        *of_unit.entry(point.unit).or_default() += 1;
    }
    let times: BTreeSet<u64> = of_unit.values().copied().collect();
    let is_so_often = |own: u64, times: u64| own == times || rules.flip(Flip::FrequencyAtLeast) && own > times;
    let people = |times: &u64| of_unit.values().filter(|own| is_so_often(**own, *times)).count();
    json!({ "people": times.iter().map(people).collect::<Vec<_>>(), "times": times })
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
