//! The people of a segment as a plan.

use datafusion::common::JoinType;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit, when};

use super::super::lowering::{Reading, Wanted};
use super::super::run::Asked;
use super::join;
use crate::calendar::ResolvedRange;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::spec::{Scope, Segment, Times};
use crate::table::PERSON;
use datafusion::scalar::ScalarValue;

impl Engine {
    /// Those who are otherwise than somebody who did nothing, and how they are to be joined; with what the asker should know.
    pub(super) fn segment_plan(
        &self,
        asked: &Asked<'_>,
        segment: &Segment,
    ) -> Result<(LogicalPlan, JoinType, Vec<String>)> {
        let all = ResolvedRange { from_us: i64::MIN, to_us: i64::MAX };
        let leaves = segment.leaves();
        let mut selectors = Vec::with_capacity(leaves.len());
        let mut ranges = Vec::with_capacity(leaves.len());
        for (did, path) in &leaves {
            let range = did.range.resolve(&asked.zone, asked.snapshot.now().as_microsecond(), all);
            let range = range.map_err(|error| Error::from(error).on(format!("{path}.range")))?;
            selectors.push(Wanted { selector: &did.selector, path: format!("{path}.did"), since_us: range.from_us });
            ranges.push(range);
        }
        let until_us = ranges.iter().map(|range| range.to_us).max().unwrap_or(i64::MAX);
        let scope = Scope::default();
        let reading = Reading::new(selectors, &scope, until_us);
        let begun = self.begin(asked, &reading, None)?;
        let counted = ranges.iter().enumerate().map(|(leaf, range)| {
            let until = ScalarValue::TimestampMicrosecond(Some(range.to_us), Some("+00:00".into()));
            let holds = col(format!("s{leaf}")).and(col("timestamp").lt(lit(until)));
            Ok(count(when(holds, lit(1)).end()?).alias(format!("c{leaf}")))
        });
        let counted: Vec<Expr> = counted.collect::<Result<_>>()?;
        let nobody = segment.holds(&mut std::iter::empty());
        let holds = holds(segment, &mut (0..));
        let plan = LogicalPlanBuilder::from(begun.plan)
            .aggregate([col("unit")], counted)?
            .filter(if nobody { Expr::Not(Box::new(holds)) } else { holds })?
            .project([col("unit").alias(PERSON)])?
            .build()?;
        Ok((plan, join(!nobody), begun.warnings))
    }
}

/// Whether the counts of a person make it one of the segment.
fn holds(segment: &Segment, leaves: &mut impl Iterator<Item = usize>) -> Expr {
    match segment {
        Segment::All(parts) => parts.iter().fold(lit(true), |all, part| all.and(holds(part, leaves))),
        Segment::Any(parts) => parts.iter().fold(lit(false), |any, part| any.or(holds(part, leaves))),
        Segment::Not(part) => Expr::Not(Box::new(holds(part, leaves))),
        Segment::Did(did) => {
            let count = col(format!("c{}", leaves.next().unwrap_or(0)));
            match did.times {
                Times::AtLeast(least) => count.gt_eq(lit(least)),
                Times::AtMost(most) => count.lt_eq(lit(most)),
                Times::Exactly(exactly) => count.eq(lit(exactly)),
            }
        }
    }
}
