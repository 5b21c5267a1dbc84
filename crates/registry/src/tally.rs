//! What one batch adds, by place in the batch's list of names: an event costs array accesses only, and each name is
//! looked up once for the batch.

use pugmark_store::{Committed, Error, ErrorKind, EventRecord, Record, Result, Sequence, ValueRef};

use crate::column::ColumnType;
use crate::registry::KindCounts;

/// First and last instants, microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) first: i64,
    pub(crate) last: i64,
}

impl Seen {
    const NEVER: Self = Self { first: i64::MAX, last: i64::MIN };

    fn at(&mut self, time: i64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct EventTally {
    pub(crate) count: u64,
    pub(crate) seen: Seen,
    /// The sequence of the first.
    pub(crate) since: Sequence,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct PropertyTally {
    /// The type that its first value of the batch would give to a new column; none before the first value.
    pub(crate) first: Option<ColumnType>,
    /// The sequence of the first value that widens a column of whole numbers.
    pub(crate) widens: Option<Sequence>,
    pub(crate) kinds: KindCounts,
    pub(crate) seen: Seen,
    /// The sequence of the first.
    pub(crate) since: Sequence,
}

/// The sums of one batch. It is kept between batches for its allocations.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) events: Vec<EventTally>,
    /// Places of the events' names, in order of first sight.
    pub(crate) event_order: Vec<u32>,
    pub(crate) properties: Vec<PropertyTally>,
    /// Places of the properties' names, in order of first sight.
    pub(crate) property_order: Vec<u32>,
}

impl Tally {
    /// Replaces the sums by those of `batch`.
    pub(crate) fn count(&mut self, batch: &Committed<'_>) -> Result<()> {
        let payload = batch.payload;
        let names = payload.names.len();
        self.events.clear();
        self.events.resize(names, EventTally { count: 0, seen: Seen::NEVER, since: Sequence::FIRST });
        self.event_order.clear();
        self.properties.clear();
        self.properties.resize(
            names,
            PropertyTally {
                first: None,
                widens: None,
                kinds: KindCounts::default(),
                seen: Seen::NEVER,
                since: Sequence::FIRST,
            },
        );
        self.property_order.clear();
        for (sequence, record) in (batch.first_sequence.number()..).map(Sequence::new).zip(&payload.records) {
            if let Record::Event(event) = record {
                self.event(sequence, event, payload.base_time.saturating_add(event.time))
                    .map_err(|place| missing_name(sequence, place, names))?;
            }
        }
        Ok(())
    }

    /// The error is the place of a name that the batch does not have.
    fn event(&mut self, sequence: Sequence, event: &EventRecord<'_>, time: i64) -> std::result::Result<(), u32> {
        let tally = self.events.get_mut(event.name as usize).ok_or(event.name)?;
        if tally.count == 0 {
            tally.since = sequence;
            self.event_order.push(event.name);
        }
        tally.count += 1;
        tally.seen.at(time);
        for (place, value) in &event.properties {
            let tally = self.properties.get_mut(*place as usize).ok_or(*place)?;
            if tally.first.is_none() {
                tally.first = Some(ColumnType::of(*value));
                tally.since = sequence;
                self.property_order.push(*place);
            }
            match value {
                ValueRef::Bool(_) => tally.kinds.bool += 1,
                ValueRef::Int(_) => tally.kinds.int += 1,
                ValueRef::Float(_) => {
                    tally.kinds.float += 1;
                    tally.widens = tally.widens.or(Some(sequence));
                }
                ValueRef::Number(_) => tally.kinds.float += 1,
                ValueRef::Text(_) => tally.kinds.text += 1,
                ValueRef::Json(_) => tally.kinds.json += 1,
            }
            tally.seen.at(time);
        }
        Ok(())
    }
}

fn missing_name(sequence: Sequence, place: u32, names: usize) -> Error {
    Error::new(
        ErrorKind::Corrupt,
        format!("record {sequence}: refers to name {place} of a batch that has {names} names"),
    )
}
