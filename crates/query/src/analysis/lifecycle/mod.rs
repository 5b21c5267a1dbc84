//! Lowering of a lifecycle.

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
use crate::lifecycle::{Lifecycle, LifecycleResult, States};
use crate::spec::Hit;

impl Engine {
    pub(super) async fn lifecycle(&self, asked: &Asked<'_>, lifecycle: &Lifecycle) -> Result<LifecycleResult> {
        let buckets = buckets(asked, lifecycle)?;
        let empty = States::new(lifecycle, Arc::clone(&buckets), &asked.zone)?;
        let labels = buckets.labels().to_vec();
        if asked.goes_local(self) && rollups::can_answer(lifecycle) {
            let local = self.local(asked.snapshot);
            if let Some(counts) = rollups::count(lifecycle, self, asked, &local, &buckets, empty.previous()).await? {
                let warnings = self.names_of(asked, &[(&lifecycle.event, "event")])?;
                let header = asked.header(Lifecycle::NAME, warnings, || Explain::of_local(&local, "LocalLifecycle"))?;
                return Ok(LifecycleResult::new(header, labels, counts));
            }
        }
        let needs = Needs { bits: 1, sequences: false };
        let reading = reading(asked, lifecycle);
        let found = self.by_unit(asked, &reading, needs, "LocalLifecycle", |_| empty.clone()).await?;
        let mut all = empty;
        for part in &found.cores {
            all.merge(part);
        }
        let header = asked.header(Lifecycle::NAME, found.warnings.clone(), || found.explain())?;
        Ok(LifecycleResult::new(header, labels, all.finish()))
    }
}

/// The buckets of the question.
pub(super) fn buckets(asked: &Asked<'_>, lifecycle: &Lifecycle) -> Result<Arc<Buckets>> {
    Ok(Arc::new(Buckets::new(asked.range, lifecycle.interval, &asked.zone, lifecycle.week_start)?))
}

/// What it reads: whoever is new has never been there before.
pub(super) fn reading<'a>(asked: &Asked<'a>, lifecycle: &'a Lifecycle) -> Reading<'a> {
    let event = Wanted { selector: &lifecycle.event, path: "event".to_owned(), since_us: i64::MIN };
    Reading::new(vec![event], asked.scope(), asked.range.to_us)
}

impl Core for States {
    type Value = ();

    fn add_unit(&mut self, _unit: u32, hits: &mut [Hit]) {
        Self::add_unit(self, in_order(hits));
    }
}
