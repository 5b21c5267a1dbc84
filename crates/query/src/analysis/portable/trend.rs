//! Trends: the events of each unit, breakdown value and bucket, counted and summed.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float64Type, Int64Type, UInt32Type};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col, lit, when};

use super::super::lowering::Begun;
use super::super::run::Asked;
use super::super::trend::{Shape, reading};
use super::{Values, aggregate, calendar_bucket, column, instant, numbers};
use crate::engine::Engine;
use crate::error::Result;
use crate::functions::EXACT_SUM;
use crate::trend::{Aggregate, Measure, Sum, Trend, TrendResult};

impl Engine {
    pub(super) fn trend_plan(&self, asked: &Asked<'_>, trend: &Trend) -> Result<Begun> {
        let shape = Shape::new(trend, asked.range, &asked.zone)?;
        let begun = self.rows(asked, &reading(asked, trend, &shape))?;
        let range = shape.extended.range();
        let bucket = calendar_bucket(&begun.state, asked, trend.interval, trend.week_start, range);
        let in_range = col("timestamp").gt_eq(instant(asked.range.from_us));
        let keys = [col("value"), bucket.alias("bucket"), in_range.clone().alias("in_range"), col("unit")];
        let mut made: Vec<Expr> = Vec::new();
        for (at, sums) in shape.sums.iter().enumerate() {
            let own = col(format!("s{at}"));
            made.push(count(when(own.clone(), lit(1)).end()?).alias(format!("events{at}")));
            if let Some(number) = sums {
                let numbers = when(own.and(in_range.clone()), col(format!("n{number}"))).end()?;
                made.push(aggregate(&begun.state, EXACT_SUM, vec![numbers]).alias(format!("sum{at}")));
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
    let measures: Vec<Measure> = trend.series.iter().map(|series| series.measure).collect();
    let mut all = Aggregate::new(&measures, shape.buckets.len()).looking_back(shape.before(), &shape.rolling);
    let mut values = Values::default();
    for batch in rows {
        let texts = column(batch, "value", |kind| *kind == DataType::Utf8)?.as_string::<i32>();
        let buckets = column(batch, "bucket", |kind| *kind == DataType::UInt32)?.as_primitive::<UInt32Type>();
        let in_range = column(batch, "in_range", |kind| *kind == DataType::Boolean)?.as_boolean();
        let units = numbers::<UInt32Type>(batch, "unit")?;
        for series in 0..measures.len() {
            let events = numbers::<Int64Type>(batch, &format!("events{series}"))?;
            let sums = match shape.sums[series] {
                Some(_) => {
                    let is_pair = |kind: &DataType| matches!(kind, DataType::Struct(fields) if fields.len() == 2);
                    Some(column(batch, &format!("sum{series}"), is_pair)?.as_struct())
                }
                None => None,
            };
            for row in (0..batch.num_rows()).filter(|row| events[*row] > 0 && buckets.is_valid(*row)) {
                let group = values.group(texts.value(row))?;
                let bucket = buckets.value(row) as usize;
                if !in_range.value(row) {
                    if shape.rolling[series].is_some() {
                        all.look_back(series, group, bucket, units[row]);
                    }
                    continue;
                }
                all.add_events(series, group, bucket, units[row], events[row].unsigned_abs());
                if let Some(sums) = sums {
                    let part = |at: usize| sums.column(at).as_primitive::<Float64Type>().value(row);
                    all.add_sum(series, group, bucket, Sum::of_parts(part(0), part(1)));
                }
            }
        }
    }
    Ok(TrendResult {
        header: asked.plain_header(Trend::NAME, warnings),
        buckets: shape.buckets.labels().to_vec(),
        series: all.finish(&trend.names(), asked.split(&values.groups)),
        titles: asked.titles(),
    })
}
