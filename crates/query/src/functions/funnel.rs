//! `window_funnel`: how far the rows of a group get through a series of steps, and when; and `funnel_attempts`: the attempts of a unit that count for a question.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, ListBuilder, StringBuilder, StructBuilder, TimestampMicrosecondArray, TimestampMicrosecondBuilder,
    UInt32Builder, UInt64Builder,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use serde_json::{Value, json};

use super::history::{Columns, History, check_types, instant, list, list_of, literal};
use super::last::Last;
use super::values::read_values;
use crate::calendar::{Buckets, ResolvedRange, TimeZone};
use crate::funnel::{Attempt, Funnel, HitValues, Matcher, Step, StepOrder, Ties, Window};
use crate::spec::{GroupValue, Groups, Hit, Scope, SessionKey};

/// Name of the function that tells the attempts of a unit.
pub(crate) const FUNNEL_ATTEMPTS: &str = "funnel_attempts";
const WINDOW_FUNNEL: &str = "window_funnel";
/// Arguments of [`FUNNEL_ATTEMPTS`] before its conditions.
const BEFORE: usize = 4;

/// The functions to register.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let signature = || Signature::variadic_any(Volatility::Immutable);
    let attempts = FunnelAttempts { signature: signature(), last: Last::default() };
    vec![AggregateUDF::from(WindowFunnel { signature: signature() }), AggregateUDF::from(attempts)]
}

const ALWAYS: ResolvedRange = ResolvedRange { from_us: i64::MIN, to_us: i64::MAX };

/// `window_funnel(rules, timestamp, step, …)`: a window such as `'7d'`, or the fields of a funnel as JSON text, such as `'{"window": "7d", "order": "any"}'`. The
/// answer is the list of the times of the steps, NULL for one that was skipped.
#[derive(Debug, PartialEq, Eq, Hash)]
struct WindowFunnel {
    signature: Signature,
}

/// The funnel that rules speak of.
fn funnel_of(rules: &str, steps: usize) -> Result<Funnel> {
    let wrong = |error: &dyn std::fmt::Display| exec_datafusion_err!("{WINDOW_FUNNEL}: {error}");
    let any: Vec<Value> = vec![json!({"event": "*"}); steps];
    let mut fields = match rules.trim_start().starts_with('{') {
        true => serde_json::from_str(rules).map_err(|error| wrong(&error))?,
        false => json!({"window": rules}),
    };
    if let Some(fields) = fields.as_object_mut() {
        const TAKEN: [&str; 12] = [
            "steps",
            "exclude",
            "hold",
            "people",
            "rows",
            "trend",
            "breakdown",
            "segment",
            "filter",
            "unit",
            "range",
            "entry",
        ];
        if let Some(name) = TAKEN.iter().find(|name| fields.contains_key(**name)) {
            return exec_err!("{WINDOW_FUNNEL} takes no \"{name}\" in its rules");
        }
        fields.insert("steps".to_owned(), any.into());
    }
    let funnel = Funnel::from_value(&fields).map_err(|error| wrong(&error))?;
    if funnel.ties == Ties::Sequence {
        return exec_err!("{WINDOW_FUNNEL} sees no sequences: of rows of one instant it knows no order");
    }
    match (funnel.window, funnel.order) {
        (Window::Session, _) => exec_err!("{WINDOW_FUNNEL} knows no sessions"),
        (_, StepOrder::Strict) => {
            exec_err!("{WINDOW_FUNNEL} sees only rows that match a step: the order \"strict_steps\" is what it knows")
        }
        _ => Ok(funnel),
    }
}

impl AggregateUDFImpl for WindowFunnel {
    fn name(&self) -> &str {
        WINDOW_FUNNEL
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        let [_, timestamp, steps @ ..] = arguments else {
            return exec_err!("{WINDOW_FUNNEL} takes 2 arguments and then its steps, found {}", arguments.len());
        };
        if steps.is_empty() {
            return exec_err!("{WINDOW_FUNNEL} takes 2 arguments and then its steps, found {}", arguments.len());
        }
        check_types(WINDOW_FUNNEL, timestamp, steps)?;
        Ok(list_of(instant()))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let rules = literal(&args, 0);
        let rules = rules.ok_or_else(|| exec_datafusion_err!("{WINDOW_FUNNEL} takes a window such as '7d'"))?;
        let funnel = funnel_of(rules, args.exprs.len().saturating_sub(2))?;
        Ok(Box::new(Reached { matcher: Matcher::new(&funnel, ALWAYS), history: History::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(History::<()>::fields(args.name))
    }
}

#[derive(Debug)]
struct Reached {
    matcher: Matcher,
    history: History,
}

impl Accumulator for Reached {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [_, timestamps, conditions @ ..] = values else {
            return exec_err!("too few arguments: {}", values.len());
        };
        self.history.add(&Columns { timestamps, sequences: None, texts: None, numbers: None, conditions })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let attempts = self.matcher.match_unit(self.history.in_order(), &HitValues::default());
        let mut times: Vec<Option<i64>> = attempts.first().map_or_else(Vec::new, |attempt| attempt.times().collect());
        // What was not reached has no place in the list.
        times.truncate(times.iter().rposition(Option::is_some).map_or(0, |last| last + 1));
        Ok(list(Arc::new(TimestampMicrosecondArray::from(times).with_timezone("+00:00"))))
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

/// `funnel_attempts(question, text, timestamp, sequence, condition, …)`: of each attempt of the unit that counts the text of its values, the bucket in which it counts
/// (NULL: in the whole), and by step the time and the sequence of its event. The question is what [`question`] writes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct FunnelAttempts {
    signature: Signature,
    last: Last<(Matcher, Funnel)>,
}

/// What [`FUNNEL_ATTEMPTS`] has to know of a question.
pub(crate) fn question(funnel: &Funnel, range: ResolvedRange, zone: &TimeZone) -> Result<String> {
    let blank = |step: &Step| Step { selector: "*".into(), name: None, ..step.clone() };
    let mut plain = Funnel { steps: funnel.steps.iter().map(blank).collect(), people: None, ..funnel.clone() };
    plain.exclude.iter_mut().for_each(|exclusion| exclusion.selector = "*".into());
    plain.scope = Scope { breakdown: funnel.scope.breakdown.clone(), ..Scope::default() };
    let plain = serde_json::to_value(&plain).map_err(|error| exec_datafusion_err!("{error}"))?;
    Ok(json!({"funnel": plain, "from_us": range.from_us, "to_us": range.to_us, "time_zone": zone.name()}).to_string())
}

/// The matcher of a question, and its funnel.
fn matcher_of(question: &str) -> Result<(Matcher, Funnel)> {
    let wrong = || exec_datafusion_err!("{question:?} is no question of {FUNNEL_ATTEMPTS}");
    let read: Value = serde_json::from_str(question).map_err(|_| wrong())?;
    let number = |name: &str| read[name].as_i64().ok_or_else(wrong);
    let funnel = Funnel::from_value(&read["funnel"]).map_err(|_| wrong())?;
    let range = ResolvedRange { from_us: number("from_us")?, to_us: number("to_us")? };
    let matcher = Matcher::new(&funnel, range);
    let Some(interval) = funnel.trend else { return Ok((matcher, funnel)) };
    let zone = TimeZone::named(read["time_zone"].as_str().ok_or_else(wrong)?).map_err(|_| wrong())?;
    let buckets = Buckets::new(range, interval, &zone, funnel.week_start);
    let buckets = buckets.map_err(|error| exec_datafusion_err!("{error}"))?;
    Ok((matcher.by_bucket(Arc::new(buckets)), funnel))
}

fn attempt_fields() -> Fields {
    Fields::from(vec![
        Field::new("value", DataType::Utf8, true),
        Field::new("bucket", DataType::UInt32, true),
        Field::new("times", list_of(instant()), true),
        Field::new("sequences", list_of(DataType::UInt64), true),
    ])
}

impl AggregateUDFImpl for FunnelAttempts {
    fn name(&self) -> &str {
        FUNNEL_ATTEMPTS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.len() <= BEFORE {
            return exec_err!(
                "{FUNNEL_ATTEMPTS} takes {BEFORE} arguments and then its conditions, found {}",
                arguments.len()
            );
        }
        check_types(FUNNEL_ATTEMPTS, &arguments[2], &arguments[BEFORE..])?;
        Ok(list_of(DataType::Struct(attempt_fields())))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let question = literal(&args, 0);
        let question = question.ok_or_else(|| exec_datafusion_err!("{FUNNEL_ATTEMPTS} takes a question"))?;
        let made = self.last.of(question, || matcher_of(question))?;
        Ok(Box::new(Attempts { made, history: History::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(History::<()>::fields(args.name))
    }
}

#[derive(Debug)]
struct Attempts {
    made: Arc<(Matcher, Funnel)>,
    history: History,
}

impl Accumulator for Attempts {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [_, text, timestamps, sequences, conditions @ ..] = values else {
            return exec_err!("too few arguments: {}", values.len());
        };
        self.history.add(&Columns {
            timestamps,
            sequences: Some(sequences),
            texts: Some(text),
            numbers: None,
            conditions,
        })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (matcher, funnel) = &*self.made;
        let mut matcher = matcher.clone();
        let mut combined = Groups::default();
        for text in self.history.texts() {
            combined.intern(&read_values(text).map_err(|error| exec_datafusion_err!("{error}"))?);
        }
        let values = HitValues::new(funnel, &combined);
        match funnel.window {
            Window::Span(_) => drop(matcher.match_unit(self.history.in_order(), &values)),
            Window::Session => {
                let session = |hit: &Hit| match combined.values(hit.group).last() {
                    Some(GroupValue::Text(session)) => SessionKey::of(session),
                    _ => SessionKey::default(),
                };
                let keyed: Vec<Hit<SessionKey>> =
                    self.history.in_order().iter().map(|hit| hit.with(session(hit))).collect();
                matcher.match_sessions(&keyed, &values);
            }
        }
        let mut made = StructBuilder::from_fields(attempt_fields(), 0);
        let counting = matcher.attempts().iter().map(|attempt| (None, attempt));
        let in_buckets = matcher.in_buckets().iter().map(|(bucket, attempt)| (u32::try_from(*bucket).ok(), attempt));
        for (bucket, attempt) in counting.chain(in_buckets) {
            let text = (0..combined.len()).find(|number| values.group_of(*number as u32) == attempt.group);
            let text = text.map_or("[]", |number| self.history.text(number as u32));
            append(&mut made, text, bucket, attempt)?;
        }
        Ok(list(Arc::new(made.finish())))
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

fn append(made: &mut StructBuilder, text: &str, bucket: Option<u32>, attempt: &Attempt) -> Result<()> {
    type Lists = ListBuilder<Box<dyn datafusion::arrow::array::ArrayBuilder>>;
    let wrong = || exec_datafusion_err!("invariant: an attempt has four columns");
    made.field_builder::<StringBuilder>(0).ok_or_else(wrong)?.append_value(text);
    made.field_builder::<UInt32Builder>(1).ok_or_else(wrong)?.append_option(bucket);
    let times = made.field_builder::<Lists>(2).ok_or_else(wrong)?;
    let values = times.values().as_any_mut().downcast_mut::<TimestampMicrosecondBuilder>().ok_or_else(wrong)?;
    attempt.times().for_each(|time| values.append_option(time));
    times.append(true);
    let sequences = made.field_builder::<Lists>(3).ok_or_else(wrong)?;
    let values = sequences.values().as_any_mut().downcast_mut::<UInt64Builder>().ok_or_else(wrong)?;
    attempt.steps.iter().for_each(|done| values.append_option(done.map(|done| done.sequence)));
    sequences.append(true);
    made.append(true);
    Ok(())
}
