//! Types that take much however little is in them.

use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::planner::TypePlanner;
use datafusion::sql::sqlparser::ast::{ArrayElemTypeDef, DataType as SqlType};

/// The most that a value of a type of fixed width takes: NULLs take as much.
const FIXED_MAX_BYTES: u64 = 8 << 10;
/// The most elements of a type of lists of one length.
const FIXED_MAX_LENGTH: u64 = 1_000;
/// What a NULL of any other type takes, at most.
const NULL_BYTES: u64 = 32;
/// The most types that a type is made of: one made of itself twice has twice as many.
const PARTS_MAX: u64 = 10_000;

/// Whether values of this type are within bounds.
///
/// # Errors
/// An error of planning for one that is not.
pub(super) fn check(kind: &DataType) -> Result<()> {
    let width = width(kind);
    if width > FIXED_MAX_BYTES {
        return plan_err!(
            "a value of this type would take {width} bytes even if it is NULL, at most {FIXED_MAX_BYTES}"
        );
    }
    if parts(kind, PARTS_MAX).is_none() {
        return plan_err!("a type is made of more than {PARTS_MAX} others");
    }
    Ok(())
}

/// What an element of a list of this type takes at most if it is NULL, 0 where its type is no list's.
pub(super) fn element_bytes(list: &DataType) -> u64 {
    match list {
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            let parts = parts(element.data_type(), PARTS_MAX).unwrap_or(PARTS_MAX);
            width(element.data_type()).saturating_add(parts.saturating_mul(NULL_BYTES))
        }
        _ => 0,
    }
}

/// What a NULL takes because its type says how long it is.
fn width(kind: &DataType) -> u64 {
    match kind {
        DataType::FixedSizeBinary(bytes) => u64::try_from(*bytes).unwrap_or(0),
        DataType::FixedSizeList(element, length) => {
            let own = element.data_type().primitive_width().unwrap_or(1) as u64;
            (width(element.data_type()).max(own)).saturating_mul(u64::try_from(*length).unwrap_or(0))
        }
        DataType::Struct(fields) => fields.iter().map(|field| width(field.data_type())).fold(0, u64::saturating_add),
        DataType::List(field) | DataType::LargeList(field) | DataType::Map(field, _) => width(field.data_type()),
        _ => 0,
    }
}

/// How many types it is made of; `None` where there are more.
fn parts(kind: &DataType, most: u64) -> Option<u64> {
    let inner = |fields: &mut dyn Iterator<Item = &FieldRef>| {
        let mut count = 1;
        for field in fields {
            count += parts(field.data_type(), most.checked_sub(count)?)?;
        }
        (count <= most).then_some(count)
    };
    match kind {
        DataType::Struct(fields) => inner(&mut fields.iter()),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => inner(&mut [field].into_iter()),
        DataType::Union(fields, _) => inner(&mut fields.iter().map(|(_, field)| field)),
        DataType::RunEndEncoded(ends, values) => inner(&mut [ends, values].into_iter()),
        _ => (most > 0).then_some(1),
    }
}

/// Refuses `INTEGER[1000000]`: a list of which each takes as much, also one that is NULL.
#[derive(Debug)]
pub(crate) struct Types;

impl TypePlanner for Types {
    fn plan_type_field(&self, kind: &SqlType) -> Result<Option<FieldRef>> {
        let length = length(kind);
        if length > FIXED_MAX_LENGTH {
            return plan_err!(
                "a type of lists of one length has at most {FIXED_MAX_LENGTH} elements, found {length} in {kind}"
            );
        }
        Ok(None)
    }
}

fn length(kind: &SqlType) -> u64 {
    match kind {
        SqlType::Array(ArrayElemTypeDef::SquareBracket(element, length)) => {
            length.unwrap_or(1).saturating_mul(self::length(element))
        }
        SqlType::Array(ArrayElemTypeDef::AngleBracket(element)) => length(element),
        _ => 1,
    }
}
