//! The people of a segment.

use std::sync::Arc;

use roaring::RoaringBitmap;

use super::by_unit::Needs;
use super::explain::Explain;
use super::lowering::{Reading, Wanted};
use super::run::Asked;
use super::units::Core;
use crate::calendar::ResolvedRange;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::local::People;
use crate::spec::{Groups, Hit, Scope, Segment};

/// The people that a question is about, and what the asker should know of how they were found.
pub(super) struct FoundPeople {
    pub(super) people: Arc<People>,
    pub(super) warnings: Vec<String>,
    pub(super) explain: Explain,
}

impl Engine {
    /// Finds the people of a segment, all in one reading.
    pub(super) async fn people(&self, asked: &Asked<'_>, segment: &Segment) -> Result<FoundPeople> {
        let all = ResolvedRange { from_us: i64::MIN, to_us: i64::MAX };
        let leaves = segment.leaves();
        let mut selectors = Vec::with_capacity(leaves.len());
        let mut ranges = Vec::with_capacity(leaves.len());
        for (did, path) in &leaves {
            let range = did.range.resolve(&asked.zone, asked.snapshot.now.as_microsecond(), all);
            let range = range.map_err(|error| Error::from(error).on(format!("{path}.range")))?;
            selectors.push(Wanted { selector: &did.selector, path: format!("{path}.did"), since_us: range.from_us });
            ranges.push(range);
        }
        let until_us = ranges.iter().map(|range| range.to_us).max().unwrap_or(i64::MAX);
        let bits = (0..ranges.len()).fold(0, |bits, at| bits | 1_u32 << at);
        let scope = Scope::default();
        let reading = Reading::new(selectors, &scope, until_us);
        let ranges: Arc<[ResolvedRange]> = ranges.into();
        let shared = Arc::new(segment.clone());
        // Of most people nothing is known but that they did none of it.
        let nobody = segment.holds(&mut std::iter::empty());
        let make = |_: &Groups| Judge {
            segment: Arc::clone(&shared),
            ranges: Arc::clone(&ranges),
            counts: vec![0; ranges.len()],
            nobody,
            others: Vec::new(),
        };
        let needs = Needs { bits, sequences: false };
        let found = self.by_unit(asked, &reading, needs, "LocalSegment", make).await?;
        let explain = found.explain();
        let mut others: Vec<u32> = found.cores.into_iter().flat_map(|core| core.others).collect();
        others.sort_unstable();
        let people = within(asked.snapshot, nobody, &others.into_iter().collect());
        Ok(FoundPeople { people: Arc::new(people), warnings: found.warnings, explain })
    }
}

/// Everybody whose person is judged otherwise than somebody who did nothing.
fn within(snapshot: &QuerySnapshot, nobody: bool, others: &RoaringBitmap) -> People {
    let mut people = People::new(snapshot.subject_count, nobody);
    for person in others {
        people.set(person, !nobody);
    }
    for (subject, person) in snapshot.persons.merged_subjects() {
        if others.contains(person.number()) {
            people.set(subject.number(), !nobody);
        }
    }
    people
}

/// Judges each person by how often they did what.
struct Judge {
    segment: Arc<Segment>,
    ranges: Arc<[ResolvedRange]>,
    counts: Vec<u64>,
    nobody: bool,
    others: Vec<u32>,
}

impl Core for Judge {
    type Value = ();

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit]) {
        self.counts.fill(0);
        for hit in hits {
            let mut left = hit.matches;
            while left != 0 {
                let leaf = left.trailing_zeros() as usize;
                left &= left - 1;
                self.counts[leaf] += u64::from(self.ranges[leaf].contains(hit.timestamp));
            }
        }
        if self.segment.holds(&mut self.counts.iter().copied()) != self.nobody {
            self.others.push(unit);
        }
    }
}
