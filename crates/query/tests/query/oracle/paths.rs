//! Paths, `docs/semantics.md`, section 4.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::{
    Flip, OracleEvent, Rules, Scalar, by_unit,
    calendar::{Time, duration_us},
    selector::matches,
    sessions::sessions_of,
};

type Events<'a> = Vec<&'a OracleEvent>;

/// Nodes with the times at which they were come to, and whether the history ended with the last.
struct Path {
    unit: u32,
    nodes: Vec<(Value, i64)>,
    has_ended: bool,
}

pub(crate) fn answer(paths: &Value, events: &[&OracleEvent], time: &Time, rules: Rules) -> Value {
    let mut all: Vec<Path> = Vec::new();
    for unit in by_unit(events) {
        let mut own: Vec<Path> = histories(paths, &unit, time, rules)
            .iter()
            .filter_map(|(opening, reached)| path_of(paths, opening, reached, rules))
            .collect();
        if rules.flip(Flip::PathOneOfAUnit) {
            own.truncate(1);
        }
        all.extend(own);
    }
    let mut edges: Vec<(usize, Value, Value, u32, Option<f64>)> = Vec::new();
    for Path { unit, nodes, has_ended } in &all {
        for (at, pair) in nodes.windows(2).enumerate() {
            let seconds = (pair[1].1 - pair[0].1).abs() as f64 / 1e6;
            edges.push((at + 1, pair[0].0.clone(), pair[1].0.clone(), *unit, Some(seconds)));
        }
        if *has_ended && !rules.flip(Flip::PathEndOfHistoryIsNoEdge) {
            edges.push((nodes.len(), nodes[nodes.len() - 1].0.clone(), Value::Null, *unit, None));
        }
    }
    let limit = paths["limit"].as_u64().unwrap_or(25) as usize + usize::from(rules.flip(Flip::LimitOneMore));
    let count = |units: Vec<u32>| counted(paths, units, rules);

    let mut keys: Vec<(usize, Value, Value)> = Vec::new();
    for (position, from, to, ..) in &edges {
        let key = (*position, from.clone(), to.clone());
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    let mut counted_edges: Vec<(usize, Value, Value, usize, Option<f64>)> = Vec::new();
    for (position, from, to) in keys {
        let of = edges.iter().filter(|edge| (edge.0, &edge.1, &edge.2) == (position, &from, &to));
        let seconds: Vec<f64> = of.clone().filter_map(|edge| edge.4).collect();
        let mean = (!seconds.is_empty()).then(|| seconds.iter().sum::<f64>() / seconds.len() as f64);
        counted_edges.push((position, from.clone(), to.clone(), count(of.map(|edge| edge.3).collect()), mean));
    }
    counted_edges.sort_by(|a, b| {
        let ties = in_order(&a.1, &b.1).then_with(|| in_order(&a.2, &b.2));
        a.0.cmp(&b.0).then_with(|| b.3.cmp(&a.3)).then(turned(ties, rules))
    });
    let mut at_position = [0; 30];
    let of_all = rules.flip(Flip::PathLimitOfAllPositions);
    counted_edges.retain(|edge| {
        let shown = &mut at_position[if of_all { 0 } else { edge.0 }];
        *shown += 1;
        *shown <= limit
    });

    let mut ways: Vec<Vec<Value>> = Vec::new();
    for path in &all {
        if !ways.contains(&way(path)) {
            ways.push(way(path));
        }
    }
    let units_of = |nodes: &Vec<Value>| all.iter().filter(|path| way(path) == *nodes).map(|path| path.unit).collect();
    let mut counted_paths: Vec<(Vec<Value>, usize)> =
        ways.into_iter().map(|nodes| (nodes.clone(), count(units_of(&nodes)))).collect();
    counted_paths.sort_by(|a, b| {
        let pairs = a.0.iter().zip(&b.0).map(|(a, b)| in_order(a, b));
        let ties = pairs.fold(Ordering::Equal, Ordering::then).then(a.0.len().cmp(&b.0.len()));
        b.1.cmp(&a.1).then(turned(ties, rules))
    });
    counted_paths.truncate(limit);
    let edge = |(position, from, to, count, mean): (usize, Value, Value, usize, Option<f64>)| json!({ "position": position, "from": from, "to": to, "count": count, "mean_seconds": mean });
    json!({
        "kind": "paths",
        "count": count(all.iter().map(|path| path.unit).collect()),
        "edges": counted_edges.into_iter().map(edge).collect::<Vec<_>>(),
        "paths": counted_paths.into_iter().map(|(nodes, count)| json!({ "nodes": nodes, "count": count })).collect::<Vec<_>>(),
    })
}

/// The events that may open a path, and those that it may go through.
fn histories<'a>(paths: &Value, unit: &[&'a OracleEvent], time: &Time, rules: Rules) -> Vec<(Events<'a>, Events<'a>)> {
    let in_range = || unit.iter().copied().filter(|event| time.in_range(event.timestamp_us)).collect::<Events<'a>>();
    match within(paths, rules) {
        "session" => {
            let mut events = unit.to_vec();
            if rules.flip(Flip::PathExcludedOfNoSession) {
                events.retain(|event| !is_excluded(paths, event, rules));
            }
            if rules.flip(Flip::PathSessionCutByRange) {
                events.retain(|event| time.in_range(event.timestamp_us));
            }
            let sessions = sessions_of(&json!({ "by": null }), &events, time, rules);
            let own = sessions.into_iter().filter(|session| time.in_range(session[0].timestamp_us));
            own.map(|session| (session.clone(), session)).collect()
        }
        "all" => vec![(in_range(), in_range())],
        _ if rules.flip(Flip::PathWindowEndsWithRange) => vec![(in_range(), in_range())],
        _ => vec![(in_range(), unit.to_vec())],
    }
}

fn within(paths: &Value, rules: Rules) -> &str {
    match paths["within"].as_str().unwrap_or("session") {
        _ if rules.flip(Flip::PathWithinSession) => "session",
        _ if rules.flip(Flip::PathWithinAll) => "all",
        within => within,
    }
}

fn path_of(paths: &Value, opening: &[&OracleEvent], reached: &[&OracleEvent], rules: Rules) -> Option<Path> {
    let is_node = |event: &OracleEvent| !is_excluded(paths, event, rules) && node(paths, event, rules).is_some();
    let may_open = |event: &OracleEvent| {
        let is_anchor = !paths["anchor"].is_object() || matches(&paths["anchor"], event, rules);
        (is_anchor || rules.flip(Flip::PathAnchorIgnored)) && (is_node(event) || rules.flip(Flip::PathExcludedOpens))
    };
    let is_before = (paths["direction"] == "before") != rules.flip(Flip::PathDirectionOther);
    let from_last = is_before && !paths["anchor"].is_object() && !rules.flip(Flip::PathBeforeFromFirst);
    let opens: Vec<&OracleEvent> = opening.iter().copied().filter(|event| may_open(event)).collect();
    let anchor = match from_last || rules.flip(Flip::PathAnchorLast) {
        true => *opens.last()?,
        false => *opens.first()?,
    };
    let place = reached.iter().position(|event| event.sequence == anchor.sequence).expect("it is among them");
    let mut followed: Events<'_> = match is_before {
        true => reached[..=place].iter().rev().copied().collect(),
        false => reached[place..].to_vec(),
    };
    if !["session", "all"].contains(&within(paths, rules)) {
        let window_us = duration_us(within(paths, rules));
        followed.retain(|event| {
            let far_us = (event.timestamp_us - anchor.timestamp_us).abs();
            if rules.flip(Flip::PathWindowExclusive) { far_us < window_us.max(1) } else { far_us <= window_us }
        });
    }
    followed.retain(|event| is_node(event));
    if followed.is_empty() {
        return None;
    }
    let has_end = paths["end"].is_object() && !rules.flip(Flip::PathEndIgnored);
    if has_end {
        let ends = |event: &&OracleEvent| {
            let is_anchor = event.sequence == anchor.sequence && !rules.flip(Flip::PathAnchorMeetsEnd);
            matches(&paths["end"], event, rules) && !is_anchor
        };
        let last = followed.iter().position(ends)?;
        if !rules.flip(Flip::PathGoesOnAfterEnd) {
            followed.truncate(last + 1);
        }
    }
    let mut nodes: Vec<(Value, i64)> = Vec::new();
    for event in followed {
        let own = node(paths, event, rules).expect("it is a node");
        match nodes.last_mut() {
            Some(last) if last.0 == own && paths["collapse"] != false && !rules.flip(Flip::PathCollapseIgnored) => {
                if rules.flip(Flip::PathTimeOfLast) {
                    last.1 = event.timestamp_us;
                }
            }
            _ => nodes.push((own, event.timestamp_us)),
        }
    }
    let mut depth = paths["depth"].as_u64().unwrap_or(5) as usize;
    if rules.flip(Flip::PathDepthIsDefault) {
        depth = 5;
    }
    depth += usize::from(rules.flip(Flip::PathDepthOneMore));
    if has_end && nodes.len() > depth && !rules.flip(Flip::PathEndBeyondDepth) && !rules.flip(Flip::PathGoesOnAfterEnd)
    {
        return None;
    }
    nodes.truncate(depth);
    let is_cut = nodes.len() == depth && !rules.flip(Flip::PathCutHasEnded);
    Some(Path { unit: anchor.unit, nodes, has_ended: !has_end && !is_cut })
}

fn is_excluded(paths: &Value, event: &OracleEvent, rules: Rules) -> bool {
    let excluded = paths["exclude"].as_array().into_iter().flatten();
    !rules.flip(Flip::PathExcludeIgnored) && excluded.into_iter().any(|selector| matches(selector, event, rules))
}

/// What node an event is; NULL is none.
fn node(paths: &Value, event: &OracleEvent, rules: Rules) -> Option<Value> {
    let name = paths["node"].as_str().filter(|_| !rules.flip(Flip::PathNodeIsEvent)).unwrap_or("event");
    if name == "event" {
        return Some(json!(event.event));
    }
    match event.properties.get(name).cloned().flatten() {
        Some(Scalar::Text(text)) => Some(json!(text)),
        Some(Scalar::Number(number)) => Some(json!(number)),
        None => rules.flip(Flip::PathNullIsNode).then_some(Value::Null),
    }
}

fn way(path: &Path) -> Vec<Value> {
    path.nodes.iter().map(|(node, _)| node.clone()).collect()
}

fn counted(paths: &Value, mut units: Vec<u32>, rules: Rules) -> usize {
    if (paths["count"] == "occurrences") == rules.flip(Flip::PathCountOther) {
        units.sort_unstable();
        units.dedup();
    }
    units.len()
}

fn turned(ties: Ordering, rules: Rules) -> Ordering {
    if rules.flip(Flip::GroupTiesDescending) { ties.reverse() } else { ties }
}

/// NULL, numbers, text.
fn in_order(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).expect("they are finite"),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Null => 0,
        Value::Number(_) => 1,
        _ => 2,
    }
}
