//! Retention, `docs/semantics.md`, section 3.

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules,
    breakdown::{Group, distinct, group_of, shown},
    by_unit,
    calendar::Time,
    selector::matches,
};

/// A unit in the cohort of a bucket.
struct Member {
    group: Group,
    row: usize,
    /// Whether the unit came back, by period.
    returned: Vec<bool>,
    start_events: usize,
}

pub(crate) fn answer(retention: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let any = json!({ "event": "*" });
    let (start, returning) = match (retention.get("start"), retention.get("return")) {
        (Some(start), Some(returning)) => (start, returning),
        (Some(start), None) if rules.flip(Flip::ReturnDefaultsToAny) => (start, &any),
        (Some(both), None) | (None, Some(both)) => (both, both),
        (None, None) => panic!("a retention needs start or return"),
    };
    let buckets = time.buckets();
    let periods = retention["periods"].as_u64().map_or(buckets.len(), |periods| buckets.len().min(periods as usize));
    let recurring = retention["cohort"] == "recurring";
    let asked_zero = retention["period_zero"] == "returned";
    let returned_in_zero = asked_zero != rules.flip(Flip::PeriodZeroOther);
    let bucket = |event: &OracleEvent| buckets.iter().position(|label| *label == time.bucket_of(event.timestamp_us));

    let mut members: Vec<Member> = Vec::new();
    for unit in by_unit(events) {
        let returns: Vec<&OracleEvent> = unit
            .iter()
            .copied()
            .filter(|event| matches(returning, event, rules))
            .filter(|event| time.in_range(event.timestamp_us) || rules.flip(Flip::ReturnsOpen))
            .collect();
        let mut starts: Vec<&OracleEvent> = unit.iter().copied().filter(|event| matches(start, event, rules)).collect();
        if recurring || rules.flip(Flip::FirstInRange) {
            starts.retain(|event| time.in_range(event.timestamp_us));
        }
        if !recurring {
            starts.truncate(1);
            starts.retain(|event| time.in_range(event.timestamp_us));
        }
        for row in 0..buckets.len() {
            let starts: Vec<&OracleEvent> = starts.iter().copied().filter(|event| bucket(event) == Some(row)).collect();
            let (Some(first), Some(last)) = (starts.first(), starts.last()) else { continue };
            let named = if rules.flip(Flip::GroupOfLastStart) { last } else { first };
            let returned = |period: usize| {
                let in_period = returns.iter().filter(|event| {
                    let since = (event.timestamp_us - first.timestamp_us).div_euclid(time.span_us());
                    match () {
                        () if rules.flip(Flip::RollingClock) => since == period as i64,
                        () if rules.flip(Flip::OnOrAfter) => bucket(event).is_some_and(|at| at >= row + period),
                        () => bucket(event) == Some(row + period),
                    }
                });
                let later = in_period.filter(|event| starts.iter().any(|start| is_return(start, event, rules)));
                let enough = retention["min_occurrences"].as_u64().unwrap_or(1);
                let enough = if rules.flip(Flip::OccurrencesIgnored) { 1 } else { enough };
                later.count() as u64 >= enough
            };
            if let Some(group) = group_of(retention, named, rules) {
                let returned = (0..periods).map(returned).collect();
                members.push(Member { group, row, returned, start_events: starts.len() });
            }
            if rules.flip(Flip::RecurringFirstOnly) {
                break;
            }
        }
    }

    let ranked = distinct(members.iter().map(|member| &member.group)).into_iter().map(|group| {
        let size = members.iter().filter(|member| member.group == group).count();
        (group, size)
    });
    let parts = shown(retention, ranked.collect(), rules).into_iter().map(|(label, groups)| {
        let of_groups: Vec<&Member> = members.iter().filter(|member| groups.contains(&member.group)).collect();
        let rows: Vec<Row> = (0..buckets.len())
            .map(|row| {
                let members: Vec<&Member> = of_groups.iter().copied().filter(|member| member.row == row).collect();
                let whole = rules.flip(Flip::RowsNotCutByRange);
                let columns = if whole { periods } else { periods.min(buckets.len() - row) };
                let size = match rules.flip(Flip::CohortOfEvents) {
                    true => members.iter().map(|member| member.start_events).sum(),
                    false => members.len(),
                };
                let value = |period: usize| match period == 0 && !returned_in_zero {
                    true => size,
                    false => members.iter().filter(|member| member.returned[period]).count(),
                };
                Row {
                    cohort: buckets[row].clone(),
                    size,
                    values: (0..columns).map(value).collect(),
                    complete: (row..row + columns).map(|bucket| has_ended(bucket, &buckets, time)).collect(),
                }
            })
            .collect();
        let shown_rows = rows.iter().map(
            |row| json!({ "cohort": row.cohort, "size": row.size, "values": row.values, "complete": row.complete }),
        );
        json!({
            "breakdown": label,
            "rows": shown_rows.collect::<Vec<_>>(),
            "average": {
                "weighted": (0..periods).map(|period| average(&rows, period, true, rules)).collect::<Vec<_>>(),
                "simple": (0..periods).map(|period| average(&rows, period, false, rules)).collect::<Vec<_>>(),
            },
        })
    });
    let labels: Vec<String> = (0..periods).map(|period| period.to_string()).collect();
    json!({ "kind": "retention", "periods": labels, "groups": parts.collect::<Vec<_>>() })
}

fn is_return(start: &OracleEvent, event: &OracleEvent, rules: Rules) -> bool {
    let (from, at) = ((start.timestamp_us, start.sequence), (event.timestamp_us, event.sequence));
    match () {
        () if rules.flip(Flip::StartIsReturn) => at >= from,
        () if rules.flip(Flip::ReturnStrictlyLater) => at.0 > from.0,
        () if rules.flip(Flip::ReturnMayComeBefore) => at != from,
        () => at > from,
    }
}

struct Row {
    cohort: String,
    size: usize,
    values: Vec<usize>,
    complete: Vec<bool>,
}

/// Whether the last instant that was seen lies beyond a bucket.
fn has_ended(bucket: usize, buckets: &[String], time: &Time) -> bool {
    let seen_us = match () {
        () if time.rules.flip(Flip::CompleteIgnoresNow) => time.to_us,
        () if time.rules.flip(Flip::CompleteIgnoresRange) => time.now_us,
        () => time.to_us.min(time.now_us),
    };
    if bucket >= buckets.len() {
        return false;
    }
    match buckets.iter().position(|label| *label == time.bucket_of(seen_us)) {
        Some(seen) => seen > bucket,
        None => seen_us >= time.to_us,
    }
}

fn average(rows: &[Row], period: usize, weighted: bool, rules: Rules) -> Option<f64> {
    let complete = |row: &&Row| row.complete.get(period) == Some(&true);
    let with_cell = rows.iter().filter(|row| period < row.values.len());
    let counted: Vec<&Row> = with_cell
        .filter(|row| complete(row) || rules.flip(Flip::AverageOfIncomplete))
        .filter(|row| row.size > 0 || (rules.flip(Flip::SimpleCountsEmpty) && !weighted))
        .collect();
    let size: usize = counted.iter().map(|row| row.size).sum();
    if size == 0 {
        return None;
    }
    if weighted && !rules.flip(Flip::WeightedIsSimple) {
        return Some(counted.iter().map(|row| row.values[period]).sum::<usize>() as f64 / size as f64);
    }
    let shares = counted.iter().filter(|row| row.size > 0).map(|row| row.values[period] as f64 / row.size as f64);
    Some(shares.sum::<f64>() / counted.len() as f64)
}
