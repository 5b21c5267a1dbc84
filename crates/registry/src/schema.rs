//! Which property has which column.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::column::{ColumnType, column_name, property_of_column};
use crate::names::Names;
use crate::rows::Rows;

/// Dense number of a property, in order of first sight, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyId(u32);

impl PropertyId {
    /// Wraps a number.
    pub const fn new(number: u32) -> Self {
        Self(number)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }
}

impl fmt::Display for PropertyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A property of events, as a [`Schema`] knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PropertyRef<'a> {
    /// Its number, the same for good.
    pub id: PropertyId,
    /// Its name, as senders write it.
    pub name: &'a str,
    /// The type of its column; without one its values are in the overflow only.
    pub column: Option<ColumnType>,
}

impl<'a> PropertyRef<'a> {
    /// What its column is called; see [`column_name`].
    pub fn column_name(&self) -> Cow<'a, str> {
        column_name(self.name)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Definition {
    pub(crate) name: Arc<str>,
    pub(crate) column: Option<ColumnType>,
}

/// The properties and their columns at one moment. It never changes.
///
/// Two schemas of one store with the same [`version`](Self::version) are the same.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    pub(crate) version: u64,
    pub(crate) definitions: Rows<Definition>,
    pub(crate) typed: Arc<Vec<PropertyId>>,
    pub(crate) names: Arc<Names>,
}

impl Schema {
    /// Grows when a property appears and when a column widens; 0 before the first property.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many properties there are, with and without a column.
    pub fn len(&self) -> usize {
        self.definitions.len()
    }

    /// Whether there are no properties.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The property called `name`.
    pub fn property(&self, name: &str) -> Option<PropertyRef<'_>> {
        // The map is shared with later schemas: a number past this one's end belongs to them.
        self.by_id(PropertyId(self.names.find(name)?))
    }

    /// The property with this number.
    pub fn by_id(&self, id: PropertyId) -> Option<PropertyRef<'_>> {
        let definition = self.definitions.row(id.0)?;
        Some(PropertyRef { id, name: &definition.name, column: definition.column })
    }

    /// The property whose column is called `column`; `None` when no property has such a column.
    pub fn by_column(&self, column: &str) -> Option<PropertyRef<'_>> {
        self.property(property_of_column(column)?).filter(|property| property.column.is_some())
    }

    /// Every property, in order of first sight.
    pub fn properties(&self) -> impl Iterator<Item = PropertyRef<'_>> {
        (0_u32..).zip(self.definitions.iter()).map(|(number, definition)| PropertyRef {
            id: PropertyId(number),
            name: &definition.name,
            column: definition.column,
        })
    }

    /// The properties that have a column, in order of first sight: a later schema only adds at the end.
    pub fn columns(&self) -> impl ExactSizeIterator<Item = PropertyRef<'_>> {
        self.typed.iter().map(|id| self.by_id(*id).expect("invariant: a typed property is a property of its schema"))
    }
}
