//! The column `overflow`: a JSON array of `[name, value]` pairs, for what the typed columns do not hold.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, StringArray, StringViewArray, new_null_array};
use datafusion::arrow::datatypes::DataType;
use pugmark_registry::Placement;
use pugmark_store::ValueRef;
use serde::de::IgnoredAny;

use super::chunk::{Chunk, Property};
use super::schema::EventSchema;

/// The overflow of the rows of a chunk.
pub(crate) fn of_chunk(chunk: &Chunk, schema: &EventSchema) -> ArrayRef {
    let mut cells: Vec<(u32, &Property<StringArray>, ValueRef<'_>)> = Vec::new();
    for property in &chunk.properties {
        let column = schema.type_of(&property.name);
        if !property.overflows(column) {
            continue;
        }
        for (row, value, first) in property.entries() {
            let held = first && column.is_some_and(|column| column.place(value) == Placement::Column);
            if !held {
                cells.push((row, property, value));
            }
        }
    }
    if cells.is_empty() {
        return new_null_array(&DataType::Utf8View, chunk.rows());
    }
    // Stable: the values of one property of one event stay in their order.
    cells.sort_by_key(|(row, _, _)| *row);
    let mut rest = cells.as_slice();
    let array = (0..u32::try_from(chunk.rows()).expect("invariant: a chunk has fewer rows than 2^32")).map(|row| {
        let count = rest.iter().take_while(|(of, _, _)| *of == row).count();
        let (own, later) = rest.split_at(count);
        rest = later;
        (!own.is_empty()).then(|| pairs(own))
    });
    Arc::new(StringViewArray::from_iter(array))
}

fn pairs(cells: &[(u32, &Property<StringArray>, ValueRef<'_>)]) -> String {
    let mut text = String::from("[");
    for (_, property, value) in cells {
        if text.len() > 1 {
            text.push(',');
        }
        text.push('[');
        push_string(&mut text, &property.name);
        text.push(',');
        push_value(&mut text, *value);
        text.push(']');
    }
    text.push(']');
    text
}

fn push_string(text: &mut String, string: &str) {
    text.push_str(&serde_json::Value::from(string).to_string());
}

fn push_value(text: &mut String, value: ValueRef<'_>) {
    match value {
        ValueRef::Text(string) => push_string(text, string),
        // As it was sent, digit for digit: a parsed number would be rounded.
        ValueRef::Number(json) | ValueRef::Json(json) if serde_json::from_str::<IgnoredAny>(json).is_ok() => {
            text.push_str(json.trim())
        }
        ValueRef::Number(other) | ValueRef::Json(other) => push_string(text, other),
        ValueRef::Bool(_) | ValueRef::Int(_) | ValueRef::Float(_) => text.push_str(&value.to_json().to_string()),
    }
}

/// Reads the overflow of one event: name and value of each pair, in their order, the value as JSON text just as it is stored.
///
/// What is not an array of pairs ends the reading.
///
/// Where an event has a property twice, or a number that its column rounds, the column holds a value too. An
/// entry of the overflow is then the exact form of what the column holds if it is a number that rounds to it, and a further value otherwise; where the
/// column is NULL, the first entry of the name is the event's value.
///
/// # Example
/// ```
/// use pugmark_query::columns::Overflow;
/// let entries: Vec<_> = Overflow::new(r#"[["zip","04109"],["n",12345678901234567890],["tags",["a","b"]]]"#).collect();
/// let text = |name: &str| entries.iter().find(|(n, _)| n == name).map(|(_, value)| *value);
/// assert_eq!(text("zip"), Some("\"04109\""));
/// assert_eq!(text("n"), Some("12345678901234567890"));
/// assert_eq!(text("tags"), Some(r#"["a","b"]"#));
/// ```
#[derive(Debug, Clone)]
pub struct Overflow<'a> {
    rest: &'a str,
}

impl<'a> Overflow<'a> {
    /// The pairs in `text`, a value of the column `overflow`.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text.trim_start().strip_prefix('[').unwrap_or_default() }
    }

    fn pair(&mut self) -> Option<(Cow<'a, str>, &'a str)> {
        let rest = self.rest.trim_start();
        let rest = rest.strip_prefix(',').unwrap_or(rest).trim_start().strip_prefix('[')?.trim_start();
        let (name, rest) = split_value(rest)?;
        let (value, rest) = split_value(rest.trim_start().strip_prefix(',')?.trim_start())?;
        self.rest = rest.trim_start().strip_prefix(']')?;
        let plain = name.strip_prefix('"')?.strip_suffix('"')?;
        let name =
            if plain.contains('\\') { Cow::Owned(serde_json::from_str(name).ok()?) } else { Cow::Borrowed(plain) };
        Some((name, value))
    }
}

impl<'a> Iterator for Overflow<'a> {
    type Item = (Cow<'a, str>, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        let pair = self.pair();
        if pair.is_none() {
            self.rest = "";
        }
        pair
    }
}

/// Splits off the JSON value at the beginning of `text`; its brackets and quotes are matched, nothing more is checked.
fn split_value(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let mut quoted = false;
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    quoted = false;
                    if depth == 0 {
                        return text.split_at_checked(at + 1);
                    }
                }
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'[' | b'{' => depth += 1,
            b',' if depth == 0 => return text.split_at_checked(at),
            b']' | b'}' => match depth {
                0 => return text.split_at_checked(at),
                1 => return text.split_at_checked(at + 1),
                _ => depth -= 1,
            },
            _ => {}
        }
    }
    None
}
