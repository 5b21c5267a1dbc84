//! Retention: `retention_cells` of the rows of each unit.

use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Float64Type, UInt32Type, UInt64Type};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

use super::super::lowering::Begun;
use super::super::retention::{first_selector, reading};
use super::super::run::Asked;
use super::{Values, aggregate, column};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::functions::{RETENTION_CELLS, retention_cells_type, retention_question};
use crate::retention::{Cell, Grid, Mean, Retention, RetentionResult, ReturnMeasure};

impl Engine {
    pub(super) fn retention_plan(&self, asked: &Asked<'_>, retention: &Retention) -> Result<Begun> {
        let range = asked.range;
        let first = first_selector(retention);
        let until_us = grid(asked, retention)?.until_us();
        let begun = self.rows(asked, &reading(asked, retention, first.as_ref(), until_us))?;
        let question = retention_question(retention, range, &asked.zone, asked.snapshot.now().as_microsecond())?;
        let number = match retention.measure {
            ReturnMeasure::Units => lit(ScalarValue::Float64(None)),
            ReturnMeasure::Sum | ReturnMeasure::Avg => col("n0"),
        };
        let first = if first.is_some() { col("s2") } else { lit(false) };
        let (row, conditions) =
            ([col("value"), col("timestamp"), col("sequence"), number], [col("s0"), col("s1"), first]);
        let arguments = [lit(question)].into_iter().chain(row).chain(conditions).collect();
        let cells = aggregate(&begun.state, RETENTION_CELLS, arguments);
        let plan = LogicalPlanBuilder::from(begun.plan).aggregate([col("unit")], [cells.alias("cells")])?;
        Ok(Begun { plan: plan.build()?, ..begun })
    }
}

fn grid(asked: &Asked<'_>, retention: &Retention) -> Result<Grid<f64>> {
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
        let is_list = |kind: &DataType| *kind == retention_cells_type();
        let cells = column(batch, "cells", is_list)?.as_list::<i32>();
        // One list after the other: whose they are does not matter.
        let cells = cells.values().as_struct();
        let cohorts = cells.column(0).as_primitive::<UInt32Type>();
        let (texts, returned) = (cells.column(1).as_string::<i32>(), cells.column(2).as_list::<i32>());
        for cell in 0..cells.len() {
            let returned = returned.value(cell);
            let returned = returned.as_primitive::<UInt64Type>().values();
            let doubles = |column: usize| {
                let list = cells.column(column).as_list::<i32>().value(cell);
                list.as_primitive::<Float64Type>().values().clone()
            };
            let (sums, lost) = (doubles(3), doubles(4));
            let numbers = cells.column(5).as_list::<i32>().value(cell);
            let numbers = numbers.as_primitive::<UInt64Type>().values();
            let total = |at: usize| match (sums.get(at), lost.get(at), numbers.get(at)) {
                (Some(sum), Some(lost), Some(count)) => Mean::of_parts(*sum, *lost, *count),
                _ => Mean::default(),
            };
            let periods = returned.iter().enumerate().map(|(at, units)| Cell { units: *units, total: total(at) });
            let group = values.group(texts.value(cell))?;
            all.add_cohort(group, cohorts.value(cell) as usize, 1, periods);
        }
    }
    Ok(RetentionResult {
        header: asked.plain_header(Retention::NAME, warnings),
        measure: retention.measure,
        periods,
        groups: all.finish(asked.split(&values.groups))?,
        compare: None,
        titles: asked.titles(),
    })
}
