//! `first_holds` and `last_holds`: whether a condition holds of the first or the last row of a group, by timestamp and sequence.

use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type,
};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::history::check_types;

/// Name of the function of the first row.
pub(crate) const FIRST_HOLDS: &str = "first_holds";
/// Name of the function of the last row.
pub(crate) const LAST_HOLDS: &str = "last_holds";

/// The functions to register.
pub(super) fn aggregates() -> [AggregateUDF; 2] {
    [false, true].map(|last| AggregateUDF::from(AtEnd { last, signature: Signature::any(4, Volatility::Immutable) }))
}

/// `first_holds(timestamp, sequence, counts, condition)`, of the rows that count; NULL where none does.
#[derive(Debug, PartialEq, Eq, Hash)]
struct AtEnd {
    last: bool,
    signature: Signature,
}

impl AggregateUDFImpl for AtEnd {
    fn name(&self) -> &str {
        if self.last { LAST_HOLDS } else { FIRST_HOLDS }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let [timestamp, _, conditions @ ..] = arguments else {
            return exec_err!("{} takes 4 arguments, found {}", self.name(), arguments.len());
        };
        check_types(self.name(), timestamp, conditions)?;
        Ok(DataType::Boolean)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Held { last: self.last, at: None }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |name: &str, kind| Field::new(format!("{}[{name}]", args.name), kind, true).into();
        Ok(vec![
            field("timestamp", DataType::Int64),
            field("sequence", DataType::UInt64),
            field("holds", DataType::Boolean),
        ])
    }
}

#[derive(Debug)]
struct Held {
    last: bool,
    /// The row at the end so far, and whether the condition holds of it.
    at: Option<((i64, u64), bool)>,
}

impl Held {
    fn add(&mut self, at: (i64, u64), holds: bool) {
        let is_nearer = |(known, _): ((i64, u64), bool)| if self.last { at > known } else { at < known };
        if self.at.is_none_or(is_nearer) {
            self.at = Some((at, holds));
        }
    }
}

impl Accumulator for Held {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [timestamps, sequences, counts, conditions] = values else {
            return exec_err!("4 arguments expected, found {}", values.len());
        };
        let timestamps = cast(timestamps, &DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())))?;
        let timestamps = timestamps.as_primitive::<TimestampMicrosecondType>();
        let sequences = cast(sequences, &DataType::UInt64)?;
        let sequences = sequences.as_primitive::<UInt64Type>();
        let (counts, conditions) = (cast(counts, &DataType::Boolean)?, cast(conditions, &DataType::Boolean)?);
        let holds = |array: &ArrayRef, row| array.is_valid(row) && array.as_boolean().value(row);
        for row in (0..timestamps.len()).filter(|row| timestamps.is_valid(*row) && holds(&counts, *row)) {
            self.add((timestamps.value(row), sequences.value(row)), holds(&conditions, row));
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Boolean(self.at.map(|(_, holds)| holds)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            ScalarValue::Int64(self.at.map(|((timestamp, _), _)| timestamp)),
            ScalarValue::UInt64(self.at.map(|((_, sequence), _)| sequence)),
            ScalarValue::Boolean(self.at.map(|(_, holds)| holds)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [timestamps, sequences, conditions] = states else {
            return exec_err!("3 columns of state expected, found {}", states.len());
        };
        let (timestamps, sequences) = (timestamps.as_primitive::<Int64Type>(), sequences.as_primitive::<UInt64Type>());
        for row in (0..timestamps.len()).filter(|row| timestamps.is_valid(*row)) {
            self.add((timestamps.value(row), sequences.value(row)), conditions.as_boolean().value(row));
        }
        Ok(())
    }
}
