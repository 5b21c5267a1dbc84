//! Typed columns: which type a property's column has, what it is called, and which values it holds.

use std::borrow::Cow;
use std::fmt;

use pugmark_store::ValueRef;

/// The columns that every event has. A property may not take one of these names.
pub const SYSTEM_COLUMNS: [&str; 11] = [
    "sequence",
    "event",
    "subject",
    "person",
    "distinct_id",
    "timestamp",
    "received_at",
    "message_id",
    "session_id",
    "context",
    "overflow",
];

/// What stands before the name of a property that could be taken for something else.
const PREFIX: &str = "p_";

/// The largest whole number up to which a double holds every whole number.
const EXACT_IN_DOUBLE: u64 = 1 << 53;

/// The name of the column of the property `name`: the name itself, or `p_<name>` when it is one of the
/// [`SYSTEM_COLUMNS`] or begins with `p_`.
///
/// No two properties have the same column name.
///
/// # Example
/// ```
/// use pugmark_registry::column_name;
/// assert_eq!(column_name("country"), "country");
/// assert_eq!(column_name("timestamp"), "p_timestamp");
/// assert_eq!(column_name("p_timestamp"), "p_p_timestamp");
/// ```
pub fn column_name(name: &str) -> Cow<'_, str> {
    if name.starts_with(PREFIX) || SYSTEM_COLUMNS.contains(&name) {
        Cow::Owned(format!("{PREFIX}{name}"))
    } else {
        Cow::Borrowed(name)
    }
}

/// The property whose column is called `column`; `None` where no property's is.
pub(crate) fn property_of_column(column: &str) -> Option<&str> {
    let name = column.strip_prefix(PREFIX).unwrap_or(column);
    (column_name(name) == column).then_some(name)
}

/// The type of a property's column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ColumnType {
    /// `true` and `false`.
    Bool,
    /// Whole numbers of 64 bits.
    Int,
    /// Doubles.
    Float,
    /// Strings.
    Text,
    /// JSON text: arrays, and objects nested too deep to be flattened.
    Json,
}

/// Where a value of an event is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Placement {
    /// In the column, without loss.
    Column,
    /// Rounded to the nearest double in the column, and as it was in the overflow.
    ColumnAndOverflow,
    /// In the overflow only: the column is NULL.
    Overflow,
}

impl ColumnType {
    /// The type of a column whose first value is `value`.
    pub fn of(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Bool(_) => Self::Bool,
            ValueRef::Int(_) => Self::Int,
            ValueRef::Float(_) | ValueRef::Number(_) => Self::Float,
            ValueRef::Text(_) => Self::Text,
            ValueRef::Json(_) => Self::Json,
        }
    }

    /// Where `value` is kept when the property's column has this type.
    ///
    /// A value of the column's own kind is in the column. Numbers without loss in a double are so in a column of
    /// doubles, others are there rounded and in the overflow too. Everything else is in the overflow.
    ///
    /// # Example
    /// ```
    /// use pugmark_registry::{ColumnType, Placement};
    /// use pugmark_store::ValueRef;
    /// assert_eq!(ColumnType::Float.place(ValueRef::Int(7)), Placement::Column);
    /// assert_eq!(ColumnType::Float.place(ValueRef::Int(i64::MAX)), Placement::ColumnAndOverflow);
    /// assert_eq!(ColumnType::Int.place(ValueRef::Text("7")), Placement::Overflow);
    /// ```
    pub fn place(self, value: ValueRef<'_>) -> Placement {
        match (self, value) {
            (Self::Bool, ValueRef::Bool(_))
            | (Self::Int, ValueRef::Int(_))
            | (Self::Float, ValueRef::Float(_))
            | (Self::Text, ValueRef::Text(_))
            | (Self::Json, ValueRef::Json(_)) => Placement::Column,
            (Self::Float, ValueRef::Int(v)) if v.unsigned_abs() <= EXACT_IN_DOUBLE => Placement::Column,
            (Self::Float, ValueRef::Int(_)) => Placement::ColumnAndOverflow,
            (Self::Float, ValueRef::Number(_)) if Self::double(value).is_some() => Placement::ColumnAndOverflow,
            _ => Placement::Overflow,
        }
    }

    /// The double that stands for `value` in a column of doubles: the nearest one.
    ///
    /// `None` for what is not a number, and for a number beyond the range of a double.
    ///
    /// # Example
    /// ```
    /// use pugmark_registry::ColumnType;
    /// use pugmark_store::ValueRef;
    /// assert_eq!(ColumnType::double(ValueRef::Number("12345678901234567890")), Some(12345678901234567890.0));
    /// assert_eq!(ColumnType::double(ValueRef::Number("1e999")), None);
    /// assert_eq!(ColumnType::double(ValueRef::Text("1")), None);
    /// ```
    pub fn double(value: ValueRef<'_>) -> Option<f64> {
        match value {
            ValueRef::Int(v) => Some(v as f64),
            ValueRef::Float(v) => Some(v),
            ValueRef::Number(text) => text.parse().ok().filter(|v: &f64| v.is_finite()),
            ValueRef::Bool(_) | ValueRef::Text(_) | ValueRef::Json(_) => None,
        }
    }

    /// The word that stands for it in results: `bool`, `int`, `float`, `text`, `json`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KINDS: [ColumnType; 5] =
        [ColumnType::Bool, ColumnType::Int, ColumnType::Float, ColumnType::Text, ColumnType::Json];

    #[test]
    fn every_value_is_placed_by_the_table() {
        use Placement::{Column as C, ColumnAndOverflow as B, Overflow as O};
        let exact = 1_i64 << 53;
        // In the order of KINDS.
        let table: [(ValueRef<'_>, [Placement; 5]); 14] = [
            (ValueRef::Bool(true), [C, O, O, O, O]),
            (ValueRef::Int(0), [O, C, C, O, O]),
            (ValueRef::Int(exact), [O, C, C, O, O]),
            (ValueRef::Int(-exact), [O, C, C, O, O]),
            (ValueRef::Int(exact + 1), [O, C, B, O, O]),
            (ValueRef::Int(-exact - 1), [O, C, B, O, O]),
            (ValueRef::Int(i64::MIN), [O, C, B, O, O]),
            (ValueRef::Int(i64::MAX), [O, C, B, O, O]),
            (ValueRef::Float(0.5), [O, O, C, O, O]),
            (ValueRef::Number("12345678901234567890"), [O, O, B, O, O]),
            (ValueRef::Number("1e999"), [O, O, O, O, O]),
            (ValueRef::Text("0"), [O, O, O, C, O]),
            (ValueRef::Text(""), [O, O, O, C, O]),
            (ValueRef::Json("[1]"), [O, O, O, O, C]),
        ];
        for (value, row) in table {
            for (column, expected) in KINDS.into_iter().zip(row) {
                assert_eq!(column.place(value), expected, "{value:?} in a column of {column}");
            }
        }
    }

    #[test]
    fn a_column_holds_the_value_that_decided_it() {
        for value in [
            ValueRef::Bool(false),
            ValueRef::Int(i64::MIN),
            ValueRef::Float(-0.0),
            ValueRef::Text("x"),
            ValueRef::Json("[]"),
        ] {
            assert_eq!(ColumnType::of(value).place(value), Placement::Column);
        }
        let number = ValueRef::Number("0.1000000000000000055511151231257827");
        assert_eq!(ColumnType::of(number), ColumnType::Float);
        assert_eq!(ColumnType::Float.place(number), Placement::ColumnAndOverflow);
    }

    #[test]
    fn names_of_columns_never_meet() {
        for system in SYSTEM_COLUMNS {
            assert_eq!(column_name(system), format!("p_{system}"));
            assert_eq!(property_of_column(system), None);
        }
        for name in ["", "p", "p_", "p_event", "p_p_event", "event", "Event", "page.url", "$browser", "p_x"] {
            let column = column_name(name);
            assert!(!SYSTEM_COLUMNS.contains(&column.as_ref()));
            assert_eq!(property_of_column(&column), Some(name), "{column}");
        }
        assert_eq!(property_of_column("p_x"), None);
        assert_eq!(property_of_column("p_"), None);
    }
}
