//! A piece of the tail in the order of a file.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::UInt32Array;
use datafusion::arrow::compute::take;
use pugmark_store::Result;

use super::column::Column;
use crate::columns::{Chunk, EventSchema, Layout, Order, Rollup, Slice, arrow_error};

/// Rows of a chunk, sorted by event, subject, timestamp and sequence, and their rollup.
#[derive(Debug)]
pub(crate) struct Sorted {
    pub(crate) rollup: Arc<Rollup>,
    /// Of the chunk, in the order of the file that they are going to be in.
    rows: UInt32Array,
    columns: Mutex<(Option<Layout>, HashMap<usize, Column>)>,
    pub(crate) sequences: (u64, u64),
    pub(crate) times: (i64, i64),
}

impl Sorted {
    /// Sorts the rows of `slice`; `None` when there are none.
    pub(crate) fn of(slice: &Slice) -> Option<Self> {
        let slices = std::slice::from_ref(slice);
        let order = Order::of(slices)?;
        let rollup = Arc::new(order.rollup(slices));
        let rows = order.rows.iter().map(|(_, row)| *row as u32);
        Some(Self {
            rollup,
            rows: UInt32Array::from_iter_values(rows),
            columns: Mutex::default(),
            sequences: (order.entry.first_sequence, order.entry.last_sequence),
            times: (order.entry.min_timestamp, order.entry.max_timestamp),
        })
    }

    pub(crate) fn rows(&self) -> Range<usize> {
        0..self.rows.len()
    }

    /// The column at `place` of `schema`, of the `chunk` that it was made of.
    pub(crate) fn column(&self, chunk: &Chunk, schema: &EventSchema, place: usize) -> Result<Column> {
        // Every state of the map is whole.
        let lock = || self.columns.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut columns = lock();
            if columns.0 != Some(schema.layout()) {
                *columns = (Some(schema.layout()), HashMap::new());
            }
            if let Some(column) = columns.1.get(&place) {
                return Ok(column.clone());
            }
        }
        let array = take(&chunk.array(schema, place)?, &self.rows, None).map_err(arrow_error)?;
        let column = Column::of(array);
        let mut columns = lock();
        if columns.0 == Some(schema.layout()) {
            columns.1.insert(place, column.clone());
        }
        Ok(column)
    }
}
