//! Many events in few allocations.

use std::sync::Arc;

use crate::event::Event;
use crate::hashes::Hashes;
use crate::runs::Fingerprint;
use crate::time::Timestamp;
use crate::value::ValueRef;
use crate::view::{EventView, MADE_ID_BYTES, Properties};

/// Where a text lies in a block's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Span {
    start: u32,
    end: u32,
}

impl Span {
    #[inline]
    fn len(self) -> usize {
        (self.end - self.start) as usize
    }

    #[inline]
    fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize)
            .expect("invariant: a span lies in the text that it was made for")
    }
}

/// A value whose text lies in a block's text.
#[derive(Debug, Clone, Copy)]
enum Cell {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Span),
    Number(Span),
    Json(Span),
}

/// A property of a packed event: name and value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedProperty(Span, Cell);

impl PackedProperty {
    #[inline]
    pub(crate) fn view<'a>(&self, text: &'a str) -> (&'a str, ValueRef<'a>) {
        let value = match self.1 {
            Cell::Bool(v) => ValueRef::Bool(v),
            Cell::Int(v) => ValueRef::Int(v),
            Cell::Float(v) => ValueRef::Float(v),
            Cell::Text(span) => ValueRef::Text(span.of(text)),
            Cell::Number(span) => ValueRef::Number(span.of(text)),
            Cell::Json(span) => ValueRef::Json(span.of(text)),
        };
        (self.name(text), value)
    }

    #[inline]
    pub(crate) fn name<'a>(&self, text: &'a str) -> &'a str {
        self.0.of(text)
    }

    /// Adds the value to `to`. Each kind goes there straight: a value of any kind goes through memory, and every event has many.
    #[inline]
    pub(crate) fn put_value<'a>(&self, text: &'a str, name: u32, to: &mut Vec<(u32, ValueRef<'a>)>) {
        match self.1 {
            Cell::Bool(v) => to.push((name, ValueRef::Bool(v))),
            Cell::Int(v) => to.push((name, ValueRef::Int(v))),
            Cell::Float(v) => to.push((name, ValueRef::Float(v))),
            Cell::Text(span) => to.push((name, ValueRef::Text(span.of(text)))),
            Cell::Number(span) => to.push((name, ValueRef::Number(span.of(text)))),
            Cell::Json(span) => to.push((name, ValueRef::Json(span.of(text)))),
        }
    }
}

/// One event of a block: its fields but for the properties, and which properties are its own.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    name: Span,
    distinct_id: Span,
    timestamp: Option<Timestamp>,
    message_id: Option<Span>,
    key: Option<Span>,
    session_id: Option<Span>,
    context: Option<Span>,
    properties: Span,
    /// [`EventView::size`]; known once the event is complete.
    size: u32,
    /// Known from then on, too.
    hashes: Option<Hashes>,
}

impl Head {
    /// [`EventView::size`], of the lengths alone.
    fn measure(&self, properties: &[PackedProperty]) -> u32 {
        let own = properties.get(self.properties.start as usize..self.properties.end as usize);
        let length = |span: Option<Span>| span.map_or(0, Span::len);
        let fields = self.name.len()
            + self.distinct_id.len()
            + self.message_id.map_or(MADE_ID_BYTES, Span::len)
            + length(self.key)
            + length(self.session_id)
            + length(self.context);
        let values = own.unwrap_or_default().iter().map(|PackedProperty(name, cell)| {
            name.len()
                + match cell {
                    Cell::Bool(_) => 1,
                    Cell::Int(_) | Cell::Float(_) => 8,
                    Cell::Text(text) | Cell::Number(text) | Cell::Json(text) => text.len(),
                }
        });
        count(fields + values.sum::<usize>())
    }

    #[inline]
    fn view<'a>(&'a self, text: &'a str, properties: &'a [PackedProperty]) -> EventView<'a> {
        let own = self.properties.start as usize..self.properties.end as usize;
        let properties = properties.get(own).expect("invariant: an event's properties are in its block");
        EventView {
            name: self.name.of(text),
            distinct_id: self.distinct_id.of(text),
            timestamp: self.timestamp,
            message_id: self.message_id.map(|span| span.of(text)),
            key: self.key.map(|span| span.of(text)),
            session_id: self.session_id.map(|span| span.of(text)),
            context: self.context.map(|span| span.of(text)),
            properties: Properties::Packed(text, properties),
            size: self.size as usize,
            hashes: self.hashes.as_ref(),
        }
    }
}

/// Events whose texts lie one after the other in one string: thousands of them cost a handful of allocations, where each [`Event`] costs one
/// for every name and text.
///
/// # Panics
/// Adding to a block panics once its texts together exceed 4 GiB.
///
/// # Example
/// ```
/// use pugmark_store::{Entry, EventBlock, Options, Outcome, Store, ValueRef};
/// let mut block = EventBlock::default();
/// for amount in [19.9, 5.0] {
///     let mut event = block.begin();
///     event.set_name("purchase");
///     event.set_distinct_id("user-42");
///     event.push_property("amount", ValueRef::Float(amount));
///     event.finish();
/// }
/// let dir = tempfile::tempdir()?;
/// let store = Store::open(dir.path(), Options::default(), Vec::new())?;
/// let outcomes = store.append(block.into_events().map(Entry::Packed).collect())?;
/// assert!(matches!(outcomes[..], [Outcome::Accepted(_), Outcome::Accepted(_)]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct EventBlock {
    text: String,
    heads: Vec<Head>,
    properties: Vec<PackedProperty>,
    /// Room to work in.
    hashed: Vec<u8>,
}

impl EventBlock {
    /// A block with room for texts of `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        // An event has a few dozen bytes at least, most of them in its properties.
        let (heads, properties) = (Vec::with_capacity(bytes / 128), Vec::with_capacity(bytes / 32));
        Self { text: String::with_capacity(bytes), heads, properties, hashed: Vec::new() }
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.heads.len()
    }

    /// Whether it holds no event.
    pub fn is_empty(&self) -> bool {
        self.heads.is_empty()
    }

    /// Bytes of all texts.
    pub fn text_bytes(&self) -> usize {
        self.text.len()
    }

    /// Begins an event, which belongs to the block once it is [finished](EventDraft::finish); dropped before, it leaves nothing behind.
    pub fn begin(&mut self) -> EventDraft<'_> {
        let properties = count(self.properties.len());
        let head = Head { properties: Span { start: properties, end: properties }, ..Head::default() };
        EventDraft { text_before: self.text.len(), head, finished: false, block: self }
    }

    /// Adds a copy of `event`.
    pub fn push(&mut self, event: &Event) {
        let mut draft = self.begin();
        draft.set_name(&event.name);
        draft.set_distinct_id(&event.distinct_id);
        draft.set_timestamp(event.timestamp);
        draft.set_message_id(event.message_id.as_deref());
        draft.set_key(event.key.as_deref());
        draft.set_session_id(event.session_id.as_deref());
        draft.set_context(event.context.as_deref());
        for (name, value) in &event.properties {
            draft.push_property(name, value.borrowed());
        }
        draft.finish();
    }

    /// The event at `place`, counted from 0.
    pub fn event(&self, place: usize) -> Option<EventView<'_>> {
        Some(self.heads.get(place)?.view(&self.text, &self.properties))
    }

    /// Whether the event at `place` has an idempotency key, or a key from which one is made.
    pub fn has_id(&self, place: usize) -> bool {
        self.heads.get(place).is_some_and(|head| head.message_id.is_some() || head.key.is_some())
    }

    /// Sets the idempotency key of the event at `place`; nothing happens where there is none.
    pub fn set_message_id(&mut self, place: usize, id: &str) {
        let span = self.put(id);
        if let Some(head) = self.heads.get_mut(place) {
            head.message_id = Some(span);
            head.size = head.measure(&self.properties);
            if let Some(hashes) = &mut head.hashes {
                hashes.message_id = Some(Fingerprint::of(id));
            }
        }
    }

    /// The events in the order in which they were finished, to be appended.
    pub fn into_events(self) -> impl ExactSizeIterator<Item = PackedEvent> {
        let events = count(self.heads.len());
        let block = Arc::new(self);
        (0..events).map(move |place| PackedEvent { block: Arc::clone(&block), place })
    }

    fn put(&mut self, text: &str) -> Span {
        let start = count(self.text.len());
        self.text.push_str(text);
        Span { start, end: count(self.text.len()) }
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).expect("a block holds at most 4 GiB of text")
}

/// An event of a block that is being put together.
#[derive(Debug)]
pub struct EventDraft<'b> {
    block: &'b mut EventBlock,
    head: Head,
    text_before: usize,
    finished: bool,
}

impl EventDraft<'_> {
    /// Sets what was done.
    pub fn set_name(&mut self, name: &str) {
        self.head.name = self.block.put(name);
    }

    /// Sets who did it.
    pub fn set_distinct_id(&mut self, id: &str) {
        self.head.distinct_id = self.block.put(id);
    }

    /// Sets when it happened.
    pub fn set_timestamp(&mut self, timestamp: Option<Timestamp>) {
        self.head.timestamp = timestamp;
    }

    /// Sets the idempotency key.
    pub fn set_message_id(&mut self, id: Option<&str>) {
        self.head.message_id = id.map(|id| self.block.put(id));
    }

    /// Sets the key of the sender's domain.
    pub fn set_key(&mut self, key: Option<&str>) {
        self.head.key = key.map(|key| self.block.put(key));
    }

    /// Sets the sender's session.
    pub fn set_session_id(&mut self, id: Option<&str>) {
        self.head.session_id = id.map(|id| self.block.put(id));
    }

    /// Sets where it was sent from, a JSON object as text.
    pub fn set_context(&mut self, context: Option<&str>) {
        self.head.context = context.map(|context| self.block.put(context));
    }

    /// Adds a property.
    pub fn push_property(&mut self, name: &str, value: ValueRef<'_>) {
        // Events of one sender mostly have the names of the one before, in its order.
        let name = match self.repeated_name(name) {
            Some(span) => span,
            None => self.block.put(name),
        };
        let cell = match value {
            ValueRef::Bool(v) => Cell::Bool(v),
            ValueRef::Int(v) => Cell::Int(v),
            ValueRef::Float(v) => Cell::Float(v),
            ValueRef::Text(v) => Cell::Text(self.block.put(v)),
            ValueRef::Number(v) => Cell::Number(self.block.put(v)),
            ValueRef::Json(v) => Cell::Json(self.block.put(v)),
        };
        self.block.properties.push(PackedProperty(name, cell));
        self.head.properties.end = count(self.block.properties.len());
    }

    /// Where the event before has the same name at the same place.
    fn repeated_name(&self, name: &str) -> Option<Span> {
        let before = self.block.heads.last()?.properties;
        let at = before.start as usize + self.head.properties.len();
        let PackedProperty(span, _) = self.block.properties.get(at).filter(|_| at < before.end as usize)?;
        (span.of(&self.block.text) == name).then_some(*span)
    }

    /// How many properties it has so far.
    pub fn property_count(&self) -> usize {
        self.head.properties.len()
    }

    /// What was done; empty until it is set.
    pub fn name(&self) -> &str {
        self.head.name.of(&self.block.text)
    }

    /// Who did it; empty until it is set.
    pub fn distinct_id(&self) -> &str {
        self.head.distinct_id.of(&self.block.text)
    }

    /// What it is so far.
    pub fn view(&self) -> EventView<'_> {
        self.head.view(&self.block.text, &self.block.properties)
    }

    /// Makes it an event of the block.
    pub fn finish(mut self) {
        self.head.size = self.head.measure(&self.block.properties);
        let mut hashed = std::mem::take(&mut self.block.hashed);
        self.head.hashes = Some(Hashes::of(self.view(), &mut hashed));
        self.block.hashed = hashed;
        self.block.heads.push(self.head);
        self.finished = true;
    }
}

impl Drop for EventDraft<'_> {
    fn drop(&mut self) {
        if !self.finished {
            self.block.text.truncate(self.text_before);
            self.block.properties.truncate(self.head.properties.start as usize);
        }
    }
}

/// An event in a block that it shares with others.
#[derive(Debug, Clone)]
pub struct PackedEvent {
    block: Arc<EventBlock>,
    place: u32,
}

impl PackedEvent {
    /// The event itself.
    #[inline]
    pub fn view(&self) -> EventView<'_> {
        self.head().view(&self.block.text, &self.block.properties)
    }

    #[inline]
    fn head(&self) -> &Head {
        self.block.heads.get(self.place as usize).expect("invariant: a packed event is in its block")
    }

    /// [`EventView::size`], without making the view.
    pub(crate) fn size(&self) -> usize {
        self.head().size as usize
    }

    pub(crate) fn property_count(&self) -> usize {
        self.head().properties.len()
    }
}

impl PartialEq for PackedEvent {
    fn eq(&self, other: &Self) -> bool {
        self.view() == other.view()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::value::Value;

    fn event() -> impl Strategy<Value = Event> {
        let value = prop_oneof![
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e9_f64..1e9).prop_map(Value::Float),
            ".{0,6}".prop_map(Value::Text),
            "[0-9]{1,30}".prop_map(Value::Number),
            "\\[[0-9]\\]".prop_map(Value::Json),
        ];
        let text = || prop::option::of(".{0,8}");
        let properties = prop::collection::vec(("[abé]{1,2}", value), 0..6);
        let time = prop::option::of(any::<i64>().prop_map(Timestamp::from_microsecond));
        (".{0,8}", ".{0,8}", time, text(), text(), text(), text(), properties).prop_map(
            |(name, distinct_id, timestamp, message_id, key, session_id, context, properties)| Event {
                name,
                distinct_id,
                timestamp,
                message_id,
                key,
                session_id,
                properties,
                context,
            },
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_block_gives_back_what_was_put_in(events in prop::collection::vec((event(), any::<bool>(), any::<bool>()), 0..12)) {
            let mut block = EventBlock::default();
            let mut expected = Vec::new();
            for (event, dropped, gets_id) in events {
                if dropped {
                    let mut draft = block.begin();
                    draft.set_name(&event.name);
                    draft.push_property("a", ValueRef::Text("lost"));
                    continue;
                }
                block.push(&event);
                expected.push(event);
                if gets_id && let Some(last) = expected.last_mut() {
                    block.set_message_id(block.len() - 1, "made");
                    last.message_id = Some("made".to_owned());
                }
            }
            prop_assert_eq!(block.len(), expected.len());
            let packed: Vec<PackedEvent> = block.into_events().collect();
            for (packed, event) in packed.iter().zip(&expected) {
                prop_assert_eq!(&packed.view().to_event(), event);
                prop_assert_eq!(packed.view(), event.view());
                prop_assert_eq!(packed.view().size(), event.size());
                prop_assert_eq!(packed.view().hashes, Some(&Hashes::of(event.view(), &mut Vec::new())));
            }
        }
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_no_text() {
        let mut block = EventBlock::default();
        block.push(&Event::new("a", "u").property("p", "v"));
        let bytes = block.text_bytes();
        let mut draft = block.begin();
        draft.set_name("b");
        draft.push_property("q", ValueRef::Text("w"));
        drop(draft);
        assert_eq!((block.len(), block.text_bytes()), (1, bytes));
        block.push(&Event::new("c", "u").property("p", "x"));
        assert_eq!(block.event(1).map(|event| event.to_event()), Some(Event::new("c", "u").property("p", "x")));
        assert!(block.event(2).is_none());
    }
}
