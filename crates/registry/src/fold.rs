//! The registry as a fold of the log.

use std::any::Any;
use std::collections::BTreeSet;
use std::sync::Arc;

use pugmark_store::redb::{ReadTransaction, WriteTransaction};
use pugmark_store::{Committed, Findings, Fold, Result, Sequence, Verifier};

use crate::column::ColumnType;
use crate::registry::{EventRow, KindCounts, PropertyRow, Registry};
use crate::saved;
use crate::schema::{Definition, PropertyId};
use crate::tally::{EventTally, PropertyTally, Tally};

/// How a registry gives out columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryOptions {
    /// Most properties that get a column; those seen later are in the overflow only. 2,000 by default.
    ///
    /// A property keeps what it was given: a raised limit helps new properties, a lowered one takes nothing away.
    pub columns_max: usize,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self { columns_max: 2_000 }
    }
}

/// Counts events and properties of the log, gives properties their columns, and publishes a [`Registry`].
///
/// # Example
/// ```
/// use pugmark_registry::{ColumnType, Registry, RegistryFold, RegistryOptions};
/// use pugmark_store::{Committed, EventRecord, Fold, MessageId, Payload, Record, Sequence, ValueRef};
/// let event = EventRecord {
///     name: 0,
///     subject: 0,
///     time: 0,
///     time_sent: true,
///     message_id: MessageId::Text("m1"),
///     session_id: None,
///     properties: vec![(1, ValueRef::Float(19.9))],
///     context: None,
/// };
/// let payload = Payload {
///     received_at: 0,
///     import: None,
///     base_time: 0,
///     names: vec!["purchase", "amount"],
///     subjects: vec![],
///     records: vec![Record::Event(event)],
/// };
/// let mut fold = RegistryFold::new(RegistryOptions::default());
/// fold.apply(&Committed { first_sequence: Sequence::FIRST, payload: &payload })?;
/// let registry = fold.publish().downcast::<Registry>().expect("a registry");
/// assert_eq!(registry.event("purchase").map(|event| event.count), Some(1));
/// assert_eq!(registry.schema().property("amount").and_then(|p| p.column), Some(ColumnType::Float));
/// # Ok::<(), pugmark_store::Error>(())
/// ```
#[derive(Debug, Default)]
pub struct RegistryFold {
    options: RegistryOptions,
    state: Registry,
    /// What was published last, until something changes.
    published: Option<Arc<Registry>>,
    tally: Tally,
    unsaved_events: BTreeSet<u32>,
    unsaved_properties: BTreeSet<u32>,
}

impl RegistryFold {
    /// An empty registry.
    pub fn new(options: RegistryOptions) -> Self {
        Self { options, ..Self::default() }
    }

    fn add_event(&mut self, name: &str, tally: EventTally) {
        let number = if let Some(number) = self.state.event_names.find(name) {
            let row = self.state.events.row_mut(number).expect("invariant: every numbered event name has a row");
            row.count += tally.count;
            row.first_seen = row.first_seen.min(tally.seen.first);
            row.last_seen = row.last_seen.max(tally.seen.last);
            number
        } else {
            let (first_seen, last_seen) = (tally.seen.first, tally.seen.last);
            self.push_event(EventRow {
                name: name.into(),
                count: tally.count,
                first_seen,
                last_seen,
                since: tally.since,
            })
        };
        self.unsaved_events.insert(number);
    }

    fn push_event(&mut self, row: EventRow) -> u32 {
        let number = number_of(self.state.events.len());
        self.state.event_names.add(Arc::clone(&row.name), number);
        self.state.events.push(row);
        number
    }

    fn add_property(&mut self, name: &str, tally: PropertyTally) {
        let number = if let Some(number) = self.state.schema.names.find(name) {
            let row = self.state.properties.row_mut(number).expect("invariant: every numbered property has a row");
            add_kinds(&mut row.kinds, tally.kinds);
            row.first_seen = row.first_seen.min(tally.seen.first);
            row.last_seen = row.last_seen.max(tally.seen.last);
            number
        } else {
            let column = tally.first.filter(|_| self.state.schema.typed.len() < self.options.columns_max);
            let row = PropertyRow {
                kinds: tally.kinds,
                first_seen: tally.seen.first,
                last_seen: tally.seen.last,
                since: tally.since,
                widened: None,
            };
            self.push_property(Definition { name: name.into(), column }, row)
        };
        if let Some(sequence) = tally.widens {
            self.widen(number, sequence);
        }
        self.unsaved_properties.insert(number);
    }

    /// Adds a property at the end, also one that was saved as widened.
    fn push_property(&mut self, definition: Definition, row: PropertyRow) -> u32 {
        let number = number_of(self.state.properties.len());
        let schema = Arc::make_mut(&mut self.state.schema);
        schema.names.add(Arc::clone(&definition.name), number);
        if definition.column.is_some() {
            Arc::make_mut(&mut schema.typed).push(PropertyId::new(number));
        }
        schema.version += 1 + u64::from(row.widened.is_some());
        schema.definitions.push(definition);
        self.state.properties.push(row);
        number
    }

    fn widen(&mut self, number: u32, sequence: Sequence) {
        let column = self.state.schema.definitions.row(number).and_then(|definition| definition.column);
        if column != Some(ColumnType::Int) {
            return;
        }
        let schema = Arc::make_mut(&mut self.state.schema);
        schema.version += 1;
        let definition = schema.definitions.row_mut(number).expect("invariant: its column was just read");
        definition.column = Some(ColumnType::Float);
        let row = self.state.properties.row_mut(number).expect("invariant: every numbered property has a row");
        row.widened = Some(sequence);
    }
}

impl Fold for RegistryFold {
    fn name(&self) -> &'static str {
        "registry"
    }

    fn version(&self) -> u32 {
        2
    }

    fn apply(&mut self, batch: &Committed<'_>) -> Result<()> {
        let mut tally = std::mem::take(&mut self.tally);
        tally.count(batch)?;
        if !tally.event_order.is_empty() {
            self.published = None;
        }
        // The tally has checked every place against the names.
        let name_at = |place: u32| batch.payload.names[place as usize];
        for &place in &tally.event_order {
            self.add_event(name_at(place), tally.events[place as usize]);
        }
        for &place in &tally.property_order {
            self.add_property(name_at(place), tally.properties[place as usize]);
        }
        self.tally = tally;
        Ok(())
    }

    fn publish(&mut self) -> Arc<dyn Any + Send + Sync> {
        let state = self.published.get_or_insert_with(|| Arc::new(self.state.clone()));
        Arc::clone(state) as Arc<dyn Any + Send + Sync>
    }

    fn checkpoint(&mut self, txn: &WriteTransaction) -> Result<()> {
        saved::write_events(txn, self.unsaved_events.iter().filter_map(|n| Some((*n, self.state.events.row(*n)?))))?;
        saved::write_properties(
            txn,
            self.unsaved_properties
                .iter()
                .filter_map(|n| Some((*n, self.state.schema.definitions.row(*n)?, self.state.properties.row(*n)?))),
        )?;
        self.unsaved_events.clear();
        self.unsaved_properties.clear();
        Ok(())
    }

    fn load(&mut self, txn: &ReadTransaction) -> Result<()> {
        let mut loaded = Self::new(self.options);
        saved::read_events(txn, |row| {
            let fresh = loaded.state.event_names.find(&row.name).is_none();
            loaded.push_event(row);
            fresh
        })?;
        saved::read_properties(txn, |definition, row| {
            let fresh = loaded.state.schema.names.find(&definition.name).is_none();
            loaded.push_property(definition, row);
            fresh
        })?;
        *self = loaded;
        Ok(())
    }

    fn fresh(&self) -> Box<dyn Fold> {
        Box::new(Self::new(self.options))
    }

    fn copy(&self, from: &ReadTransaction, to: &WriteTransaction) -> Result<()> {
        saved::copy(from, to)
    }

    fn verifier<'a>(&'a self, index: Option<&ReadTransaction>) -> Result<Option<Box<dyn Verifier + 'a>>> {
        let stored = match index {
            Some(index) => {
                let mut stored = Self::new(self.options);
                stored.load(index)?;
                Some(stored)
            }
            None => None,
        };
        Ok(Some(Box::new(RegistryVerifier { live: self, stored, replayed: Self::new(self.options) })))
    }

    fn reset(&mut self, txn: &WriteTransaction) -> Result<()> {
        saved::delete(txn)?;
        *self = Self::new(self.options);
        Ok(())
    }
}

/// Compares a registry with one made of the log alone.
struct RegistryVerifier<'a> {
    live: &'a RegistryFold,
    stored: Option<RegistryFold>,
    replayed: RegistryFold,
}

impl Verifier for RegistryVerifier<'_> {
    fn apply(&mut self, batch: &Committed<'_>, _found: &mut Findings<'_>) -> Result<()> {
        self.replayed.apply(batch)
    }

    fn finish(&mut self, found: &mut Findings<'_>) -> Result<()> {
        let expected = &self.replayed.state;
        for (place, state) in [("in memory", Some(self.live)), ("index.redb", self.stored.as_ref())] {
            let Some(RegistryFold { state, .. }) = state else { continue };
            if state.events.len() != expected.events.len() {
                let (count, expected) = (state.events.len(), expected.events.len());
                found.add(format!("{place}: {count} event names but the log has {expected}"));
            }
            for (row, expected) in state.events.iter().zip(expected.events.iter()).filter(|(row, other)| row != other) {
                found.add(format!("{place}: {row:?} but the log says {expected:?}"));
            }
            if state.properties.len() != expected.properties.len() {
                let (count, expected) = (state.properties.len(), expected.properties.len());
                found.add(format!("{place}: {count} properties but the log has {expected}"));
            }
            let rows = |state: &'_ Registry| {
                let definitions = state.schema.definitions.iter().cloned();
                definitions.zip(state.properties.iter().copied()).collect::<Vec<_>>()
            };
            for (row, expected) in rows(state).into_iter().zip(rows(expected)).filter(|(row, other)| row != other) {
                found.add(format!("{place}: {row:?} but the log says {expected:?}"));
            }
        }
        Ok(())
    }
}

fn number_of(count: usize) -> u32 {
    u32::try_from(count).expect("invariant: a log with 2^32 names does not fit any memory")
}

fn add_kinds(to: &mut KindCounts, more: KindCounts) {
    to.bool += more.bool;
    to.int += more.int;
    to.float += more.float;
    to.text += more.text;
    to.json += more.json;
}
