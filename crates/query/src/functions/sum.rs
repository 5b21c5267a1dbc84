//! `exact_sum`: a sum whose parts can be added up in any order.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use crate::trend::Sum;

/// Name of the function.
pub(crate) const EXACT_SUM: &str = "exact_sum";

/// The function to register.
pub(super) fn aggregate() -> AggregateUDF {
    AggregateUDF::from(ExactSum { signature: Signature::any(1, Volatility::Immutable) })
}

/// `exact_sum(number)`: the sum of what is not NULL, as a double and what was lost of it by rounding.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactSum {
    signature: Signature,
}

fn parts() -> [Field; 2] {
    ["high", "low"].map(|name| Field::new(name, DataType::Float64, false))
}

impl AggregateUDFImpl for ExactSum {
    fn name(&self) -> &str {
        EXACT_SUM
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if let Some(kind) = arguments.first().filter(|kind| !kind.is_numeric() && **kind != DataType::Null) {
            return exec_err!("{EXACT_SUM} takes a number, found {kind}");
        }
        Ok(DataType::Struct(Fields::from(parts().to_vec())))
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Summed(Sum::default())))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let named = parts().map(|field| Arc::new(field.clone().with_name(format!("{}[{}]", args.name, field.name()))));
        Ok(named.to_vec())
    }
}

#[derive(Debug)]
struct Summed(Sum);

impl Summed {
    fn scalars(&self) -> [ScalarValue; 2] {
        let (high, low) = self.0.parts();
        [high, low].map(|part| ScalarValue::Float64(Some(part)))
    }
}

impl Accumulator for Summed {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return internal_err!("{EXACT_SUM} takes a number") };
        let values = cast(values, &DataType::Float64)?;
        values.as_primitive::<Float64Type>().iter().flatten().for_each(|number| self.0.add(number));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let [high, low] = self.scalars();
        let [high_field, low_field] = parts();
        ScalarStructBuilder::new().with_scalar(high_field, high).with_scalar(low_field, low).build()
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self.scalars().to_vec())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [high, low] = states else { return internal_err!("{EXACT_SUM} has a state of two numbers") };
        for (high, low) in
            high.as_primitive::<Float64Type>().values().iter().zip(low.as_primitive::<Float64Type>().values())
        {
            self.0 += Sum::of_parts(*high, *low);
        }
        Ok(())
    }
}
