//! `sequence_match` and `sequence_count`: whether, and how often, the rows of a group follow a pattern.

use datafusion::arrow::array::ArrayRef;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::history::{Columns, History, check_types, literal};
use super::pattern::Pattern;

/// Arguments before the conditions.
const BEFORE: usize = 3;

/// The functions to register.
pub(super) fn aggregates() -> [AggregateUDF; 2] {
    [false, true].map(|counts| {
        AggregateUDF::from(Sequence { counts, signature: Signature::variadic_any(Volatility::Immutable) })
    })
}

/// `sequence_match(pattern, timestamp, sequence, condition, …)` and `sequence_count` of the same.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Sequence {
    counts: bool,
    signature: Signature,
}

impl AggregateUDFImpl for Sequence {
    fn name(&self) -> &str {
        if self.counts { "sequence_count" } else { "sequence_match" }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.len() <= BEFORE {
            let found = arguments.len();
            return exec_err!("{} takes {BEFORE} arguments and then its conditions, found {found}", self.name());
        }
        check_types(self.name(), &arguments[1], &arguments[BEFORE..])?;
        Ok(if self.counts { DataType::UInt64 } else { DataType::Boolean })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let pattern = literal(&args, 0);
        let pattern =
            pattern.ok_or_else(|| exec_datafusion_err!("{} takes a pattern in single quotes", self.name()))?;
        let pattern = Pattern::read(pattern, args.exprs.len().saturating_sub(BEFORE))?;
        Ok(Box::new(Followed { counts: self.counts, pattern, history: History::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(History::<()>::fields(args.name))
    }
}

#[derive(Debug)]
struct Followed {
    counts: bool,
    pattern: Pattern,
    history: History,
}

impl Accumulator for Followed {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [_, timestamps, sequences, conditions @ ..] = values else {
            return exec_err!("too few arguments: {}", values.len());
        };
        self.history.add(&Columns { timestamps, sequences: Some(sequences), texts: None, numbers: None, conditions })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let rows = self.history.in_order().iter().map(|hit| (hit.timestamp, hit.matches));
        Ok(match self.counts {
            true => ScalarValue::UInt64(Some(self.pattern.matches(rows).count() as u64)),
            false => ScalarValue::Boolean(Some(self.pattern.matches(rows).next().is_some())),
        })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.pattern.size() + self.history.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self.history.state())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.history.merge(states)
    }
}
