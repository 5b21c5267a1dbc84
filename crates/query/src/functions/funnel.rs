//! `window_funnel` and `window_funnel_by`: how far the rows of a group get through a series of steps, and when.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, TimeUnit};
use datafusion::common::scalar::ScalarStructBuilder;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use datafusion::physical_expr::expressions::Literal;

use super::history::{Columns, History, check_types, list};
use crate::calendar::{ResolvedRange, Span};
use crate::funnel::{Attempt, Matcher};

/// Name of the function that tells the text of the opening row, too.
pub(crate) const WINDOW_FUNNEL_BY: &str = "window_funnel_by";
const WINDOW_FUNNEL: &str = "window_funnel";

/// The functions to register.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    [false, true]
        .map(|by| AggregateUDF::from(WindowFunnel { by, signature: Signature::variadic_any(Volatility::Immutable) }))
        .into()
}

/// `window_funnel(window, timestamp, step, …)`, and `window_funnel_by(text, window, timestamp, sequence, step, …)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowFunnel {
    by: bool,
    signature: Signature,
}

fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

fn times_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(instant(), true)))
}

/// What [`WINDOW_FUNNEL_BY`] answers with.
fn by_fields() -> [Field; 2] {
    [Field::new("value", DataType::Utf8, true), Field::new("times", times_type(), true)]
}

impl WindowFunnel {
    /// How many arguments stand before the steps, and at which place the window does.
    fn before_steps(&self) -> (usize, usize) {
        if self.by { (4, 1) } else { (2, 0) }
    }
}

impl AggregateUDFImpl for WindowFunnel {
    fn name(&self) -> &str {
        if self.by { WINDOW_FUNNEL_BY } else { WINDOW_FUNNEL }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let (before, _) = self.before_steps();
        if arguments.len() <= before {
            return exec_err!("{} takes {before} arguments and then its steps, found {}", self.name(), arguments.len());
        }
        check_types(self.name(), &arguments[if self.by { 2 } else { 1 }], &arguments[before..])?;
        Ok(if self.by { DataType::Struct(Fields::from(by_fields().to_vec())) } else { times_type() })
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let (before, window_at) = self.before_steps();
        let window = args.exprs.get(window_at).and_then(|expr| expr.downcast_ref::<Literal>());
        let window = window.and_then(|literal| literal.value().try_as_str().flatten());
        let window = window.ok_or_else(|| exec_datafusion_err!("{} takes a window such as '7d'", self.name()))?;
        let window: Span = window.parse().map_err(|error| exec_datafusion_err!("{error}"))?;
        let steps = args.exprs.len().saturating_sub(before);
        Ok(Box::new(Funnel { by: self.by, window, steps, history: History::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(History::<()>::fields(args.name))
    }
}

#[derive(Debug)]
struct Funnel {
    by: bool,
    window: Span,
    steps: usize,
    history: History,
}

impl Accumulator for Funnel {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let columns = match (self.by, values) {
            (true, [text, _, timestamps, sequences, conditions @ ..]) => {
                Columns { timestamps, sequences: Some(sequences), texts: Some(text), numbers: None, conditions }
            }
            (false, [_, timestamps, conditions @ ..]) => {
                Columns { timestamps, sequences: None, texts: None, numbers: None, conditions }
            }
            _ => return exec_err!("too few arguments: {}", values.len()),
        };
        self.history.add(&columns)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let always = ResolvedRange { from_us: i64::MIN, to_us: i64::MAX };
        let attempt = Matcher::new(self.steps, self.window, always).match_unit(self.history.in_order());
        let times = |attempt: &Option<Attempt>| -> ScalarValue {
            let times = attempt.as_ref().map(|attempt| attempt.times.clone()).unwrap_or_default();
            list(Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00")))
        };
        if !self.by {
            return Ok(times(&attempt));
        }
        let text = attempt.as_ref().map(|attempt| self.history.text(attempt.group).to_owned());
        let [value_field, times_field] = by_fields();
        let made = ScalarStructBuilder::new().with_scalar(value_field, ScalarValue::Utf8(text));
        made.with_scalar(times_field, times(&attempt)).build()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.history.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(self.history.state())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.history.merge(states)
    }
}
