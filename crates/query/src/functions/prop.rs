//! `prop(name)`: a property of whatever type as text.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, StringBuilder};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::overflow::OverflowValue;

/// Name of the function that reads a property of whatever type as text.
pub(crate) const PROP: &str = "prop";

/// The function to register with a session.
pub(super) fn prop() -> ScalarUDF {
    ScalarUDF::from(Prop { signature: Signature::variadic_any(Volatility::Immutable) })
}

/// `prop(name, overflow [, column])`: the value of a property as text, whatever its type.
///
/// The syntax tree's `prop('name')` gets the columns before planning.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Prop {
    signature: Signature,
}

impl ScalarUDFImpl for Prop {
    fn name(&self) -> &str {
        PROP
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        match arguments.len() {
            2 | 3 => Ok(DataType::Utf8),
            found => exec_err!("prop takes one name, found {found} arguments"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [name, overflow, rest @ ..] = args.args.as_slice() else {
            return exec_err!("prop takes one name, found {} arguments", args.args.len());
        };
        let ColumnarValue::Scalar(
            ScalarValue::Utf8(Some(name)) | ScalarValue::Utf8View(Some(name)) | ScalarValue::LargeUtf8(Some(name)),
        ) = name
        else {
            return exec_err!("prop takes one name in single quotes");
        };
        let overflow = cast(&overflow.to_array(args.number_rows)?, &DataType::Utf8)?;
        let column = rest.first().map(|column| column.to_array(args.number_rows)).transpose()?;
        Ok(ColumnarValue::Array(texts(name, &overflow, column.as_ref())?))
    }
}

pub(super) fn texts(name: &str, overflow: &ArrayRef, column: Option<&ArrayRef>) -> Result<ArrayRef> {
    let as_text = match column {
        Some(column) => Some(cast(column, &DataType::Utf8)?),
        None => None,
    };
    let doubles = column.filter(|column| column.data_type() == &DataType::Float64);
    // Without overflow the column is the whole answer.
    if let Some(text) = &as_text
        && overflow.null_count() == overflow.len()
    {
        return Ok(Arc::clone(text));
    }
    let overflow = overflow.as_string::<i32>();
    let column = as_text.as_ref().map(|text| text.as_string::<i32>());
    let doubles = doubles.map(|doubles| doubles.as_primitive::<Float64Type>());
    let mut found = StringBuilder::new();
    for row in 0..overflow.len() {
        let in_column = column.filter(|column| column.is_valid(row)).map(|column| column.value(row));
        let beside = if overflow.is_valid(row) { OverflowValue::find(overflow.value(row), name) } else { None };
        match (in_column, beside) {
            (Some(text), Some(beside)) => {
                let double = doubles.filter(|doubles| doubles.is_valid(row)).map(|doubles| doubles.value(row));
                if beside.is_exact_form_of(double) {
                    found.append_value(beside.to_text());
                } else {
                    found.append_value(text);
                }
            }
            (Some(text), None) => found.append_value(text),
            (None, Some(beside)) => found.append_value(beside.to_text()),
            (None, None) => found.append_null(),
        }
    }
    Ok(Arc::new(found.finish()))
}
