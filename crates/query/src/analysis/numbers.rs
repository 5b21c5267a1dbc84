//! The numbers that events have for a property.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::error::DataFusionError;

use crate::overflow::OverflowValue;

/// Where the numbers of a property are.
#[derive(Debug, Clone)]
pub(crate) struct NumberSource<C> {
    /// The column with its values, if that holds numbers.
    pub(crate) column: Option<C>,
    /// The property, where values of it may lie in the overflow.
    pub(crate) overflow_name: Option<String>,
}

/// The number of each row; NaN, which no event can have, where there is none.
pub(crate) fn numbers(
    column: Option<&ArrayRef>,
    overflow: Option<(&ArrayRef, &str)>,
    rows: usize,
) -> Result<Vec<f64>, DataFusionError> {
    let mut numbers = match column {
        Some(column) if column.data_type().is_numeric() => {
            let column = cast(column, &DataType::Float64)?;
            let values = column.as_primitive::<Float64Type>();
            match values.nulls() {
                None => values.values().to_vec(),
                Some(valid) => values
                    .values()
                    .iter()
                    .zip(valid.iter())
                    .map(|(value, valid)| if valid { *value } else { f64::NAN })
                    .collect(),
            }
        }
        _ => vec![f64::NAN; rows],
    };
    if let Some((overflow, name)) = overflow
        && overflow.null_count() < overflow.len()
        && *overflow.data_type() != DataType::Null
    {
        let overflow = cast(overflow, &DataType::Utf8View)?;
        let pairs = overflow.as_string_view();
        let missing = numbers.iter_mut().enumerate().filter(|(row, number)| number.is_nan() && pairs.is_valid(*row));
        for (row, number) in missing {
            *number =
                OverflowValue::find(pairs.value(row), name).and_then(OverflowValue::to_number).unwrap_or(f64::NAN);
        }
    }
    Ok(numbers)
}
