//! Funnels: `window_funnel_by` of the rows of each unit.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType};
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
use datafusion::scalar::ScalarValue;

use super::super::funnel::reading;
use super::super::lowering::Begun;
use super::super::run::Asked;
use super::{Values, aggregate, column};
use crate::engine::Engine;
use crate::error::Result;
use crate::functions::WINDOW_FUNNEL_BY;
use crate::funnel::{Aggregate, Attempt, Funnel, FunnelResult};

impl Engine {
    pub(super) fn funnel_plan(&self, asked: &Asked<'_>, funnel: &Funnel) -> Result<Begun> {
        let begun = self.rows(asked, &reading(asked, funnel))?;
        let to = ScalarValue::TimestampMicrosecond(Some(asked.range.to_us), Some("+00:00".into()));
        let opens = col("s0").and(col("timestamp").lt(lit(to)));
        let steps = [opens].into_iter().chain((1..funnel.steps.len()).map(|step| col(format!("s{step}"))));
        let before = [col("value"), lit(funnel.window.to_string()), col("timestamp"), col("sequence")];
        let attempt = aggregate(&begun.state, WINDOW_FUNNEL_BY, before.into_iter().chain(steps).collect());
        let plan = LogicalPlanBuilder::from(begun.plan).aggregate([col("unit")], [attempt.alias("attempt")])?;
        Ok(Begun { plan: plan.build()?, ..begun })
    }
}

pub(super) fn answer(
    asked: &Asked<'_>,
    funnel: &Funnel,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<FunnelResult> {
    let mut all = Aggregate::new(funnel.steps.len());
    let mut values = Values::default();
    for batch in rows {
        let attempts = column(batch, "attempt", |kind| matches!(kind, DataType::Struct(fields) if fields.len() == 2))?;
        let attempts = attempts.as_struct();
        let (texts, times) = (attempts.column(0).as_string::<i32>(), attempts.column(1).as_list::<i32>());
        for row in (0..batch.num_rows()).filter(|row| texts.is_valid(*row)) {
            let times = times.value(row);
            let times = times.as_primitive::<TimestampMicrosecondType>().values().to_vec();
            all.add(&Attempt { times, group: values.group(texts.value(row))?, sequence: 0 });
        }
    }
    Ok(FunnelResult {
        header: asked.plain_header(Funnel::NAME, warnings),
        groups: all.finish(&funnel.names(), funnel.window, asked.split(&values.groups)),
        titles: asked.titles(),
    })
}
