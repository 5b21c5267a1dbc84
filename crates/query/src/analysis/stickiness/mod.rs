//! Lowering of stickiness.

mod rollups;

use std::sync::Arc;

use super::by_unit::Needs;
use super::explain::Explain;
use super::lowering::{Reading, Wanted};
use super::run::Asked;
use super::units::{Core, in_order};
use crate::calendar::Buckets;
use crate::engine::Engine;
use crate::error::Result;
use crate::spec::{Analysis, Groups, Header, Hit};
use crate::stickiness::{Stickiness, StickinessResult, Tally};

impl Engine {
    pub(super) async fn stickiness(&self, asked: &Asked<'_>, stickiness: &Stickiness) -> Result<StickinessResult> {
        let buckets = buckets(asked, stickiness)?;
        let empty = Tally::new(stickiness, Arc::clone(&buckets));
        if asked.goes_local(self) && rollups::can_answer(stickiness) {
            let mut tally = empty.clone();
            let local = self.local(asked.snapshot);
            if rollups::fill(&mut tally, stickiness, self, asked, &local, &buckets).await? {
                let warnings = self.names_of(asked, &[(&stickiness.event, "event")])?;
                let header =
                    asked.header(Stickiness::NAME, warnings, || Explain::of_local(&local, "LocalStickiness"))?;
                return Ok(result(asked, tally, header, &Groups::default()));
            }
        }
        let needs = Needs { bits: 1, sequences: false };
        let reading = reading(asked, stickiness);
        let found = self.by_unit(asked, &reading, needs, "LocalStickiness", |_| empty.clone()).await?;
        let same: Vec<u32> = (0_u32..).take(found.groups.len().max(1)).collect();
        let mut all = empty;
        for part in &found.cores {
            all.merge(part, &same);
        }
        let header = asked.header(Stickiness::NAME, found.warnings.clone(), || found.explain())?;
        Ok(result(asked, all, header, &found.groups))
    }
}

/// The buckets of the question.
pub(super) fn buckets(asked: &Asked<'_>, stickiness: &Stickiness) -> Result<Arc<Buckets>> {
    Ok(Arc::new(Buckets::new(asked.range, stickiness.interval, &asked.zone, stickiness.week_start)?))
}

/// What it reads.
pub(super) fn reading<'a>(asked: &Asked<'a>, stickiness: &'a Stickiness) -> Reading<'a> {
    let range = asked.range;
    let event = Wanted { selector: &stickiness.event, path: "event".to_owned(), since_us: range.from_us };
    Reading::new(vec![event], asked.scope(), range.to_us)
}

/// The answer that a tally makes.
pub(super) fn result(asked: &Asked<'_>, tally: Tally, header: Header, groups: &Groups) -> StickinessResult {
    let intervals = tally.intervals();
    let at_least = matches!(&asked.query.analysis, Analysis::Stickiness(of) if of.at_least);
    StickinessResult { header, intervals, groups: tally.finish(asked.split(groups)), at_least, titles: asked.titles() }
}

impl Core for Tally {
    type Value = ();

    fn add_unit(&mut self, _unit: u32, hits: &mut [Hit]) {
        Self::add_unit(self, in_order(hits));
    }
}
