//! Properties, flattened while they are read.

use std::fmt;

use pugmark_store::{ProfileChange, Value, ValueRef, limits};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::json::{JsonText, into_text};
use super::numbers::Numbers;
use crate::files::pipeline::{PropertySink, check_property};

/// What the reading of a line carries along, and its buffers.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The dotted name of the property being read.
    pub(super) name: String,
    pub(super) numbers: Numbers,
    /// The field being read, for messages.
    pub(super) field: Option<&'static str>,
    /// Why the line is refused, where a plain sentence says it.
    pub(super) reason: Option<String>,
    pub(super) traits: Traits,
}

/// What a member `traits` of a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Traits {
    /// A property, if the line has the name of an event.
    #[default]
    Unknown,
    /// It has not been read, before it is known what the line is.
    PassedOver,
    /// A property, as the line changes no traits.
    Property,
    /// What the line changes in this way.
    Of(ProfileChange),
}

impl Scratch {
    /// An error that stops the reading; the reason is kept aside.
    pub(super) fn refuse<E: Error>(&mut self, reason: String) -> E {
        self.reason = Some(reason);
        E::custom("refused")
    }
}

/// Reads all properties: an object, or a list of `[name, value]`.
pub(super) struct PropertiesSeed<'a, S> {
    pub(super) scratch: &'a mut Scratch,
    pub(super) event: &'a mut S,
}

/// Passes over a value, but counts its numbers: [`Numbers`] tells those of a line by their places.
pub(super) struct PassOver<'a>(pub(super) &'a mut Numbers);

impl<'de> DeserializeSeed<'de> for PassOver<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        JsonText { out: &mut Vec::new(), numbers: self.0 }.deserialize(deserializer)
    }
}

/// Reads the names of traits: a list of them, or the members of an object.
pub(super) struct NamesSeed<'a, S> {
    pub(super) scratch: &'a mut Scratch,
    pub(super) event: &'a mut S,
}

impl<'de, S: PropertySink> DeserializeSeed<'de> for NamesSeed<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<S: PropertySink> NamesSeed<'_, S> {
    fn push<E: Error>(&mut self) -> Result<(), E> {
        let Self { scratch, event } = self;
        if let Err(reason) = check_property(event.property_count(), &scratch.name) {
            return Err(scratch.refuse(reason));
        }
        event.push_property(&scratch.name, ValueRef::Bool(true));
        scratch.name.clear();
        Ok(())
    }
}

impl<'de, S: PropertySink> Visitor<'de> for NamesSeed<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names or an object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.scratch.name.clear();
        while members.next_key_seed(NameSeed(&mut self.scratch.name))?.is_some() {
            members.next_value_seed(PassOver(&mut self.scratch.numbers))?;
            self.push()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut names: A) -> Result<(), A::Error> {
        self.scratch.name.clear();
        while names.next_element_seed(NameSeed(&mut self.scratch.name))?.is_some() {
            self.push()?;
        }
        Ok(())
    }
}

/// Reads the value of the property that [`Scratch::name`] names.
pub(super) struct PropertySeed<'a, S> {
    pub(super) scratch: &'a mut Scratch,
    pub(super) event: &'a mut S,
    /// Whether objects are taken apart; else they are `{"json": text}` or `{"number": text}`.
    pub(super) flatten: bool,
}

/// Appends a key to the name; it has been given its dot.
struct NameSeed<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a property")
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.push_str(name);
        Ok(())
    }
}

impl<'de, S: PropertySink> DeserializeSeed<'de> for PropertiesSeed<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: PropertySink> Visitor<'de> for PropertiesSeed<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list of [name, value]")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { scratch, event } = self;
        scratch.name.clear();
        while members.next_key_seed(NameSeed(&mut scratch.name))?.is_some() {
            members.next_value_seed(PropertySeed { scratch: &mut *scratch, event: &mut *event, flatten: true })?;
            scratch.name.clear();
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<(), A::Error> {
        let Self { scratch, event } = self;
        while pairs.next_element_seed(PairSeed { scratch: &mut *scratch, event: &mut *event })?.is_some() {}
        Ok(())
    }
}

/// Reads `[name, value]`.
struct PairSeed<'a, S> {
    scratch: &'a mut Scratch,
    event: &'a mut S,
}

impl<'de, S: PropertySink> DeserializeSeed<'de> for PairSeed<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, S: PropertySink> Visitor<'de> for PairSeed<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pair [name, value]")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pair: A) -> Result<(), A::Error> {
        let Self { scratch, event } = self;
        scratch.name.clear();
        if pair.next_element_seed(NameSeed(&mut scratch.name))?.is_none() {
            return Err(Error::invalid_length(0, &"a pair [name, value]"));
        }
        let value = PropertySeed { scratch, event, flatten: false };
        if pair.next_element_seed(value)?.is_none() {
            return Err(Error::invalid_length(1, &"a pair [name, value]"));
        }
        match pair.next_element::<IgnoredAny>()? {
            Some(_) => Err(Error::invalid_length(3, &"a pair [name, value]")),
            None => Ok(()),
        }
    }
}

impl<S: PropertySink> PropertySeed<'_, S> {
    fn push<E: Error>(self, value: ValueRef<'_>) -> Result<(), E> {
        check_property(self.event.property_count(), &self.scratch.name)
            .map_err(|reason| self.scratch.refuse(reason))?;
        self.event.push_property(&self.scratch.name, value);
        Ok(())
    }
}

impl<'de, S: PropertySink> DeserializeSeed<'de> for PropertySeed<'_, S> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, S: PropertySink> Visitor<'de> for PropertySeed<'_, S> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.flatten { "a value" } else { "a value, {\"json\": text} or {\"number\": text}" })
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.push(ValueRef::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        let number = self.scratch.numbers.int(value);
        self.push(number.borrowed())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        let number = self.scratch.numbers.uint(value);
        self.push(number.borrowed())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        let number = self.scratch.numbers.float(value);
        self.push(number.borrowed())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.push(ValueRef::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<(), A::Error> {
        let mut out = Vec::new();
        JsonText { out: &mut out, numbers: &mut self.scratch.numbers }.visit_seq(items)?;
        self.push(ValueRef::Json(&into_text(out)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        if !self.flatten {
            let exact = match members.next_entry::<String, String>()? {
                Some((kind, text)) if kind == "json" => Value::Json(text),
                Some((kind, text)) if kind == "number" && is_number(&text) => Value::Number(text),
                _ => return Err(Error::custom("an object that is neither {\"json\": text} nor {\"number\": text}")),
            };
            if members.next_key::<IgnoredAny>()?.is_some() {
                return Err(Error::custom(
                    "an object with more than one member, expected {\"json\": text} or {\"number\": text}",
                ));
            }
            return self.push(exact.borrowed());
        }
        // The depth is that of the name, so that a name that an export wrote with its dots is as deep as it was.
        if self.scratch.name.bytes().filter(|b| *b == b'.').count() + 1 >= limits::FLATTEN_DEPTH {
            let mut out = Vec::new();
            JsonText { out: &mut out, numbers: &mut self.scratch.numbers }.visit_map(members)?;
            return self.push(ValueRef::Json(&into_text(out)));
        }
        let Self { scratch, event, .. } = self;
        let outer = scratch.name.len();
        let mut empty = true;
        scratch.name.push('.');
        while members.next_key_seed(NameSeed(&mut scratch.name))?.is_some() {
            empty = false;
            members.next_value_seed(PropertySeed { scratch: &mut *scratch, event: &mut *event, flatten: true })?;
            scratch.name.truncate(outer + 1);
        }
        scratch.name.truncate(outer);
        if empty {
            return PropertySeed { scratch, event, flatten: true }.push(ValueRef::Json("{}"));
        }
        Ok(())
    }
}

/// Whether `text` is a number as JSON writes it.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let rest = text.strip_prefix('-').unwrap_or(text);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return false;
    }
    let mut rest = &rest[whole..];
    if let Some(fraction) = rest.strip_prefix('.') {
        let len = digits(fraction);
        if len == 0 {
            return false;
        }
        rest = &fraction[len..];
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        let len = digits(exponent);
        return len > 0 && len == exponent.len();
    }
    rest.is_empty()
}
