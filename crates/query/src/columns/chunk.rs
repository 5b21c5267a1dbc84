//! A chunk to which nothing is added any more: up to some ten thousand rows in order of arrival, immutable.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::{ArrayRef, StringArray, TimestampMicrosecondArray, UInt32Array, UInt64Array};
use pugmark_store::{Result, ValueRef};

use super::build::Rows;
use super::cell::Slice;
use super::schema::{EventSchema, Layout, UTC};
use super::values::{Texts, Values, shrunk};
use crate::local::Sorted;

/// A text that only some rows have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Optional<T> {
    pub(crate) rows: Vec<u32>,
    pub(crate) texts: T,
}

/// The values of one property, with the rows that they belong to, in ascending order.
#[derive(Debug, Clone)]
pub(crate) struct Property<T> {
    pub(crate) name: Box<str>,
    pub(crate) rows: Vec<u32>,
    pub(crate) values: Values<T>,
    /// Whether some row has it more than once.
    pub(crate) repeats: bool,
}

impl Property<StringArray> {
    /// Row, value, and whether it is the row's first value of the property.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (u32, ValueRef<'_>, bool)> {
        let mut last = None;
        self.rows.iter().enumerate().map(move |(place, row)| {
            let first = last.replace(*row) != Some(*row);
            (*row, self.values.value(place), first)
        })
    }
}

/// Immutable rows in order of arrival.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) sequences: UInt64Array,
    /// Places in `event_names`.
    pub(crate) events: UInt32Array,
    pub(crate) subjects: UInt32Array,
    pub(crate) timestamps: TimestampMicrosecondArray,
    pub(crate) received: TimestampMicrosecondArray,
    pub(crate) message_ids: StringArray,
    pub(crate) sessions: Optional<StringArray>,
    pub(crate) contexts: Optional<StringArray>,
    pub(crate) event_names: Vec<Box<str>>,
    pub(crate) properties: Vec<Property<StringArray>>,
    pub(crate) property_places: HashMap<Box<str>, usize>,
    arrays: Mutex<Arrays>,
    /// The rows that were sorted last, and their order.
    sorted: Mutex<Option<(Range<usize>, Arc<Sorted>)>>,
}

/// Columns that a query has asked for, for the columns of one layout.
#[derive(Debug, Default)]
struct Arrays {
    layout: Option<Layout>,
    columns: HashMap<usize, ArrayRef>,
}

impl Rows {
    pub(crate) fn freeze(self) -> Chunk {
        let properties: Vec<_> = self
            .properties
            .into_iter()
            .map(|property| Property {
                name: property.name,
                rows: shrunk(property.rows),
                values: property.values.freeze(),
                repeats: property.repeats,
            })
            .collect();
        let property_places =
            properties.iter().enumerate().map(|(place, property)| (property.name.clone(), place)).collect();
        let optional = |column: Optional<Texts>| Optional { rows: shrunk(column.rows), texts: column.texts.freeze() };
        Chunk {
            sequences: shrunk(self.sequences).into(),
            events: shrunk(self.events).into(),
            subjects: shrunk(self.subjects).into(),
            timestamps: TimestampMicrosecondArray::from(shrunk(self.timestamps)).with_timezone(UTC),
            received: TimestampMicrosecondArray::from(shrunk(self.received)).with_timezone(UTC),
            message_ids: self.message_ids.freeze(),
            sessions: optional(self.sessions),
            contexts: optional(self.contexts),
            event_names: self.event_names,
            properties,
            property_places,
            arrays: Mutex::default(),
            sorted: Mutex::default(),
        }
    }
}

impl Chunk {
    /// The rows of `slice`, which is one of this chunk, in the order of a file; kept for the next query. `None` when there are none.
    pub(crate) fn sorted(&self, slice: &Slice) -> Option<Arc<Sorted>> {
        let lock = || self.sorted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((rows, sorted)) = &*lock()
            && *rows == slice.rows
        {
            return Some(Arc::clone(sorted));
        }
        let sorted = Arc::new(Sorted::of(slice)?);
        *lock() = Some((slice.rows.clone(), Arc::clone(&sorted)));
        Some(sorted)
    }

    pub(crate) fn rows(&self) -> usize {
        self.sequences.len()
    }

    /// The column at `place` of `schema`, of all rows; kept for the next query with the same columns.
    pub(crate) fn array(&self, schema: &EventSchema, place: usize) -> Result<ArrayRef> {
        {
            // Every state of the cache is whole: a panic elsewhere does not make it worse.
            let mut arrays = self.arrays.lock().unwrap_or_else(PoisonError::into_inner);
            if arrays.layout != Some(schema.layout()) {
                *arrays = Arrays { layout: Some(schema.layout()), columns: HashMap::new() };
            }
            if let Some(array) = arrays.columns.get(&place) {
                return Ok(array.clone());
            }
        }
        let array = self.convert(schema, place)?;
        let mut arrays = self.arrays.lock().unwrap_or_else(PoisonError::into_inner);
        if arrays.layout == Some(schema.layout()) {
            arrays.columns.insert(place, array.clone());
        }
        Ok(array)
    }
}
