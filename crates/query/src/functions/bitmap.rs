//! `bitmap_*`: sets of numbers as roaring bitmaps in their portable format, in a column of bytes.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanArray, UInt64Array};
use datafusion::arrow::compute::{CastOptions, cast, cast_with_options};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, UInt32Type};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use roaring::RoaringBitmap;

/// The bytes of a bitmap.
pub(crate) fn serialized(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    bitmap.serialize_into(&mut bytes).expect("invariant: writing to memory does not fail");
    bytes
}

fn bitmap_of(bytes: &[u8]) -> Result<RoaringBitmap> {
    match RoaringBitmap::deserialize_from(bytes) {
        Ok(bitmap) => Ok(bitmap),
        Err(error) => exec_err!("{} bytes are not a roaring bitmap in its portable format: {error}", bytes.len()),
    }
}

fn bytes_of(array: &ArrayRef) -> Result<BinaryArray> {
    Ok(cast(array, &DataType::Binary)?.as_binary::<i32>().clone())
}

/// An error for what is no number below 2^32.
fn numbers_of(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast_with_options(array, &DataType::UInt32, &CastOptions { safe: false, ..CastOptions::default() })?)
}

/// What a scalar function does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Scalar {
    Count,
    Contains,
    And,
    Or,
    AndNot,
}

/// The functions of one row.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    [Scalar::Count, Scalar::Contains, Scalar::And, Scalar::Or, Scalar::AndNot]
        .map(|kind| {
            let arguments = if kind == Scalar::Count { 1 } else { 2 };
            ScalarUDF::from(BitmapScalar { kind, signature: Signature::any(arguments, Volatility::Immutable) })
        })
        .into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BitmapScalar {
    kind: Scalar,
    signature: Signature,
}

impl ScalarUDFImpl for BitmapScalar {
    fn name(&self) -> &str {
        match self.kind {
            Scalar::Count => "bitmap_count",
            Scalar::Contains => "bitmap_contains",
            Scalar::And => "bitmap_and",
            Scalar::Or => "bitmap_or",
            Scalar::AndNot => "bitmap_andnot",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Scalar::Count => DataType::UInt64,
            Scalar::Contains => DataType::Boolean,
            Scalar::And | Scalar::Or | Scalar::AndNot => DataType::Binary,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let Some(first) = arrays.first() else { return exec_err!("{} takes a bitmap", self.name()) };
        let bitmaps = bytes_of(first)?;
        let one = |row: usize| (!bitmaps.is_null(row)).then(|| bitmap_of(bitmaps.value(row))).transpose();
        let rows = 0..bitmaps.len();
        let made: ArrayRef = match (self.kind, arrays.get(1)) {
            (Scalar::Count, _) => {
                let count = |row| Ok(one(row)?.map(|bitmap| bitmap.len()));
                Arc::new(rows.map(count).collect::<Result<UInt64Array>>()?)
            }
            (Scalar::Contains, Some(numbers)) => {
                let numbers = numbers_of(numbers)?;
                let numbers = numbers.as_primitive::<UInt32Type>();
                let contains = |row| match one(row)? {
                    Some(bitmap) if numbers.is_valid(row) => Ok(Some(bitmap.contains(numbers.value(row)))),
                    _ => Ok(None),
                };
                Arc::new(rows.map(contains).collect::<Result<BooleanArray>>()?)
            }
            (kind, Some(others)) => {
                let others = bytes_of(others)?;
                let mut made = BinaryBuilder::new();
                for row in rows {
                    if bitmaps.is_null(row) || others.is_null(row) {
                        made.append_null();
                        continue;
                    }
                    let (a, b) = (bitmap_of(bitmaps.value(row))?, bitmap_of(others.value(row))?);
                    made.append_value(serialized(&match kind {
                        Scalar::And => a & b,
                        Scalar::Or => a | b,
                        _ => a - b,
                    }));
                }
                Arc::new(made.finish())
            }
            (_, None) => return exec_err!("{} takes two arguments", self.name()),
        };
        Ok(ColumnarValue::Array(made))
    }
}

/// What an aggregate does with its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Gather {
    /// A set of numbers.
    Build,
    /// What is in one of several sets.
    Union,
    /// What is in all of several sets.
    Intersect,
}

/// The functions of many rows.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    [Gather::Build, Gather::Union, Gather::Intersect]
        .map(|kind| {
            let signature = Signature::any(1, Volatility::Immutable);
            AggregateUDF::from(BitmapAggregate { kind, signature })
        })
        .into()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct BitmapAggregate {
    kind: Gather,
    signature: Signature,
}

impl AggregateUDFImpl for BitmapAggregate {
    fn name(&self) -> &str {
        match self.kind {
            Gather::Build => "bitmap_build",
            Gather::Union => "bitmap_union",
            Gather::Intersect => "bitmap_intersect",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Gathered { kind: self.kind, bitmap: None }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[bitmap]", args.name), DataType::Binary, true))])
    }
}

/// What has been gathered; nothing of no rows.
#[derive(Debug)]
struct Gathered {
    kind: Gather,
    bitmap: Option<RoaringBitmap>,
}

impl Gathered {
    fn add(&mut self, other: RoaringBitmap) {
        self.bitmap = Some(match (self.bitmap.take(), self.kind) {
            (None, _) => other,
            (Some(own), Gather::Intersect) => own & other,
            (Some(own), _) => own | other,
        });
    }

    fn add_all(&mut self, bitmaps: &ArrayRef) -> Result<()> {
        for bytes in bytes_of(bitmaps)?.iter().flatten() {
            self.add(bitmap_of(bytes)?);
        }
        Ok(())
    }

    fn scalar(&self) -> ScalarValue {
        // The set of no numbers is empty; the union and the intersection of no sets are not known.
        let empty = || (self.kind == Gather::Build).then(|| serialized(&RoaringBitmap::new()));
        ScalarValue::Binary(self.bitmap.as_ref().map(serialized).or_else(empty))
    }
}

impl Accumulator for Gathered {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let Some(values) = values.first() else { return Ok(()) };
        if self.kind != Gather::Build {
            return self.add_all(values);
        }
        let numbers = numbers_of(values)?;
        let numbers = numbers.as_primitive::<UInt32Type>();
        let own = self.bitmap.get_or_insert_default();
        numbers.iter().flatten().for_each(|number| {
            own.insert(number);
        });
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.scalar())
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.bitmap.as_ref().map_or(0, RoaringBitmap::serialized_size)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![
            self.bitmap.as_ref().map_or(ScalarValue::Binary(None), |own| ScalarValue::Binary(Some(serialized(own)))),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states.first().map_or(Ok(()), |bitmaps| self.add_all(bitmaps))
    }
}
