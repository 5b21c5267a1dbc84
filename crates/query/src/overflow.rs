//! Values from the overflow column: what the typed columns do not hold.

use std::borrow::Cow;

use pugmark_registry::ColumnType;
use pugmark_store::ValueRef;
use serde_json::Value;

use crate::columns::Overflow;
use crate::spec::GroupValue;

/// A value from the overflow of an event, as JSON text: numbers keep every digit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverflowValue<'a>(&'a str);

impl<'a> OverflowValue<'a> {
    /// The first value under `name` in the overflow of an event, a JSON array of `[name, value]` pairs.
    pub(crate) fn find(pairs: &'a str, name: &str) -> Option<Self> {
        Overflow::new(pairs).find(|(found, _)| found == name).map(|(_, value)| Self(value))
    }

    /// Whether this is the number of which a column of doubles holds the nearest double.
    pub(crate) fn is_exact_form_of(&self, double: Option<f64>) -> bool {
        double.is_some() && self.is_number() && ColumnType::double(ValueRef::Number(self.0)) == double
    }

    fn is_number(&self) -> bool {
        self.0.starts_with(|first: char| first == '-' || first.is_ascii_digit())
    }

    /// The nearest double of a number; of nothing else.
    pub(crate) fn to_number(self) -> Option<f64> {
        if self.is_number() { ColumnType::double(ValueRef::Number(self.0)) } else { None }
    }

    /// As text: strings as they are, the rest as JSON.
    pub(crate) fn to_text(self) -> Cow<'a, str> {
        text_of(self.0).unwrap_or(Cow::Borrowed(self.0))
    }

    /// As JSON; a whole number that no reader of doubles holds is text, digit for digit.
    pub(crate) fn to_json(self) -> Value {
        match self.0.parse::<u64>() {
            Ok(whole) => Value::from(whole),
            Err(_) if self.is_number() => match self.to_group() {
                GroupValue::Int(whole) => Value::from(whole),
                GroupValue::Float(double) => Value::from(double),
                _ => Value::from(self.0),
            },
            Err(_) => serde_json::from_str(self.0).unwrap_or_else(|_| Value::from(self.0)),
        }
    }

    /// As a value of a breakdown.
    pub(crate) fn to_group(self) -> GroupValue {
        match self.0 {
            "null" => GroupValue::Null,
            "true" => GroupValue::from(true),
            "false" => GroupValue::from(false),
            number if self.is_number() => match (number.parse::<i64>(), number.parse::<f64>()) {
                (Ok(int), _) => GroupValue::from(int),
                // A whole number that a double does not hold stays apart from its neighbours.
                (Err(_), Ok(float)) if float.is_finite() && number.contains(['.', 'e', 'E']) => GroupValue::from(float),
                _ => GroupValue::from(number),
            },
            _ => GroupValue::from(self.to_text().as_ref()),
        }
    }
}

fn text_of(raw: &str) -> Option<Cow<'_, str>> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if inner.contains('\\') { serde_json::from_str(raw).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inner)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAIRS: &str = r#"[["a","x\"y"],["big",12345678901234567890123],["f",0.5],["list",[1, {"a":"]"}]],["a",2],["b",true],["i",-7]]"#;

    #[test]
    fn the_first_value_of_a_name_is_found_with_every_digit() {
        let text = |name| OverflowValue::find(PAIRS, name).map(|found| found.to_text().into_owned());
        assert_eq!(text("a").as_deref(), Some("x\"y"));
        assert_eq!(text("big").as_deref(), Some("12345678901234567890123"));
        assert_eq!(text("list").as_deref(), Some(r#"[1, {"a":"]"}]"#));
        assert_eq!(text("b").as_deref(), Some("true"));
        assert_eq!(text("x"), None);
        assert_eq!(OverflowValue::find("", "a"), None);
        assert_eq!(OverflowValue::find("[]", "a"), None);
        assert_eq!(OverflowValue::find(r#"[["a""#, "a"), None);
    }

    #[test]
    fn groups_keep_numbers_and_texts_apart() {
        let group = |name| OverflowValue::find(PAIRS, name).map(OverflowValue::to_group);
        assert_eq!(group("f"), Some(GroupValue::from(0.5)));
        assert_eq!(group("i"), Some(GroupValue::from(-7)));
        assert_eq!(group("b"), Some(GroupValue::from(true)));
        assert_eq!(group("big"), Some(GroupValue::from("12345678901234567890123")));
    }

    #[test]
    fn values_keep_their_types_and_digits_as_json() {
        let json = |name| OverflowValue::find(PAIRS, name).map(|found| found.to_json().to_string());
        assert_eq!(json("a").as_deref(), Some(r#""x\"y""#));
        assert_eq!(json("big").as_deref(), Some(r#""12345678901234567890123""#));
        assert_eq!(json("f").as_deref(), Some("0.5"));
        assert_eq!(json("i").as_deref(), Some("-7"));
        assert_eq!(json("list").as_deref(), Some(r#"[1,{"a":"]"}]"#));
    }

    #[test]
    fn a_number_is_the_exact_form_of_its_nearest_double_only() {
        let big = OverflowValue::find(PAIRS, "big").expect("it is there");
        assert!(big.is_exact_form_of(Some(12_345_678_901_234_567_890_123.0)));
        assert!(!big.is_exact_form_of(Some(1.0)));
        assert!(!big.is_exact_form_of(None));
    }
}
