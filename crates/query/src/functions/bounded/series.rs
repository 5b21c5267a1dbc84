//! How long the lists of `range` and `generate_series` become.

use datafusion::arrow::array::{Array, AsArray};
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Int64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, TimeUnit,
    TimestampNanosecondType,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::ColumnarValue;

use super::amount::Amount;
use super::demand::Call;

/// What an element takes: a number, or an instant.
pub(super) const ELEMENT_BYTES: u64 = 8;

const HOUR_NS: i128 = 3_600_000_000_000;
const DAY_NS: i128 = 24 * HOUR_NS;
/// The shortest day and month of a calendar.
const SHORT_DAY_NS: i128 = 23 * HOUR_NS;
const SHORT_MONTH_NS: i128 = 28 * SHORT_DAY_NS;

/// The number of elements of each row; of one whose arguments are no series, 1.
pub(super) fn lengths(call: &Call<'_>) -> Result<Amount> {
    let zero = ColumnarValue::Scalar(ScalarValue::Int64(Some(0)));
    let one = ColumnarValue::Scalar(ScalarValue::Int64(Some(1)));
    let (start, stop, step) = match call.arguments {
        [stop] => (&zero, stop, &one),
        [start, stop] => (start, stop, &one),
        [start, stop, step] => (start, stop, step),
        _ => return Ok(Amount::Each(1)),
    };
    let (start, stop, step) = (Line::of(start)?, Line::of(stop)?, Steps::of(step)?);
    let length = |row: usize| match (start.at(row), stop.at(row), step.at(row)) {
        (Some(start), Some(stop), Some(step)) => step.length(stop - start),
        _ => 1,
    };
    let is_constant = call.arguments.iter().all(|argument| matches!(argument, ColumnarValue::Scalar(_)));
    Ok(match is_constant {
        true => Amount::Each(length(0)),
        false => Amount::Rows((0..call.rows).map(length).collect()),
    })
}

/// A step at its shortest.
#[derive(Clone, Copy)]
enum Step {
    Length(i128),
    /// There and back again: it may never arrive.
    BothWays,
}

impl Step {
    fn length(self, way: i128) -> u64 {
        match self {
            Self::Length(0) => 1,
            Self::Length(step) if (step > 0) == (way > 0) => u64::try_from(way / step + 1).unwrap_or(u64::MAX),
            Self::Length(_) => 1,
            Self::BothWays => u64::MAX,
        }
    }

    fn of_interval(interval: IntervalMonthDayNano) -> Self {
        let IntervalMonthDayNano { months, days, nanoseconds } = interval;
        let parts = [i64::from(months), i64::from(days), nanoseconds];
        if parts.iter().any(|part| *part < 0) && parts.iter().any(|part| *part > 0) {
            return Self::BothWays;
        }
        Self::Length(i128::from(months) * SHORT_MONTH_NS + i128::from(days) * SHORT_DAY_NS + i128::from(nanoseconds))
    }
}

/// Values by row, those of a constant once.
struct ByRow<T> {
    values: Vec<Option<T>>,
    is_constant: bool,
}

impl<T: Copy> ByRow<T> {
    fn at(&self, row: usize) -> Option<T> {
        self.values.get(if self.is_constant { 0 } else { row }).copied().flatten()
    }
}

type Line = ByRow<i128>;

impl Line {
    /// Numbers as they are, days and instants in nanoseconds.
    fn of(argument: &ColumnarValue) -> Result<Self> {
        let array = argument.to_array(1)?;
        let values = match array.data_type() {
            DataType::Date32 => {
                array.as_primitive::<Date32Type>().iter().map(|day| Some(i128::from(day?) * DAY_NS)).collect()
            }
            DataType::Date64 => {
                array.as_primitive::<Date64Type>().iter().map(|ms| Some(i128::from(ms?) * 1_000_000)).collect()
            }
            DataType::Timestamp(_, zone) => {
                let instant = DataType::Timestamp(TimeUnit::Nanosecond, zone.clone());
                let array = datafusion::arrow::compute::cast(&array, &instant)?;
                array.as_primitive::<TimestampNanosecondType>().iter().map(|ns| Some(i128::from(ns?))).collect()
            }
            DataType::Int64 => {
                array.as_primitive::<Int64Type>().iter().map(|number| Some(i128::from(number?))).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self { values, is_constant: matches!(argument, ColumnarValue::Scalar(_)) })
    }
}

type Steps = ByRow<Step>;

impl Steps {
    fn of(argument: &ColumnarValue) -> Result<Self> {
        let array = argument.to_array(1)?;
        let values = match array.data_type() {
            DataType::Int64 => {
                array.as_primitive::<Int64Type>().iter().map(|step| Some(Step::Length(i128::from(step?)))).collect()
            }
            DataType::Interval(_) => {
                let array = datafusion::arrow::compute::cast(
                    &array,
                    &DataType::Interval(datafusion::arrow::datatypes::IntervalUnit::MonthDayNano),
                )?;
                array
                    .as_primitive::<IntervalMonthDayNanoType>()
                    .iter()
                    .map(|step| Some(Step::of_interval(step?)))
                    .collect()
            }
            _ => Vec::new(),
        };
        Ok(Self { values, is_constant: matches!(argument, ColumnarValue::Scalar(_)) })
    }
}
