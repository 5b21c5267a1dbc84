//! What excluded events do to a chain that has been found.

use super::lane::Lane;
use super::terms::{NONE, Terms};
use crate::funnel::rules::ExclusionOutcome;
use crate::spec::Hit;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing was excluded.
    Untouched,
    /// It stops at the steps that were done before the excluded event, which is at this place.
    Ended(u32),
    /// It never was.
    Void,
    /// Its unit leaves the funnel.
    Dropped,
}

/// Looks for excluded events, and takes off the chain what they end. An outcome that takes more goes before one that takes less.
pub(super) fn apply(hits: &[Hit], terms: &Terms, lane: &Lane, chain: &mut [u32]) -> Fate {
    let us_of = |place: u32| hits[place as usize].timestamp;
    let Some(deadline) = chain.first().map(|opening| terms.deadline(us_of(*opening))) else { return Fate::Untouched };
    let mut fate = Fate::Untouched;
    for (exclusion, excluded) in terms.exclusions.iter().zip(&lane.excluded) {
        let matched = |place: &&u32| **place != NONE;
        // Where a step was skipped, from the last before it and to the next after it.
        if !chain[exclusion.from..].iter().any(|place| *place != NONE) {
            continue;
        }
        let Some(from) = chain[..=exclusion.from].iter().rev().find(matched) else { continue };
        let from_us = us_of(*from);
        let to_us = chain[exclusion.to..].iter().find(matched).map(|to| us_of(*to));
        let first = excluded.partition_point(|place| us_of(*place) <= from_us);
        let Some(place) = excluded.get(first).copied() else { continue };
        let us = us_of(place);
        if to_us.map_or(us > deadline, |to| us >= to) {
            continue;
        }
        fate = match (exclusion.outcome, fate) {
            (ExclusionOutcome::Drop, _) | (_, Fate::Dropped) => Fate::Dropped,
            (ExclusionOutcome::Void, _) | (_, Fate::Void) => Fate::Void,
            (ExclusionOutcome::End, Fate::Ended(before)) => Fate::Ended(before.min(place)),
            (ExclusionOutcome::End, Fate::Untouched) => Fate::Ended(place),
        };
    }
    let Fate::Ended(end) = fate else { return fate };
    let undone = chain.iter().position(|place| *place != NONE && us_of(*place) >= us_of(end));
    if let Some(undone) = undone {
        chain[undone..].fill(NONE);
    }
    if chain[0] == NONE { Fate::Void } else { fate }
}
