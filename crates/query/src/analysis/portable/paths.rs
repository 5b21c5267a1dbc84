//! Paths: `unit_paths` of the rows of each unit, which are counted where the answer is made.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

use super::super::lowering::Begun;
use super::super::paths::{answered, reading};
use super::super::run::Asked;
use super::{Values, aggregate, column};
use crate::engine::Engine;
use crate::error::Result;
use crate::functions::{UNIT_PATHS, paths_question};
use crate::paths::{Paths, PathsResult, Tally, Visit};
use crate::spec::Selector;

impl Engine {
    pub(super) fn paths_plan(&self, asked: &Asked<'_>, paths: &Paths) -> Result<Begun> {
        let any = Selector::any();
        let reading = reading(asked, paths, &any);
        let begun = self.rows(asked, &reading)?;
        let question = paths_question(paths, asked.range)?;
        let before = [lit(question), col("value"), col("timestamp"), col("sequence")];
        let conditions = (0..reading.selectors.len()).map(|at| col(format!("s{at}")));
        let found = aggregate(&begun.state, UNIT_PATHS, before.into_iter().chain(conditions).collect());
        let plan = LogicalPlanBuilder::from(begun.plan).aggregate([col("unit")], [found.alias("paths")])?;
        Ok(Begun { plan: plan.build()?, ..begun })
    }
}

pub(super) fn answer(
    asked: &Asked<'_>,
    paths: &Paths,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<PathsResult> {
    let mut tally = Tally::new(paths);
    let mut values = Values::default();
    let mut path: Vec<Visit> = Vec::new();
    for batch in rows {
        let found = column(batch, "paths", |kind| matches!(kind, DataType::List(_)))?.as_list::<i32>();
        for row in (0..found.len()).filter(|row| found.is_valid(*row)) {
            tally.begin_unit();
            let own = found.value(row);
            let own = own.as_struct();
            let (nodes, times) = (own.column(0).as_list::<i32>(), own.column(1).as_list::<i32>());
            let has_ended = own.column(2).as_boolean();
            for at in 0..own.len() {
                let (nodes, times) = (nodes.value(at), times.value(at));
                let times = times.as_primitive::<TimestampMicrosecondType>().values();
                path.clear();
                for (text, timestamp) in nodes.as_string::<i32>().iter().zip(times) {
                    path.push(Visit { node: values.group(text.unwrap_or_default())?, timestamp: *timestamp });
                }
                tally.add(&path, has_ended.value(at));
            }
        }
    }
    Ok(answered(paths, asked.plain_header(Paths::NAME, warnings), tally, &values.groups))
}
