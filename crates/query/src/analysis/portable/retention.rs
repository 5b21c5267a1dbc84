//! Retention: `retention_cells` of the rows of each unit.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, UInt32Type, UInt64Type};
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

use super::super::lowering::Begun;
use super::super::retention::reading;
use super::super::run::Asked;
use super::{Values, aggregate, column};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::functions::{RETENTION_CELLS, retention_question};
use crate::retention::{Grid, Retention, RetentionResult};

impl Engine {
    pub(super) fn retention_plan(&self, asked: &Asked<'_>, retention: &Retention) -> Result<Begun> {
        let range = asked.range;
        let begun = self.rows(asked, &reading(asked, retention))?;
        grid(asked, retention)?;
        let question = retention_question(retention, range, &asked.zone, asked.snapshot.now().as_microsecond())?;
        let arguments = vec![lit(question), col("value"), col("timestamp"), col("sequence"), col("s0"), col("s1")];
        let cells = aggregate(&begun.state, RETENTION_CELLS, arguments);
        let plan = LogicalPlanBuilder::from(begun.plan).aggregate([col("unit")], [cells.alias("cells")])?;
        Ok(Begun { plan: plan.build()?, ..begun })
    }
}

fn grid(asked: &Asked<'_>, retention: &Retention) -> Result<Grid> {
    let buckets = Buckets::new(asked.range, retention.interval, &asked.zone, retention.week_start)?;
    Ok(Grid::new(retention, Arc::new(buckets), asked.snapshot.now().as_microsecond())?)
}

pub(super) fn answer(
    asked: &Asked<'_>,
    retention: &Retention,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<RetentionResult> {
    let mut all = grid(asked, retention)?;
    let periods = all.periods();
    let mut values = Values::default();
    for batch in rows {
        let cells = column(batch, "cells", |kind| matches!(kind, DataType::List(_)))?.as_list::<i32>();
        // One list after the other: whose they are does not matter.
        let cells = cells.values().as_struct();
        let cohorts = cells.column(0).as_primitive::<UInt32Type>();
        let (texts, returned) = (cells.column(1).as_string::<i32>(), cells.column(2).as_list::<i32>());
        for cell in 0..cells.len() {
            let returned = returned.value(cell);
            let returned = returned.as_primitive::<UInt64Type>().values();
            let group = values.group(texts.value(cell))?;
            all.add_cohort(group, cohorts.value(cell) as usize, 1, returned);
        }
    }
    Ok(RetentionResult {
        header: asked.plain_header(Retention::NAME, warnings),
        periods,
        groups: all.finish(asked.split(&values.groups))?,
        compare: None,
        titles: asked.titles(),
    })
}
