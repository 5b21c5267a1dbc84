//! Breakdown values, their ranks, and the rest beyond the limit.

use std::cmp::Ordering;

use serde_json::{Value, json};

use super::{Flip, OracleEvent, Rules, Scalar, property_of};

/// The values of a breakdown at one event; empty without a breakdown.
pub(crate) type Group = Vec<Value>;

/// The group of an event; `None` if it has none.
pub(crate) fn group_of(analysis: &Value, event: &OracleEvent, rules: Rules) -> Option<Group> {
    let items = analysis["breakdown"].as_array().map_or(&[][..], Vec::as_slice);
    let value = |item: &Value| {
        let name = property_of(&serde_json::from_value(item.clone()).expect("an item says what it is"));
        match event.properties.get(&name).cloned().flatten() {
            None => Value::Null,
            Some(Scalar::Text(text)) => match text.parse::<f64>() {
                Ok(number) if rules.flip(Flip::TextIsNumber) => number_value(number),
                _ => json!(text),
            },
            Some(Scalar::Number(number)) => number_value(number),
        }
    };
    let group: Group = items.iter().map(value).collect();
    let no_group = rules.flip(Flip::NullIsNoGroup) && group.contains(&Value::Null);
    (!no_group).then_some(group)
}

fn number_value(number: f64) -> Value {
    if number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
}

fn order(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Number(_) => 2,
        _ => 3,
    };
    rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64().partial_cmp(&b.as_f64()).expect("numbers are finite"),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => Ordering::Equal,
    })
}

fn order_groups(a: &Group, b: &Group) -> Ordering {
    a.iter().zip(b).map(|(a, b)| order(a, b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

/// What is shown, in order: the label of each part of the answer and the groups that belong to it.
pub(crate) fn shown<N: PartialOrd>(
    analysis: &Value,
    mut ranked: Vec<(Group, N)>,
    rules: Rules,
) -> Vec<(Value, Vec<Group>)> {
    if analysis["breakdown"].as_array().is_none_or(Vec::is_empty) {
        return vec![(Value::Null, vec![Group::new()])];
    }
    ranked.sort_by(|a, b| {
        let largest_first = b.1.partial_cmp(&a.1).expect("numbers are finite");
        let by_number = if rules.flip(Flip::RankedByValueOnly) { Ordering::Equal } else { largest_first };
        let by_value = order_groups(&a.0, &b.0);
        by_number.then(if rules.flip(Flip::GroupTiesDescending) { by_value.reverse() } else { by_value })
    });
    let limit = analysis["limit"].as_u64().unwrap_or(25) as usize + usize::from(rules.flip(Flip::LimitOneMore));
    let mut groups: Vec<Group> = ranked.into_iter().map(|(group, _)| group).collect();
    let rest = groups.split_off(limit.min(groups.len()));
    let mut parts: Vec<(Value, Vec<Group>)> = groups.into_iter().map(|group| (json!(group), vec![group])).collect();
    if !rest.is_empty() && !rules.flip(Flip::RestLeftOut) {
        parts.push((json!([{ "other": true }]), rest));
    }
    parts
}

/// Whether a label is that of the folded rest.
pub(crate) fn is_other(label: &Value) -> bool {
    label[0]["other"] == true
}

/// Every group that occurs, once.
pub(crate) fn distinct<'a>(groups: impl IntoIterator<Item = &'a Group>) -> Vec<Group> {
    let mut distinct: Vec<Group> = Vec::new();
    for group in groups {
        if !distinct.contains(group) {
            distinct.push(group.clone());
        }
    }
    distinct
}
