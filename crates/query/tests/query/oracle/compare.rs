//! Compares an engine's answer with the oracle's.

use serde_json::Value;

/// Where the first difference is, if any: whatever the oracle says must stand in the answer, numbers to 1e-9 relative.
/// The answer may say more.
pub(crate) fn difference(answer: &Value, oracle: &Value) -> Option<String> {
    differ("", answer, oracle)
}

fn differ(path: &str, answer: &Value, oracle: &Value) -> Option<String> {
    match (answer, oracle) {
        (Value::Object(answer), Value::Object(oracle)) => oracle.iter().find_map(|(name, expected)| {
            let path = format!("{path}.{name}");
            match answer.get(name) {
                Some(found) => differ(&path, found, expected),
                None => Some(format!("{path} is missing, expected {expected}")),
            }
        }),
        (Value::Array(found), Value::Array(expected)) if found.len() == expected.len() => found
            .iter()
            .zip(expected)
            .enumerate()
            .find_map(|(at, (found, expected))| differ(&format!("{path}[{at}]"), found, expected)),
        (Value::Number(found), Value::Number(expected)) => {
            let (a, b) = (found.as_f64().expect("finite"), expected.as_f64().expect("finite"));
            let near = (a - b).abs() <= 1e-9 * a.abs().max(b.abs());
            (!near).then(|| format!("{path} is {found}, expected {expected}"))
        }
        _ => (answer != oracle).then(|| format!("{path} is {answer}, expected {oracle}")),
    }
}
