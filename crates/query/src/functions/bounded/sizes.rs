//! How many bytes, elements and letters each row of an array has.

use std::sync::Arc;

use datafusion::arrow::array::{Array, ArrayRef, AsArray, GenericByteViewArray, OffsetSizeTrait, RecordBatch};
use datafusion::arrow::datatypes::{ByteViewType, DataType, GenericBinaryType, GenericStringType};

/// What an element takes in a list beside its own bytes, at most: an offset, or a view.
pub(super) const SLOT: u64 = 16;
/// Longest text of what is no text itself: the least double has some three hundred digits.
const TEXT: u64 = 400;

/// The bytes of each row of a batch.
pub(crate) fn of_rows(batch: &RecordBatch) -> Vec<u64> {
    let mut sums = vec![0; batch.num_rows()];
    for column in batch.columns() {
        add(&mut sums, &bytes(column), 0);
    }
    sums
}

/// The bytes of each value.
pub(super) fn bytes(array: &dyn Array) -> Vec<u64> {
    let rows = array.len();
    match array.data_type() {
        DataType::Null => vec![0; rows],
        DataType::Boolean => vec![1; rows],
        DataType::Utf8 => widths(array.as_bytes::<GenericStringType<i32>>().value_offsets()),
        DataType::LargeUtf8 => widths(array.as_bytes::<GenericStringType<i64>>().value_offsets()),
        DataType::Binary => widths(array.as_bytes::<GenericBinaryType<i32>>().value_offsets()),
        DataType::LargeBinary => widths(array.as_bytes::<GenericBinaryType<i64>>().value_offsets()),
        DataType::Utf8View => views(array.as_string_view()),
        DataType::BinaryView => views(array.as_binary_view()),
        DataType::FixedSizeBinary(width) => vec![u64::try_from(*width).unwrap_or(0); rows],
        DataType::Struct(_) => {
            let mut sums = vec![0_u64; rows];
            for column in array.as_struct().columns() {
                add(&mut sums, &bytes(column), SLOT);
            }
            sums
        }
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let values = bytes(dictionary.values());
            match values.is_empty() {
                true => vec![0; rows],
                false => dictionary.normalized_keys().into_iter().map(|key| values[key]).collect(),
            }
        }
        kind => match kind.primitive_width() {
            Some(width) => vec![width as u64; rows],
            None => nested(array, &|child| {
                let mut each = bytes(child);
                each.iter_mut().for_each(|bytes| *bytes += SLOT);
                each
            })
            // Of a kind that no property has: no more than all of it.
            .unwrap_or_else(|| vec![array.get_array_memory_size() as u64; rows]),
        },
    }
}

/// How many elements each list has; of what is no list, one.
pub(super) fn lengths(array: &dyn Array) -> Vec<u64> {
    nested(array, &|child| vec![1; child.len()]).unwrap_or_else(|| vec![1; array.len()])
}

/// How many elements each list has with those of the lists in it, an empty one counted as one.
pub(super) fn leaves(array: &dyn Array) -> Vec<u64> {
    let mut each = nested(array, &leaves).unwrap_or_else(|| vec![1; array.len()]);
    each.iter_mut().for_each(|leaves| *leaves = (*leaves).max(1));
    each
}

/// How long all elements of each list are together, written as text.
pub(super) fn texts(array: &dyn Array) -> Vec<u64> {
    nested(array, &texts).unwrap_or_else(|| {
        let mut each = bytes(array);
        let is_text = array.data_type().is_string();
        each.iter_mut().filter(|_| !is_text).for_each(|bytes| *bytes = bytes.saturating_mul(4).saturating_add(TEXT));
        each
    })
}

/// For each list what its elements are together; `None` of what is no list.
fn nested(array: &dyn Array, of: &dyn Fn(&dyn Array) -> Vec<u64>) -> Option<Vec<u64>> {
    match array.data_type() {
        DataType::List(_) => {
            let lists = array.as_list::<i32>();
            Some(sums(lists.value_offsets(), lists.values(), of))
        }
        DataType::LargeList(_) => {
            let lists = array.as_list::<i64>();
            Some(sums(lists.value_offsets(), lists.values(), of))
        }
        DataType::FixedSizeList(_, length) => {
            let length = usize::try_from(*length).unwrap_or(0);
            let each = of(array.as_fixed_size_list().values());
            let sum = |row: usize| each.iter().skip(row * length).take(length).sum::<u64>();
            Some((0..array.len()).map(sum).collect())
        }
        DataType::Map(..) => {
            let map = array.as_map();
            let entries: ArrayRef = Arc::new(map.entries().clone());
            Some(sums(map.value_offsets(), &entries, of))
        }
        _ => None,
    }
}

fn sums<O: OffsetSizeTrait>(offsets: &[O], values: &ArrayRef, of: &dyn Fn(&dyn Array) -> Vec<u64>) -> Vec<u64> {
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return Vec::new() };
    let (first, last) = (first.as_usize(), last.as_usize());
    let each = of(&values.slice(first, last - first));
    let sum = |pair: &[O]| each[pair[0].as_usize() - first..pair[1].as_usize() - first].iter().sum();
    offsets.windows(2).map(sum).collect()
}

fn widths<O: OffsetSizeTrait>(offsets: &[O]) -> Vec<u64> {
    offsets.windows(2).map(|pair| (pair[1] - pair[0]).as_usize() as u64).collect()
}

fn views<T: ByteViewType + ?Sized>(array: &GenericByteViewArray<T>) -> Vec<u64> {
    array.lengths().map(u64::from).collect()
}

fn add(sums: &mut [u64], each: &[u64], more: u64) {
    for (sum, bytes) in sums.iter_mut().zip(each) {
        *sum = sum.saturating_add(*bytes).saturating_add(more);
    }
}
