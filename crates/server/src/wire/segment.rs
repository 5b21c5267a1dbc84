//! The wire format of Segment, which the SDKs of RudderStack speak as well.

use pugmark::enrich::{Clock, Correction};
use pugmark::{Entry, Event, Operation, ProfileUpdate, Rejection, Timestamp, change_group};
use serde::Deserialize;
use serde_json::{Map, Value};

/// A difference of the clocks below this is the way that a message travelled, and larger ones are corrected by whole minutes: a message that is sent again, which
/// travels otherwise, is then the same one.
const CLOCK_STEP_US: i64 = 60_000_000;
/// The property of events that says of which group they are.
const GROUP: &str = "group_id";

/// A body: one message, or a batch of them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Body {
    pub(crate) batch: Option<Vec<Value>>,
    #[serde(rename = "writeKey")]
    pub(crate) write_key: Option<String>,
    #[serde(rename = "sentAt")]
    sent_at: Option<String>,
    context: Option<Map<String, Value>>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// One message, of whatever kind. Fields that nothing is made of are passed over.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Message {
    #[serde(rename = "type")]
    kind: Option<String>,
    event: Option<String>,
    name: Option<String>,
    category: Option<String>,
    user_id: Id,
    anonymous_id: Id,
    previous_id: Id,
    group_id: Id,
    message_id: Option<String>,
    timestamp: Option<String>,
    original_timestamp: Option<String>,
    sent_at: Option<String>,
    context: Option<Map<String, Value>>,
    properties: Option<Map<String, Value>>,
    traits: Option<Map<String, Value>>,
}

/// An id, which some send as a number.
#[derive(Debug, Default, Clone, PartialEq)]
struct Id(Option<String>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Value::deserialize(deserializer)? {
            Value::Null => None,
            Value::String(id) => Some(id).filter(|id| !id.trim().is_empty()),
            Value::Number(id) => Some(id.to_string()),
            other => return Err(serde::de::Error::custom(format!("{other} is no id"))),
        }))
    }
}

impl Body {
    /// The messages of the body; one that stands alone is of the kind that its address says.
    pub(crate) fn messages(self, kind: Option<&str>) -> Messages {
        let Self { batch, sent_at, context, rest, .. } = self;
        let values = batch.unwrap_or_else(|| {
            let mut one = rest;
            if let Some(kind) = kind {
                one.insert("type".to_owned(), kind.into());
            }
            if let Some(context) = context.clone() {
                one.insert("context".to_owned(), context.into());
            }
            vec![Value::Object(one)]
        });
        Messages { values, sent_at, context }
    }
}

/// Messages, and what the body says of all of them.
pub(crate) struct Messages {
    values: Vec<Value>,
    sent_at: Option<String>,
    context: Option<Map<String, Value>>,
}

/// The entries of one message, or why there are none.
pub(crate) type Entries = Result<Vec<Entry>, Rejection>;

impl Messages {
    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// How long the context is that the body has for all messages.
    pub(crate) fn context_bytes(&self) -> usize {
        let written = self.context.as_ref().map(serde_json::to_vec);
        written.and_then(Result::ok).map_or(0, |bytes| bytes.len())
    }

    /// What is to be stored of each message, received at this instant.
    pub(crate) fn entries(self, received_at: Timestamp) -> impl Iterator<Item = Entries> {
        let Self { values, sent_at, context } = self;
        values.into_iter().map(move |value| {
            let mut message = Message::deserialize(value).map_err(|error| Rejection::new("", error.to_string()))?;
            if message.context.is_none() {
                message.context = context.clone();
            }
            if message.sent_at.is_none() {
                message.sent_at.clone_from(&sent_at);
            }
            message.entries(received_at)
        })
    }
}

impl Message {
    fn entries(mut self, received_at: Timestamp) -> Entries {
        let at = self.happened_at(received_at)?;
        let kind = self.kind.take().unwrap_or_default();
        let name = match kind.as_str() {
            "track" => match self.event.take().filter(|name| !name.trim().is_empty()) {
                Some(name) => name,
                None => return Err(Rejection::new("event", "missing or blank")),
            },
            "page" | "screen" | "group" => kind.clone(),
            "identify" => return self.identified(at),
            "alias" => {
                let (previous, user) = (self.previous_id.0.take(), self.user_id.0.take());
                let previous = previous.or_else(|| self.anonymous_id.0.take());
                return match (previous, user) {
                    (Some(previous), Some(user)) => Ok(vec![Operation::alias(previous, user).into()]),
                    (None, _) => Err(Rejection::new("previousId", "missing or blank")),
                    (_, None) => Err(Rejection::new("userId", "missing or blank")),
                };
            }
            "" => {
                return Err(Rejection::new("type", "missing, expected track, identify, page, screen, group or alias"));
            }
            other => {
                let reason =
                    format!("\"{other}\" is not known, expected track, identify, page, screen, group or alias");
                return Err(Rejection::new("type", reason));
            }
        };
        let mut event = Event::new(name, self.sender()).json_properties(&self.properties.take().unwrap_or_default());
        (event.timestamp, event.message_id) = (at, self.message_id.take());
        if kind != "track" {
            let own = [("name", self.name.take()), ("category", self.category.take())];
            event =
                own.into_iter().filter_map(|(name, value)| Some((name, value?))).fold(event, |event, (name, value)| {
                    let is_there = event.properties.iter().any(|(own, _)| own == name);
                    if is_there { event } else { event.property(name, value) }
                });
        }
        let group = self.group_id.0.take().or_else(|| self.text_in_context("groupId"));
        let mut entries = Vec::new();
        if let Some(group) = group {
            if kind == "group"
                && let Some(traits) = self.traits.take().filter(|traits| !traits.is_empty())
            {
                let changed = change_group(GROUP, &group, &traits);
                entries.push(changed.map_err(|error| Rejection::new("groupId", error.to_string()))?.into());
            }
            if event.properties.iter().all(|(name, _)| name != GROUP) {
                event = event.property(GROUP, group);
            }
        } else if kind == "group" {
            return Err(Rejection::new("groupId", "missing or blank"));
        }
        event.context = self.context.take().map(|context| Value::Object(context).to_string());
        entries.insert(0, event.into());
        Ok(entries)
    }

    /// An `identify`: the link, and the traits.
    fn identified(mut self, at: Option<Timestamp>) -> Entries {
        let sender = self.sender();
        let mut entries = Vec::new();
        if let Some(user) = self.user_id.0.take() {
            // Without another id it says that this one is somebody's own.
            let from = self.anonymous_id.0.take().unwrap_or_else(|| user.clone());
            entries.push(Operation::identify(from, user).into());
        }
        if sender.is_empty() {
            return Err(Rejection::new("userId", "missing or blank, and no anonymousId"));
        }
        let traits = self.traits.take().or_else(|| match self.context.as_mut()?.remove("traits")? {
            Value::Object(traits) => Some(traits),
            _ => None,
        });
        let traits = Event::new("", "").json_properties(&traits.unwrap_or_default()).properties;
        if !traits.is_empty() {
            let mut update = ProfileUpdate::set(sender);
            (update.traits, update.timestamp, update.message_id) = (traits, at, self.message_id.take());
            entries.push(Operation::Profile(update).into());
        }
        Ok(entries)
    }

    /// Whose it is; blank where nobody is named.
    fn sender(&self) -> String {
        self.user_id.0.as_ref().or(self.anonymous_id.0.as_ref()).cloned().unwrap_or_default()
    }

    fn text_in_context(&self, name: &str) -> Option<String> {
        self.context.as_ref()?.get(name)?.as_str().map(str::to_owned)
    }

    /// When it happened, by our clock; the instant of receipt, which is `None`, where the sender's tells nothing.
    fn happened_at(&self, received_at: Timestamp) -> Result<Option<Timestamp>, Rejection> {
        let read = |field: &str, text: &Option<String>| {
            let parsed = text.as_deref().map(|text| text.parse::<Timestamp>());
            parsed.transpose().map_err(|error| Rejection::new(field, error.to_string()))
        };
        let given = match read("timestamp", &self.timestamp)? {
            None => read("originalTimestamp", &self.original_timestamp)?,
            given => given,
        };
        let Some(given) = given else { return Ok(None) };
        // A clock that cannot be read is none.
        let sent_at = read("sentAt", &self.sent_at).unwrap_or_default();
        let received_us = received_at.as_microsecond();
        let off_by = sent_at.map_or(0, |sent_at| received_us - sent_at.as_microsecond());
        let off_by = (off_by + off_by.signum() * CLOCK_STEP_US / 2) / CLOCK_STEP_US * CLOCK_STEP_US;
        let corrected = Clock::default().correct(Some(given.as_microsecond()), Some(received_us - off_by), received_us);
        Ok(match corrected.correction {
            Correction::None | Correction::Offset(_) => Some(Timestamp::from_microsecond(corrected.timestamp)),
            Correction::Missing | Correction::Future | Correction::Ancient => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const NOW: &str = "2026-01-01T12:00:00Z";

    fn made(kind: Option<&str>, body: Value) -> Vec<Entries> {
        let body: Body = serde_json::from_value(body).unwrap();
        body.messages(kind).entries(NOW.parse().unwrap()).collect()
    }

    fn told(kind: Option<&str>, body: Value) -> String {
        let shown = |entry: &Entry| match entry {
            Entry::Event(event) => {
                let at = event.timestamp.map_or("-".to_owned(), |at| at.to_string());
                let properties: Vec<String> = event
                    .properties
                    .iter()
                    .map(|(name, value)| format!("{name}={}", value.borrowed().to_json()))
                    .collect();
                format!(
                    "{} {} {at} {} [{}]",
                    event.name,
                    event.distinct_id,
                    event.message_id.as_deref().unwrap_or("-"),
                    properties.join(" ")
                )
            }
            Entry::Operation(Operation::Profile(update)) => {
                let traits: Vec<&str> = update.traits.iter().map(|(name, _)| name.as_str()).collect();
                format!(
                    "set {} [{}] {}",
                    update.distinct_id,
                    traits.join(" "),
                    update.message_id.as_deref().unwrap_or("-")
                )
            }
            other => format!("{other:?}"),
        };
        let entries = made(kind, body);
        let all: Vec<String> = entries
            .into_iter()
            .map(|entries| {
                entries
                    .map_or_else(|why| format!("! {why}"), |all| all.iter().map(shown).collect::<Vec<_>>().join("; "))
            })
            .collect();
        all.join("\n")
    }

    #[test]
    fn a_track_is_an_event_of_the_user_or_else_of_the_anonymous_id() {
        let track = json!({"event": "Paid", "userId": "u", "anonymousId": "a", "messageId": "m1", "timestamp": "2026-01-01T10:00:00Z",
            "properties": {"total": 5, "cart": {"items": 2}}, "integrations": {"All": true}, "channel": "server"});
        assert_eq!(told(Some("track"), track), "Paid u 2026-01-01T10:00:00Z m1 [total=5 cart.items=2]");
        assert_eq!(told(Some("track"), json!({"event": "x", "anonymousId": 7})), "x 7 - - []");
        assert_eq!(told(Some("track"), json!({"userId": "u"})), "! event: missing or blank");
        assert_eq!(
            told(Some("page"), json!({"userId": "u", "name": "Home", "properties": {"url": "/"}})),
            "page u - - [url=\"/\" name=\"Home\"]"
        );
        let screen = json!({"userId": "u", "name": "Cart", "category": "shop", "properties": {"name": "own"}});
        assert_eq!(told(Some("screen"), screen), "screen u - - [name=\"own\" category=\"shop\"]");
    }

    #[test]
    fn an_identify_links_and_sets_traits() {
        let identify = json!({"userId": "u", "anonymousId": "a", "messageId": "m", "traits": {"plan": "pro", "address": {"city": "x"}}});
        let made = told(Some("identify"), identify);
        assert!(made.starts_with("Operation(Identify"), "{made}");
        assert!(made.ends_with("; set u [plan address.city] m"), "{made}");
        assert!(!told(Some("identify"), json!({"userId": "u"})).contains(';'));
        assert_eq!(told(Some("identify"), json!({"anonymousId": "a", "traits": {"x": 1}})), "set a [x] -");
        assert_eq!(
            told(Some("identify"), json!({"traits": {"x": 1}})),
            "! userId: missing or blank, and no anonymousId"
        );
    }

    #[test]
    fn groups_and_aliases() {
        let group = json!({"userId": "u", "groupId": "acme", "traits": {"plan": "pro"}});
        let made = told(Some("group"), group);
        assert!(made.starts_with("group u - - [group_id=\"acme\"]; Operation(Define"), "{made}");
        assert_eq!(told(Some("group"), json!({"userId": "u"})), "! groupId: missing or blank");
        assert!(told(Some("alias"), json!({"previousId": "a", "userId": "u"})).starts_with("Operation(Alias"));
        assert_eq!(told(Some("alias"), json!({"userId": "u"})), "! previousId: missing or blank");
        let in_context = json!({"event": "x", "userId": "u", "context": {"groupId": "acme"}});
        assert_eq!(told(Some("track"), in_context), "x u - - [group_id=\"acme\"]");
    }

    #[test]
    fn a_batch_gives_its_clock_and_context_to_each_message() {
        let batch = json!({"batch": [
            {"type": "track", "event": "x", "userId": "u", "timestamp": "2026-01-01T12:59:50Z"},
            {"type": "nonsense"}, {"userId": "u"}, 7, {"type": "track", "event": "y", "userId": ["u"]},
        ], "sentAt": "2026-01-01T13:00:00Z", "writeKey": "k"});
        let made = told(None, batch);
        let lines: Vec<&str> = made.lines().collect();
        assert_eq!(lines[0], "x u 2026-01-01T11:59:50Z - []");
        assert!(lines[1].starts_with("! type: \"nonsense\"") && lines[2].starts_with("! type: missing"), "{made}");
        assert!(lines[3].starts_with("! ") && lines[4].contains("is no id"), "{made}");
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn a_clock_is_corrected_by_whole_minutes_and_a_retry_is_the_same() {
        let at = |timestamp: &str, sent_at: &str| {
            told(Some("track"), json!({"event": "x", "userId": "u", "timestamp": timestamp, "sentAt": sent_at}))
        };
        // Twenty seconds on the way are no difference of clocks.
        assert_eq!(at("2026-01-01T11:00:00Z", "2026-01-01T11:59:40Z"), "x u 2026-01-01T11:00:00Z - []");
        // An hour behind, and a second attempt that took a while longer.
        for sent_at in ["2026-01-01T10:59:59Z", "2026-01-01T11:00:12Z"] {
            assert_eq!(at("2026-01-01T10:30:00Z", sent_at), "x u 2026-01-01T11:30:00Z - []");
        }
        // The future is of the instant of receipt.
        assert_eq!(at("2026-01-01T13:00:00Z", "2026-01-01T12:00:00Z"), "x u - - []");
        assert_eq!(at("2026-01-01T11:00:00Z", "yesterday"), "x u 2026-01-01T11:00:00Z - []");
        assert!(at("yesterday", "").contains("\"yesterday\" is not an instant"), "{}", at("yesterday", ""));
    }
}
