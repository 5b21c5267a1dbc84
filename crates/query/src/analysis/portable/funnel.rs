//! Funnels: `funnel_attempts` of the rows of each unit.

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, TimestampMicrosecondType, UInt32Type, UInt64Type};
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};

use super::super::funnel::{answered, buckets, reading};
use super::super::lowering::Begun;
use super::super::run::Asked;
use super::super::sessions::expression;
use super::{Values, aggregate, column, numbers};
use crate::columns::system;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::functions::{FUNNEL_ATTEMPTS, funnel_question};
use crate::funnel::{Aggregate, Attempt, Done, Funnel, FunnelResult};
use crate::spec::Selector;

impl Engine {
    pub(super) fn funnel_plan(&self, asked: &Asked<'_>, funnel: &Funnel) -> Result<Begun> {
        if funnel.rows {
            return Err(
                Error::unsupported("rows have message ids, which the engine looks up: a plan has none").on("rows")
            );
        }
        let any = Selector::any();
        let mut reading = reading(asked, funnel, &any);
        reading.items.extend(reading.keys.then(|| expression(system::SESSION_ID.1, "window")));
        let begun = self.rows(asked, &reading)?;
        let question = funnel_question(funnel, asked.range, &asked.zone)?;
        let before = [lit(question), col("value"), col("timestamp"), col("sequence")];
        let conditions = (0..reading.selectors.len()).map(|at| col(format!("s{at}")));
        let attempts = aggregate(&begun.state, FUNNEL_ATTEMPTS, before.into_iter().chain(conditions).collect());
        let plan = LogicalPlanBuilder::from(begun.plan).aggregate([col("unit")], [attempts.alias("attempts")])?;
        Ok(Begun { plan: plan.build()?, ..begun })
    }
}

pub(super) fn answer(
    asked: &Asked<'_>,
    funnel: &Funnel,
    rows: &[RecordBatch],
    warnings: Vec<String>,
) -> Result<FunnelResult> {
    let buckets = buckets(asked, funnel)?;
    let mut all = Aggregate::new(funnel, buckets.as_ref().map(|buckets| buckets.len()));
    let mut values = Values::of_first(asked.scope().breakdown.len());
    for batch in rows {
        let units = numbers::<UInt32Type>(batch, "unit")?;
        let attempts = column(batch, "attempts", |kind| matches!(kind, DataType::List(_)))?.as_list::<i32>();
        for (row, unit) in units.iter().enumerate().filter(|(row, _)| attempts.is_valid(*row)) {
            let own = attempts.value(row);
            let own = own.as_struct();
            let (texts, in_bucket) = (own.column(0).as_string::<i32>(), own.column(1).as_primitive::<UInt32Type>());
            let (times, sequences) = (own.column(2).as_list::<i32>(), own.column(3).as_list::<i32>());
            for at in 0..own.len() {
                let (times, sequences) = (times.value(at), sequences.value(at));
                let times = times.as_primitive::<TimestampMicrosecondType>().iter();
                let sequences = sequences.as_primitive::<UInt64Type>().iter();
                let done =
                    |(time, sequence): (Option<i64>, Option<u64>)| Some(Done { timestamp: time?, sequence: sequence? });
                let attempt =
                    Attempt { steps: times.zip(sequences).map(done).collect(), group: values.group(texts.value(at))? };
                match in_bucket.is_valid(at) {
                    true => all.add_in_bucket(*unit, in_bucket.value(at) as usize, &attempt),
                    false => all.add(*unit, &attempt),
                }
            }
        }
    }
    let header = asked.plain_header(Funnel::NAME, warnings);
    answered(asked, header, all, &values.groups, buckets.as_ref())
}
