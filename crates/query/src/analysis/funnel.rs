//! Lowering of funnels.

use super::lowering::{Lowered, Reading, Wanted};
use super::run::{Asked, absorb};
use super::units::{Core, Ranges, collect, feed};
use crate::engine::Engine;
use crate::error::Result;
use crate::funnel::{Aggregate, Funnel, FunnelResult, Matcher};
use crate::spec::Hit;

impl Engine {
    pub(super) async fn funnel(&self, asked: &Asked<'_>, funnel: &Funnel) -> Result<FunnelResult> {
        let range = asked.range;
        let selectors = funnel
            .steps
            .iter()
            .enumerate()
            .map(|(at, step)| Wanted {
                selector: &step.selector,
                path: format!("steps[{at}]"),
                since_us: range.from_us,
            })
            .collect();
        // An attempt that begins in the range goes on until its window ends.
        let until_us = range.to_us.saturating_add(funnel.window.as_us());
        let reading = Reading { selectors, scope: asked.scope(), until_us, ordered: true };
        let Lowered { scan, warnings } = asked.lower(self, &reading).await?;
        let ranges = Ranges::new(asked.snapshot.subject_count);
        let parts = collect(&scan, ranges).await?;
        let (groups, numbers) = absorb(&parts.iter().map(|(_, groups)| groups).collect::<Vec<_>>());
        let parts = parts.into_iter().map(|(rows, _)| rows).zip(numbers).collect();
        let steps = funnel.steps.len();
        let make = || Matching { matcher: Matcher::new(steps, funnel.window, range), aggregate: Aggregate::new(steps) };
        let done = feed(ranges, parts, self.threads(), make).await?;
        let same: Vec<u32> = (0_u32..).take(groups.len().max(1)).collect();
        let mut all = Aggregate::new(steps);
        for part in &done {
            all.merge(&part.aggregate, &same);
        }
        Ok(FunnelResult {
            header: asked.header(Funnel::NAME, warnings, &scan)?,
            groups: all.finish(&funnel.names(), funnel.window, asked.split(&groups)),
            titles: asked.titles(),
        })
    }
}

struct Matching {
    matcher: Matcher,
    aggregate: Aggregate,
}

impl Core for Matching {
    fn add_unit(&mut self, hits: &[Hit]) {
        if let Some(attempt) = self.matcher.match_unit(hits) {
            self.aggregate.add(&attempt);
        }
    }
}
