//! The people of a segment.
//!
//! What its traits and its questions say is known for everybody first. Then the events of those are read of whom that does not settle it, all in one reading.

mod events;
mod questions;
mod traits;

use std::sync::Arc;

use futures::future::BoxFuture;

use super::explain::Explain;
use super::run::Asked;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::local::People;
use crate::spec::{Leaf, Logic, Place, Segment};
pub(super) use events::range;
use events::{EventLeaf, EventLeaves};

/// The people that a question is about, and what the asker should know of how they were found.
pub(super) struct FoundPeople {
    pub(super) people: Arc<People>,
    pub(super) warnings: Vec<String>,
    pub(super) explain: Explain,
}

/// Who is in a leaf.
enum Said {
    /// Everybody is one of these, or is not.
    People(Arc<People>),
    /// It is asked of the events of each, by this number among those that are; of who has none this is the answer.
    Events(usize, bool),
}

/// The verdicts of which nothing is known yet are between these two: of 64 subjects.
struct Bounds {
    least: u64,
    most: u64,
}

impl Logic for Bounds {
    fn constant(is_true: bool) -> Self {
        let word = u64::constant(is_true);
        Self { least: word, most: word }
    }

    fn and(self, other: Self) -> Self {
        Self { least: self.least & other.least, most: self.most & other.most }
    }

    fn or(self, other: Self) -> Self {
        Self { least: self.least | other.least, most: self.most | other.most }
    }

    fn not(self) -> Self {
        Self { least: !self.most, most: !self.least }
    }
}

impl Logic for u64 {
    fn constant(is_true: bool) -> Self {
        if is_true { Self::MAX } else { 0 }
    }

    fn and(self, other: Self) -> Self {
        self & other
    }

    fn or(self, other: Self) -> Self {
        self | other
    }

    fn not(self) -> Self {
        !self
    }
}

impl Engine {
    /// Finds the people of a segment; `place` is where it stands in the question.
    pub(super) fn people<'a>(
        &'a self,
        asked: &'a Asked<'_>,
        segment: &'a Segment,
        place: Place,
    ) -> BoxFuture<'a, Result<FoundPeople>> {
        // The questions within it may have segments of their own.
        Box::pin(async move {
            let leaves = segment.leaves(&place);
            let mut events = EventLeaves::default();
            let mut said = Vec::with_capacity(leaves.len());
            let mut found: Vec<FoundPeople> = Vec::new();
            for (leaf, place) in &leaves {
                let own = match leaf {
                    Leaf::Did(did) => {
                        let range = range(asked, &did.range, place)?;
                        let leaf = EventLeaf::Did { times: did.times, range };
                        said.push(events.add(leaf, &did.selector, &place.child("did")));
                        continue;
                    }
                    Leaf::AtEnd(at_end) => {
                        let range = range(asked, &at_end.range, place)?;
                        let leaf = EventLeaf::AtEnd { end: at_end.end, range };
                        said.push(events.add(leaf, &at_end.selector, &place.child(at_end.end.name())));
                        continue;
                    }
                    Leaf::Cohort(name) => self.people_of_cohort(asked, name, place)?,
                    Leaf::Named(name) => {
                        let message = format!("the segment \"{name}\" was not put in the place of its name");
                        return Err(Error::invalid(message).on(place.path()));
                    }
                    Leaf::Profile(sql) => self.people_by_traits(asked, sql, place.child("profile").path()).await?,
                    Leaf::Funnel(of) => self.people_of_funnel(asked, of, place).await?,
                    Leaf::Retention(of) => self.people_of_retention(asked, of, place).await?,
                };
                said.push(Said::People(Arc::clone(&own.people)));
                found.push(own);
            }
            let base = judged(asked, &said, |leaves| segment.judge(&mut leaves.map(|(least, _)| least)));
            let all = match events.is_empty() {
                true => FoundPeople { people: Arc::new(base), warnings: Vec::new(), explain: self.nothing_read(asked) },
                false => {
                    let open = (!found.is_empty()).then(|| {
                        judged(asked, &said, |leaves| {
                            let bounds =
                                leaves.map(|(least, open)| Bounds { least: least & !open, most: least | open });
                            let Bounds { least, most } = segment.judge(&mut bounds.into_iter());
                            most & !least
                        })
                    });
                    self.people_by_events(asked, segment, (events, said), base, open).await?
                }
            };
            Ok(found.into_iter().fold(all, |mut all, own| {
                all.warnings.extend(own.warnings);
                FoundPeople { explain: all.explain.with(&own.explain), ..all }
            }))
        })
    }

    /// The people of the segments that an answer is cut by.
    pub(super) async fn cuts(&self, asked: &Asked<'_>) -> Result<Vec<(usize, FoundPeople)>> {
        let mut cuts = Vec::new();
        for (at, item) in asked.scope().breakdown.iter().enumerate() {
            let Some(segment) = item.segment() else { continue };
            let place = Place::root("").child("breakdown").item(at).child("segment");
            cuts.push((at, self.people(asked, segment, place).await?));
        }
        Ok(cuts)
    }

    /// Everybody of whom one subject is in a cohort.
    fn people_of_cohort(&self, asked: &Asked<'_>, name: &str, place: &Place) -> Result<FoundPeople> {
        let QuerySnapshot { persons, hidden, subject_count, .. } = asked.snapshot;
        let subjects = asked.snapshot.names().cohort(name).map_err(|error| error.on(place.child("cohort").path()))?;
        let mut people = People::new(*subject_count, false);
        for subject in subjects.into_iter().filter(|subject| !hidden.is_erased(*subject)) {
            people.set(persons.person_of(subject).number(), true);
        }
        let people = Arc::new(people.unite(persons));
        Ok(FoundPeople { people, warnings: Vec::new(), explain: self.nothing_read(asked) })
    }

    fn nothing_read(&self, asked: &Asked<'_>) -> Explain {
        Explain::of_local(&self.local(asked.snapshot), OPERATOR)
    }
}

const OPERATOR: &str = "LocalSegment";

/// Judges 64 subjects at a time: `judge` is given, of each leaf, what is said of those who have no events, and of whom events may say otherwise.
fn judged(asked: &Asked<'_>, said: &[Said], judge: impl Fn(&mut dyn Iterator<Item = (u64, u64)>) -> u64) -> People {
    let word = |at: usize| {
        judge(&mut said.iter().map(|said| match said {
            Said::People(people) => (people.word(at), 0),
            Said::Events(_, nobody) => (u64::constant(*nobody), u64::MAX),
        }))
    };
    let later = word(usize::MAX) & 1 == 1;
    People::of_words(asked.snapshot.subject_count, later, word).unite(&asked.snapshot.persons)
}
