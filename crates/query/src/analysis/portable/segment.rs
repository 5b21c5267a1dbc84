//! The people of a segment as a plan.

use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionState;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, col, lit, not, when};

use super::super::lowering::{Reading, Wanted};
use super::super::run::{Asked, segment_place};
use super::super::segment::range;
use super::{aggregate, instant, join};
use crate::calendar::ResolvedRange;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::functions::{FIRST_HOLDS, LAST_HOLDS};
use crate::spec::{AtEnd, Did, End, Leaf, Logic, Place, Scope, Segment, Selector, Times};
use crate::table::PERSON;

impl Logic for Expr {
    fn constant(is_true: bool) -> Self {
        lit(is_true)
    }

    fn and(self, other: Self) -> Self {
        Self::and(self, other)
    }

    fn or(self, other: Self) -> Self {
        Self::or(self, other)
    }

    fn not(self) -> Self {
        not(self)
    }
}

/// The columns of a plan that tell of each person what leaves ask.
#[derive(Default)]
struct Told<'a> {
    selectors: Vec<Wanted<'a>>,
    counted: Vec<Expr>,
    /// What each leaf says.
    holds: Vec<Expr>,
    /// From when on all events are read.
    all_since_us: Option<i64>,
    until_us: i64,
}

impl<'a> Told<'a> {
    /// Whether a selector takes a row, and the number of its column.
    fn select(&mut self, selector: &'a Selector, place: &Place, range: ResolvedRange) -> (usize, Expr) {
        let number = self.selectors.len();
        let path = place.path().to_owned();
        self.selectors.push(Wanted { selector, path, since_us: range.from_us });
        self.until_us = self.until_us.max(range.to_us);
        (number, col(format!("s{number}")))
    }

    fn reads_all_since(&mut self, since_us: i64) {
        self.all_since_us = Some(self.all_since_us.map_or(since_us, |before| before.min(since_us)));
    }

    fn add_did(&mut self, did: &'a Did, place: &Place, range: ResolvedRange) -> Result<()> {
        let (number, takes) = self.select(&did.selector, &place.child("did"), range);
        let holds = takes.and(col("timestamp").lt(instant(range.to_us)));
        self.counted.push(count(when(holds, lit(1)).end()?).alias(format!("c{number}")));
        let count = col(format!("c{number}"));
        self.holds.push(match did.times {
            Times::AtLeast(least) => count.gt_eq(lit(least)),
            Times::AtMost(most) => count.lt_eq(lit(most)),
            Times::Exactly(exactly) => count.eq(lit(exactly)),
        });
        Ok(())
    }

    fn add_at_end(&mut self, state: &SessionState, at_end: &'a AtEnd, place: &Place, range: ResolvedRange) {
        let AtEnd { end, selector, .. } = at_end;
        let (number, takes) = self.select(selector, &place.child(end.name()), range);
        self.reads_all_since(range.from_us);
        let time = col("timestamp");
        let within = time.clone().gt_eq(instant(range.from_us)).and(time.clone().lt(instant(range.to_us)));
        let function = if *end == End::First { FIRST_HOLDS } else { LAST_HOLDS };
        let own = aggregate(state, function, vec![time, col("sequence"), within, takes]);
        self.counted.push(own.alias(format!("c{number}")));
        self.holds.push(col(format!("c{number}")).is_true());
    }
}

impl Engine {
    /// Those who are otherwise than somebody who did nothing, and how they are to be joined; with what the asker should know.
    pub(super) fn segment_plan(
        &self,
        asked: &Asked<'_>,
        segment: &Segment,
    ) -> Result<(LogicalPlan, JoinType, Vec<String>)> {
        let state = self.session(asked.snapshot)?;
        let mut told = Told { until_us: i64::MIN, ..Told::default() };
        let mut warnings = Vec::new();
        for (leaf, place) in segment.leaves(&segment_place(asked.query)) {
            match leaf {
                Leaf::Did(did) => told.add_did(did, &place, range(asked, &did.range, &place)?)?,
                Leaf::AtEnd(at_end) => {
                    let range = range(asked, &at_end.range, &place)?;
                    told.add_at_end(&state, at_end, &place, range);
                }
                Leaf::Profile(sql) => {
                    let traits = self.traits(asked, sql, place.child("profile").path())?;
                    warnings.extend(traits.warnings);
                    told.holds.push(of_unit(traits.holds)?.is_true());
                    // Whoever has an event may be one of them.
                    told.reads_all_since(i64::MIN);
                    told.until_us = i64::MAX;
                }
                Leaf::Cohort(_) | Leaf::Named(_) => return Err(beside_the_plan("a cohort").on(place.path())),
                Leaf::Funnel(_) => return Err(beside_the_plan("a funnel").on(place.child("funnel").path())),
                Leaf::Retention(_) => return Err(beside_the_plan("a retention").on(place.child("retention").path())),
            }
        }
        let any = Selector::any();
        let Told { mut selectors, counted, holds, all_since_us, until_us } = told;
        selectors.extend(all_since_us.map(|since_us| Wanted { selector: &any, path: String::new(), since_us }));
        let scope = Scope::default();
        let reading = Reading::new(selectors, &scope, until_us);
        let begun = self.begin(asked, &reading, None)?;
        let nobody = segment.of_nobody().unwrap_or(false);
        let holds = segment.judge(&mut holds.into_iter());
        let plan = LogicalPlanBuilder::from(begun.plan)
            .aggregate([col("unit")], counted)?
            .filter(if nobody { not(holds) } else { holds })?
            .project([col("unit").alias(PERSON)])?
            .build()?;
        warnings.extend(begun.warnings);
        Ok((plan, join(!nobody), warnings))
    }
}

/// What is of the person is here of the unit of a row.
fn of_unit(expr: Expr) -> Result<Expr> {
    let unit = |expr| match expr {
        Expr::Column(column) if column.name == PERSON => Transformed::yes(col("unit")),
        other => Transformed::no(other),
    };
    Ok(expr.transform(|expr| Ok(unit(expr)))?.data)
}

fn beside_the_plan(what: &str) -> Error {
    Error::unsupported(format!("the people of {what} are found by the engine: a plan has none"))
}
