//! Message ids of rows that bring none.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use pugmark_store::{EventView, ProfileUpdate, Timestamp, ValueRef};
use sha2::{Digest, Sha256};

/// 128 bits of the SHA-256 of an event's name, distinct id, timestamp and properties.
///
/// The bytes that are hashed are frozen: another choice would let a second import of an old file add everything again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RowHash([u8; 16]);

impl RowHash {
    /// Hashes `event`; `buffer` is overwritten and spares an allocation. Properties count in the order of their names.
    pub(super) fn of(event: EventView<'_>, buffer: &mut Vec<u8>) -> Self {
        begin(buffer, event.name, event.distinct_id, event.timestamp);
        if event.properties().is_sorted_by(|a, b| a.0 <= b.0) {
            event.properties().for_each(|property| put_property(buffer, property));
        } else {
            let mut sorted: Vec<_> = event.properties().collect();
            sorted.sort_by(|a, b| a.0.cmp(b.0));
            sorted.into_iter().for_each(|property| put_property(buffer, property));
        }
        Self(first_half(buffer))
    }

    /// Hashes a change of traits, in the order in which they are changed, under an empty name, which no event has.
    pub(super) fn of_profile(update: &ProfileUpdate, buffer: &mut Vec<u8>) -> Self {
        begin(buffer, "", &update.distinct_id, update.timestamp);
        buffer.push(update.change.code());
        update.recorded().for_each(|property| put_property(buffer, property));
        Self(first_half(buffer))
    }
}

fn begin(buffer: &mut Vec<u8>, name: &str, distinct_id: &str, timestamp: Option<Timestamp>) {
    buffer.clear();
    put_text(buffer, name);
    put_text(buffer, distinct_id);
    match timestamp {
        Some(at) => {
            buffer.push(1);
            buffer.extend_from_slice(&at.as_microsecond().to_le_bytes());
        }
        None => buffer.push(0),
    }
}

fn put_property(buffer: &mut Vec<u8>, (name, value): (&str, ValueRef<'_>)) {
    put_text(buffer, name);
    match value {
        ValueRef::Bool(v) => buffer.extend_from_slice(&[0, u8::from(v)]),
        ValueRef::Int(v) => {
            buffer.push(1);
            buffer.extend_from_slice(&v.to_le_bytes());
        }
        ValueRef::Float(v) => {
            buffer.push(2);
            buffer.extend_from_slice(&v.to_bits().to_le_bytes());
        }
        ValueRef::Text(v) => {
            buffer.push(3);
            put_text(buffer, v);
        }
        ValueRef::Number(v) => {
            buffer.push(4);
            put_text(buffer, v);
        }
        ValueRef::Json(v) => {
            buffer.push(5);
            put_text(buffer, v);
        }
    }
}

fn put_text(buffer: &mut Vec<u8>, text: &str) {
    buffer.extend_from_slice(&(text.len() as u64).to_le_bytes());
    buffer.extend_from_slice(text.as_bytes());
}

fn first_half(bytes: &[u8]) -> [u8; 16] {
    let digest = Sha256::digest(bytes);
    let (half, _) = digest.as_slice().split_first_chunk().expect("invariant: a SHA-256 has 32 bytes");
    *half
}

/// Counts equal rows of one input. It keeps 12 bytes (about 20 to 40 with the room of its table) for each different row.
#[derive(Debug, Default)]
pub(super) struct Ordinals {
    /// By the first 64 bits of the hash: rows that share them have different ids all the same.
    seen: HashMap<u64, u32, FixedState>,
}

impl Ordinals {
    /// The message id of the next row with this hash: the hash itself for the first, a hash of it and the ordinal for a repeat.
    /// It has the form of a UUID, which a store keeps in 16 bytes.
    pub(super) fn message_id(&mut self, row: RowHash) -> String {
        let (short, _) = row.0.split_first_chunk().expect("invariant: 16 bytes hold 8");
        let ordinal = self.seen.entry(u64::from_le_bytes(*short)).or_insert(0);
        let id = if *ordinal == 0 {
            row.0
        } else {
            let mut bytes = [0; 20];
            bytes[..16].copy_from_slice(&row.0);
            bytes[16..].copy_from_slice(&ordinal.to_le_bytes());
            first_half(&bytes)
        };
        *ordinal = ordinal.saturating_add(1);
        uuid::Uuid::from_bytes(id).hyphenated().to_string()
    }
}

#[cfg(test)]
mod tests {
    use pugmark_store::Event;

    use super::*;

    fn purchase() -> Event {
        Event::new("purchase", "00004")
            .at("1997-01-01".parse().unwrap())
            .property("amount", 29.33)
            .property("cds", 2)
            .property("gift", true)
            .property("note", "für Max")
    }

    #[test]
    fn ids_of_rows_never_change() {
        let mut ordinals = Ordinals::default();
        let row = RowHash::of(purchase().view(), &mut Vec::new());
        assert_eq!(ordinals.message_id(row), "e870ae03-da0d-f4ec-129b-8401dc3a444f");
        assert_eq!(ordinals.message_id(row), "adc6af5f-5e5c-cc37-d2dc-7abf52a3a98b");
        assert_eq!(ordinals.message_id(row), "fc18825d-f013-82ed-d175-7b96d04fcc82");
        let update = ProfileUpdate::set("00004").with("plan", "pro").at("1997-01-01".parse().unwrap());
        let row = RowHash::of_profile(&update, &mut Vec::new());
        assert_eq!(ordinals.message_id(row), "3c3f89d3-0717-3fff-06b4-91d5bb6fe274");
    }

    #[test]
    fn equal_rows_have_one_hash_and_others_have_another() {
        let hash = |event: &Event| RowHash::of(event.view(), &mut vec![7; 3]);
        let row = hash(&purchase());
        let mut turned = purchase();
        turned.properties.reverse();
        assert_eq!(hash(&turned), row);
        let profile = |update: ProfileUpdate| RowHash::of_profile(&update, &mut vec![7; 3]);
        assert_ne!(profile(ProfileUpdate::set("u").with("a", 1)), profile(ProfileUpdate::add("u").with("a", 1)));
        assert_ne!(profile(ProfileUpdate::set("u").with("a", 1)), profile(ProfileUpdate::set("u").with("a", 2)));
        let others = [
            Event { name: "refund".into(), ..purchase() },
            Event { distinct_id: "4".into(), ..purchase() },
            Event { timestamp: None, ..purchase() },
            Event { properties: Vec::new(), ..purchase() },
            purchase().property("more", 1),
        ];
        for other in &others {
            assert_ne!(hash(other), row, "{other:?}");
        }
        let int = Event::new("a", "b").property("x", 1);
        assert_ne!(hash(&int), hash(&Event::new("a", "b").property("x", "1")));
        assert_ne!(hash(&int), hash(&Event::new("a", "b").property("x", 1.0)));
    }
}
