//! A chunk while rows are added to it. This is on the way of every event: names are resolved once for each batch, and a value costs a push.

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use pugmark_store::{Committed, EventRecord, MessageId, Record, Result, Sequence, ValueRef};

use super::chunk::{Chunk, Optional, Property};
use super::error;
use super::values::{Texts, Values};

/// Bytes that a row takes beside its texts and properties.
const ROW_BYTES: usize = 36;

/// A name of the batch that has not been looked up in the chunk.
const UNRESOLVED: u32 = u32::MAX;

/// Where the names of the batch at hand stand in the chunk at hand. Kept between batches for its memory.
#[derive(Debug, Default)]
pub(crate) struct Slots {
    events: Vec<u32>,
    properties: Vec<u32>,
}

impl Slots {
    fn reset(&mut self, names: usize) {
        for slots in [&mut self.events, &mut self.properties] {
            slots.clear();
            slots.resize(names, UNRESOLVED);
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Rows {
    pub(crate) sequences: Vec<u64>,
    pub(crate) events: Vec<u32>,
    pub(crate) subjects: Vec<u32>,
    pub(crate) timestamps: Vec<i64>,
    pub(crate) received: Vec<i64>,
    pub(crate) message_ids: Texts,
    pub(crate) sessions: Optional<Texts>,
    pub(crate) contexts: Optional<Texts>,
    pub(crate) event_names: Vec<Box<str>>,
    pub(crate) properties: Vec<Property<Texts>>,
}

/// Rows that are still added to.
#[derive(Debug, Default)]
pub(crate) struct OpenChunk {
    rows: Rows,
    event_numbers: HashMap<String, u32, RandomState>,
    property_numbers: HashMap<String, u32, RandomState>,
    bytes: usize,
}

impl OpenChunk {
    pub(crate) fn rows(&self) -> usize {
        self.rows.sequences.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// A copy of the rows so far, to be frozen outside of the lock.
    pub(crate) fn copy(&self) -> Rows {
        self.rows.clone()
    }

    pub(crate) fn freeze(self) -> Chunk {
        self.rows.freeze()
    }

    /// Adds the events of `batch` past the sequence `after`.
    pub(crate) fn append(&mut self, batch: &Committed<'_>, after: Sequence, slots: &mut Slots) -> Result<()> {
        let payload = batch.payload;
        slots.reset(payload.names.len());
        let first = batch.first_sequence.number();
        for (sequence, record) in (first..).zip(&payload.records) {
            if sequence <= after.number() {
                continue;
            }
            if let Record::Event(event) = record {
                self.push(sequence, event, batch, slots)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, sequence: u64, event: &EventRecord<'_>, batch: &Committed<'_>, slots: &mut Slots) -> Result<()> {
        let payload = batch.payload;
        let row = u32::try_from(self.rows()).expect("invariant: a chunk has fewer rows than 2^32");
        let number = resolve(&mut slots.events, &payload.names, event.name, sequence, |name| {
            intern(&mut self.event_numbers, name, || {
                self.rows.event_names.push(name.into());
                self.rows.event_names.len() - 1
            })
        })?;
        let rows = &mut self.rows;
        rows.sequences.push(sequence);
        rows.events.push(number);
        rows.subjects.push(event.subject);
        rows.timestamps.push(payload.base_time.wrapping_add(event.time));
        rows.received.push(payload.received_at);
        let mut bytes = ROW_BYTES;
        bytes += match event.message_id {
            MessageId::Text(text) => {
                rows.message_ids.push(text);
                text.len()
            }
            MessageId::Uuid(id) => {
                let mut text = [0; UUID_TEXT_BYTES];
                rows.message_ids.push(hyphenated(&id, &mut text));
                UUID_TEXT_BYTES
            }
        };
        for (column, text) in [(&mut rows.sessions, event.session_id), (&mut rows.contexts, event.context)] {
            if let Some(text) = text {
                column.rows.push(row);
                column.texts.push(text);
                bytes += text.len() + 8;
            }
        }
        for (name, value) in &event.properties {
            let number = resolve(&mut slots.properties, &payload.names, *name, sequence, |name| {
                intern(&mut self.property_numbers, name, || {
                    bytes += size_of::<Property<Texts>>() + 2 * name.len();
                    rows.properties.push(Property::new(name, *value));
                    rows.properties.len() - 1
                })
            })?;
            let property = rows.properties.get_mut(number as usize).expect("invariant: numbers are places");
            bytes += property.push(row, *value);
        }
        self.bytes += bytes;
        Ok(())
    }
}

fn intern(numbers: &mut HashMap<String, u32, RandomState>, name: &str, add: impl FnOnce() -> usize) -> u32 {
    *numbers
        .entry_ref(name)
        .or_insert_with(|| u32::try_from(add()).expect("invariant: a chunk has fewer names than 2^32"))
}

/// The number in the chunk of the name at `place` in the batch.
fn resolve(
    slots: &mut [u32],
    names: &[&str],
    place: u32,
    sequence: u64,
    look_up: impl FnOnce(&str) -> u32,
) -> Result<u32> {
    let (Some(slot), Some(name)) = (slots.get_mut(place as usize), names.get(place as usize)) else {
        return Err(error::corrupt(format_args!("record {sequence}"), format_args!("name {place} of {}", names.len())));
    };
    if *slot == UNRESOLVED {
        *slot = look_up(name);
    }
    Ok(*slot)
}

impl Property<Texts> {
    fn new(name: &str, first: ValueRef<'_>) -> Self {
        Self { name: name.into(), rows: Vec::new(), values: Values::for_kind(first), repeats: false }
    }

    fn push(&mut self, row: u32, value: ValueRef<'_>) -> usize {
        self.repeats |= self.rows.last() == Some(&row);
        self.rows.push(row);
        4 + self.values.push(value)
    }
}

const UUID_TEXT_BYTES: usize = 36;

fn hyphenated<'a>(id: &[u8; 16], text: &'a mut [u8; UUID_TEXT_BYTES]) -> &'a str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut at = 0;
    for (place, byte) in id.iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text[at] = b'-';
            at += 1;
        }
        text[at] = DIGITS[usize::from(byte >> 4)];
        text[at + 1] = DIGITS[usize::from(byte & 15)];
        at += 2;
    }
    std::str::from_utf8(text).expect("invariant: hexadecimal digits and hyphens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_written_as_its_display_writes_it() {
        let id = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x08];
        let mut text = [0; UUID_TEXT_BYTES];
        assert_eq!(hyphenated(&id, &mut text), MessageId::Uuid(id).to_string());
    }
}
