//! When the events of a snapshot happened.

use std::sync::Arc;

use crate::calendar::ResolvedRange;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::Result;
use crate::local::Work;

impl Engine {
    /// The time between the first and the last event that the snapshot knows; a store without events has had its time at now.
    pub(super) async fn time_of_data(&self, snapshot: &QuerySnapshot) -> Result<ResolvedRange> {
        let seen = match snapshot.is_past() {
            true => self.time_of_past(snapshot).await?,
            false => {
                let events = snapshot.registry.events();
                earliest_and_latest(
                    events.map(|event| (event.first_seen.as_microsecond(), event.last_seen.as_microsecond())),
                )
            }
        };
        let now_us = snapshot.now.as_microsecond();
        Ok(match seen {
            Some((first, last)) => ResolvedRange { from_us: first, to_us: last + 1 },
            None => ResolvedRange { from_us: now_us, to_us: now_us },
        })
    }

    /// Of parts that are whole in the answers their bounds say it, of the others every row.
    async fn time_of_past(&self, snapshot: &QuerySnapshot) -> Result<Option<(i64, i64)>> {
        let local = self.local(snapshot);
        let last = snapshot.sequence.number();
        let parts = local.parts()?.into_iter().filter(|part| part.sequences.0 <= last);
        let (whole, cut): (Vec<_>, Vec<_>) = parts.partition(|part| local.shows_all(part));
        let cut = Arc::new(cut);
        let (own, pieces) = (Arc::clone(&cut), cut.len());
        let read = move |seen: &mut Vec<(i64, i64)>, at: usize| {
            seen.extend(own.get(at).map(|part| local.times_shown(part)).transpose()?.flatten());
            Ok(())
        };
        let found = Work::new(self.threads()).each(pieces, false, Vec::new, read).await?;
        Ok(earliest_and_latest(whole.iter().map(|part| part.times).chain(found.into_iter().flatten())))
    }
}

fn earliest_and_latest(times: impl Iterator<Item = (i64, i64)>) -> Option<(i64, i64)> {
    times.reduce(|all, own| (all.0.min(own.0), all.1.max(own.1)))
}
