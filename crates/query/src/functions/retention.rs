//! `retention`: which conditions hold of a group of rows, the first with each of the others; and `retention_cells`: the cohorts of a unit and when it came back.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, AsArray, BooleanArray, Float64Array, ListArray, StringArray, StructArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::buffer::OffsetBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, UInt32Type};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err, internal_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};
use serde_json::{Value, json};

use super::history::{Columns, History, MAX_CONDITIONS, check_types, list, literal};
use super::last::Last;
use crate::calendar::{Buckets, ResolvedRange, TimeZone};
use crate::retention::{Grid, Retention, ReturnMeasure};
use crate::spec::Scope;

/// Name of the function that tells the cohorts of a unit.
pub(crate) const RETENTION_CELLS: &str = "retention_cells";
const RETENTION: &str = "retention";

/// The functions to register.
pub(super) fn aggregates() -> [AggregateUDF; 2] {
    let signature = || Signature::variadic_any(Volatility::Immutable);
    let cells = RetentionCells { signature: Signature::any(8, Volatility::Immutable), last: Last::default() };
    [AggregateUDF::from(Conditions { signature: signature() }), AggregateUDF::from(cells)]
}

/// `retention(condition, …)`: a list, of which the first is whether the first condition held of any row, and every other whether that and its own did.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Conditions {
    signature: Signature,
}

impl AggregateUDFImpl for Conditions {
    fn name(&self) -> &str {
        RETENTION
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if arguments.is_empty() || arguments.len() > MAX_CONDITIONS {
            return exec_err!("{RETENTION} takes 1 to {MAX_CONDITIONS} conditions, found {}", arguments.len());
        }
        check_types(RETENTION, &DataType::Null, arguments)?;
        Ok(DataType::List(Arc::new(Field::new_list_field(DataType::Boolean, true))))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Held { conditions: args.exprs.len(), bits: 0 }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[held]", args.name), DataType::UInt32, false))])
    }
}

#[derive(Debug)]
struct Held {
    conditions: usize,
    bits: u32,
}

impl Accumulator for Held {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for (bit, condition) in values.iter().enumerate() {
            let condition = cast(condition, &DataType::Boolean)?;
            self.bits |= u32::from(condition.as_boolean().iter().any(|holds| holds == Some(true))) << bit;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let held = |bit: usize| self.bits >> bit & 1 == 1;
        let all: BooleanArray = (0..self.conditions).map(|bit| Some(held(0) && held(bit))).collect();
        Ok(list(Arc::new(all)))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::UInt32(Some(self.bits))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let Some(bits) = states.first() else { return internal_err!("{RETENTION} has a state") };
        self.bits |= bits.as_primitive::<UInt32Type>().iter().flatten().fold(0, |all, bits| all | bits);
        Ok(())
    }
}

/// `retention_cells(question, text, timestamp, sequence, number, start, return, first)`: for each cohort of the unit its bucket, the text of its start and, by column, whether
/// it came back and, for a measure, the sum of the numbers of its return events, what was lost of it by rounding, and how many there are. The question is what [`question`] writes.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RetentionCells {
    signature: Signature,
    last: Last<Grid<f64>>,
}

/// What [`RETENTION_CELLS`] has to know of a question.
pub(crate) fn question(retention: &Retention, range: ResolvedRange, zone: &TimeZone, now_us: i64) -> Result<String> {
    let plain = Retention {
        start: "*".into(),
        returning: "*".into(),
        scope: Scope { breakdown: retention.scope.breakdown.clone(), ..Scope::default() },
        ..retention.clone()
    };
    let plain = serde_json::to_value(&plain).map_err(|error| exec_datafusion_err!("{error}"))?;
    let all = json!({"retention": plain, "from_us": range.from_us, "to_us": range.to_us, "time_zone": zone.name(), "now_us": now_us});
    Ok(all.to_string())
}

fn grid_of(question: &str) -> Result<Grid<f64>> {
    let wrong = || exec_datafusion_err!("{question:?} is no question of {RETENTION_CELLS}");
    let read: Value = serde_json::from_str(question).map_err(|_| wrong())?;
    let number = |name: &str| read[name].as_i64().ok_or_else(wrong);
    let retention: Retention = serde_json::from_value(read["retention"].clone()).map_err(|_| wrong())?;
    let zone = TimeZone::named(read["time_zone"].as_str().ok_or_else(wrong)?).map_err(|_| wrong())?;
    let range = ResolvedRange { from_us: number("from_us")?, to_us: number("to_us")? };
    let buckets = Buckets::new(range, retention.interval, &zone, retention.week_start);
    let buckets = buckets.map_err(|error| exec_datafusion_err!("{error}"))?;
    let grid = Grid::new(&retention, Arc::new(buckets), number("now_us")?);
    grid.map_err(|error| exec_datafusion_err!("{error}"))
}

/// The lists of a cohort: an element for each column; those of a measure are empty without one.
const LISTS: [(&str, DataType); 4] = [
    ("returned", DataType::UInt64),
    ("sums", DataType::Float64),
    ("lost", DataType::Float64),
    ("numbers", DataType::UInt64),
];

fn cell_fields() -> Fields {
    let own = [Field::new("cohort", DataType::UInt32, true), Field::new("value", DataType::Utf8, true)];
    let lists =
        LISTS.map(|(name, of)| Field::new(name, DataType::List(Arc::new(Field::new_list_field(of, true))), true));
    own.into_iter().chain(lists).collect()
}

/// What [`RETENTION_CELLS`] gives.
pub(crate) fn cells_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Struct(cell_fields()), true)))
}

impl AggregateUDFImpl for RetentionCells {
    fn name(&self) -> &str {
        RETENTION_CELLS
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(cells_type())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let question = literal(&args, 0);
        let question = question.ok_or_else(|| exec_datafusion_err!("{RETENTION_CELLS} takes a question"))?;
        let empty = self.last.of(question, || grid_of(question))?;
        Ok(Box::new(Cells { empty, history: History::default() }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(History::<f64>::fields(args.name))
    }
}

#[derive(Debug)]
struct Cells {
    empty: Arc<Grid<f64>>,
    history: History<f64>,
}

impl Accumulator for Cells {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [_, text, timestamps, sequences, numbers, conditions @ ..] = values else {
            return exec_err!("too few arguments: {}", values.len());
        };
        let (sequences, texts, numbers) = (Some(sequences), Some(text), Some(numbers));
        self.history.add(&Columns { timestamps, sequences, texts, numbers, conditions })
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let mut grid = Grid::clone(&self.empty);
        grid.add_unit(self.history.in_order());
        let cohorts: Vec<_> = grid.cohorts().collect();
        let row = |row: usize| u32::try_from(row).map_err(|_| exec_datafusion_err!("cohort {row} is beyond 2^32"));
        let rows = cohorts.iter().map(|(_, at, _)| row(*at)).collect::<Result<Vec<u32>>>()?;
        let texts = cohorts.iter().map(|(group, ..)| self.history.text(*group));
        let cells = || cohorts.iter().flat_map(|(.., cells)| cells.iter());
        let measured = grid.measure() != ReturnMeasure::Units;
        let totals = || cells().filter(|_| measured).map(|cell| cell.total);
        let of = |length: usize| if measured { length } else { 0 };
        let lengths: Vec<usize> = cohorts.iter().map(|(.., cells)| cells.len()).collect();
        let list = |values: ArrayRef, lengths: Vec<usize>| -> ArrayRef {
            let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            Arc::new(ListArray::new(field, OffsetBuffer::from_lengths(lengths), values, None))
        };
        let measured_lengths = || lengths.iter().map(|length| of(*length)).collect::<Vec<usize>>();
        let columns: Vec<ArrayRef> = vec![
            Arc::new(UInt32Array::from(rows)),
            Arc::new(StringArray::from_iter_values(texts)),
            list(Arc::new(UInt64Array::from_iter_values(cells().map(|cell| cell.units))), lengths.clone()),
            list(Arc::new(Float64Array::from_iter_values(totals().map(|mean| mean.sum.parts().0))), measured_lengths()),
            list(Arc::new(Float64Array::from_iter_values(totals().map(|mean| mean.sum.parts().1))), measured_lengths()),
            list(Arc::new(UInt64Array::from_iter_values(totals().map(|mean| mean.count))), measured_lengths()),
        ];
        let structs = StructArray::try_new(cell_fields(), columns, None)?;
        Ok(super::history::list(Arc::new(structs)))
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
