//! Lowering of paths.

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};

use super::by_unit::Needs;
use super::lowering::{ReadItem, Reading, Wanted};
use super::run::Asked;
use super::units::{Core, in_order};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::paths::{Direction, PathWithin, Paths, PathsResult, Tally, Walker};
use crate::spec::{Breakdown, GroupValue, Groups, Header, Hit, Selector};

/// Memory is asked for in steps of this: a tally grows by few bytes at a time.
const STEP_BYTES: usize = 1 << 20;

impl Engine {
    pub(super) async fn paths(&self, asked: &Asked<'_>, paths: &Paths) -> Result<PathsResult> {
        let any = Selector::any();
        let reading = reading(asked, paths, &any);
        let make = |nodes: &Groups| Walking {
            walker: Walker::new(paths, asked.range),
            tally: Tally::new(paths),
            null: nodes.find(&[GroupValue::Null]),
            reservation: MemoryConsumer::new("paths").register(self.pool()),
            failed: None,
        };
        let needs = Needs { bits: paths.bits().anchor, sequences: true };
        let found = self.by_unit(asked, &reading, needs, "LocalPaths", make).await?;
        let header = asked.header(Paths::NAME, found.warnings.clone(), || found.explain())?;
        let mut all = Tally::new(paths);
        for core in found.cores {
            if let Some(failed) = core.failed {
                return Err(failed);
            }
            all.merge(&core.tally);
        }
        Ok(answered(paths, header, all, &found.groups))
    }
}

/// What paths are made of: the events of the range, and those beyond it that a window or a session reaches.
pub(super) fn reading<'a>(asked: &Asked<'a>, paths: &'a Paths, any: &'a Selector) -> Reading<'a> {
    let (from_us, to_us) = (asked.range.from_us, asked.range.to_us);
    let (since_us, until_us) = match (paths.within, paths.direction) {
        (PathWithin::Session, _) => (i64::MIN, i64::MAX),
        (PathWithin::All, _) => (from_us, to_us),
        (PathWithin::Span(span), Direction::After) => (from_us, to_us.saturating_add(span.as_us())),
        (PathWithin::Span(span), Direction::Before) => (from_us.saturating_sub(span.as_us()), to_us),
    };
    let wanted = |(selector, path)| Wanted { selector, path, since_us };
    let selectors = paths.selectors(any).into_iter().map(wanted).collect();
    let node = ReadItem::beside(Breakdown::Expression(paths.node.clone()), "node");
    Reading { items: vec![node], ..Reading::new(selectors, asked.scope(), until_us) }
}

/// The answer of what has been counted; `nodes` has their values.
pub(super) fn answered(paths: &Paths, header: Header, tally: Tally, nodes: &Groups) -> PathsResult {
    let (count, edges, paths, left_out) = tally.finish(nodes, paths.scope.limit);
    PathsResult { header, count, edges, paths, left_out }
}

struct Walking {
    walker: Walker,
    tally: Tally,
    /// The number of the node that is none.
    null: Option<u32>,
    reservation: MemoryReservation,
    failed: Option<Error>,
}

impl Core for Walking {
    type Value = ();

    fn add_unit(&mut self, _unit: u32, hits: &mut [Hit]) {
        if self.failed.is_some() {
            return;
        }
        self.tally.begin_unit();
        let tally = &mut self.tally;
        self.walker.walk(in_order(hits), self.null, |path, has_ended| tally.add(path, has_ended));
        let bytes = self.tally.bytes();
        if bytes > self.reservation.size() {
            self.failed = self.reservation.try_resize(bytes + STEP_BYTES).err().map(Error::from);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryPool};

    use super::*;
    use crate::ErrorKind;
    use crate::calendar::ResolvedRange;

    #[test]
    fn paths_beyond_the_pool_are_refused() {
        let pool: Arc<dyn MemoryPool> = Arc::new(GreedyMemoryPool::new(2 * STEP_BYTES));
        let paths = Paths::new();
        let mut core = Walking {
            walker: Walker::new(&paths, ResolvedRange { from_us: 0, to_us: 10 }),
            tally: Tally::new(&paths),
            null: None,
            reservation: MemoryConsumer::new("paths").register(&pool),
            failed: None,
        };
        for unit in 0..100_000 {
            let mut hits = [Hit { matches: 1, group: unit, ..Hit::default() }];
            core.add_unit(unit, &mut hits);
        }
        assert_eq!(core.failed.map(|failed| failed.kind()), Some(ErrorKind::Full));
    }
}
