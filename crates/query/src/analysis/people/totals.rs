//! What everybody did in all: counted once, then again for those alone of whom something is new.

use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use pugmark_identity::{Effect, Persons};
use pugmark_store::{Hidden, Sequence, SubjectId};

use super::super::by_unit::Needs;
use super::super::lowering::{Reading, Wanted};
use super::super::run::Asked;
use super::super::sessions::{Told, reading};
use super::super::units::{Core, in_order};
use crate::engine::{Engine, QuerySnapshot};
use crate::error::Result;
use crate::local::{Kept, People, Work};
use crate::people::{Tally, Totals};
use crate::sessions::{Mark, Sessions};
use crate::spec::{EventNames, Hit, Query, Selector, SessionKey};
use crate::trend::Sum;

/// Of more than one in so many nothing is as it was: everybody is counted anew.
const FEW: u64 = 4;

/// What everybody did, by the number of the person.
#[derive(Debug)]
pub(crate) struct AllTotals {
    sequence: Sequence,
    persons: Arc<Persons>,
    hidden: Arc<Hidden>,
    /// The events whose property is revenue.
    revenue: Vec<(EventNames, String)>,
    rows: Vec<Totals>,
    // Where no cache answers for the memory.
    _reservation: Option<MemoryReservation>,
}

impl AllTotals {
    /// What a person did.
    pub(crate) fn of(&self, person: u32) -> Totals {
        self.rows.get(person as usize).copied().unwrap_or(Totals::NONE)
    }

    /// Whether anything is declared as revenue.
    pub(crate) fn has_revenue(&self) -> bool {
        !self.revenue.is_empty()
    }

    /// Whether it can be made what it is for `snapshot` by counting some people again.
    fn leads_to(&self, snapshot: &QuerySnapshot, revenue: &[(EventNames, String)]) -> bool {
        let is_same_hidden = Arc::ptr_eq(&self.hidden, &snapshot.hidden) || self.hidden == snapshot.hidden;
        self.sequence <= snapshot.sequence && is_same_hidden && self.revenue == revenue
    }

    fn is_of(&self, snapshot: &QuerySnapshot) -> bool {
        self.sequence == snapshot.sequence && Arc::ptr_eq(&self.persons, &snapshot.persons)
    }
}

/// What is declared as revenue.
pub(super) fn revenue_of(snapshot: &QuerySnapshot) -> Vec<(EventNames, String)> {
    let declared = snapshot.columns.declarations();
    declared.filter_map(|own| Some((own.event.clone(), own.revenue.clone()?))).collect()
}

impl Engine {
    /// What everybody did by the sequence of the snapshot.
    pub(crate) async fn totals(&self, snapshot: &QuerySnapshot) -> Result<Arc<AllTotals>> {
        let revenue = revenue_of(snapshot);
        if !self.takes_local_road() || snapshot.is_past() {
            let reservation = MemoryConsumer::new("what people did").register(self.pool());
            reservation.try_grow(snapshot.subject_count as usize * size_of::<Totals>())?;
            return Ok(Arc::new(self.count(snapshot, revenue, None, Some(reservation)).await?));
        }
        // Whoever else asks waits: it would count the same.
        let anchor = self.anchor();
        let _turn = anchor.counting.lock().await;
        let before = self.cache().find::<_, AllTotals>(anchor, Kept::Totals);
        let before = before.filter(|before| before.leads_to(snapshot, &revenue));
        if let Some(same) = before.as_ref().filter(|before| before.is_of(snapshot)) {
            return Ok(Arc::clone(same));
        }
        let bytes = snapshot.subject_count as usize * size_of::<Totals>();
        let reservation = MemoryConsumer::new("what people did").register(self.pool());
        reservation.try_grow(bytes)?;
        let totals = Arc::new(self.count(snapshot, revenue, before, None).await?);
        drop(reservation);
        self.cache().keep(anchor, Kept::Totals, &totals, bytes);
        Ok(totals)
    }

    /// Whether [`totals`](Self::totals) need not read anything.
    pub(super) fn has_totals(&self, snapshot: &QuerySnapshot) -> bool {
        let kept = self.cache().find::<_, AllTotals>(self.anchor(), Kept::Totals);
        kept.is_some_and(|kept| kept.is_of(snapshot) && kept.leads_to(snapshot, &revenue_of(snapshot)))
    }

    /// What these people did, of whom everybody is told under all ids.
    pub(super) async fn totals_of(&self, snapshot: &QuerySnapshot, people: Arc<People>) -> Result<Vec<(u32, Totals)>> {
        self.counted(snapshot, &revenue_of(snapshot), Some(people)).await
    }

    /// What everybody did, of whom only those are counted who did something since `before`, or were other persons then.
    async fn count(
        &self,
        snapshot: &QuerySnapshot,
        revenue: Vec<(EventNames, String)>,
        before: Option<Arc<AllTotals>>,
        reservation: Option<MemoryReservation>,
    ) -> Result<AllTotals> {
        let mut rows = Vec::new();
        let mut among = None;
        if let Some(before) = before {
            let others = self.changed_since(snapshot, &before).await?;
            if others.len() as u64 <= u64::from(snapshot.subject_count) / FEW {
                rows.clone_from(&before.rows);
                let mut people = People::new(snapshot.subject_count, false);
                for subject in others {
                    people.set(subject, true);
                    if let Some(row) = rows.get_mut(subject as usize) {
                        *row = Totals::NONE;
                    }
                }
                among = Some(Arc::new(people));
            }
        }
        rows.resize(snapshot.subject_count as usize, Totals::NONE);
        for (person, totals) in self.counted(snapshot, &revenue, among).await? {
            if let Some(row) = rows.get_mut(person as usize) {
                *row = totals;
            }
        }
        Ok(AllTotals {
            sequence: snapshot.sequence,
            persons: Arc::clone(&snapshot.persons),
            hidden: Arc::clone(&snapshot.hidden),
            revenue,
            rows,
            _reservation: reservation,
        })
    }

    /// Everybody of whom something happened since, and everybody who is somebody else since: all subjects of theirs, each once.
    async fn changed_since(&self, snapshot: &QuerySnapshot, before: &AllTotals) -> Result<Vec<u32>> {
        let mut subjects = self.local(snapshot).subjects_since(before.sequence, Work::new(self.threads())).await?;
        let persons = &snapshot.persons;
        if !Arc::ptr_eq(persons, &before.persons) {
            let history = persons.history();
            let ends = |effect: Effect| match effect {
                Effect::Linked { from, to, .. } => [Some(from), Some(to)],
                Effect::Refused { .. } | Effect::Split(_) | Effect::SplitLink(_) => [None, None],
            };
            let made = history.operations(snapshot.sequence).filter(|operation| operation.sequence > before.sequence);
            let made = made.flat_map(|operation| ends(operation.effect)).flatten();
            let revoked = history.revoked(snapshot.sequence).filter(|(_, at)| *at > before.sequence);
            // Whoever was of the same person before has a link that was revoked, or is linked to somebody who has.
            let revoked = revoked.flat_map(|((_, from, to), _)| [from, to]);
            subjects.extend(made.chain(revoked).map(SubjectId::number));
        }
        let mut all: Vec<u32> = subjects
            .iter()
            .flat_map(|subject| persons.members(persons.person_of(SubjectId::new(subject))))
            .map(SubjectId::number)
            .collect();
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// Reads the events of these people, or of everybody.
    async fn counted(
        &self,
        snapshot: &QuerySnapshot,
        revenue: &[(EventNames, String)],
        among: Option<Arc<People>>,
    ) -> Result<Vec<(u32, Totals)>> {
        let sessions = Sessions::new();
        let query = Query::from(sessions.clone());
        let asked = self.asked(snapshot, &query).await?;
        let any = Selector::any();
        let reading = Reading { among: among.clone(), ..reading(&asked, &sessions, &any) };
        let needs = Needs { bits: 1, sequences: false };
        let make = |_: &_| Counting::default();
        let found = self.by_unit(&asked, &reading, needs, "LocalPeople", make).await?;
        let mut all: Vec<(u32, Totals)> = found.cores.into_iter().flat_map(|core| core.found).collect();
        all.sort_unstable_by_key(|(person, _)| *person);
        for (person, sum) in self.revenue_by_person(&asked, revenue, among).await? {
            if let Ok(at) = all.binary_search_by_key(&person, |(person, _)| *person) {
                all[at].1.revenue = sum.value();
            }
        }
        Ok(all)
    }

    async fn revenue_by_person(
        &self,
        asked: &Asked<'_>,
        revenue: &[(EventNames, String)],
        among: Option<Arc<People>>,
    ) -> Result<Vec<(u32, Sum)>> {
        let mut all: Vec<(u32, Sum)> = Vec::new();
        for (event, property) in revenue {
            let selector = Selector { event: event.clone(), filter: None };
            let wanted = Wanted { selector: &selector, path: "revenue".to_owned(), since_us: i64::MIN };
            let reading = Reading {
                numbers: vec![(property.as_str(), "revenue".to_owned())],
                among: among.clone(),
                ..Reading::new(vec![wanted], asked.scope(), i64::MAX)
            };
            let needs = Needs { bits: 1, sequences: false };
            let found = self.by_unit(asked, &reading, needs, "LocalPeople", |_| Summing::default()).await?;
            all.extend(found.cores.into_iter().flat_map(|core| core.found));
        }
        all.sort_by_key(|(person, _)| *person);
        all.dedup_by(|(other, sum), (person, all)| {
            let is_same = other == person;
            if is_same {
                *all += *sum;
            }
            is_same
        });
        Ok(all)
    }
}

#[derive(Default)]
struct Counting {
    tally: Tally,
    marks: Vec<Mark>,
    found: Vec<(u32, Totals)>,
}

impl Core for Counting {
    type Value = SessionKey;

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit<SessionKey>]) {
        self.marks.clear();
        self.marks.extend(in_order(hits).iter().map(|hit| Told::event(&[], hit).mark));
        self.found.push((unit, self.tally.of(&self.marks)));
    }
}

#[derive(Default)]
struct Summing {
    found: Vec<(u32, Sum)>,
}

impl Core for Summing {
    type Value = f64;

    fn add_unit(&mut self, unit: u32, hits: &mut [Hit<f64>]) {
        let mut sum = Sum::default();
        hits.iter().map(|hit| hit.value).filter(|number| !number.is_nan()).for_each(|number| sum.add(number));
        self.found.push((unit, sum));
    }
}
