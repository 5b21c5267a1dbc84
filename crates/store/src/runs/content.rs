//! What tells a retry from a conflict: docs/format.md, Content hash.

use xxhash_rust::xxh3::xxh3_64;

use super::fingerprint::Fingerprint;
use crate::error::Result;
use crate::id::SubjectId;
use crate::record::{Conflict, EventRecord, Payload, Profile, ProfileChange};
use crate::time::Timestamp;
use crate::value::ValueRef;

const SEPARATOR: u8 = 0xFF;

/// In the place of a content hash: the content was erased, and whatever comes with the message id is a duplicate of it.
pub(crate) const CONTENT_GONE: u64 = 0;

/// The part of an event's content hash that its properties make: known before the event has a subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PropertiesHash(u64);

impl PropertiesHash {
    /// `bytes` is room to work in: a batch hashes all its events in one allocation.
    pub(crate) fn of<'a>(properties: impl IntoIterator<Item = (&'a str, ValueRef<'a>)>, bytes: &mut Vec<u8>) -> Self {
        let mut sum = 0_u64;
        for (name, value) in properties {
            bytes.clear();
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(SEPARATOR);
            push_value(value, bytes);
            sum = sum.wrapping_add(xxh3_64(bytes));
        }
        Self(sum)
    }

    /// The hash of the whole content; `bytes` as in [`of`](Self::of).
    pub(crate) fn content(
        self,
        name: &str,
        subject: SubjectId,
        timestamp: Option<Timestamp>,
        bytes: &mut Vec<u8>,
    ) -> u64 {
        self.content_of(name, &subject.number().to_le_bytes(), timestamp, bytes)
    }

    /// The hash of the content of an event that is kept aside: its distinct id, whose fingerprint is `sender`, may have no subject.
    pub(crate) fn content_aside(self, name: &str, sender: &Fingerprint, timestamp: Option<Timestamp>) -> u64 {
        self.content_of(name, sender.as_bytes(), timestamp, &mut Vec::new())
    }

    fn content_of(self, name: &str, who: &[u8], timestamp: Option<Timestamp>, bytes: &mut Vec<u8>) -> u64 {
        bytes.clear();
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(SEPARATOR);
        bytes.extend_from_slice(who);
        match timestamp {
            Some(at) => {
                bytes.push(1);
                bytes.extend_from_slice(&at.as_microsecond().to_le_bytes());
            }
            None => bytes.push(0),
        }
        bytes.extend_from_slice(&self.0.to_le_bytes());
        xxh3_64(bytes)
    }
}

/// The hash of an event's content.
pub(crate) fn content_hash<'a>(
    name: &str,
    subject: SubjectId,
    timestamp: Option<Timestamp>,
    properties: impl IntoIterator<Item = (&'a str, ValueRef<'a>)>,
) -> u64 {
    let mut bytes = Vec::new();
    PropertiesHash::of(properties, &mut bytes).content(name, subject, timestamp, &mut bytes)
}

/// The tags are those of docs/format.md, Records.
fn push_value(value: ValueRef<'_>, bytes: &mut Vec<u8>) {
    let mut tagged = |tag: u8, value: &[u8]| {
        bytes.push(tag);
        bytes.extend_from_slice(value);
    };
    match value {
        ValueRef::Bool(v) => tagged(0, &[u8::from(v)]),
        ValueRef::Int(v) => tagged(1, &v.to_le_bytes()),
        ValueRef::Float(v) => tagged(2, &v.to_le_bytes()),
        ValueRef::Text(v) => tagged(3, v.as_bytes()),
        ValueRef::Number(v) => tagged(4, v.as_bytes()),
        ValueRef::Json(v) => tagged(5, v.as_bytes()),
    }
}

/// That of an event as the log holds it.
///
/// # Errors
/// `Corrupt` for a record that refers to a name which its payload does not have.
pub(crate) fn content_hash_of_record(event: &EventRecord<'_>, payload: &Payload<'_>) -> Result<u64> {
    let properties = named(&event.properties, payload)?;
    let timestamp = event.time_sent.then(|| payload.time(event.time));
    Ok(content_hash(payload.name(event.name)?, SubjectId::new(event.subject), timestamp, properties))
}

/// That of a change of a profile, of traits that hash to `traits`.
pub(crate) fn content_hash_of_profile(
    change: ProfileChange,
    traits: PropertiesHash,
    subject: SubjectId,
    timestamp: Option<Timestamp>,
) -> u64 {
    let [a, b, c, d] = subject.number().to_le_bytes();
    // No event has an empty name.
    traits.content_of("", &[a, b, c, d, change.code()], timestamp, &mut Vec::new())
}

/// That of a change of a profile as the log holds it.
///
/// # Errors
/// `Corrupt` for a record that refers to a name which its payload does not have.
pub(crate) fn content_hash_of_profile_record(profile: &Profile<'_>, payload: &Payload<'_>) -> Result<u64> {
    let traits = PropertiesHash::of(named(&profile.traits, payload)?, &mut Vec::new());
    let timestamp = profile.time_sent.then(|| Timestamp::from_microsecond(profile.timestamp));
    Ok(content_hash_of_profile(profile.change, traits, SubjectId::new(profile.subject), timestamp))
}

/// That of a conflict as the log holds it.
///
/// # Errors
/// `Corrupt` for a record that refers to a name which its payload does not have.
pub(crate) fn content_hash_of_conflict(event: &Conflict<'_>, payload: &Payload<'_>) -> Result<u64> {
    let properties = PropertiesHash::of(named(&event.properties, payload)?, &mut Vec::new());
    let timestamp = event.time_sent.then(|| payload.time(event.time));
    Ok(properties.content_aside(payload.name(event.name)?, &Fingerprint::of(event.distinct_id), timestamp))
}

fn named<'a>(properties: &[(u32, ValueRef<'a>)], payload: &Payload<'a>) -> Result<Vec<(&'a str, ValueRef<'a>)>> {
    properties.iter().map(|(place, value)| Ok((payload.name(*place)?, *value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::MessageId;
    use crate::{ErrorKind, Event, Value};

    const WHO: SubjectId = SubjectId::new(258);

    fn content_hash_of_event(event: &Event, subject: SubjectId) -> u64 {
        let properties = event.properties.iter().map(|(name, value)| (name.as_str(), value.borrowed()));
        content_hash(&event.name, subject, event.timestamp, properties)
    }

    fn event() -> Event {
        Event::new("purchase", "user-42")
            .at(Timestamp::from_microsecond(1_735_689_600_000_001))
            .property("paid", true)
            .property("count", -300)
            .property("amount", 19.9)
            .property("currency", "EUR")
            .property("huge", Value::Number("9e999".to_owned()))
            .property("tags", Value::Json("[1]".to_owned()))
    }

    fn payload<'a>(base_time: i64, names: Vec<&'a str>) -> Payload<'a> {
        Payload { received_at: 0, import: None, base_time, names, subjects: vec![], records: vec![] }
    }

    fn record(event: &Event, base_time: i64) -> EventRecord<'_> {
        EventRecord {
            name: 0,
            subject: 258,
            time: event.timestamp.map_or(77, Timestamp::as_microsecond) - base_time,
            time_sent: event.timestamp.is_some(),
            message_id: MessageId::Text("m"),
            session_id: Some("session"),
            properties: (1..).zip(&event.properties).map(|(place, (_, value))| (place, value.borrowed())).collect(),
            context: Some("{}"),
        }
    }

    fn names(event: &Event) -> Vec<&str> {
        [event.name.as_str()].into_iter().chain(event.properties.iter().map(|(name, _)| name.as_str())).collect()
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let mut property = b"currency\xFF".to_vec();
        property.push(3);
        property.extend_from_slice(b"EUR");
        let mut bytes = b"buy\xFF\x02\x01\0\0\x01".to_vec();
        bytes.extend_from_slice(&5_i64.to_le_bytes());
        bytes.extend_from_slice(&xxh3_64(&property).wrapping_mul(2).to_le_bytes());
        let twice = [("currency", ValueRef::Text("EUR")); 2];
        assert_eq!(content_hash("buy", WHO, Some(Timestamp::from_microsecond(5)), twice), xxh3_64(&bytes));
        // Frozen: runs and bases hold these numbers.
        assert_eq!(content_hash_of_event(&event(), WHO), 8_291_472_561_115_069_982);
    }

    #[test]
    fn an_event_and_its_record_have_one_hash() {
        for event in [event(), Event { timestamp: None, ..event() }, Event::new("view", "u")] {
            for base_time in [0, 1_735_689_600_000_000, -5] {
                let payload = payload(base_time, names(&event));
                let of_record = content_hash_of_record(&record(&event, base_time), &payload).unwrap();
                assert_eq!(of_record, content_hash_of_event(&event, WHO), "base time {base_time}");
            }
        }
    }

    #[test]
    fn what_counts_changes_the_hash_and_nothing_else_does() {
        let first = content_hash_of_event(&event(), WHO);
        let mut reordered = event();
        reordered.properties.reverse();
        reordered.session_id = Some("s".to_owned());
        reordered.context = Some("{}".to_owned());
        reordered.message_id = Some("m".to_owned());
        assert_eq!(content_hash_of_event(&reordered, WHO), first);

        let others = [
            Event { name: "purchased".to_owned(), ..event() },
            Event { timestamp: None, ..event() },
            event().at(Timestamp::EPOCH),
            event().property("more", 1),
            Event { properties: event().properties.into_iter().skip(1).collect(), ..event() },
        ];
        for other in others {
            assert_ne!(content_hash_of_event(&other, WHO), first);
        }
        assert_ne!(content_hash_of_event(&event(), SubjectId::new(259)), first);
        let one = |value: Value| content_hash_of_event(&Event::new("e", "u").property("p", value), WHO);
        assert_ne!(one(Value::Int(1)), one(Value::Float(1.0)));
        assert_ne!(one(Value::Text("1".to_owned())), one(Value::Number("1".to_owned())));
    }

    #[test]
    fn aside_the_fingerprint_of_the_sender_stands_in_for_the_subject() {
        let sender = Fingerprint::of("user-42");
        let mut bytes = b"buy\xFF".to_vec();
        bytes.extend_from_slice(sender.as_bytes());
        bytes.push(0);
        bytes.extend_from_slice(&PropertiesHash::of([], &mut Vec::new()).0.to_le_bytes());
        assert_eq!(PropertiesHash::of([], &mut Vec::new()).content_aside("buy", &sender, None), xxh3_64(&bytes));
    }

    #[test]
    fn a_name_that_the_payload_lacks_is_corrupt() {
        let event = event();
        let error = content_hash_of_record(&record(&event, 0), &payload(0, vec!["purchase"])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
    }
}
