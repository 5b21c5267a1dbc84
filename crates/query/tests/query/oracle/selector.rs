//! Which events a selector means. Of SQL it knows `name = 'text'` and `name =|<|> number`, joined by `and`.

use serde_json::Value;

use super::{Flip, OracleEvent, Rules, Scalar};

/// Whether an event matches a selector.
pub(crate) fn matches(selector: &Value, event: &OracleEvent, rules: Rules) -> bool {
    let named = match &selector["event"] {
        Value::String(name) => name == "*" || *name == event.event,
        Value::Array(names) if rules.flip(Flip::FirstNameOfListOnly) => {
            names.first().is_some_and(|n| *n == *event.event)
        }
        Value::Array(names) => names.iter().any(|name| *name == *event.event),
        other => panic!("the oracle knows no event names {other}"),
    };
    named && filter_holds(&selector["filter"], event, rules)
}

/// Whether a filter is true of an event; no filter is.
pub(crate) fn filter_holds(filter: &Value, event: &OracleEvent, rules: Rules) -> bool {
    let Some(sql) = filter.as_str().filter(|_| !rules.flip(Flip::FilterIgnored)) else { return true };
    sql.split(" and ").all(|comparison| {
        let (name, rest) = comparison.split_once(' ').expect("a comparison has three words");
        let (operator, literal) = rest.split_once(' ').expect("a comparison has three words");
        match event.properties.get(name).cloned().flatten() {
            None => rules.flip(Flip::NullFilterMatches),
            Some(Scalar::Text(text)) => {
                operator == "=" && literal.trim_matches('\'') == text && literal.starts_with('\'')
            }
            Some(Scalar::Number(number)) => literal.parse::<f64>().is_ok_and(|literal| match operator {
                "=" => number == literal,
                "<" => number < literal,
                ">" => number > literal,
                other => panic!("the oracle knows no operator {other}"),
            }),
        }
    })
}
