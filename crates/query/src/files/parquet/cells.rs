//! The columns of a batch, ready to be read row by row.

use std::borrow::Cow;
use std::sync::Arc;

use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
    TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Field as ArrowField, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::json::writer::{EncoderOptions, make_encoder};
use pugmark_store::{Event, Timestamp, Value, limits};

use crate::files::csv::{Column, set_field, set_properties};
use crate::files::mapping::Field;
use crate::files::pipeline::push_property;
use crate::files::timestamp;

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;
/// Digits up to which a decimal number comes back from the nearest float.
const FLOAT_DIGITS: usize = 15;

/// The values of one column that is no struct, or of one member of a struct.
#[derive(Debug)]
pub(super) struct Leaf {
    target: Column,
    cells: Cells,
}

#[derive(Debug)]
enum Cells {
    Absent,
    Bools(BooleanArray),
    Ints(Int64Array),
    UInts(UInt64Array),
    Floats(Float64Array),
    Texts(StringArray),
    Instants(TimestampMicrosecondArray),
    Dates(Date32Array),
    Decimals(StringArray),
    Bytes(BinaryArray),
    Json(Vec<Option<String>>),
}

/// Takes a column apart. Structs become one leaf for each member, as deep as objects are flattened.
pub(super) fn leaves(target: &Column, array: &ArrayRef, out: &mut Vec<Leaf>) -> Result<(), ArrowError> {
    let depth = match target {
        Column::Property(name) => name.bytes().filter(|b| *b == b'.').count() + 1,
        Column::Properties => 0,
        Column::Field(_) => limits::FLATTEN_DEPTH,
    };
    if let Some(members) = array.as_struct_opt()
        && depth < limits::FLATTEN_DEPTH
    {
        // A member is null wherever its struct is: both come from the same definition levels.
        for (field, member) in members.fields().iter().zip(members.columns()) {
            let name = match target {
                Column::Property(outer) => format!("{outer}.{}", field.name()),
                _ => field.name().clone(),
            };
            leaves(&Column::Property(name), member, out)?;
        }
        return Ok(());
    }
    out.push(Leaf { target: target.clone(), cells: Cells::of(array)? });
    Ok(())
}

impl Cells {
    fn of(array: &ArrayRef) -> Result<Self, ArrowError> {
        let as_type = |data_type: &DataType| cast(array, data_type);
        Ok(match array.data_type() {
            DataType::Null => Self::Absent,
            DataType::Boolean => Self::Bools(array.as_boolean().clone()),
            DataType::UInt64 => Self::UInts(array.as_primitive::<UInt64Type>().clone()),
            kind if kind.is_integer() => Self::Ints(as_type(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            kind if kind.is_floating() => {
                Self::Floats(as_type(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Utf8 => Self::Texts(array.as_string::<i32>().clone()),
            DataType::Dictionary(_, values) => Self::of(&as_type(values)?)?,
            DataType::Timestamp(_, zone) => {
                let instants = as_type(&DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
                Self::Instants(instants.as_primitive::<TimestampMicrosecondType>().clone())
            }
            DataType::Date32 | DataType::Date64 => {
                Self::Dates(as_type(&DataType::Date32)?.as_primitive::<Date32Type>().clone())
            }
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Self::Decimals(as_type(&DataType::Utf8)?.as_string::<i32>().clone())
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes(as_type(&DataType::Binary)?.as_binary::<i32>().clone())
            }
            DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Duration(_)
            | DataType::Interval(_) => Self::Texts(as_type(&DataType::Utf8)?.as_string::<i32>().clone()),
            _ => Self::Json(json(array)?),
        })
    }

    /// The value of a row; `None` where it is null or no number.
    fn value(&self, row: usize) -> Option<Value> {
        Some(match self {
            Self::Absent => return None,
            Self::Bools(cells) => Value::Bool(cells.is_valid(row).then(|| cells.value(row))?),
            Self::Ints(cells) => Value::Int(cells.is_valid(row).then(|| cells.value(row))?),
            Self::UInts(cells) => Value::from(cells.is_valid(row).then(|| cells.value(row))?),
            Self::Floats(cells) => Value::Float(cells.is_valid(row).then(|| cells.value(row)).filter(|v| !v.is_nan())?),
            Self::Texts(cells) => Value::Text(cells.is_valid(row).then(|| cells.value(row))?.to_owned()),
            Self::Instants(cells) => Value::Text(instant(cells, row)?.to_string()),
            Self::Dates(cells) => {
                let midnight = date(cells, row)?.to_string();
                Value::Text(midnight.strip_suffix("T00:00:00Z").map(str::to_owned).unwrap_or(midnight))
            }
            Self::Decimals(cells) => decimal(cells.is_valid(row).then(|| cells.value(row))?),
            Self::Bytes(cells) => Value::Text(bytes_text(cells.is_valid(row).then(|| cells.value(row))?).into_owned()),
            Self::Json(cells) => Value::Json(cells.get(row).cloned().flatten()?),
        })
    }
}

fn instant(cells: &TimestampMicrosecondArray, row: usize) -> Option<Timestamp> {
    cells.is_valid(row).then(|| Timestamp::from_microsecond(cells.value(row)))
}

fn date(cells: &Date32Array, row: usize) -> Option<Timestamp> {
    cells.is_valid(row).then(|| Timestamp::from_microsecond(i64::from(cells.value(row)) * MICROSECONDS_PER_DAY))
}

/// A decimal number: a whole one, the float that it comes back from, else its text.
fn decimal(text: &str) -> Value {
    if !text.contains('.')
        && let Ok(number) = text.parse::<i64>()
    {
        return Value::Int(number);
    }
    let digits = text.bytes().filter(u8::is_ascii_digit).skip_while(|digit| *digit == b'0').count();
    match text.parse::<f64>() {
        Ok(number) if digits <= FLOAT_DIGITS => Value::Float(number),
        _ => Value::Number(text.to_owned()),
    }
}

/// Bytes as text; those that are not UTF-8 in hexadecimal digits.
fn bytes_text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
    }
}

/// The rows of a column as JSON text.
fn json(array: &ArrayRef) -> Result<Vec<Option<String>>, ArrowError> {
    let field = Arc::new(ArrowField::new("value", array.data_type().clone(), true));
    let options = EncoderOptions::default();
    let mut encoder = make_encoder(&field, array.as_ref(), &options)?;
    let text = |row| {
        if encoder.is_null(row) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        encoder.encode(row, &mut bytes);
        String::from_utf8(bytes).map(Some).map_err(|e| ArrowError::JsonError(e.to_string()))
    };
    (0..array.len()).map(text).collect()
}

impl Leaf {
    /// Puts the value of a row into `event`.
    pub(super) fn read(&self, row: usize, event: &mut Event) -> Result<(), String> {
        match (&self.target, &self.cells) {
            (Column::Field(Field::Timestamp), Cells::Instants(cells)) => event.timestamp = instant(cells, row),
            (Column::Field(Field::Timestamp), Cells::Dates(cells)) => event.timestamp = date(cells, row),
            (target, cells) => {
                let Some(value) = cells.value(row) else { return Ok(()) };
                match (target, value) {
                    (Column::Field(Field::Timestamp), Value::Int(number)) => {
                        event.timestamp = Some(timestamp::from_integer(number));
                    }
                    (Column::Field(Field::Timestamp), Value::Float(number)) => {
                        let at = timestamp::from_float(number).map_err(|reason| format!("timestamp: {reason}"))?;
                        event.timestamp = Some(at);
                    }
                    (Column::Field(_), Value::Text(text)) if text.is_empty() => {}
                    (Column::Field(Field::Event), Value::Text(text)) => event.name = text,
                    (Column::Field(Field::DistinctId), Value::Text(text)) => event.distinct_id = text,
                    (Column::Field(Field::MessageId), Value::Text(text)) => event.message_id = Some(text),
                    (Column::Field(Field::SessionId), Value::Text(text)) => event.session_id = Some(text),
                    (Column::Field(Field::Key), Value::Text(text)) => event.key = Some(text),
                    (Column::Field(Field::Context), Value::Json(text)) => event.context = Some(text),
                    (Column::Field(field), Value::Text(text) | Value::Number(text)) => set_field(event, *field, &text)?,
                    (Column::Field(field), Value::Int(number)) => set_field(event, *field, &number.to_string())?,
                    (Column::Field(field), other) => {
                        let found = other.borrowed().to_json();
                        return Err(format!("{}: {found}, expected text or a whole number", field.as_str()));
                    }
                    (Column::Properties, Value::Text(text)) => set_properties(event, &text)?,
                    (Column::Properties, value) => push_property(event, "properties", value)?,
                    (Column::Property(name), value) => push_property(event, name, value)?,
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_floats_only_where_nothing_is_lost() {
        assert_eq!(decimal("19.90"), Value::Float(19.9));
        assert_eq!(decimal("-0.05"), Value::Float(-0.05));
        assert_eq!(decimal("42"), Value::Int(42));
        assert_eq!(decimal("1234567890123456.7"), Value::Number("1234567890123456.7".to_owned()));
        assert_eq!(decimal("99999999999999999999"), Value::Number("99999999999999999999".to_owned()));
    }

    #[test]
    fn bytes_that_are_no_text_are_hexadecimal() {
        assert_eq!(bytes_text(b"abc"), "abc");
        assert_eq!(bytes_text(b"\xff\x00a"), "ff0061");
    }
}
