//! What people did: all that a segment asks of events, in one reading.

use std::sync::Arc;

use super::super::by_unit::Needs;
use super::super::lowering::{Reading, Wanted};
use super::super::run::Asked;
use super::super::units::{Core, in_order};
use super::{FoundPeople, OPERATOR, Said};
use crate::calendar::{Range, ResolvedRange};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::local::People;
use crate::spec::{End, Groups, Hit, Place, Scope, Segment, Selector, Times};

/// What is asked of the events of a person.
#[derive(Debug, Clone, Copy)]
pub(super) enum EventLeaf {
    /// So many that match.
    Did { times: Times, range: ResolvedRange },
    /// The first or the last of all matches.
    AtEnd { end: End, range: ResolvedRange },
}

impl EventLeaf {
    fn range(&self) -> ResolvedRange {
        match self {
            Self::Did { range, .. } | Self::AtEnd { range, .. } => *range,
        }
    }
}

/// All that is asked of events; the number of a leaf is that of its selector.
#[derive(Default)]
pub(super) struct EventLeaves<'a> {
    leaves: Vec<EventLeaf>,
    selectors: Vec<Wanted<'a>>,
}

impl<'a> EventLeaves<'a> {
    pub(super) fn add(&mut self, leaf: EventLeaf, selector: &'a Selector, place: &Place) -> Said {
        let nobody = match leaf {
            EventLeaf::Did { times, .. } => times.holds(0),
            EventLeaf::AtEnd { .. } => false,
        };
        let path = place.path().to_owned();
        self.selectors.push(Wanted { selector, path, since_us: leaf.range().from_us });
        self.leaves.push(leaf);
        Said::Events(self.leaves.len() - 1, nobody)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// From when on all events are read, for the first or last of them.
    fn all_since_us(&self) -> Option<i64> {
        let at_ends = self.leaves.iter().filter(|leaf| matches!(leaf, EventLeaf::AtEnd { .. }));
        at_ends.map(|leaf| leaf.range().from_us).min()
    }
}

/// The range of a leaf, all history by default.
pub(in super::super) fn range(asked: &Asked<'_>, range: &Range, place: &Place) -> Result<ResolvedRange> {
    let all = ResolvedRange { from_us: i64::MIN, to_us: i64::MAX };
    let range = range.resolve(&asked.zone, asked.snapshot.now.as_microsecond(), all);
    range.map_err(|error| Error::from(error).on(place.child("range").path()))
}

impl Engine {
    /// The people of `segment` by what each leaf says; `base` are those who are in it if they have no events, and only of those who are `open` events say more.
    pub(super) async fn people_by_events(
        &self,
        asked: &Asked<'_>,
        segment: &Segment,
        (events, said): (EventLeaves<'_>, Vec<Said>),
        base: People,
        open: Option<People>,
    ) -> Result<FoundPeople> {
        let all_since_us = events.all_since_us();
        let EventLeaves { leaves, mut selectors } = events;
        let any = Selector::any();
        selectors.extend(all_since_us.map(|since_us| Wanted { selector: &any, path: String::new(), since_us }));
        let bits = (0..selectors.len()).fold(0, |bits, at| bits | 1_u32 << at);
        let until_us = leaves.iter().map(|leaf| leaf.range().to_us).max().unwrap_or(i64::MAX);
        let scope = Scope::default();
        let reading = Reading { among: open.map(Arc::new), ..Reading::new(selectors, &scope, until_us) };
        let case = Arc::new(Case { segment: segment.clone(), leaves, said, base });
        let make = |_: &Groups| Judge {
            counts: vec![0; case.leaves.len()],
            case: Arc::clone(&case),
            in_order: all_since_us.is_some(),
            others: Vec::new(),
        };
        let needs = Needs { bits, sequences: all_since_us.is_some() };
        let found = self.by_unit(asked, &reading, needs, OPERATOR, make).await?;
        let explain = found.explain();
        let others: Vec<Vec<u32>> = found.cores.into_iter().map(|judge| judge.others).collect();
        let mut people = Arc::into_inner(case).expect("invariant: whoever judged by it is done").base;
        for person in others.into_iter().flatten() {
            let is_in = people.contains(person);
            people.set(person, !is_in);
        }
        let people = Arc::new(people.unite(&asked.snapshot.persons));
        Ok(FoundPeople { people, warnings: found.warnings, explain })
    }
}

/// What everybody is judged by.
struct Case {
    segment: Segment,
    leaves: Vec<EventLeaf>,
    said: Vec<Said>,
    base: People,
}

/// Judges each person by the events that they have.
struct Judge {
    case: Arc<Case>,
    /// Of each leaf, how many events it takes: those that match or, of a first or last event, that one if it matches.
    counts: Vec<u64>,
    in_order: bool,
    /// Those who are in it if they have no events, and are not, or the other way round.
    others: Vec<u32>,
}

impl Judge {
    fn count(&mut self, hits: &mut [Hit]) {
        self.counts.fill(0);
        for hit in hits.iter() {
            let mut left = hit.matches;
            while left != 0 {
                let leaf = left.trailing_zeros() as usize;
                left &= left - 1;
                if let Some(EventLeaf::Did { range, .. }) = self.case.leaves.get(leaf) {
                    self.counts[leaf] += u64::from(range.contains(hit.timestamp));
                }
            }
        }
        if !self.in_order {
            return;
        }
        let hits = in_order(hits);
        for (number, (leaf, count)) in self.case.leaves.iter().zip(&mut self.counts).enumerate() {
            let EventLeaf::AtEnd { end, range } = leaf else { continue };
            let is_in = |hit: &&Hit| range.contains(hit.timestamp);
            let hit = match end {
                End::First => hits.iter().find(is_in),
                End::Last => hits.iter().rfind(is_in),
            };
            *count = u64::from(hit.is_some_and(|hit| hit.matches_selector(number)));
        }
    }
}

impl Core for Judge {
    type Value = ();

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit]) {
        self.count(hits);
        let Self { case, counts, .. } = self;
        let mut verdicts = case.said.iter().map(|said| match said {
            Said::People(people) => people.contains(unit),
            Said::Events(number, _) => match case.leaves[*number] {
                EventLeaf::Did { times, .. } => times.holds(counts[*number]),
                EventLeaf::AtEnd { .. } => counts[*number] > 0,
            },
        });
        if case.segment.judge(&mut verdicts) != case.base.contains(unit) {
            self.others.push(unit);
        }
    }
}
