//! Stickiness: the events of each unit, breakdown value and bucket, counted.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Int64Type, UInt32Type};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

use super::super::lowering::Begun;
use super::super::run::Asked;
use super::super::stickiness::{buckets, reading, result};
use super::{Values, calendar_bucket, column, numbers};
use crate::engine::Engine;
use crate::error::Result;
use crate::stickiness::{Stickiness, StickinessResult, Tally};

impl Engine {
    pub(super) fn stickiness_plan(&self, asked: &Asked<'_>, stickiness: &Stickiness) -> Result<Begun> {
        let buckets = buckets(asked, stickiness)?;
        let begun = self.rows(asked, &reading(asked, stickiness))?;
        let (interval, week_start) = (stickiness.interval, stickiness.week_start);
        let bucket = calendar_bucket(&begun.state, asked, interval, week_start, buckets.range());
        let keys = [col("unit"), col("value"), bucket.alias("bucket")];
        let rows = LogicalPlanBuilder::from(begun.plan).filter(col("s0"))?;
        let plan = rows.aggregate(keys, [count(lit(1)).alias("events")])?;
        Ok(Begun { plan: plan.build()?, ..begun })
    }
}

pub(super) fn answer(
    asked: &Asked<'_>,
    stickiness: &Stickiness,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<StickinessResult> {
    let mut values = Values::default();
    let mut units: HashMap<u32, Vec<(u32, usize, u64)>> = HashMap::new();
    for batch in rows {
        let texts = column(batch, "value", |kind| *kind == DataType::Utf8)?.as_string::<i32>();
        let in_bucket = column(batch, "bucket", |kind| *kind == DataType::UInt32)?.as_primitive::<UInt32Type>();
        let (ids, events) = (numbers::<UInt32Type>(batch, "unit")?, numbers::<Int64Type>(batch, "events")?);
        for row in (0..batch.num_rows()).filter(|row| in_bucket.is_valid(*row)) {
            let cell = (values.group(texts.value(row))?, in_bucket.value(row) as usize, events[row].unsigned_abs());
            units.entry(ids[row]).or_default().push(cell);
        }
    }
    let mut tally = Tally::new(stickiness, buckets(asked, stickiness)?);
    for cells in units.into_values() {
        tally.add_cells(cells);
    }
    Ok(result(asked, tally, asked.plain_header(Stickiness::NAME, warnings), &values.groups))
}
