//! One line: an event or an operation.

use std::fmt;

use pugmark_store::{
    Event, EventBlock, EventDraft, EventView, Note, Operation, ProfileChange, ProfileUpdate, SplitOf, Timestamp, Value,
    ValueRef,
};
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::json::{JsonText, into_text};
use super::numbers::Numbers;
use super::properties::{NamesSeed, PassOver, PropertiesSeed, PropertySeed, Scratch, Traits};
use crate::files::mapping::{Field, Mapping};
use crate::files::pipeline::Reading;
use crate::files::timestamp;
use crate::group::change_group;
use crate::spec::GroupValue;

/// The types of operations of identity.
const LINK_KINDS: &str = "identify, alias, merge, split, split_link, group";
/// What can stand in a line of a profile.
const PROFILE_FIELDS: &str = "type, distinct_id, traits, timestamp and message_id";

/// What a line holds.
#[derive(Debug, PartialEq)]
pub(in crate::files) enum Line {
    /// An event, which is now the last of the block.
    Event,
    Operation(Operation),
}

/// Reads lines and keeps its buffers between them.
pub(in crate::files) struct LineParser<'m> {
    reading: &'m Reading,
    scratch: Scratch,
}

impl<'m> LineParser<'m> {
    pub(in crate::files) fn new(reading: &'m Reading) -> Self {
        Self { reading, scratch: Scratch::default() }
    }

    /// Reads one line; an event becomes the last of `block`. The error is the reason why it is refused.
    pub(in crate::files) fn parse(&mut self, line: &str, block: &mut EventBlock) -> Result<Line, String> {
        (self.scratch.traits, self.scratch.numbers) = (Traits::default(), Numbers::default());
        loop {
            let event = self.read(line, block.begin())?;
            if self.scratch.numbers.is_doubtful() {
                self.scratch.numbers = Numbers::of_line(line);
                continue;
            }
            let change = match event.name().is_empty() {
                true => kind_of(event.view()).and_then(change_of),
                false => None,
            };
            self.scratch.traits = match (self.scratch.traits, change) {
                (Traits::Of(change), _) => return profile(event.view(), change).map(Line::Operation),
                (_, Some(change)) => Traits::Of(change),
                // It is an event or something else that has traits.
                (Traits::PassedOver, None) => Traits::Property,
                _ => {
                    if event.name().is_empty()
                        && let Some(operation) = self.operation(event.view(), line)
                    {
                        return operation.map(Line::Operation);
                    }
                    return self.reading.finish(event).map(|()| Line::Event);
                }
            };
            self.scratch.numbers = Numbers::default();
        }
    }

    fn read<'b>(&mut self, line: &str, mut event: EventDraft<'b>) -> Result<EventDraft<'b>, String> {
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
    fn operation(&self, line: EventView<'_>, text: &str) -> Option<Result<Operation, String>> {
        let kind = kind_of(line)?;
        let taken: &[&str] = match kind {
            "identify" => &["anonymous_id", "user_id", "force"],
            "alias" => &["id", "to", "force"],
            "merge" | "split_link" => &["ids", "by", "why"],
            "split" => &["id", "by", "why"],
            "group" => return Some(group(text)),
            _ if self.reading.default_event.is_some() => return None,
            other => {
                return Some(Err(format!(
                    "type: \"{other}\" is not known and there is no event, expected {LINK_KINDS} or a change of traits"
                )));
            }
        };
        Some(self.identity_operation(line, kind, taken))
    }

    fn identity_operation(&self, line: EventView<'_>, kind: &str, taken: &[&str]) -> Result<Operation, String> {
        // What an operation does not take is refused rather than lost. Its instant is its place in the log.
        if let Some((name, _)) = line.properties().find(|(name, _)| *name != "type" && !taken.contains(name)) {
            return Err(format!("{name}: not taken with {kind}"));
        }
        let find = |name: &str| line.properties().find(|(property, _)| *property == name).map(|(_, value)| value);
        let id = |name: &str| {
            let id = match self.reading.mapping.field_of(name) {
                Some(Field::DistinctId) => Some(line.distinct_id.to_owned()),
                Some(Field::MessageId) => line.message_id.map(str::to_owned),
                Some(Field::SessionId) => line.session_id.map(str::to_owned),
                Some(Field::Key) => line.key.map(str::to_owned),
                _ => find(name).and_then(id_of),
            };
            id.filter(|id| !id.trim().is_empty()).ok_or_else(|| format!("{name}: missing, blank or no text"))
        };
        let ids = || match find("ids") {
            Some(ValueRef::Json(text)) => ids_in(text),
            _ => Err("ids: missing or no list".to_owned()),
        };
        let text = |name: &str| match find(name) {
            None => Ok(None),
            Some(ValueRef::Text(text)) => Ok(Some(text.to_owned())),
            Some(other) => Err(format!("{name}: {} is no text", other.to_json())),
        };
        let force = match find("force") {
            None => false,
            Some(ValueRef::Bool(force)) => force,
            Some(other) => return Err(format!("force: {} is neither true nor false", other.to_json())),
        };
        let operation = match kind {
            "identify" => Operation::identify(id("anonymous_id")?, id("user_id")?),
            "alias" => Operation::alias(id("id")?, id("to")?),
            "merge" => Operation::merge(ids()?),
            "split" => Operation::split(id("id")?),
            _ => Operation::split_link(SplitOf::Ids(ids()?)),
        };
        let operation = if force { operation.forced() } else { operation };
        Ok(operation.noted(Note { by: text("by")?, why: text("why")? }))
    }
}

/// A change of the profile of a group, read from the whole line: `traits` are set, those that are null or in `unset` taken away.
fn group(line: &str) -> Result<Operation, String> {
    use serde_json::Value;

    let Ok(Value::Object(mut fields)) = serde_json::from_str(line) else { return Err("no JSON object".to_owned()) };
    fields.remove("type");
    let property = match fields.remove("group") {
        Some(Value::String(name)) => name,
        Some(other) => return Err(format!("group: {other} is no name of a property")),
        None => return Err("group: missing, expected the name of a property".to_owned()),
    };
    let id = match fields.remove("id") {
        Some(Value::String(id)) => id,
        Some(Value::Number(id)) => GroupValue::from(id.as_f64().unwrap_or(f64::NAN)).text(),
        Some(other) => return Err(format!("id: {other} is no text or number")),
        None => return Err("id: missing".to_owned()),
    };
    let mut traits = match fields.remove("traits") {
        Some(Value::Object(traits)) => traits,
        Some(other) => return Err(format!("traits: {other} is no object")),
        None => serde_json::Map::new(),
    };
    match fields.remove("unset") {
        Some(Value::Array(names)) => {
            for name in names {
                let Value::String(name) = name else { return Err(format!("unset: {name} is no name of a trait")) };
                traits.insert(name, Value::Null);
            }
        }
        Some(other) => return Err(format!("unset: {other} is no list of names")),
        None => {}
    }
    if let Some(name) = fields.keys().next() {
        return Err(format!("{name}: not taken with group, expected group, id, traits and unset"));
    }
    change_group(&property, &id, &traits).map_err(|error| error.to_string())
}

/// An id as text.
fn id_of(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Text(id) | ValueRef::Number(id) => Some(id.to_owned()),
        ValueRef::Int(id) => Some(id.to_string()),
        _ => None,
    }
}

/// The ids of a JSON list, as text.
fn ids_in(list: &str) -> Result<Vec<String>, String> {
    let values: Vec<serde_json::Value> = serde_json::from_str(list).map_err(|_| "ids: no list of ids".to_owned())?;
    let id = |(at, value): (usize, &serde_json::Value)| match value {
        serde_json::Value::String(id) => Ok(id.clone()),
        serde_json::Value::Number(id) => Ok(id.to_string()),
        other => Err(format!("ids[{at}]: {other} is no id")),
    };
    values.iter().enumerate().map(id).collect()
}

/// A line that was read as one that changes traits.
fn profile(view: EventView<'_>, change: ProfileChange) -> Result<Operation, String> {
    let taken = [view.session_id, view.key, view.context];
    if taken.iter().any(Option::is_some) {
        return Err(format!("type: {} takes {PROFILE_FIELDS} only", kind_name(change)));
    }
    Ok(Operation::Profile(ProfileUpdate {
        distinct_id: view.distinct_id.to_owned(),
        change,
        traits: view.properties().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        timestamp: view.timestamp,
        message_id: view.message_id.map(str::to_owned),
    }))
}

/// What a line says that it is.
fn kind_of<'l>(line: EventView<'l>) -> Option<&'l str> {
    line.properties().find_map(|(name, value)| match value {
        ValueRef::Text(kind) if name == "type" => Some(kind),
        _ => None,
    })
}

const CHANGES: [(&str, ProfileChange); 6] = [
    ("set", ProfileChange::Set),
    ("set_once", ProfileChange::SetOnce),
    ("unset", ProfileChange::Unset),
    ("add", ProfileChange::Add),
    ("append", ProfileChange::Append),
    ("union", ProfileChange::Union),
];

fn change_of(kind: &str) -> Option<ProfileChange> {
    CHANGES.iter().find(|(name, _)| *name == kind).map(|(_, change)| *change)
}

/// The word by which a line calls a change of traits.
pub(in crate::files) fn kind_name(change: ProfileChange) -> &'static str {
    CHANGES.iter().find(|(_, own)| *own == change).map_or("", |(name, _)| name)
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
struct LineSeed<'a, 'b> {
    mapping: &'a Mapping,
    scratch: &'a mut Scratch,
    event: &'a mut EventDraft<'b>,
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

impl<'de> DeserializeSeed<'de> for LineSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for LineSeed<'_, '_> {
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
                    if let Traits::Of(change) = scratch.traits {
                        let kind = kind_name(change);
                        return Err(scratch.refuse(format!("properties: {kind} takes {PROFILE_FIELDS} only")));
                    }
                    scratch.field = Some("properties");
                    members.next_value_seed(PropertiesSeed { scratch: &mut *scratch, event: &mut *event })?;
                    continue;
                }
                Key::Other => {
                    if let Traits::Of(change) = scratch.traits {
                        read_of_profile(&mut members, change, scratch, event)?;
                        continue;
                    }
                    if scratch.name == "traits" && event.name().is_empty() && scratch.traits != Traits::Property {
                        members.next_value_seed(PassOver(&mut scratch.numbers))?;
                        scratch.traits = Traits::PassedOver;
                        continue;
                    }
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
                Field::Timestamp => {
                    let at = members.next_value_seed(TimestampSeed(&mut *scratch))?;
                    event.set_timestamp(at);
                }
                Field::Event => members.next_value_seed(TextSeed(&mut *event))?,
                Field::Context => members.next_value_seed(ContextSeed(&mut *scratch, &mut *event))?,
                Field::DistinctId | Field::MessageId | Field::SessionId | Field::Key => {
                    members.next_value_seed(IdSeed { field, scratch: &mut *scratch, event: &mut *event })?
                }
            }
        }
        Ok(())
    }
}

/// Reads a member of a line that changes traits, which [`Scratch::name`] names.
fn read_of_profile<'de, A: MapAccess<'de>>(
    members: &mut A,
    change: ProfileChange,
    scratch: &mut Scratch,
    event: &mut EventDraft<'_>,
) -> Result<(), A::Error> {
    match scratch.name.as_str() {
        "type" => members.next_value_seed(PassOver(&mut scratch.numbers)),
        "traits" => {
            scratch.field = Some("traits");
            match change {
                ProfileChange::Unset => members.next_value_seed(NamesSeed { scratch, event }),
                _ => members.next_value_seed(PropertiesSeed { scratch, event }),
            }
        }
        other => {
            let refusal = format!("{other}: {} takes {PROFILE_FIELDS} only", kind_name(change));
            Err(scratch.refuse(refusal))
        }
    }
}

/// Reads the event's name.
struct TextSeed<'a, 'b>(&'a mut EventDraft<'b>);

impl<'de> DeserializeSeed<'de> for TextSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for TextSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, name: &str) -> Result<(), E> {
        self.0.set_name(name);
        Ok(())
    }
}

/// Reads an id: text, or a whole number as its text.
struct IdSeed<'a, 'b> {
    field: Field,
    scratch: &'a mut Scratch,
    event: &'a mut EventDraft<'b>,
}

impl IdSeed<'_, '_> {
    fn set<E>(self, id: &str) -> Result<(), E> {
        match self.field {
            Field::DistinctId => self.event.set_distinct_id(id),
            Field::MessageId => self.event.set_message_id(Some(id)),
            Field::SessionId => self.event.set_session_id(Some(id)),
            Field::Key => self.event.set_key(Some(id)),
            Field::Event | Field::Timestamp | Field::Context => unreachable!("invariant: these fields are no ids"),
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for IdSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Visitor<'_> for IdSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a whole number")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, id: &str) -> Result<(), E> {
        self.set(id)
    }

    fn visit_i64<E>(self, id: i64) -> Result<(), E> {
        self.scratch.numbers.int(id);
        self.set(&id.to_string())
    }

    fn visit_u64<E>(self, id: u64) -> Result<(), E> {
        self.scratch.numbers.uint(id);
        self.set(&id.to_string())
    }

    fn visit_f64<E: Error>(self, id: f64) -> Result<(), E> {
        match self.scratch.numbers.float(id) {
            Value::Number(text) => self.set(&text),
            // The second reading will tell whether it is a whole number.
            _ if self.scratch.numbers.is_doubtful() => self.set(""),
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
struct ContextSeed<'a, 'b>(&'a mut Scratch, &'a mut EventDraft<'b>);

impl<'de> DeserializeSeed<'de> for ContextSeed<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContextSeed<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        self.1.set_context(Some(text));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
        let mut out = Vec::new();
        JsonText { out: &mut out, numbers: &mut self.0.numbers }.visit_map(members)?;
        self.1.set_context(Some(&into_text(out)));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Self::Value, A::Error> {
        Err(Error::invalid_type(serde::de::Unexpected::Seq, &self))
    }
}
