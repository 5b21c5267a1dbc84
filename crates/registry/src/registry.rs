//! The published state: what has been seen up to one sequence.

use std::sync::Arc;

use pugmark_store::{Sequence, Timestamp};

use crate::column::ColumnType;
use crate::names::Names;
use crate::nearest::nearest;
use crate::rows::Rows;
use crate::schema::{PropertyId, PropertyRef, Schema};

/// How many values of each kind a property had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KindCounts {
    /// `true` and `false`.
    pub bool: u64,
    /// Whole numbers of 64 bits.
    pub int: u64,
    /// Other numbers.
    pub float: u64,
    /// Strings.
    pub text: u64,
    /// Arrays and deep objects.
    pub json: u64,
}

impl KindCounts {
    /// All values.
    pub const fn total(&self) -> u64 {
        self.bool + self.int + self.float + self.text + self.json
    }
}

/// An event name that the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservedEvent<'a> {
    /// The name.
    pub name: &'a str,
    /// How many events carry it.
    pub count: u64,
    /// The earliest timestamp of its events.
    pub first_seen: Timestamp,
    /// The latest timestamp of its events.
    pub last_seen: Timestamp,
}

/// A property that the store holds, and what was seen of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ObservedProperty<'a> {
    /// Its number, name and column.
    pub definition: PropertyRef<'a>,
    /// How many values it has; more than events where one event has it twice.
    pub count: u64,
    /// Its values by kind.
    pub kinds: KindCounts,
    /// The earliest timestamp of the events that have it.
    pub first_seen: Timestamp,
    /// The latest timestamp of the events that have it.
    pub last_seen: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventRow {
    pub(crate) name: Arc<str>,
    pub(crate) count: u64,
    pub(crate) first_seen: i64,
    pub(crate) last_seen: i64,
    /// The sequence of the first event that has it.
    pub(crate) since: Sequence,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PropertyRow {
    pub(crate) kinds: KindCounts,
    pub(crate) first_seen: i64,
    pub(crate) last_seen: i64,
    /// The sequence of the first event that has it.
    pub(crate) since: Sequence,
    /// The sequence at which its column, once of whole numbers, became one of doubles.
    pub(crate) widened: Option<Sequence>,
}

/// Everything seen up to one sequence: event names, properties, their types. It never changes.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    pub(crate) schema: Arc<Schema>,
    pub(crate) properties: Rows<PropertyRow>,
    pub(crate) events: Rows<EventRow>,
    pub(crate) event_names: Arc<Names>,
}

impl Registry {
    /// The properties and their columns; the same `Arc` as long as neither changes.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// What was known at an earlier sequence: the names that had been seen, and the columns that properties had then. How often and when they were seen is not
    /// known of that sequence, and told as it is now.
    #[must_use]
    pub fn at(&self, sequence: Sequence) -> Self {
        let events = self.events.partition_point(|event| event.since <= sequence);
        let count = self.properties.partition_point(|property| property.since <= sequence);
        let widened: Vec<u32> = (0_u32..)
            .zip(self.properties.iter().take(count))
            .filter(|(_, property)| property.widened.is_some_and(|at| at > sequence))
            .map(|(number, _)| number)
            .collect();
        if events == self.events.len() && count == self.properties.len() && widened.is_empty() {
            return self.clone();
        }
        let mut past = self.clone();
        past.events.truncate(events);
        past.properties.truncate(count);
        let schema = Arc::make_mut(&mut past.schema);
        schema.definitions.truncate(count);
        let typed = schema.typed.iter().copied().filter(|id| (id.number() as usize) < count);
        schema.typed = Arc::new(typed.collect());
        for number in widened {
            if let (Some(definition), Some(row)) = (schema.definitions.row_mut(number), past.properties.row_mut(number))
            {
                definition.column = Some(ColumnType::Int);
                row.widened = None;
            }
        }
        // One for each property and one for each that has widened, as it was counted then.
        let changes = past.properties.iter().map(|property| 1 + u64::from(property.widened.is_some()));
        schema.version = changes.sum();
        past
    }

    /// Every event name, in order of first sight.
    pub fn events(&self) -> impl Iterator<Item = ObservedEvent<'_>> {
        self.events.iter().map(observed_event)
    }

    /// How many event names there are.
    pub fn event_count(&self) -> usize {
        self.events.len()
    }

    /// The event called `name`.
    pub fn event(&self, name: &str) -> Option<ObservedEvent<'_>> {
        self.events.row(self.event_names.find(name)?).map(observed_event)
    }

    /// Every property with what was seen of it, in order of first sight.
    pub fn properties(&self) -> impl Iterator<Item = ObservedProperty<'_>> {
        self.schema.properties().zip(self.properties.iter()).map(|(definition, row)| observed_property(definition, row))
    }

    /// The property called `name`, with what was seen of it.
    pub fn property(&self, name: &str) -> Option<ObservedProperty<'_>> {
        let definition = self.schema.property(name)?;
        self.properties.row(definition.id.number()).map(|row| observed_property(definition, row))
    }

    /// The property with this number, with what was seen of it.
    pub fn property_by_id(&self, id: PropertyId) -> Option<ObservedProperty<'_>> {
        let definition = self.schema.by_id(id)?;
        self.properties.row(id.number()).map(|row| observed_property(definition, row))
    }

    /// The event names for which `name` perhaps stands; see [`nearest`].
    pub fn nearest_events(&self, name: &str) -> Vec<String> {
        nearest(name, self.events.iter().map(|row| row.name.as_ref()))
    }

    /// The properties for which `name` perhaps stands; see [`nearest`].
    pub fn nearest_properties(&self, name: &str) -> Vec<String> {
        nearest(name, self.schema.properties().map(|property| property.name))
    }
}

fn observed_event(row: &EventRow) -> ObservedEvent<'_> {
    ObservedEvent {
        name: &row.name,
        count: row.count,
        first_seen: Timestamp::from_microsecond(row.first_seen),
        last_seen: Timestamp::from_microsecond(row.last_seen),
    }
}

fn observed_property<'a>(definition: PropertyRef<'a>, row: &PropertyRow) -> ObservedProperty<'a> {
    ObservedProperty {
        definition,
        count: row.kinds.total(),
        kinds: row.kinds,
        first_seen: Timestamp::from_microsecond(row.first_seen),
        last_seen: Timestamp::from_microsecond(row.last_seen),
    }
}
