//! Columns of a chunk as Arrow arrays: here, and only here, types are applied.

use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, StringViewArray, new_null_array,
};
use datafusion::arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use datafusion::arrow::compute::take;
use pugmark_registry::{ColumnType, Placement};
use pugmark_store::{Result, ValueRef};

use super::chunk::{Chunk, Optional, Property};
use super::error;
use super::overflow;
use super::schema::{Column, EventSchema, data_type};
use super::values::Values;

/// No value for this row.
const NONE: u32 = u32::MAX;

impl Chunk {
    /// The column at `place` of `schema`, of all rows.
    pub(crate) fn convert(&self, schema: &EventSchema, place: usize) -> Result<ArrayRef> {
        let column = schema.column(place).ok_or_else(|| {
            error::corrupt("columns of the tail", format_args!("column {place}; the last is {}", schema.overflow()))
        })?;
        Ok(match column {
            Column::Sequence => Arc::new(self.sequences.clone()),
            Column::Event => {
                let names = StringViewArray::from_iter_values(self.event_names.iter());
                take(&names, &self.events, None).map_err(error::arrow)?
            }
            Column::Subject => Arc::new(self.subjects.clone()),
            Column::Timestamp => Arc::new(self.timestamps.clone()),
            Column::ReceivedAt => Arc::new(self.received.clone()),
            Column::MessageId => Arc::new(StringViewArray::from(&self.message_ids)),
            Column::SessionId => self.optional(&self.sessions),
            Column::Context => self.optional(&self.contexts),
            Column::Property(name, column) => match self.property(name) {
                Some(property) => self.values(property, column),
                None => new_null_array(&data_type(column), self.rows()),
            },
            Column::Overflow => overflow::of_chunk(self, schema),
        })
    }

    /// Whether some row has a value in the column at `place`. The overflow is only known once it is made.
    pub(crate) fn has_values(&self, schema: &EventSchema, place: usize) -> bool {
        match schema.column(place) {
            Some(Column::SessionId) => !self.sessions.rows.is_empty(),
            Some(Column::Context) => !self.contexts.rows.is_empty(),
            Some(Column::Property(name, column)) => self.property(name).is_some_and(|property| {
                !property.overflows(Some(column))
                    || property.entries().any(|(_, value, first)| first && column.place(value) != Placement::Overflow)
            }),
            Some(Column::Overflow) | None => false,
            Some(_) => true,
        }
    }

    fn property(&self, name: &str) -> Option<&Property<StringArray>> {
        self.properties.get(*self.property_places.get(name)?)
    }

    fn optional(&self, column: &Optional<StringArray>) -> ArrayRef {
        self.texts(&column.texts, &self.picks(column.rows.iter().copied().zip(0..)))
    }

    fn values(&self, property: &Property<StringArray>, column: ColumnType) -> ArrayRef {
        let picks = if property.overflows(Some(column)) {
            let entries = property.entries().zip(0..).filter_map(|((row, value, first), place)| {
                (first && column.place(value) != Placement::Overflow).then_some((row, place))
            });
            self.picks(entries)
        } else {
            self.picks(property.rows.iter().copied().zip(0..))
        };
        let value = |pick: &u32| (*pick != NONE).then(|| property.values.value(*pick as usize));
        match (column, &property.values) {
            (ColumnType::Text, Values::Text(texts)) | (ColumnType::Json, Values::Json(texts)) => {
                self.texts(texts, &picks)
            }
            (ColumnType::Text | ColumnType::Json, _) => {
                Arc::new(StringViewArray::from_iter(picks.iter().map(|pick| match value(pick) {
                    Some(ValueRef::Text(v) | ValueRef::Json(v)) => Some(v),
                    _ => None,
                })))
            }
            (ColumnType::Bool, _) => Arc::new(BooleanArray::from_iter(picks.iter().map(|pick| match value(pick) {
                Some(ValueRef::Bool(v)) => Some(v),
                _ => None,
            }))),
            (ColumnType::Int, _) => Arc::new(Int64Array::from_iter(picks.iter().map(|pick| match value(pick) {
                Some(ValueRef::Int(v)) => Some(v),
                _ => None,
            }))),
            (ColumnType::Float, _) => {
                Arc::new(Float64Array::from_iter(picks.iter().map(|pick| value(pick).and_then(ColumnType::double))))
            }
        }
    }

    /// For each row the place of its value, or [`NONE`].
    fn picks(&self, entries: impl Iterator<Item = (u32, u32)>) -> Vec<u32> {
        let mut picks = vec![NONE; self.rows()];
        for (row, place) in entries {
            picks[row as usize] = place;
        }
        picks
    }

    /// The picked texts, without copying them.
    fn texts(&self, texts: &StringArray, picks: &[u32]) -> ArrayRef {
        if texts.len() == picks.len() && picks.iter().zip(0_u32..).all(|(pick, row)| *pick == row) {
            return Arc::new(StringViewArray::from(texts));
        }
        // Rows ascend and so do the places of their texts: a row without one is an empty stretch between its neighbours. A text that no row picks
        // would make its neighbour longer, and is then left to the slower way.
        let whole = picks.iter().filter(|pick| **pick != NONE).map(|pick| *pick as usize).eq(0..texts.len());
        if !whole {
            let picked = picks.iter().map(|pick| (*pick != NONE).then(|| texts.value(*pick as usize)));
            return Arc::new(StringViewArray::from_iter(picked));
        }
        let ends = texts.value_offsets();
        let mut offsets = Vec::with_capacity(picks.len() + 1);
        let mut place = 0;
        offsets.push(ends[0]);
        for pick in picks {
            place += usize::from(*pick != NONE);
            offsets.push(ends[place]);
        }
        let nulls = NullBuffer::from_iter(picks.iter().map(|pick| *pick != NONE));
        let array =
            StringArray::new(OffsetBuffer::new(ScalarBuffer::from(offsets)), texts.values().clone(), Some(nulls));
        Arc::new(StringViewArray::from(&array))
    }
}

impl Property<StringArray> {
    /// Whether some value may be in the overflow, when the column has this type. `false` is certain, and then every row that has the property has it in the column.
    pub(crate) fn overflows(&self, column: Option<ColumnType>) -> bool {
        let fits = matches!(
            (column, &self.values),
            (Some(ColumnType::Bool), Values::Bool(_))
                | (Some(ColumnType::Int), Values::Int(_))
                | (Some(ColumnType::Float), Values::Float(_))
                | (Some(ColumnType::Text), Values::Text(_))
                | (Some(ColumnType::Json), Values::Json(_))
        );
        self.repeats || !fits
    }
}
