//! An event as a reader sees it, wherever it lies.

use crate::block::PackedProperty;
use crate::event::Event;
use crate::hashes::Hashes;
use crate::limits;
use crate::outcome::Rejection;
use crate::time::Timestamp;
use crate::value::{Value, ValueRef};

/// Bytes that a message id counts for where the store makes it.
pub(crate) const MADE_ID_BYTES: usize = 16;

/// An [`Event`] whose texts are borrowed.
#[derive(Debug, Clone, Copy)]
pub struct EventView<'a> {
    /// See [`Event::name`].
    pub name: &'a str,
    /// See [`Event::distinct_id`].
    pub distinct_id: &'a str,
    /// See [`Event::timestamp`].
    pub timestamp: Option<Timestamp>,
    /// See [`Event::message_id`].
    pub message_id: Option<&'a str>,
    /// See [`Event::key`].
    pub key: Option<&'a str>,
    /// See [`Event::session_id`].
    pub session_id: Option<&'a str>,
    /// See [`Event::context`].
    pub context: Option<&'a str>,
    pub(crate) properties: Properties<'a>,
    pub(crate) size: usize,
    /// Of an event that is part of a block.
    pub(crate) hashes: Option<&'a Hashes>,
}

/// The properties of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Properties<'a> {
    Listed(&'a [(String, Value)]),
    /// With the text that they lie in.
    Packed(&'a str, &'a [PackedProperty]),
}

impl<'a> Properties<'a> {
    fn len(self) -> usize {
        match self {
            Self::Listed(list) => list.len(),
            Self::Packed(_, list) => list.len(),
        }
    }

    fn at(self, place: usize) -> (&'a str, ValueRef<'a>) {
        match self {
            Self::Listed(list) => {
                let (name, value) = &list[place];
                (name, value.borrowed())
            }
            Self::Packed(text, list) => list[place].view(text),
        }
    }
}

impl<'a> EventView<'a> {
    /// Flat, named values, in the order given.
    pub fn properties(self) -> impl ExactSizeIterator<Item = (&'a str, ValueRef<'a>)> + Clone {
        (0..self.properties.len()).map(move |place| self.properties.at(place))
    }

    /// Adds the properties to `to`, in the order given, with what `number_of` makes of the place and name of each.
    pub(crate) fn numbered(self, to: &mut Vec<(u32, ValueRef<'a>)>, mut number_of: impl FnMut(usize, &'a str) -> u32) {
        match self.properties {
            Properties::Listed(list) => {
                to.extend((0..).zip(list).map(|(at, (name, value))| (number_of(at, name), value.borrowed())));
            }
            Properties::Packed(text, list) => {
                for (at, property) in list.iter().enumerate() {
                    property.put_value(text, number_of(at, property.name(text)), to);
                }
            }
        }
    }

    /// Bytes of the names and values, what the limits on events and batches count.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Counts what [`size`](Self::size) says.
    pub(crate) fn measure(&self) -> usize {
        let properties: usize = self.properties().map(|(name, value)| name.len() + value_size(value)).sum();
        self.name.len()
            + self.distinct_id.len()
            + self.message_id.map_or(MADE_ID_BYTES, str::len)
            + self.key.map_or(0, str::len)
            + self.session_id.map_or(0, str::len)
            + self.context.map_or(0, str::len)
            + properties
    }

    /// The message id that the sender's [`key`](Event::key) makes: the event's name in lower case with runs of white
    /// space as `_`, then `:`, then the key.
    pub fn keyed_message_id(&self) -> Option<String> {
        let key = self.key?;
        let name: Vec<String> = self.name.split_whitespace().map(str::to_lowercase).collect();
        Some(format!("{}:{key}", name.join("_")))
    }

    /// A copy that owns its texts.
    pub fn to_event(&self) -> Event {
        Event {
            name: self.name.to_owned(),
            distinct_id: self.distinct_id.to_owned(),
            timestamp: self.timestamp,
            message_id: self.message_id.map(str::to_owned),
            key: self.key.map(str::to_owned),
            session_id: self.session_id.map(str::to_owned),
            properties: self.properties().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            context: self.context.map(str::to_owned),
        }
    }

    /// Says why this event may not be stored, if so; `latest` is the last instant that an event may carry.
    pub(crate) fn validate(&self, latest: Timestamp) -> std::result::Result<(), Rejection> {
        check_name("event", self.name)?;
        check_distinct_id("distinct_id", self.distinct_id)?;
        check_instant(self.timestamp, latest)?;
        check_length("message_id", self.message_id, limits::MESSAGE_ID_MAX_BYTES)?;
        check_length("session_id", self.session_id, limits::SESSION_ID_MAX_BYTES)?;
        if self.properties.len() > limits::PROPERTIES_MAX {
            return Err(Rejection::new(
                "properties",
                format!("{} of them, at most {} are allowed", self.properties.len(), limits::PROPERTIES_MAX),
            ));
        }
        for (name, value) in self.properties() {
            check_name("properties", name)?;
            check_value("properties", name, value)?;
        }
        if self.size > limits::EVENT_MAX_BYTES {
            return Err(Rejection::new(
                "event",
                format!("{} bytes, at most {} are allowed", self.size, limits::EVENT_MAX_BYTES),
            ));
        }
        Ok(())
    }
}

impl PartialEq for EventView<'_> {
    fn eq(&self, other: &Self) -> bool {
        (self.name, self.distinct_id, self.timestamp) == (other.name, other.distinct_id, other.timestamp)
            && (self.message_id, self.key) == (other.message_id, other.key)
            && (self.session_id, self.context) == (other.session_id, other.context)
            && self.properties().eq(other.properties())
    }
}

/// `latest` is the last instant that is allowed.
pub(crate) fn check_instant(at: Option<Timestamp>, latest: Timestamp) -> std::result::Result<(), Rejection> {
    match at {
        Some(at) if !(Timestamp::EPOCH..=latest).contains(&at) => {
            let why = format!("{at} lies outside {} to {latest}, 24 h past now", Timestamp::EPOCH);
            Err(Rejection::new("timestamp", why))
        }
        _ => Ok(()),
    }
}

/// Checks the value of `name` in the object that is called `field`.
pub(crate) fn check_value(field: &str, name: &str, value: ValueRef<'_>) -> std::result::Result<(), Rejection> {
    match value {
        ValueRef::Float(number) if !number.is_finite() => {
            Err(Rejection::new(format!("{field}.{name}"), format!("{number} is not a finite number")))
        }
        _ => Ok(()),
    }
}

pub(crate) fn value_size(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Bool(_) => 1,
        ValueRef::Int(_) | ValueRef::Float(_) => 8,
        ValueRef::Text(text) | ValueRef::Number(text) | ValueRef::Json(text) => text.len(),
    }
}

/// Whether there is nothing but white space. Nearly every name begins with a letter, which tells at once.
fn is_blank(text: &str) -> bool {
    !text.as_bytes().first().is_some_and(u8::is_ascii_graphic) && text.trim().is_empty()
}

pub(crate) fn check_name(field: &str, name: &str) -> std::result::Result<(), Rejection> {
    if is_blank(name) {
        return Err(Rejection::new(field, "a name is missing or blank"));
    }
    if name.len() > limits::NAME_MAX_BYTES {
        return Err(Rejection::new(
            field,
            format!("a name of {} bytes, at most {} are allowed", name.len(), limits::NAME_MAX_BYTES),
        ));
    }
    Ok(())
}

pub(crate) fn check_distinct_id(field: &str, id: &str) -> std::result::Result<(), Rejection> {
    if is_blank(id) {
        return Err(Rejection::new(field, "missing or blank"));
    }
    check_length(field, Some(id), limits::DISTINCT_ID_MAX_BYTES)
}

pub(crate) fn check_length(field: &str, text: Option<&str>, max: usize) -> std::result::Result<(), Rejection> {
    match text {
        Some(text) if text.len() > max => {
            Err(Rejection::new(field, format!("{} bytes, at most {max} are allowed", text.len())))
        }
        Some("") => Err(Rejection::new(field, "empty")),
        _ => Ok(()),
    }
}
