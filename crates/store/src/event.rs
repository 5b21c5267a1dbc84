//! What a caller appends: events and operations.

use serde_json::Value as Json;

use crate::block::PackedEvent;
use crate::id::Sequence;
use crate::limits;
use crate::outcome::Rejection;
use crate::profile::ProfileUpdate;
use crate::time::Timestamp;
use crate::value::Value;
use crate::view::{EventView, Properties, check_distinct_id, check_length, check_name};

/// One thing that somebody did.
///
/// # Example
/// ```
/// use pugmark_store::Event;
/// let event = Event::new("purchase", "user-42").property("amount", 19.9).property("currency", "EUR");
/// assert_eq!(event.properties.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event {
    /// What was done.
    pub name: String,
    /// Who did it, as the sender knows them.
    pub distinct_id: String,
    /// When it happened; the instant of receipt where the sender gave none.
    pub timestamp: Option<Timestamp>,
    /// The idempotency key: a store keeps one event for each.
    pub message_id: Option<String>,
    /// A key of the sender's domain (an order number) from which a message id is made where none is given.
    pub key: Option<String>,
    /// The sender's session.
    pub session_id: Option<String>,
    /// Flat, named values, in the order given.
    pub properties: Vec<(String, Value)>,
    /// Where it was sent from (library, page, device), a JSON object as text.
    pub context: Option<String>,
}

impl Event {
    /// An event `name` of `distinct_id`, without properties.
    pub fn new(name: impl Into<String>, distinct_id: impl Into<String>) -> Self {
        Self { name: name.into(), distinct_id: distinct_id.into(), ..Self::default() }
    }

    /// Sets when it happened.
    #[must_use]
    pub fn at(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Sets the idempotency key.
    #[must_use]
    pub fn message_id(mut self, id: impl Into<String>) -> Self {
        self.message_id = Some(id.into());
        self
    }

    /// Sets the key of the sender's domain: the message id is then made of the event's name and this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the sender's session.
    #[must_use]
    pub fn session(mut self, id: impl Into<String>) -> Self {
        self.session_id = Some(id.into());
        self
    }

    /// Adds a property.
    #[must_use]
    pub fn property(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.properties.push((name.into(), value.into()));
        self
    }

    /// Adds every member of a JSON object, flattened: `{"page": {"url": "/"}}` becomes `page.url`.
    ///
    /// `null` is left out; arrays stay as JSON text, and so do objects nested deeper than
    /// [`limits::FLATTEN_DEPTH`].
    #[must_use]
    pub fn json_properties(mut self, object: &serde_json::Map<String, Json>) -> Self {
        flatten(object, &mut self.properties);
        self
    }

    /// The message id that the sender's [`key`](Self::key) makes: the event's name in lower case with runs of white
    /// space as `_`, then `:`, then the key.
    ///
    /// # Example
    /// ```
    /// use pugmark_store::Event;
    /// let event = Event::new("Order  Paid", "u1").key("A-17");
    /// assert_eq!(event.keyed_message_id().as_deref(), Some("order_paid:A-17"));
    /// ```
    pub fn keyed_message_id(&self) -> Option<String> {
        self.view().keyed_message_id()
    }

    /// Bytes of the names and values, what the limits on events and batches count.
    pub fn size(&self) -> usize {
        self.view().size()
    }

    /// The event, borrowed.
    pub fn view(&self) -> EventView<'_> {
        let mut view = EventView {
            name: &self.name,
            distinct_id: &self.distinct_id,
            timestamp: self.timestamp,
            message_id: self.message_id.as_deref(),
            key: self.key.as_deref(),
            session_id: self.session_id.as_deref(),
            context: self.context.as_deref(),
            properties: Properties::Listed(&self.properties),
            size: 0,
            hashes: None,
        };
        view.size = view.measure();
        view
    }
}

/// Appends every member of `object` to `out` under its dotted name.
pub fn flatten(object: &serde_json::Map<String, Json>, out: &mut Vec<(String, Value)>) {
    let mut prefix = String::new();
    flatten_into(object, &mut prefix, 1, out);
}

fn flatten_into(
    object: &serde_json::Map<String, Json>,
    prefix: &mut String,
    depth: usize,
    out: &mut Vec<(String, Value)>,
) {
    for (name, value) in object {
        let outer = prefix.len();
        if !prefix.is_empty() {
            prefix.push('.');
        }
        prefix.push_str(name);
        match value {
            Json::Null => {}
            Json::Object(inner) if depth < limits::FLATTEN_DEPTH && !inner.is_empty() => {
                flatten_into(inner, prefix, depth + 1, out);
            }
            Json::Object(_) | Json::Array(_) => out.push((prefix.clone(), Value::Json(value.to_string()))),
            Json::Bool(v) => out.push((prefix.clone(), Value::Bool(*v))),
            Json::Number(v) => out.push((prefix.clone(), number(v))),
            Json::String(v) => out.push((prefix.clone(), Value::Text(v.clone()))),
        }
        prefix.truncate(outer);
    }
}

fn number(number: &serde_json::Number) -> Value {
    if let Some(int) = number.as_i64() {
        Value::Int(int)
    } else if number.is_u64() {
        Value::Number(number.to_string())
    } else {
        match number.as_f64() {
            Some(float) if float.is_finite() => Value::Float(float),
            _ => Value::Number(number.to_string()),
        }
    }
}

/// What changes answers and is no event.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Operation {
    /// The anonymous id and the user id are one person, if the rules of identity allow it.
    Identify {
        /// The id used before the person was known.
        anonymous_id: String,
        /// The id that names the person.
        user_id: String,
        /// Whether also what is kept apart is linked.
        force: bool,
    },
    /// Two ids are one person, if the rules of identity allow it.
    Alias {
        /// One id.
        id: String,
        /// The other.
        to: String,
        /// Whether also what is kept apart is linked.
        force: bool,
    },
    /// These ids are one person, whoever they are known as and whatever was split before.
    Merge {
        /// The ids: 2 to [`limits::MERGE_MAX_IDS`].
        ids: Vec<String>,
        /// Who asked for it, and why.
        note: Note,
    },
    /// Every link that touches an id is revoked, and the pairs are kept apart.
    Split {
        /// The id.
        id: String,
        /// Who asked for it, and why.
        note: Note,
    },
    /// The links of one operation are revoked, and the pairs are kept apart.
    SplitLink {
        /// The operation.
        link: SplitOf,
        /// Who asked for it, and why.
        note: Note,
    },
    /// A setting of the store has a new value; the one before stays in the log.
    Set {
        /// Its name, 1 to [`limits::NAME_MAX_BYTES`] bytes.
        name: String,
        /// Its value, JSON text of at most [`limits::SETTING_MAX_BYTES`].
        value: String,
    },
    /// Traits of somebody's profile change.
    Profile(ProfileUpdate),
    /// Something is saved under a name, or no longer is; what it was before stays in the log.
    Define {
        /// What it is, such as `segment`: 1 to [`limits::NAME_MAX_BYTES`] bytes.
        kind: String,
        /// Its name, 1 to [`limits::NAME_MAX_BYTES`] bytes.
        name: String,
        /// Its version, from 1; whoever defines gives them out.
        version: u32,
        /// It in JSON, at most [`limits::DEFINITION_MAX_BYTES`]; `None` where it is removed.
        body: Option<String>,
    },
}

/// An operation whose links are revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SplitOf {
    /// The one at a sequence.
    Sequence(Sequence),
    /// The last one that linked these ids and no others, 2 to [`limits::MERGE_MAX_IDS`].
    Ids(Vec<String>),
}

/// Who asked for an identity operation, and why: kept on record with it, for as long as nobody whom it is about is erased.
///
/// # Example
/// ```
/// use pugmark_store::Note;
/// let note = Note::by("ann@support").because("ticket 4711: two people share a tablet");
/// assert_eq!(note.by.as_deref(), Some("ann@support"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// Who, at most [`limits::REMARK_MAX_BYTES`].
    pub by: Option<String>,
    /// Why, at most [`limits::REMARK_MAX_BYTES`].
    pub why: Option<String>,
}

impl Note {
    /// By whom.
    pub fn by(who: impl Into<String>) -> Self {
        Self { by: Some(who.into()), why: None }
    }

    /// The same, and why.
    #[must_use]
    pub fn because(self, why: impl Into<String>) -> Self {
        Self { why: Some(why.into()), ..self }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        self.by.is_none() && self.why.is_none()
    }

    fn texts(&self) -> [(&'static str, Option<&str>); 2] {
        [("by", self.by.as_deref()), ("why", self.why.as_deref())]
    }
}

impl Operation {
    /// An anonymous id and the id that names the person.
    pub fn identify(anonymous_id: impl Into<String>, user_id: impl Into<String>) -> Self {
        Self::Identify { anonymous_id: anonymous_id.into(), user_id: user_id.into(), force: false }
    }

    /// Two ids of one person.
    pub fn alias(id: impl Into<String>, to: impl Into<String>) -> Self {
        Self::Alias { id: id.into(), to: to.into(), force: false }
    }

    /// Ids of one person, whoever they are known as.
    pub fn merge(ids: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::Merge { ids: ids.into_iter().map(Into::into).collect(), note: Note::default() }
    }

    /// The end of every link of an id.
    pub fn split(id: impl Into<String>) -> Self {
        Self::Split { id: id.into(), note: Note::default() }
    }

    /// The end of the links of one operation.
    pub fn split_link(link: SplitOf) -> Self {
        Self::SplitLink { link, note: Note::default() }
    }

    /// The same, linking also what is kept apart; a merge always does.
    #[must_use]
    pub fn forced(mut self) -> Self {
        if let Self::Identify { force, .. } | Self::Alias { force, .. } = &mut self {
            *force = true;
        }
        self
    }

    /// The same, with who asked for it and why: of a merge or a split, others have no room for it.
    #[must_use]
    pub fn noted(mut self, said: Note) -> Self {
        if let Self::Merge { note, .. } | Self::Split { note, .. } | Self::SplitLink { note, .. } = &mut self {
            *note = said;
        }
        self
    }

    /// Every id that it names, each under its field in the wire form.
    pub(crate) fn ids(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Identify { anonymous_id, user_id, .. } => vec![("anonymous_id", anonymous_id), ("user_id", user_id)],
            Self::Alias { id, to, .. } => vec![("id", id), ("to", to)],
            Self::Merge { ids, .. } | Self::SplitLink { link: SplitOf::Ids(ids), .. } => {
                ids.iter().map(|id| ("ids", id.as_str())).collect()
            }
            Self::Split { id, .. } => vec![("id", id)],
            Self::SplitLink { link: SplitOf::Sequence(_), .. }
            | Self::Set { .. }
            | Self::Profile(_)
            | Self::Define { .. } => Vec::new(),
        }
    }

    /// What is said about it.
    pub(crate) fn note(&self) -> Option<&Note> {
        match self {
            Self::Merge { note, .. } | Self::Split { note, .. } | Self::SplitLink { note, .. } => {
                Some(note).filter(|note| !note.is_empty())
            }
            _ => None,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Set { name, value } => name.len() + value.len(),
            Self::Profile(update) => update.size(),
            Self::Define { kind, name, body, .. } => kind.len() + name.len() + body.as_ref().map_or(0, String::len),
            _ => {
                let note =
                    self.note().map_or(0, |note| note.texts().iter().filter_map(|(_, text)| *text).map(str::len).sum());
                self.ids().iter().map(|(_, id)| id.len()).sum::<usize>() + note
            }
        }
    }

    /// `latest` is the last instant that it may carry.
    pub(crate) fn validate(&self, latest: Timestamp) -> std::result::Result<(), Rejection> {
        match self {
            Self::Profile(update) => update.validate(latest),
            Self::Set { name, value } => {
                check_name("name", name)?;
                check_json("value", value, limits::SETTING_MAX_BYTES)
            }
            Self::Define { kind, name, version, body } => {
                check_name("kind", kind)?;
                check_name("name", name)?;
                if *version == 0 {
                    return Err(Rejection::new("version", "0, versions are from 1"));
                }
                body.as_ref().map_or(Ok(()), |body| check_json("body", body, limits::DEFINITION_MAX_BYTES))
            }
            _ => {
                let ids = self.ids();
                if let Self::Merge { .. } | Self::SplitLink { link: SplitOf::Ids(_), .. } = self
                    && !(2..=limits::MERGE_MAX_IDS).contains(&ids.len())
                {
                    let why = format!("{} of them, expected 2 to {}", ids.len(), limits::MERGE_MAX_IDS);
                    return Err(Rejection::new("ids", why));
                }
                ids.into_iter().try_for_each(|(field, id)| check_distinct_id(field, id))?;
                let texts = self.note().map_or([("by", None), ("why", None)], Note::texts);
                texts.into_iter().try_for_each(|(field, text)| check_length(field, text, limits::REMARK_MAX_BYTES))
            }
        }
    }
}

fn check_json(field: &'static str, text: &str, most: usize) -> std::result::Result<(), Rejection> {
    if text.len() > most {
        return Err(Rejection::new(field, format!("{} bytes, at most {most} are allowed", text.len())));
    }
    let json = serde_json::from_str::<serde::de::IgnoredAny>(text);
    json.map(drop).map_err(|error| Rejection::new(field, format!("not JSON: {error}")))
}

/// One element of an append.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// An event.
    Event(Event),
    /// An event of an [`EventBlock`](crate::EventBlock).
    Packed(PackedEvent),
    /// An operation.
    Operation(Operation),
}

impl From<Event> for Entry {
    fn from(event: Event) -> Self {
        Self::Event(event)
    }
}

impl From<PackedEvent> for Entry {
    fn from(event: PackedEvent) -> Self {
        Self::Packed(event)
    }
}

impl From<Operation> for Entry {
    fn from(operation: Operation) -> Self {
        Self::Operation(operation)
    }
}

impl Entry {
    /// Names of the event and its properties, what [`limits::BATCH_MAX_NAMES`] counts.
    pub fn names(&self) -> usize {
        match self {
            Self::Event(event) => 1 + event.properties.len(),
            Self::Packed(event) => 1 + event.property_count(),
            Self::Operation(Operation::Profile(update)) => update.traits.len(),
            Self::Operation(_) => 0,
        }
    }

    /// How many records it makes at most.
    pub(crate) fn records(&self) -> usize {
        match self {
            Self::Operation(operation) if operation.note().is_some() => 2,
            _ => 1,
        }
    }

    /// Bytes of the names and values, what the limit on batches counts.
    pub fn size(&self) -> usize {
        match self {
            Self::Event(event) => event.size(),
            Self::Packed(event) => event.size(),
            Self::Operation(operation) => operation.size(),
        }
    }
}
