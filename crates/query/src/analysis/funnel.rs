//! Lowering of funnels.

use super::by_unit::Needs;
use super::lowering::{Reading, Wanted};
use super::run::Asked;
use super::units::Core;
use crate::engine::Engine;
use crate::error::Result;
use crate::funnel::{Aggregate, Funnel, FunnelResult, Matcher};
use crate::spec::{EventNames, Hit};

impl Engine {
    pub(super) async fn funnel(&self, asked: &Asked<'_>, funnel: &Funnel) -> Result<FunnelResult> {
        let range = asked.range;
        let reading = reading(asked, funnel);
        let steps = funnel.steps.len();
        let make = || Matching { matcher: Matcher::new(steps, funnel.window, range), aggregate: Aggregate::new(steps) };
        // The value of the breakdown is that of the first opening event.
        let by_one_name = matches!(funnel.steps.first().map(|step| &step.selector.event), Some(EventNames::One(_)));
        let sequences = !asked.scope().breakdown.is_empty() && !by_one_name;
        let needs = Needs { bits: 1, sequences };
        let found = self.by_unit(asked, &reading, needs, "LocalFunnel", make).await?;
        let groups = &found.groups;
        let same: Vec<u32> = (0_u32..).take(groups.len().max(1)).collect();
        let mut all = Aggregate::new(steps);
        for part in &found.cores {
            all.merge(&part.aggregate, &same);
        }
        Ok(FunnelResult {
            header: asked.header(Funnel::NAME, found.warnings.clone(), || found.explain())?,
            groups: all.finish(&funnel.names(), funnel.window, asked.split(groups)),
            titles: asked.titles(),
        })
    }
}

/// What a funnel reads.
pub(super) fn reading<'a>(asked: &Asked<'a>, funnel: &'a Funnel) -> Reading<'a> {
    let range = asked.range;
    let steps = funnel.steps.iter().enumerate();
    let selectors = steps.map(|(at, step)| Wanted {
        selector: &step.selector,
        path: format!("steps[{at}]"),
        since_us: range.from_us,
    });
    // An attempt that begins in the range goes on until its window ends.
    let until_us = range.to_us.saturating_add(funnel.window.as_us());
    Reading { selectors: selectors.collect(), scope: asked.scope(), until_us, ordered: true, numbers: Vec::new() }
}

struct Matching {
    matcher: Matcher,
    aggregate: Aggregate,
}

impl Core for Matching {
    type Value = ();

    fn add_unit(&mut self, _unit: u32, hits: &mut [Hit]) {
        if let Some(attempt) = self.matcher.match_unordered(hits) {
            self.aggregate.add(attempt);
        }
    }
}
