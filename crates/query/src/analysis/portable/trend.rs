//! Trends: the events of each unit, breakdown value and bucket, counted, added up and listed.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{
    DataType, Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type, UInt64Type,
};
use datafusion::functions_aggregate::expr_fn::{array_agg, count, first_value, max, min};
use datafusion::logical_expr::{Expr, ExprFunctionExt, LogicalPlanBuilder, col, lit, when};

use super::super::lowering::Begun;
use super::super::run::Asked;
use super::super::trend::{Shape, reading};
use super::{Values, aggregate, calendar_bucket, column, instant, numbers};
use crate::engine::Engine;
use crate::error::Result;
use crate::functions::EXACT_SUM;
use crate::spec::GroupValue;
use crate::trend::{Measure, Sum, Trend, TrendResult};

impl Engine {
    pub(super) fn trend_plan(&self, asked: &Asked<'_>, trend: &Trend) -> Result<Begun> {
        let shape = Shape::new(trend, asked.range, &asked.zone)?;
        let begun = self.rows(asked, &reading(asked, trend, &shape))?;
        let range = shape.extended.range();
        let bucket = calendar_bucket(&begun.state, asked, shape.interval, trend.week_start, range);
        let in_range = col("timestamp").gt_eq(instant(asked.range.from_us));
        let keys = [col("value"), bucket.alias("bucket"), in_range.clone().alias("in_range"), col("unit")];
        let mut made: Vec<Expr> = Vec::new();
        for (at, measure) in shape.measures.iter().enumerate() {
            let own = col(format!("s{at}"));
            made.push(count(when(own.clone(), lit(1)).end()?).alias(format!("events{at}")));
            let within = own.clone().and(in_range.clone());
            if let Some(number) = shape.number_of[at] {
                let numbers = when(within.clone(), col(format!("n{number}"))).end()?;
                if measure.share().is_some() {
                    made.push(array_agg(numbers).alias(format!("list{at}")));
                    continue;
                }
                made.push(aggregate(&begun.state, EXACT_SUM, vec![numbers.clone()]).alias(format!("sum{at}")));
                if matches!(measure, Measure::Avg | Measure::Min | Measure::Max) {
                    made.push(count(numbers.clone()).alias(format!("numbers{at}")));
                    made.push(min(numbers.clone()).alias(format!("min{at}")));
                    made.push(max(numbers).alias(format!("max{at}")));
                }
            }
            if let Some(value) = shape.value_of[at] {
                let values = when(within, col(format!("v{value}"))).end()?;
                made.push(array_agg(values).distinct().build()?.alias(format!("values{at}")));
            }
            if *measure == Measure::FirstTime {
                let order = vec![col("timestamp").sort(true, false), col("sequence").sort(true, false)];
                made.push(min(when(own.clone(), col("timestamp")).end()?).alias(format!("first{at}")));
                made.push(first_value(col("sequence"), order).filter(own).build()?.alias(format!("sequence{at}")));
            }
        }
        let plan = LogicalPlanBuilder::from(begun.plan).aggregate(keys, made)?;
        Ok(Begun { plan: plan.build()?, ..begun })
    }
}

pub(super) fn answer(
    asked: &Asked<'_>,
    trend: &Trend,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<TrendResult> {
    let shape = Shape::new(trend, asked.range, &asked.zone)?;
    let mut all = shape.aggregate();
    let mut values = Values::default();
    // The values that are counted, of whatever property.
    let mut counted = Values::default();
    for batch in rows {
        let texts = column(batch, "value", |kind| *kind == DataType::Utf8)?.as_string::<i32>();
        let buckets = column(batch, "bucket", |kind| *kind == DataType::UInt32)?.as_primitive::<UInt32Type>();
        let in_range = column(batch, "in_range", |kind| *kind == DataType::Boolean)?.as_boolean();
        let units = numbers::<UInt32Type>(batch, "unit")?;
        for series in 0..shape.measures.len() {
            let events = numbers::<Int64Type>(batch, &format!("events{series}"))?;
            let measured = Measured::of(batch, &shape, series)?;
            for row in (0..batch.num_rows()).filter(|row| events[*row] > 0) {
                let bucket = buckets.is_valid(row).then(|| buckets.value(row) as usize);
                let (group, unit, in_range) = (values.group(texts.value(row))?, units[row], in_range.value(row));
                if let Measured::First(times, sequences) = &measured {
                    let order = (times[row], sequences[row]);
                    all.add_first(series, group, bucket.filter(|_| in_range), unit, order);
                    continue;
                }
                let Some(bucket) = bucket else { continue };
                if !in_range {
                    all.look_back(series, group, bucket, unit);
                    continue;
                }
                all.add_events(series, group, bucket, unit, events[row].unsigned_abs());
                match &measured {
                    Measured::Spread(spread) => {
                        all.add_spread(series, group, bucket, spread.of(row));
                    }
                    Measured::List(lists) => {
                        let list = lists.value(row);
                        let list = list.as_primitive::<Float64Type>();
                        list.iter().flatten().for_each(|number| all.add_number(series, group, bucket, number));
                    }
                    Measured::Values(lists) => {
                        let list = lists.value(row);
                        for text in list.as_string::<i32>().iter().flatten() {
                            let value = counted.group(text)?;
                            if *counted.groups.values(value) != [GroupValue::Null] {
                                all.add_key(series, group, bucket, value);
                            }
                        }
                    }
                    Measured::Events | Measured::First(..) => {}
                }
            }
        }
    }
    Ok(TrendResult {
        header: asked.plain_header(Trend::NAME, warnings),
        buckets: shape.labels(),
        series: trend.with_formula(all.finish(&trend.names(), asked.split(&values.groups)))?,
        compare: None,
        titles: asked.titles(),
    })
}

/// What a batch says of a series beside how many events there were.
enum Measured<'a> {
    Events,
    /// When the first one was, and its sequence.
    First(&'a [i64], &'a [u64]),
    Spread(Spread<'a>),
    List(&'a datafusion::arrow::array::ListArray),
    Values(&'a datafusion::arrow::array::ListArray),
}

/// What numbers come to.
struct Spread<'a> {
    sums: &'a datafusion::arrow::array::StructArray,
    /// How many there are, the least and the largest, where that is asked for.
    extent: Option<(&'a [i64], &'a [f64], &'a [f64])>,
}

impl<'a> Measured<'a> {
    fn of(batch: &'a RecordBatch, shape: &Shape, series: usize) -> Result<Self> {
        let measure = shape.measures[series];
        let list = |name: &str, is_own: fn(&DataType) -> bool| {
            let is_list = |kind: &DataType| matches!(kind, DataType::List(field) if is_own(field.data_type()));
            column(batch, &format!("{name}{series}"), is_list).map(|column| column.as_list::<i32>())
        };
        Ok(match measure {
            Measure::FirstTime => {
                let is_instant = |kind: &DataType| matches!(kind, DataType::Timestamp(..));
                let times = column(batch, &format!("first{series}"), is_instant)?;
                let sequences = numbers::<UInt64Type>(batch, &format!("sequence{series}"))?;
                Self::First(times.as_primitive::<TimestampMicrosecondType>().values(), sequences)
            }
            Measure::Distinct => Self::Values(list("values", |kind| *kind == DataType::Utf8)?),
            _ if measure.share().is_some() => Self::List(list("list", |kind| *kind == DataType::Float64)?),
            _ if measure.reads_numbers() => {
                let is_pair = |kind: &DataType| matches!(kind, DataType::Struct(fields) if fields.len() == 2);
                let sums = column(batch, &format!("sum{series}"), is_pair)?.as_struct();
                let extent = match measure {
                    Measure::Avg | Measure::Min | Measure::Max => Some((
                        numbers::<Int64Type>(batch, &format!("numbers{series}"))?,
                        numbers::<Float64Type>(batch, &format!("min{series}"))?,
                        numbers::<Float64Type>(batch, &format!("max{series}"))?,
                    )),
                    _ => None,
                };
                Self::Spread(Spread { sums, extent })
            }
            _ => Self::Events,
        })
    }
}

impl Spread<'_> {
    fn of(&self, row: usize) -> (u64, Sum, f64, f64) {
        let part = |at: usize| self.sums.column(at).as_primitive::<Float64Type>().value(row);
        let sum = Sum::of_parts(part(0), part(1));
        match self.extent {
            // Where there are no numbers, the least of them is anything.
            Some((counts, mins, maxs)) if counts[row] > 0 => (counts[row].unsigned_abs(), sum, mins[row], maxs[row]),
            _ => (0, sum, f64::INFINITY, f64::NEG_INFINITY),
        }
    }
}
