//! `breakdown_values` and `property_number`: what a property of an event is, whatever its type and wherever it is kept.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, Float64Array, StringArray};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::analysis::{GroupReader, Item, numbers};
use crate::spec::GroupValue;

/// Name of the function that writes the values of a breakdown as one text.
pub(crate) const BREAKDOWN_VALUES: &str = "breakdown_values";
/// Name of the function that reads the number of a property.
pub(crate) const PROPERTY_NUMBER: &str = "property_number";

/// What a function makes of `(overflow, name, column, …)`: a name is NULL where no value of the property can be in the overflow, a column where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Reads {
    /// A text for each combination of values, the same for the same ones.
    Values,
    /// A double, NULL where there is none.
    Number,
}

/// The functions to register.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    [Reads::Values, Reads::Number]
        .map(|reads| {
            let signature = Signature::variadic_any(Volatility::Immutable);
            ScalarUDF::from(OfProperties { reads, signature })
        })
        .into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OfProperties {
    reads: Reads,
    signature: Signature,
}

impl ScalarUDFImpl for OfProperties {
    fn name(&self) -> &str {
        match self.reads {
            Reads::Values => BREAKDOWN_VALUES,
            Reads::Number => PROPERTY_NUMBER,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.len() < 3 || arguments.len().is_multiple_of(2) {
            let found = arguments.len();
            return exec_err!(
                "{} takes the overflow, and a name and a column for each property, found {found} arguments",
                self.name()
            );
        }
        Ok(match self.reads {
            Reads::Values => DataType::Utf8,
            Reads::Number => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let [overflow, properties @ ..] = args.args.as_slice() else {
            return exec_err!("{} takes arguments", self.name());
        };
        let mut arrays: Vec<ArrayRef> = vec![overflow.to_array(rows)?];
        let mut items: Vec<Item> = Vec::with_capacity(properties.len() / 2);
        for property in properties.chunks_exact(2) {
            let ColumnarValue::Scalar(name) = &property[0] else {
                return exec_err!("{} takes names in single quotes", self.name());
            };
            let overflow_name = match name {
                name if name.is_null() => None,
                name => Some(name.try_as_str().flatten().map(str::to_owned))
                    .ok_or_else(|| exec_datafusion_err!("{name} is no name"))?,
            };
            items.push(Item { column: Some(arrays.len()), overflow_name });
            arrays.push(property[1].to_array(rows)?);
        }
        let is_null = *arrays[0].data_type() == DataType::Null;
        let made: ArrayRef = match self.reads {
            Reads::Values => {
                let mut reader = GroupReader::new(&items, (!is_null).then_some(0));
                let mut groups = Vec::with_capacity(rows);
                reader.read(&arrays, rows, &mut groups)?;
                let count = u32::try_from(reader.groups().len()).unwrap_or(u32::MAX);
                let texts: Vec<String> = (0..count).map(|group| written(reader.groups().values(group))).collect();
                Arc::new(StringArray::from_iter_values(groups.iter().map(|group| texts[*group as usize].as_str())))
            }
            Reads::Number => {
                let name = items.first().and_then(|item| item.overflow_name.as_deref());
                let found = numbers(arrays.get(1), name.filter(|_| !is_null).map(|name| (&arrays[0], name)), rows)?;
                Arc::new(Float64Array::from_iter(found.iter().map(|number| (!number.is_nan()).then_some(*number))))
            }
        };
        Ok(ColumnarValue::Array(made))
    }
}

/// The literal of a name that may be none.
pub(crate) fn name_literal(name: Option<String>) -> ScalarValue {
    ScalarValue::Utf8(name)
}

/// One value that is NULL as such a text.
pub(crate) const NULL_VALUE: &str = r#"["n"]"#;

/// Values as one text: a JSON list of texts, each of which begins with the type of its value.
fn written(values: &[GroupValue]) -> String {
    let texts: Vec<String> = values
        .iter()
        .map(|value| match value {
            GroupValue::Null => "n".to_owned(),
            GroupValue::Bool(value) => format!("b{value}"),
            GroupValue::Int(value) => format!("i{value}"),
            // Its bits, as two texts of one number would be two values.
            GroupValue::Float(value) => format!("f{:x}", value.to_bits()),
            GroupValue::Text(text) => format!("t{text}"),
        })
        .collect();
    serde_json::Value::from(texts).to_string()
}

/// The values of a text that [`BREAKDOWN_VALUES`] has made.
pub(crate) fn read_values(text: &str) -> Result<Vec<GroupValue>> {
    let wrong = || exec_datafusion_err!("{text:?} is no text of the values of a breakdown");
    let texts: Vec<String> = serde_json::from_str(text).map_err(|_| wrong())?;
    let value = |text: &String| {
        let mut rest = text.chars();
        let kind = rest.next()?;
        let rest = rest.as_str();
        Some(match kind {
            'n' => GroupValue::Null,
            'b' => GroupValue::Bool(rest.parse().ok()?),
            'i' => GroupValue::Int(rest.parse().ok()?),
            'f' => GroupValue::Float(f64::from_bits(u64::from_str_radix(rest, 16).ok()?)),
            't' => GroupValue::from(rest),
            _ => return None,
        })
    };
    texts.iter().map(value).collect::<Option<_>>().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_they_were_written() {
        let values = [
            GroupValue::Null,
            true.into(),
            (-3_i64).into(),
            GroupValue::Float(f64::NAN),
            GroupValue::Float(0.1),
            GroupValue::Float(1e300),
            "".into(),
            "i3 \"quoted\"\n".into(),
        ];
        assert_eq!(read_values(&written(&values)).unwrap(), values);
        assert_eq!(read_values(&written(&[])).unwrap(), []);
        for text in ["", "[1]", "[\"\"]", "[\"x\"]", "[\"i\"]", "[\"f\"]"] {
            assert!(read_values(text).is_err(), "{text}");
        }
    }
}
