//! `unit_paths`: the paths of the rows of a group.

use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayBuilder, ArrayRef, BooleanBuilder, ListBuilder, StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use serde_json::{Value, json};

use super::history::{Columns, History, check_types, instant, list, list_of, literal};
use super::last::Last;
use super::values::read_values;
use crate::calendar::ResolvedRange;
use crate::paths::{Paths, Visit, Walker};
use crate::spec::{GroupValue, Scope, Selector};

/// Name of the function that tells the paths of a unit.
pub(crate) const UNIT_PATHS: &str = "unit_paths";
/// Arguments before the conditions.
const BEFORE: usize = 4;

/// The function to register.
pub(super) fn aggregate() -> AggregateUDF {
    let signature = Signature::variadic_any(Volatility::Immutable);
    AggregateUDF::from(UnitPaths { signature, last: Last::default() })
}

/// `unit_paths(question, text, timestamp, sequence, condition, …)`: of each path of the unit the texts of its nodes, when each was come to, and whether the history
/// ended with it. The question is what [`question`] writes, the conditions are those of its selectors.
#[derive(Debug, PartialEq, Eq, Hash)]
struct UnitPaths {
    signature: Signature,
    last: Last<Walker>,
}

/// What [`UNIT_PATHS`] has to know of a question.
pub(crate) fn question(paths: &Paths, range: ResolvedRange) -> Result<String> {
    let blank = |_: &Selector| Selector { event: "-".into(), filter: None };
    let plain = Paths {
        anchor: paths.anchor.as_ref().map(blank),
        end: paths.end.as_ref().map(blank),
        exclude: paths.exclude.iter().map(blank).collect(),
        scope: Scope::default(),
        ..paths.clone()
    };
    let plain = serde_json::to_value(&plain).map_err(|error| exec_datafusion_err!("{error}"))?;
    Ok(json!({"paths": plain, "from_us": range.from_us, "to_us": range.to_us}).to_string())
}

fn walker_of(question: &str) -> Result<Walker> {
    let wrong = || exec_datafusion_err!("{question:?} is no question of {UNIT_PATHS}");
    let read: Value = serde_json::from_str(question).map_err(|_| wrong())?;
    let number = |name: &str| read[name].as_i64().ok_or_else(wrong);
    let range = ResolvedRange { from_us: number("from_us")?, to_us: number("to_us")? };
    Ok(Walker::new(&Paths::from_value(&read["paths"]).map_err(|_| wrong())?, range))
}

fn fields() -> Fields {
    Fields::from(vec![
        Field::new("nodes", list_of(DataType::Utf8), true),
        Field::new("times", list_of(instant()), true),
        Field::new("has_ended", DataType::Boolean, true),
    ])
}

impl AggregateUDFImpl for UnitPaths {
    fn name(&self) -> &str {
        UNIT_PATHS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.len() <= BEFORE {
            let found = arguments.len();
            return exec_err!("{UNIT_PATHS} takes {BEFORE} arguments and then its conditions, found {found}");
        }
        check_types(UNIT_PATHS, &arguments[2], &arguments[BEFORE..])?;
        Ok(list_of(DataType::Struct(fields())))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let question = literal(&args, 0);
        let question = question.ok_or_else(|| exec_datafusion_err!("{UNIT_PATHS} takes a question"))?;
        let walker = self.last.of(question, || walker_of(question))?;
        Ok(Box::new(Walked { walker, history: History::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(History::<()>::fields(args.name))
    }
}

#[derive(Debug)]
struct Walked {
    walker: Arc<Walker>,
    history: History,
}

impl Accumulator for Walked {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [_, text, timestamps, sequences, conditions @ ..] = values else {
            return exec_err!("too few arguments: {}", values.len());
        };
        let (sequences, texts) = (Some(sequences), Some(text));
        self.history.add(&Columns { timestamps, sequences, texts, numbers: None, conditions })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut null = None;
        for (number, text) in (0..).zip(self.history.texts()) {
            let values = read_values(text).map_err(|error| exec_datafusion_err!("{error}"))?;
            if values == [GroupValue::Null] {
                null = Some(number);
            }
        }
        let mut paths: Vec<(Vec<Visit>, bool)> = Vec::new();
        let mut walker = Walker::clone(&self.walker);
        walker.walk(self.history.in_order(), null, |path, has_ended| paths.push((path.to_vec(), has_ended)));
        let mut made = StructBuilder::from_fields(fields(), 0);
        for (path, has_ended) in paths {
            append(&mut made, &self.history, &path, has_ended)?;
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

fn append(made: &mut StructBuilder, history: &History, path: &[Visit], has_ended: bool) -> Result<()> {
    type Lists = ListBuilder<Box<dyn ArrayBuilder>>;
    let wrong = || exec_datafusion_err!("invariant: a path has three columns");
    let nodes = made.field_builder::<Lists>(0).ok_or_else(wrong)?;
    let values = nodes.values().as_any_mut().downcast_mut::<StringBuilder>().ok_or_else(wrong)?;
    path.iter().for_each(|visit| values.append_value(history.text(visit.node)));
    nodes.append(true);
    let times = made.field_builder::<Lists>(1).ok_or_else(wrong)?;
    let values = times.values().as_any_mut().downcast_mut::<TimestampMicrosecondBuilder>().ok_or_else(wrong)?;
    path.iter().for_each(|visit| values.append_value(visit.timestamp));
    times.append(true);
    made.field_builder::<BooleanBuilder>(2).ok_or_else(wrong)?.append_value(has_ended);
    made.append(true);
    Ok(())
}
