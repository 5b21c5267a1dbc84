//! One line: an event or an operation.

use std::fmt;

use pugmark_store::{Entry, Event, Operation, Timestamp, Value};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::json::{JsonText, into_text};
use super::numbers::Numbers;
use super::properties::{PropertiesSeed, PropertySeed, Scratch};
use crate::files::mapping::{Field, Mapping};
use crate::files::pipeline::Reading;
use crate::files::timestamp;

/// Operations of the format that this version does not take.
const LATER_OPERATIONS: [&str; 8] = ["merge", "split", "set", "set_once", "unset", "add", "append", "union"];

/// Reads lines and keeps its buffers between them.
pub(super) struct LineParser<'m> {
    reading: &'m Reading,
    scratch: Scratch,
}

impl<'m> LineParser<'m> {
    pub(super) fn new(reading: &'m Reading) -> Self {
        Self { reading, scratch: Scratch::default() }
    }

    /// Reads one line; the error is the reason why it is refused.
    pub(super) fn parse(&mut self, line: &str) -> Result<Entry, String> {
        self.scratch.numbers = Numbers::default();
        let mut event = self.read(line)?;
        if self.scratch.numbers.is_doubtful() {
            self.scratch.numbers = Numbers::of_line(line);
            event = self.read(line)?;
        }
        if event.name.is_empty()
            && let Some(operation) = self.operation(&event)
        {
            return operation.map(Entry::Operation);
        }
        self.reading.complete(event).map(Entry::Event)
    }

    fn read(&mut self, line: &str) -> Result<Event, String> {
        let mut event = Event::default();
        let mut json = serde_json::Deserializer::from_str(line);
        let scratch = &mut self.scratch;
        (scratch.reason, scratch.field) = (None, None);
        let seed = LineSeed { mapping: &self.reading.mapping, scratch: &mut *scratch, event: &mut event };
        match seed.deserialize(&mut json).and_then(|()| json.end()) {
            Ok(()) => Ok(event),
            Err(error) => Err(reason(scratch, &error)),
        }
    }

    /// The operation of a line without an event, if its type names one.
    fn operation(&self, line: &Event) -> Option<Result<Operation, String>> {
        let kind = line.properties.iter().find_map(|(name, value)| match value {
            Value::Text(kind) if name == "type" => Some(kind.as_str()),
            _ => None,
        })?;
        let names = match kind {
            "identify" => ["anonymous_id", "user_id"],
            "alias" => ["id", "to"],
            later if LATER_OPERATIONS.contains(&later) => {
                return Some(Err(format!(
                    "type: \"{later}\" is not taken by this version, expected identify or alias"
                )));
            }
            _ if self.reading.default_event.is_some() => return None,
            other => {
                return Some(Err(format!(
                    "type: \"{other}\" is not known and there is no event, expected identify or alias"
                )));
            }
        };
        Some(self.identity_operation(line, kind, names))
    }

    fn identity_operation(&self, line: &Event, kind: &str, names: [&str; 2]) -> Result<Operation, String> {
        // What an operation does not take is refused rather than lost. Its instant is its place in the log.
        let taken = |name: &str| name == "type" || names.contains(&name);
        if let Some((name, _)) = line.properties.iter().find(|(name, _)| !taken(name)) {
            return Err(format!("{name}: not taken with {kind} by this version"));
        }
        let [first, second] = names.map(|name| {
            let id = match self.reading.mapping.field_of(name) {
                Some(Field::DistinctId) => Some(line.distinct_id.clone()),
                Some(Field::MessageId) => line.message_id.clone(),
                Some(Field::SessionId) => line.session_id.clone(),
                Some(Field::Key) => line.key.clone(),
                _ => line.properties.iter().find(|(property, _)| property == name).and_then(|(_, value)| match value {
                    Value::Text(id) | Value::Number(id) => Some(id.clone()),
                    Value::Int(id) => Some(id.to_string()),
                    _ => None,
                }),
            };
            id.filter(|id| !id.trim().is_empty()).ok_or_else(|| format!("{name}: missing, blank or no text"))
        });
        let (first, second) = (first?, second?);
        Ok(match kind {
            "identify" => Operation::Identify { anonymous_id: first, user_id: second },
            _ => Operation::Alias { id: first, to: second },
        })
    }
}

/// Adds the properties of a JSON object or list to `event`.
pub(in crate::files) fn read_properties(text: &str, event: &mut Event) -> Result<(), String> {
    let known = event.properties.len();
    let mut scratch = Scratch::default();
    loop {
        let mut json = serde_json::Deserializer::from_str(text);
        let seed = PropertiesSeed { scratch: &mut scratch, event: &mut *event };
        seed.deserialize(&mut json).and_then(|()| json.end()).map_err(|error| {
            scratch.field = Some("properties");
            reason(&mut scratch, &error)
        })?;
        if !scratch.numbers.is_doubtful() {
            return Ok(());
        }
        scratch.numbers = Numbers::of_line(text);
        event.properties.truncate(known);
    }
}

/// An error of reading, as prose.
fn reason(scratch: &mut Scratch, error: &serde_json::Error) -> String {
    if let Some(reason) = scratch.reason.take() {
        return reason;
    }
    let text = error.to_string();
    // The reader sees one line at a time: its own count of lines says nothing.
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    match (error.classify(), scratch.field) {
        (serde_json::error::Category::Data, Some(field)) => format!("{field}: {message}"),
        (serde_json::error::Category::Data, None) => format!("not an event: {message}"),
        _ => format!("not JSON: {message} at column {}", error.column()),
    }
}

/// Reads the object of a line.
struct LineSeed<'a> {
    mapping: &'a Mapping,
    scratch: &'a mut Scratch,
    event: &'a mut Event,
}

/// What a key of the line is.
enum Key {
    Field(Field),
    Properties,
    /// A property, whose name is in [`Scratch::name`].
    Other,
}

struct KeySeed<'a> {
    mapping: &'a Mapping,
    name: &'a mut String,
}

impl<'de> DeserializeSeed<'de> for KeySeed<'_> {
    type Value = Key;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Key, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeySeed<'_> {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, name: &str) -> Result<Key, E> {
        if let Some(field) = self.mapping.field_of(name) {
            return Ok(Key::Field(field));
        }
        if name == "properties" {
            return Ok(Key::Properties);
        }
        self.name.clear();
        self.name.push_str(name);
        Ok(Key::Other)
    }
}

impl<'de> DeserializeSeed<'de> for LineSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LineSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { mapping, scratch, event } = self;
        let mut seen = [false; Field::ALL.len()];
        while let Some(key) = members.next_key_seed(KeySeed { mapping, name: &mut scratch.name })? {
            let field = match key {
                Key::Field(field) => field,
                Key::Properties => {
                    scratch.field = Some("properties");
                    members.next_value_seed(PropertiesSeed { scratch: &mut *scratch, event: &mut *event })?;
                    continue;
                }
                Key::Other => {
                    scratch.field = Some("properties");
                    members.next_value_seed(PropertySeed {
                        scratch: &mut *scratch,
                        event: &mut *event,
                        flatten: true,
                    })?;
                    continue;
                }
            };
            scratch.field = Some(field.as_str());
            if std::mem::replace(&mut seen[field as usize], true) {
                return Err(scratch.refuse(format!("{}: given twice", field.as_str())));
            }
            match field {
                Field::Event => event.name = members.next_value::<Option<String>>()?.unwrap_or_default(),
                Field::Timestamp => event.timestamp = members.next_value_seed(TimestampSeed(&mut *scratch))?,
                Field::DistinctId => {
                    event.distinct_id = members.next_value_seed(IdSeed(&mut *scratch))?.unwrap_or_default()
                }
                Field::MessageId => event.message_id = members.next_value_seed(IdSeed(&mut *scratch))?,
                Field::SessionId => event.session_id = members.next_value_seed(IdSeed(&mut *scratch))?,
                Field::Key => event.key = members.next_value_seed(IdSeed(&mut *scratch))?,
                Field::Context => event.context = members.next_value_seed(ContextSeed(&mut *scratch))?,
            }
        }
        Ok(())
    }
}

/// Reads an id: text, or a whole number as its text.
struct IdSeed<'a>(&'a mut Scratch);

impl<'de> DeserializeSeed<'de> for IdSeed<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for IdSeed<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a whole number")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, id: &str) -> Result<Self::Value, E> {
        Ok(Some(id.to_owned()))
    }

    fn visit_i64<E>(self, id: i64) -> Result<Self::Value, E> {
        self.0.numbers.int(id);
        Ok(Some(id.to_string()))
    }

    fn visit_u64<E>(self, id: u64) -> Result<Self::Value, E> {
        self.0.numbers.uint(id);
        Ok(Some(id.to_string()))
    }

    fn visit_f64<E: Error>(self, id: f64) -> Result<Self::Value, E> {
        match self.0.numbers.float(id) {
            Value::Number(text) => Ok(Some(text)),
            // The second reading will tell whether it is a whole number.
            _ if self.0.numbers.is_doubtful() => Ok(Some(String::new())),
            _ => Err(Error::invalid_type(serde::de::Unexpected::Float(id), &self)),
        }
    }
}

/// Reads an instant: text, or a number whose magnitude says its unit.
struct TimestampSeed<'a>(&'a mut Scratch);

impl TimestampSeed<'_> {
    fn checked<E: Error>(self, at: Result<Timestamp, String>) -> Result<Option<Timestamp>, E> {
        at.map(Some).map_err(|reason| self.0.refuse(format!("timestamp: {reason}")))
    }
}

impl<'de> DeserializeSeed<'de> for TimestampSeed<'_> {
    type Value = Option<Timestamp>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for TimestampSeed<'_> {
    type Value = Option<Timestamp>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an instant: text such as 2025-01-01T10:00:00Z or a number since 1970")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        self.checked(timestamp::from_text(text))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
        self.0.numbers.int(number);
        self.checked(Ok(timestamp::from_integer(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
        self.0.numbers.uint(number);
        let at = i64::try_from(number).map(timestamp::from_integer);
        self.checked(at.map_err(|_| format!("{number} is not an instant: too large for a number since 1970")))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
        self.0.numbers.float(number);
        self.checked(timestamp::from_float(number))
    }
}

/// Reads the context: an object as text, or the text itself.
struct ContextSeed<'a>(&'a mut Scratch);

impl<'de> DeserializeSeed<'de> for ContextSeed<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContextSeed<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        JsonText { out: &mut out, numbers: &mut self.0.numbers }.visit_map(members)?;
        Ok(Some(into_text(out)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(Error::invalid_type(serde::de::Unexpected::Seq, &self))
    }
}
