//! `calendar_bucket`: in which calendar bucket of a range an instant lies.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray, UInt32Array};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use super::history::check_types;
use super::last::Last;
use crate::calendar::{Buckets, Interval, ResolvedRange, TimeZone, WeekStart};
use crate::spec::Word;

/// Name of the function.
pub(crate) const CALENDAR_BUCKET: &str = "calendar_bucket";

/// The function to register.
pub(super) fn scalar() -> ScalarUDF {
    let signature = Signature::any(6, Volatility::Immutable);
    ScalarUDF::from(CalendarBucket { signature, last: Last::default() })
}

/// `calendar_bucket(interval, time_zone, week_start, from, to, timestamp)`: the number of the bucket, from 0; NULL outside of `[from, to)`.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CalendarBucket {
    signature: Signature,
    last: Last<Buckets>,
}

impl ScalarUDFImpl for CalendarBucket {
    fn name(&self) -> &str {
        CALENDAR_BUCKET
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        if let Some(timestamp) = arguments.last() {
            check_types(CALENDAR_BUCKET, timestamp, &[])?;
        }
        Ok(DataType::UInt32)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [interval, zone, week_start, from, to, timestamp] = args.args.as_slice() else {
            return exec_err!("{CALENDAR_BUCKET} takes six arguments, found {}", args.args.len());
        };
        let texts = [text(interval)?, text(zone)?, text(week_start)?];
        let range = ResolvedRange { from_us: instant(from)?, to_us: instant(to)? };
        let key = format!("{texts:?} {} {}", range.from_us, range.to_us);
        let buckets = self.last.of(&key, || {
            let [interval, zone, week_start] = &texts;
            let zone = TimeZone::named(zone).map_err(|error| exec_datafusion_err!("{error}"))?;
            let (interval, week_start) = (word::<Interval>(interval)?, word::<WeekStart>(week_start)?);
            Buckets::new(range, interval, &zone, week_start).map_err(|error| exec_datafusion_err!("{error}"))
        })?;
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let timestamps = cast(&timestamp.to_array(args.number_rows)?, &utc)?;
        let timestamps = timestamps.as_primitive::<TimestampMicrosecondType>();
        let bucket = |us: i64| buckets.index_of(us).and_then(|bucket| u32::try_from(bucket).ok());
        let made: ArrayRef = Arc::new(UInt32Array::from_iter(timestamps.iter().map(|us| us.and_then(bucket))));
        Ok(ColumnarValue::Array(made))
    }
}

fn text(argument: &ColumnarValue) -> Result<String> {
    match argument {
        ColumnarValue::Scalar(scalar) => scalar.try_as_str().flatten().map(str::to_owned),
        ColumnarValue::Array(_) => None,
    }
    .ok_or_else(|| {
        exec_datafusion_err!("{CALENDAR_BUCKET} takes interval, time zone and start of the week in single quotes")
    })
}

fn instant(argument: &ColumnarValue) -> Result<i64> {
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
    match argument {
        ColumnarValue::Scalar(scalar) => match scalar.cast_to(&utc)? {
            ScalarValue::TimestampMicrosecond(Some(us), _) => Ok(us),
            other => exec_err!("{other} is no instant"),
        },
        ColumnarValue::Array(_) => exec_err!("{CALENDAR_BUCKET} takes one range"),
    }
}

/// The word for a value that is built.
pub(crate) fn word_of<T: Word + PartialEq>(value: T) -> &'static str {
    T::WORDS.iter().find(|(_, built)| *built == value).map_or("", |(word, _)| word)
}

fn word<T: Word + Copy>(text: &str) -> Result<T> {
    let found = T::WORDS.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let known: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        exec_datafusion_err!("'{text}' is not one of {}", known.join(", "))
    })
}
