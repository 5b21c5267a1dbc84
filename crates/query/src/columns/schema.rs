//! The columns of the table of events: those of every event, then one for each typed property, then the overflow.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, Schema as ArrowSchema, SchemaRef, TimeUnit};
use pugmark_registry::{ColumnType, Schema};
use pugmark_store::Result;

use super::error;

/// The columns that every event has: their names, and their places in every [`EventSchema`].
pub mod system {
    /// Position in the log: `UInt64`.
    pub const SEQUENCE: (usize, &str) = (0, "sequence");
    /// The event's name: `Utf8View`.
    pub const EVENT: (usize, &str) = (1, "event");
    /// Who, as the dense number of a distinct id: `UInt32`.
    pub const SUBJECT: (usize, &str) = (2, "subject");
    /// When it happened: `Timestamp(us, "+00:00")`.
    pub const TIMESTAMP: (usize, &str) = (3, "timestamp");
    /// When the store received it: `Timestamp(us, "+00:00")`.
    pub const RECEIVED_AT: (usize, &str) = (4, "received_at");
    /// The idempotency key: `Utf8View`.
    pub const MESSAGE_ID: (usize, &str) = (5, "message_id");
    /// The sender's session: `Utf8View`, nullable.
    pub const SESSION_ID: (usize, &str) = (6, "session_id");
    /// Where it was sent from, a JSON object: `Utf8View`, nullable.
    pub const CONTEXT: (usize, &str) = (7, "context");
    /// How many columns stand before those of the properties.
    pub const COUNT: usize = 8;
    /// The name of the last column, after those of the properties: `Utf8View`, nullable; see [`Overflow`](super::super::Overflow).
    pub const OVERFLOW: &str = "overflow";
}

/// The time zone of every column of instants.
pub(crate) const UTC: &str = "+00:00";

/// The Arrow schema of the table of events for one state of the registry, and which column belongs to which property.
///
/// Text is `Utf8View` throughout: DataFusion reads it from Parquet without copying, compares and groups it by its first twelve bytes in
/// place, and has operators of its own for it, which it has not for dictionaries.
#[derive(Debug)]
pub struct EventSchema {
    arrow: SchemaRef,
    version: u64,
    layout: Layout,
    properties: Vec<(Box<str>, ColumnType)>,
    columns: HashMap<Box<str>, usize>,
}

/// Tells apart the states of one store's columns: they are only added, and only widen from whole numbers to doubles.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Layout {
    columns: usize,
    doubles: usize,
}

/// What a column of the table shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column<'a> {
    Sequence,
    Event,
    Subject,
    Timestamp,
    ReceivedAt,
    MessageId,
    SessionId,
    Context,
    Property(&'a str, ColumnType),
    Overflow,
}

impl EventSchema {
    /// The columns for `schema`. [`Columns::event_schema`](super::Columns::event_schema) keeps the last one.
    pub fn of(schema: &Schema) -> Arc<Self> {
        Self::with_types(
            schema.version(),
            schema.columns().filter_map(|property| Some((property.name, property.column_name(), property.column?))),
        )
    }

    /// The columns as they were when a file with those of `file` was written: what it holds as whole numbers may have widened since.
    pub(crate) fn as_in(&self, file: &ArrowSchema) -> Arc<Self> {
        let columns = self.properties.iter().zip(self.arrow.fields().iter().skip(system::COUNT));
        Self::with_types(
            self.version,
            columns.map(|((name, column), field)| {
                let was_int =
                    file.field_with_name(field.name()).is_ok_and(|field| *field.data_type() == DataType::Int64);
                let column = if *column == ColumnType::Float && was_int { ColumnType::Int } else { *column };
                (name.as_ref(), Cow::Borrowed(field.name().as_str()), column)
            }),
        )
    }

    fn with_types<'a>(version: u64, typed: impl Iterator<Item = (&'a str, Cow<'a, str>, ColumnType)>) -> Arc<Self> {
        let mut fields = vec![
            Field::new(system::SEQUENCE.1, DataType::UInt64, false),
            Field::new(system::EVENT.1, DataType::Utf8View, false),
            Field::new(system::SUBJECT.1, DataType::UInt32, false),
            Field::new(system::TIMESTAMP.1, instant(), false),
            Field::new(system::RECEIVED_AT.1, instant(), false),
            Field::new(system::MESSAGE_ID.1, DataType::Utf8View, false),
            Field::new(system::SESSION_ID.1, DataType::Utf8View, true),
            Field::new(system::CONTEXT.1, DataType::Utf8View, true),
        ];
        debug_assert_eq!(fields.len(), system::COUNT);
        let mut properties = Vec::new();
        let mut columns = HashMap::new();
        let mut doubles = 0;
        for (name, column_name, column) in typed {
            doubles += usize::from(column == ColumnType::Float);
            columns.insert(Box::from(name), fields.len());
            fields.push(Field::new(column_name, data_type(column), true));
            properties.push((Box::from(name), column));
        }
        fields.push(Field::new(system::OVERFLOW, DataType::Utf8View, true));
        let layout = Layout { columns: properties.len(), doubles };
        Arc::new(Self { arrow: Arc::new(ArrowSchema::new(fields)), version, layout, properties, columns })
    }

    /// The Arrow schema: the columns of [`system`], then one for each typed property in the order of the registry, then `overflow`.
    pub fn arrow(&self) -> &SchemaRef {
        &self.arrow
    }

    /// The version of the registry's schema that it was made of. A later version that adds no column and widens none has the same columns.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The place of the column of the property called `name`; `None` for a property without a column.
    pub fn property(&self, name: &str) -> Option<usize> {
        self.columns.get(name).copied()
    }

    /// The property and its type whose column stands at `place`; `None` for columns that every event has and for the overflow.
    pub fn property_at(&self, place: usize) -> Option<(&str, ColumnType)> {
        self.properties.get(place.checked_sub(system::COUNT)?).map(|(name, column)| (name.as_ref(), *column))
    }

    /// The place of the overflow, the last column.
    pub fn overflow(&self) -> usize {
        system::COUNT + self.properties.len()
    }

    pub(crate) fn layout(&self) -> Layout {
        self.layout
    }

    pub(crate) fn type_of(&self, property: &str) -> Option<ColumnType> {
        self.property_at(self.property(property)?).map(|(_, column)| column)
    }

    pub(crate) fn column(&self, place: usize) -> Option<Column<'_>> {
        Some(match place {
            0 => Column::Sequence,
            1 => Column::Event,
            2 => Column::Subject,
            3 => Column::Timestamp,
            4 => Column::ReceivedAt,
            5 => Column::MessageId,
            6 => Column::SessionId,
            7 => Column::Context,
            _ if place == self.overflow() => Column::Overflow,
            _ => {
                let (name, column) = self.property_at(place)?;
                Column::Property(name, column)
            }
        })
    }
}

/// A column as one of this type: it may have widened since, or not yet.
pub(crate) fn as_kind(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    match array.data_type() == kind {
        true => Ok(Arc::clone(array)),
        false => cast(array, kind).map_err(error::arrow),
    }
}

/// The Arrow type of every instant.
pub(crate) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into()))
}

/// The Arrow type of a property's column.
pub(crate) fn data_type(column: ColumnType) -> DataType {
    match column {
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int => DataType::Int64,
        ColumnType::Float => DataType::Float64,
        ColumnType::Text | ColumnType::Json => DataType::Utf8View,
    }
}
