//! Lifecycle: in which buckets each unit was active, and whether before.

use std::collections::HashMap;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, UInt32Type};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, col};

use super::super::lifecycle::{buckets, reading};
use super::super::lowering::Begun;
use super::super::run::Asked;
use super::{calendar_bucket, column, instant, numbers};
use crate::calendar::ResolvedRange;
use crate::engine::Engine;
use crate::error::Result;
use crate::lifecycle::{Lifecycle, LifecycleResult, Past, States};

impl Engine {
    pub(super) fn lifecycle_plan(&self, asked: &Asked<'_>, lifecycle: &Lifecycle) -> Result<Begun> {
        let states = States::new(lifecycle, buckets(asked, lifecycle)?, &asked.zone)?;
        let begun = self.rows(asked, &reading(asked, lifecycle))?;
        let (interval, week_start) = (lifecycle.interval, lifecycle.week_start);
        let bucket = calendar_bucket(&begun.state, asked, interval, week_start, asked.range);
        let previous = states.previous().unwrap_or(ResolvedRange { from_us: 0, to_us: 0 });
        let at = || col("timestamp");
        let in_previous = at().gt_eq(instant(previous.from_us)).and(at().lt(instant(previous.to_us)));
        let keys = [col("unit"), bucket.alias("bucket"), in_previous.alias("in_previous")];
        let rows = LogicalPlanBuilder::from(begun.plan).filter(col("s0"))?;
        let plan = rows.aggregate(keys, Vec::<Expr>::new())?;
        Ok(Begun { plan: plan.build()?, ..begun })
    }
}

pub(super) fn answer(
    asked: &Asked<'_>,
    lifecycle: &Lifecycle,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<LifecycleResult> {
    let mut units: HashMap<u32, (Past, Vec<usize>)> = HashMap::new();
    for batch in rows {
        let in_bucket = column(batch, "bucket", |kind| *kind == DataType::UInt32)?.as_primitive::<UInt32Type>();
        let in_previous = column(batch, "in_previous", |kind| *kind == DataType::Boolean)?.as_boolean();
        let ids = numbers::<UInt32Type>(batch, "unit")?;
        for (row, id) in ids.iter().enumerate() {
            let (past, active) = units.entry(*id).or_default();
            match in_bucket.is_valid(row) {
                true => active.push(in_bucket.value(row) as usize),
                false => {
                    past.active = true;
                    past.in_previous |= in_previous.value(row);
                }
            }
        }
    }
    let buckets = buckets(asked, lifecycle)?;
    let labels = buckets.labels().to_vec();
    let mut states = States::new(lifecycle, buckets, &asked.zone)?;
    for (past, mut active) in units.into_values() {
        active.sort_unstable();
        states.add_activity(past, &active);
    }
    Ok(LifecycleResult::new(asked.plain_header(Lifecycle::NAME, warnings), labels, states.finish()))
}
