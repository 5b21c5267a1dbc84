//! Breakdown values: from columns of a batch to the numbers of their combinations.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringViewArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::error::DataFusionError;
use hashbrown::HashMap;

use crate::overflow::OverflowValue;
use crate::spec::{GroupValue, Groups, MAX_ITEMS};

/// Bytes that one combination takes, nearly, beside its texts.
const BYTES_A_GROUP: usize = 160;

type Result<T> = std::result::Result<T, DataFusionError>;
type Map<K, V> = HashMap<K, V, foldhash::fast::RandomState>;

/// Where the values of one item of a breakdown are.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Place of the column with the values; without one they are in the overflow only, or nowhere.
    pub(crate) column: Option<usize>,
    /// The property whose values may lie in the overflow.
    pub(crate) overflow_name: Option<String>,
}

/// Gives numbers to the combinations of values in the rows of one partition.
pub(crate) struct GroupReader {
    items: Vec<(Item, Interned)>,
    /// Place of the overflow column.
    overflow: Option<usize>,
    /// Combinations by the numbers of their parts.
    combined: Map<[u32; MAX_ITEMS], u32>,
    groups: Groups,
    text_bytes: usize,
}

impl GroupReader {
    pub(crate) fn new(items: &[Item], overflow: Option<usize>) -> Self {
        let items = items.iter().map(|item| (item.clone(), Interned::default())).collect();
        Self { items, overflow, combined: Map::default(), groups: Groups::default(), text_bytes: 0 }
    }

    /// Writes the number of each row's combination into `numbers`; nothing without a breakdown.
    pub(crate) fn read(&mut self, columns: &[ArrayRef], rows: usize, numbers: &mut Vec<u32>) -> Result<()> {
        numbers.clear();
        if self.items.is_empty() {
            return Ok(());
        }
        let overflow = match self.overflow.and_then(|at| columns.get(at)) {
            Some(column) if column.null_count() < column.len() => Some(cast(column, &DataType::Utf8View)?),
            _ => None,
        };
        let overflow = overflow.as_ref().map(|column| column.as_string_view());
        let mut parts: Vec<[u32; MAX_ITEMS]> = vec![[0; MAX_ITEMS]; rows];
        for (at, (item, interned)) in self.items.iter_mut().enumerate() {
            let values = Values::of(item.column.and_then(|column| columns.get(column)))?;
            let name = item.overflow_name.as_deref();
            for (row, part) in parts.iter_mut().enumerate() {
                let beside = match (overflow, name) {
                    (Some(overflow), Some(name)) if overflow.is_valid(row) => {
                        OverflowValue::find(overflow.value(row), name)
                    }
                    _ => None,
                };
                part[at] = values.number(row, beside, interned, &mut self.text_bytes);
            }
        }
        let mut last = None;
        for part in parts {
            let number = match last {
                Some((same, number)) if same == part => number,
                _ => *self.combined.entry(part).or_insert_with(|| {
                    let values: Vec<GroupValue> =
                        self.items.iter().zip(part).map(|((_, interned), number)| interned.value(number)).collect();
                    self.groups.intern(&values)
                }),
            };
            last = Some((part, number));
            numbers.push(number);
        }
        Ok(())
    }

    /// The number of each of `values` where they are those of the only item.
    pub(crate) fn numbers_of(&mut self, values: &StringViewArray) -> Vec<u32> {
        let Self { items, combined, groups, text_bytes, .. } = self;
        let Some((_, interned)) = items.first_mut() else { return Vec::new() };
        values
            .iter()
            .map(|value| {
                let number = match value {
                    Some(text) => interned.text(text, text_bytes),
                    None => interned.other(GroupValue::Null, text_bytes),
                };
                let mut part = [0; MAX_ITEMS];
                part[0] = number;
                *combined.entry(part).or_insert_with(|| groups.intern(&[interned.value(number)]))
            })
            .collect()
    }

    /// The number of each combination of the items' values that is `used`; the place of one is that of its values, the first item's counting most. Of the others it is 0.
    pub(crate) fn numbers_of_combinations(&mut self, values: &[&StringViewArray], used: &[bool]) -> Vec<u32> {
        let Self { items, combined, groups, text_bytes, .. } = self;
        let mut own: Vec<Vec<u32>> = Vec::with_capacity(values.len());
        for ((_, interned), values) in items.iter_mut().zip(values) {
            let number = |value: Option<&str>| match value {
                Some(text) => interned.text(text, text_bytes),
                None => interned.other(GroupValue::Null, text_bytes),
            };
            own.push(values.iter().map(number).collect());
        }
        let mut number = |place: usize| {
            let (mut part, mut rest) = ([0; MAX_ITEMS], place);
            for (at, numbers) in own.iter().enumerate().rev() {
                part[at] = numbers[rest % numbers.len()];
                rest /= numbers.len();
            }
            *combined.entry(part).or_insert_with(|| {
                let values = items.iter().zip(part).map(|((_, interned), number)| interned.value(number));
                groups.intern(&values.collect::<Vec<GroupValue>>())
            })
        };
        used.iter().enumerate().map(|(place, used)| if *used { number(place) } else { 0 }).collect()
    }

    /// The number of the combination of NULLs, if there was one.
    pub(crate) fn null(&self) -> Option<u32> {
        self.groups.find(&vec![GroupValue::Null; self.items.len()])
    }

    /// The combinations so far.
    pub(crate) fn groups(&self) -> &Groups {
        &self.groups
    }

    /// Bytes held, nearly.
    pub(crate) fn bytes(&self) -> usize {
        self.groups.len() * BYTES_A_GROUP + self.text_bytes * 2
    }

    pub(crate) fn into_groups(self) -> Groups {
        self.groups
    }
}

/// Numbers of the values of one item, in order of first sight.
#[derive(Default)]
struct Interned {
    texts: Map<Box<str>, u32>,
    others: Map<GroupValue, u32>,
    values: Vec<GroupValue>,
    /// The text of the row before: sorted files repeat values.
    last: Option<(Box<str>, u32)>,
}

impl Interned {
    fn text(&mut self, text: &str, bytes: &mut usize) -> u32 {
        if let Some((last, number)) = &self.last
            && last.as_ref() == text
        {
            return *number;
        }
        let number = match self.texts.get(text) {
            Some(number) => *number,
            None => {
                *bytes += text.len();
                let number = self.push(GroupValue::from(text));
                self.texts.insert(text.into(), number);
                number
            }
        };
        self.last = Some((text.into(), number));
        number
    }

    fn other(&mut self, value: GroupValue, bytes: &mut usize) -> u32 {
        if let GroupValue::Text(text) = &value {
            return self.text(&text.clone(), bytes);
        }
        if let Some(number) = self.others.get(&value) {
            return *number;
        }
        let number = self.push(value.clone());
        self.others.insert(value, number);
        number
    }

    fn push(&mut self, value: GroupValue) -> u32 {
        let number = u32::try_from(self.values.len()).expect("fewer than 2^32 values: each takes more than one byte");
        self.values.push(value);
        number
    }

    fn value(&self, number: u32) -> GroupValue {
        self.values.get(number as usize).cloned().unwrap_or(GroupValue::Null)
    }
}

/// The column of one item in one batch, in one of few types.
enum Values {
    Missing,
    Bools(BooleanArray),
    Ints(Int64Array),
    Doubles(Float64Array),
    Texts(StringViewArray),
}

impl Values {
    fn of(column: Option<&ArrayRef>) -> Result<Self> {
        let Some(column) = column else { return Ok(Self::Missing) };
        Ok(match column.data_type() {
            DataType::Null => Self::Missing,
            DataType::Boolean => Self::Bools(column.as_boolean().clone()),
            kind if kind.is_integer() => {
                Self::Ints(cast(column, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            kind if kind.is_numeric() => {
                Self::Doubles(cast(column, &DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            _ => Self::Texts(cast(column, &DataType::Utf8View)?.as_string_view().clone()),
        })
    }

    /// The number of a row's value: that of the column, save where the overflow has the exact form of a rounded number
    /// or the column has none.
    fn number(&self, row: usize, beside: Option<OverflowValue<'_>>, interned: &mut Interned, bytes: &mut usize) -> u32 {
        let from_overflow = |interned: &mut Interned, bytes: &mut usize| {
            interned.other(beside.map_or(GroupValue::Null, OverflowValue::to_group), bytes)
        };
        match self {
            Self::Bools(values) if values.is_valid(row) => interned.other(GroupValue::from(values.value(row)), bytes),
            Self::Ints(values) if values.is_valid(row) => interned.other(GroupValue::from(values.value(row)), bytes),
            Self::Doubles(values) if values.is_valid(row) => {
                let value = values.value(row);
                if beside.is_some_and(|beside| beside.is_exact_form_of(Some(value))) {
                    from_overflow(interned, bytes)
                } else {
                    interned.other(GroupValue::from(value), bytes)
                }
            }
            Self::Texts(values) if values.is_valid(row) => interned.text(values.value(row), bytes),
            _ => from_overflow(interned, bytes),
        }
    }
}
