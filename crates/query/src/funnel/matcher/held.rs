//! The attempt of a unit in a funnel that asks nothing but that attempts hold properties: the plain matcher's in each lane, and of those the best.

use super::plain::{Plain, Reached};
use crate::funnel::HitValues;
use crate::spec::Hit;

#[derive(Debug, Clone)]
pub(super) struct Held {
    plain: Plain,
    /// Lane and place of every event that has a lane.
    places: Vec<(u32, u32)>,
    /// The events of the lane at hand.
    own: Vec<Hit>,
    best: Reached,
}

impl Held {
    /// With a matcher for each lane.
    pub(super) fn new(plain: Plain) -> Self {
        Self { plain, places: Vec::new(), own: Vec::new(), best: Reached::default() }
    }

    /// The deepest attempt in any lane, of equals the one that begins first; of events in any order, as [`Plain::match_unordered`] says.
    pub(super) fn match_unordered(&mut self, hits: &[Hit], values: &HitValues) -> Option<&Reached> {
        let Self { plain, places, own, best } = self;
        best.times.clear();
        places.clear();
        places.extend((0_u32..).zip(hits).filter_map(|(at, hit)| Some((values.lane(hit.group)?, at))));
        places.sort_unstable();
        // Where sequences are not known the places tell which of two openings came first, also those in different lanes.
        let is_told = hits.first().is_some_and(|hit| hit.sequence > 0);
        for lane in places.chunk_by(|a, b| a.0 == b.0) {
            own.clear();
            own.extend(lane.iter().map(|(_, at)| {
                let hit = hits[*at as usize];
                Hit { sequence: if is_told { hit.sequence } else { u64::from(*at) }, ..hit }
            }));
            let Some(reached) = plain.match_unordered(own) else { continue };
            let begins = |reached: &Reached| (reached.times.first().copied(), reached.sequence);
            let (depth, most) = (reached.times.len(), best.times.len());
            if depth > most || depth == most && begins(reached) < begins(best) {
                best.clone_from(reached);
            }
        }
        Some(&self.best).filter(|best| !best.times.is_empty())
    }
}
