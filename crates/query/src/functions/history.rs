//! What an aggregate gathers of the rows of one unit: when, in which order, which conditions hold, and a text.

use std::mem::size_of;
use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, ListArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, exec_err, internal_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::physical_expr::expressions::Literal;
use hashbrown::HashMap;

use crate::spec::{Hit, HitValue};

/// Most conditions of an aggregate: each is a bit.
pub(super) const MAX_CONDITIONS: usize = 32;

/// The rows of one unit that match a condition.
#[derive(Debug, Default)]
pub(super) struct History<V = ()> {
    hits: Vec<Hit<V>>,
    /// The texts; the group of a hit is the place of its own.
    texts: Vec<String>,
    places: HashMap<String, u32, foldhash::fast::RandomState>,
}

/// The columns of a batch of rows.
pub(super) struct Columns<'a> {
    pub(super) timestamps: &'a ArrayRef,
    /// Without them rows of one instant stand in no order.
    pub(super) sequences: Option<&'a ArrayRef>,
    pub(super) texts: Option<&'a ArrayRef>,
    /// For a history that keeps them.
    pub(super) numbers: Option<&'a ArrayRef>,
    pub(super) conditions: &'a [ArrayRef],
}

/// Fails for arguments of `function` that are no instant, and no conditions.
pub(super) fn check_types(function: &str, timestamp: &DataType, conditions: &[DataType]) -> Result<()> {
    if !matches!(timestamp, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null) {
        return exec_err!("{function} takes an instant as its timestamp, found {timestamp}");
    }
    match conditions.iter().find(|kind| !matches!(kind, DataType::Boolean | DataType::Null)) {
        Some(kind) => exec_err!("{function} takes conditions that are true or false, found {kind}"),
        None => Ok(()),
    }
}

impl<V: HitValue> History<V> {
    /// Takes in the rows that match a condition; those without a timestamp match none.
    pub(super) fn add(&mut self, columns: &Columns<'_>) -> Result<()> {
        if columns.conditions.len() > MAX_CONDITIONS {
            return exec_err!("at most {MAX_CONDITIONS} conditions, found {}", columns.conditions.len());
        }
        let timestamps = cast(columns.timestamps, &instant())?;
        let timestamps = timestamps.as_primitive::<TimestampMicrosecondType>();
        let mut matches = vec![0_u32; timestamps.len()];
        for (bit, condition) in columns.conditions.iter().enumerate() {
            let condition = cast(condition, &DataType::Boolean)?;
            for (row, holds) in condition.as_boolean().iter().enumerate() {
                matches[row] |= u32::from(holds == Some(true)) << bit;
            }
        }
        let sequences = columns.sequences.map(|array| cast(array, &DataType::UInt64)).transpose()?;
        let texts = columns.texts.map(|array| cast(array, &DataType::Utf8)).transpose()?;
        let numbers = columns.numbers.map(|array| cast(array, &DataType::Float64)).transpose()?;
        let numbers = numbers.as_ref().map(|array| array.as_primitive::<Float64Type>());
        for (row, matches) in matches.into_iter().enumerate().filter(|(_, matches)| *matches != 0) {
            if timestamps.is_null(row) {
                continue;
            }
            let sequence = sequences.as_ref().map_or(0, |array| array.as_primitive::<UInt64Type>().value(row));
            let group = match &texts {
                Some(texts) => self.place(texts.as_string::<i32>().value(row)),
                None => 0,
            };
            let number = numbers.filter(|array| array.is_valid(row)).map_or(f64::NAN, |array| array.value(row));
            self.hits.push(Hit { timestamp: timestamps.value(row), sequence, matches, group, value: V::of(number) });
        }
        Ok(())
    }

    fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let place = self.texts.len() as u32;
        self.texts.push(text.to_owned());
        self.places.insert(text.to_owned(), place);
        place
    }

    /// The rows, by timestamp and sequence.
    pub(super) fn in_order(&mut self) -> &[Hit<V>] {
        self.hits.sort_by_key(|hit| (hit.timestamp, hit.sequence));
        &self.hits
    }

    /// The texts, each once; the group of a row is the place of its own.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    /// The text of a group.
    pub(super) fn text(&self, group: u32) -> &str {
        self.texts.get(group as usize).map_or("", String::as_str)
    }

    pub(super) fn size(&self) -> usize {
        let texts: usize = self.texts.iter().map(|text| 2 * (text.capacity() + size_of::<String>()) + 8).sum();
        size_of::<Self>() + self.hits.capacity() * size_of::<Hit<V>>() + texts
    }

    /// The columns of its state.
    pub(super) fn fields(name: &str) -> Vec<FieldRef> {
        let list = |what: &str, of: DataType| {
            let item = Arc::new(Field::new_list_field(of, true));
            Arc::new(Field::new(format!("{name}[{what}]"), DataType::List(item), true))
        };
        let mut fields = vec![
            list("timestamps", DataType::Int64),
            list("sequences", DataType::UInt64),
            list("matches", DataType::UInt32),
            list("groups", DataType::UInt32),
            list("texts", DataType::Utf8),
        ];
        fields.extend(V::IS_NUMBER.then(|| list("numbers", DataType::Float64)));
        fields
    }

    pub(super) fn state(&self) -> Vec<ScalarValue> {
        use datafusion::arrow::array::{Float64Array, Int64Array, StringArray, UInt32Array, UInt64Array};
        let hits = || self.hits.iter();
        let mut state = vec![
            list(Arc::new(Int64Array::from_iter_values(hits().map(|hit| hit.timestamp)))),
            list(Arc::new(UInt64Array::from_iter_values(hits().map(|hit| hit.sequence)))),
            list(Arc::new(UInt32Array::from_iter_values(hits().map(|hit| hit.matches)))),
            list(Arc::new(UInt32Array::from_iter_values(hits().map(|hit| hit.group)))),
            list(Arc::new(StringArray::from_iter_values(self.texts.iter()))),
        ];
        if V::IS_NUMBER {
            state.push(list(Arc::new(Float64Array::from_iter_values(hits().map(|hit| hit.value.number())))));
        }
        state
    }

    /// Takes in states.
    pub(super) fn merge(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [timestamps, sequences, matches, groups, texts, numbers @ ..] = states else {
            return internal_err!("a history has five columns or more, found {}", states.len());
        };
        let list = |array: &ArrayRef, row: usize| -> ArrayRef { array.as_list::<i32>().value(row) };
        for row in 0..timestamps.len() {
            if timestamps.is_null(row) {
                continue;
            }
            let (timestamps, sequences) = (list(timestamps, row), list(sequences, row));
            let (matches, groups, texts) = (list(matches, row), list(groups, row), list(texts, row));
            let places: Vec<u32> =
                texts.as_string::<i32>().iter().map(|text| self.place(text.unwrap_or_default())).collect();
            let times = timestamps.as_primitive::<Int64Type>().values().iter();
            let orders = sequences.as_primitive::<UInt64Type>().values().iter();
            let bits = matches.as_primitive::<UInt32Type>().values().iter();
            let own = groups.as_primitive::<UInt32Type>().values().iter();
            let numbers = numbers.first().map(|numbers| list(numbers, row));
            let numbers = numbers.as_ref().map_or(&[][..], |array| array.as_primitive::<Float64Type>().values());
            let numbers = numbers.iter().copied().chain(std::iter::repeat(f64::NAN));
            for ((((timestamp, sequence), matches), group), number) in times.zip(orders).zip(bits).zip(own).zip(numbers)
            {
                let group = places.get(*group as usize).copied().unwrap_or(0);
                let (timestamp, sequence, matches) = (*timestamp, *sequence, *matches);
                self.hits.push(Hit { timestamp, sequence, matches, group, value: V::of(number) });
            }
        }
        Ok(())
    }
}

/// A list as one value.
pub(super) fn list(values: ArrayRef) -> ScalarValue {
    let list: ListArray = SingleRowListArrayBuilder::new(values).build_list_array();
    ScalarValue::List(Arc::new(list))
}

/// The type of instants.
pub(super) fn instant() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}

/// The type of lists of these.
pub(super) fn list_of(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}

/// The text that an argument says.
pub(super) fn literal<'a>(args: &'a AccumulatorArgs<'_>, at: usize) -> Option<&'a str> {
    let literal = args.exprs.get(at).and_then(|expr| expr.downcast_ref::<Literal>());
    literal.and_then(|literal| literal.value().try_as_str().flatten())
}
