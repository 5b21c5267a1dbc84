//! JSON values kept as text, without white space.

use std::fmt;

use pugmark_store::Value;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::numbers::Numbers;

/// Writes the value that comes next as JSON text.
pub(super) struct JsonText<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) numbers: &'a mut Numbers,
}

impl JsonText<'_> {
    fn put_number(&mut self, number: &Value) {
        let text = match number {
            Value::Int(v) => v.to_string(),
            Value::Number(text) => text.clone(),
            other => other.borrowed().to_json().to_string(),
        };
        self.out.extend_from_slice(text.as_bytes());
    }
}

/// Appends `text` as a JSON string.
pub(in crate::files) fn put_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("invariant: a string is written to memory without error");
}

/// `text` as this module writes it; `None` if it is not JSON.
pub(in crate::files) fn compact(text: &str) -> Option<String> {
    let attempt = |mut numbers: Numbers| {
        let mut out = Vec::with_capacity(text.len());
        let mut json = serde_json::Deserializer::from_str(text);
        JsonText { out: &mut out, numbers: &mut numbers }.deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some((out, numbers.is_doubtful()))
    };
    let (mut out, doubtful) = attempt(Numbers::default())?;
    if doubtful {
        (out, _) = attempt(Numbers::of_line(text))?;
    }
    Some(into_text(out))
}

/// The text of what [`JsonText`] wrote.
pub(super) fn into_text(out: Vec<u8>) -> String {
    String::from_utf8(out).expect("invariant: JSON is written from text only")
}

impl<'de> DeserializeSeed<'de> for JsonText<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for JsonText<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.out.extend_from_slice(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn visit_i64<E>(mut self, value: i64) -> Result<(), E> {
        let number = self.numbers.int(value);
        self.put_number(&number);
        Ok(())
    }

    fn visit_u64<E>(mut self, value: u64) -> Result<(), E> {
        let number = self.numbers.uint(value);
        self.put_number(&number);
        Ok(())
    }

    fn visit_f64<E>(mut self, value: f64) -> Result<(), E> {
        let number = self.numbers.float(value);
        self.put_number(&number);
        Ok(())
    }

    fn visit_str<E>(self, value: &str) -> Result<(), E> {
        put_string(self.out, value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.out.push(b'[');
        let first = self.out.len();
        loop {
            let end = self.out.len();
            if end > first {
                self.out.push(b',');
            }
            let item = JsonText { out: &mut *self.out, numbers: &mut *self.numbers };
            if items.next_element_seed(item)?.is_none() {
                self.out.truncate(end);
                break;
            }
        }
        self.out.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        self.out.push(b'{');
        let first = self.out.len();
        loop {
            let end = self.out.len();
            if end > first {
                self.out.push(b',');
            }
            // A key is a string: no number is counted.
            let key = JsonText { out: &mut *self.out, numbers: &mut *self.numbers };
            if members.next_key_seed(key)?.is_none() {
                self.out.truncate(end);
                break;
            }
            self.out.push(b':');
            members.next_value_seed(JsonText { out: &mut *self.out, numbers: &mut *self.numbers })?;
        }
        self.out.push(b'}');
        Ok(())
    }
}
