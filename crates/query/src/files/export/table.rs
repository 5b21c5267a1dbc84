//! Which property has which column, in files that have columns.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use pugmark_store::ValueRef;

use super::ndjson::put_pairs;
use super::rows::EventRow;
use crate::error::Result;
use crate::files::mapping::Field;

/// Most columns of properties.
const COLUMNS_MAX: usize = 2_000;

/// The column of what no other column holds.
pub(super) const REST: &str = "properties";

/// Columns before those of the properties.
pub(super) const FIELDS: [Field; 6] =
    [Field::Event, Field::DistinctId, Field::Timestamp, Field::MessageId, Field::SessionId, Field::Context];

/// What a column of a property holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int,
    Float,
    Text,
}

impl Kind {
    fn of(value: ValueRef<'_>) -> Option<Self> {
        match value {
            ValueRef::Bool(_) => Some(Self::Bool),
            ValueRef::Int(_) => Some(Self::Int),
            ValueRef::Float(_) => Some(Self::Float),
            ValueRef::Text(_) => Some(Self::Text),
            ValueRef::Number(_) | ValueRef::Json(_) => None,
        }
    }
}

/// The columns of the properties, in the order in which they were first seen.
#[derive(Debug, Default)]
pub(super) struct TableColumns {
    places: HashMap<String, usize, RandomState>,
    columns: Vec<(String, Option<Kind>)>,
}

impl TableColumns {
    /// Gives a column to each property of `event` that has none.
    pub(super) fn observe(&mut self, event: &EventRow<'_>) -> Result<()> {
        for property in event.properties() {
            let (name, value) = property?;
            let kind = Kind::of(value);
            if let Some(place) = self.places.get(name) {
                if let Some((_, known)) = self.columns.get_mut(*place) {
                    *known = match (*known, kind) {
                        (Some(Kind::Int), Some(Kind::Float)) => Some(Kind::Float),
                        (None, kind) => kind,
                        (known, _) => known,
                    };
                }
            } else if self.columns.len() < COLUMNS_MAX
                && name != REST
                && Field::ALL.iter().all(|field| field.as_str() != name)
            {
                self.places.insert(name.to_owned(), self.columns.len());
                self.columns.push((name.to_owned(), kind));
            }
        }
        Ok(())
    }

    /// Names and kinds; `None` where no value has a kind that a column holds.
    pub(super) fn columns(&self) -> &[(String, Option<Kind>)] {
        &self.columns
    }

    /// Puts the properties of `event` into their columns by `put`, which says whether it took the value; what it did not take is returned as the
    /// JSON text of the rest.
    pub(super) fn place(
        &self,
        event: &EventRow<'_>,
        mut put: impl FnMut(usize, ValueRef<'_>) -> bool,
    ) -> Result<Option<String>> {
        let mut rest = Vec::new();
        let mut seen: Vec<usize> = Vec::new();
        for property in event.properties() {
            let (name, value) = property?;
            // The values of one name stay in their order: once the first is among the rest, so are the others.
            let first = self.places.get(name).copied().filter(|place| !seen.contains(place));
            seen.extend(first);
            if !first.is_some_and(|place| put(place, value)) {
                rest.push((name, value));
            }
        }
        if rest.is_empty() {
            return Ok(None);
        }
        let mut json = Vec::new();
        put_pairs(&mut json, &rest);
        Ok(Some(String::from_utf8(json).expect("invariant: JSON is written from text only")))
    }
}
