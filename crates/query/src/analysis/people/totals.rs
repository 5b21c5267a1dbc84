//! What everybody did in all: counted once, then again for those alone of whom something is new.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use pugmark_identity::{Effect, Persons};
use pugmark_store::{Hidden, Sequence, SubjectId};
use tokio::task::JoinSet;

use super::super::by_unit::Needs;
use super::super::explain::Explain;
use super::super::lowering::{Reading, Wanted};
use super::super::run::{Asked, joined};
use super::super::sessions::{Told, reading};
use super::super::units::{Core, in_order};
use super::OPERATOR;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::Result;
use crate::local::{Kept, People, Work};
use crate::people::{Tally, Totals};
use crate::sessions::{Mark, Sessions};
use crate::spec::{EventNames, Hit, Query, Selector, SessionKey};
use crate::trend::Sum;

/// Of more than one in so many nothing is as it was: everybody is counted anew.
const FEW: u64 = 4;
/// What a person takes while they are counted, beside what is kept of them.
const COUNTING_BYTES: usize = 2 * size_of::<(u32, Totals)>() + 2 * size_of::<(u32, Sum)>();

/// The events of each property that is revenue.
type Revenue = BTreeMap<String, EventNames>;

/// What everybody did, by the number of the person.
#[derive(Debug)]
pub(crate) struct AllTotals {
    sequence: Sequence,
    persons: Arc<Persons>,
    hidden: Arc<Hidden>,
    revenue: Revenue,
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

    /// Whether it can be made what it is for `snapshot` by counting some people again: nothing was removed in between, of which no trace may be left.
    fn leads_to(&self, snapshot: &QuerySnapshot, revenue: &Revenue) -> bool {
        self.sequence <= snapshot.sequence && Arc::ptr_eq(&self.hidden, &snapshot.hidden) && self.revenue == *revenue
    }

    fn is_of(&self, snapshot: &QuerySnapshot) -> bool {
        self.sequence == snapshot.sequence && Arc::ptr_eq(&self.persons, &snapshot.persons)
    }
}

/// What is declared as revenue: an event counts once for a property, however many declarations say so.
pub(super) fn revenue_of(snapshot: &QuerySnapshot) -> Revenue {
    let mut revenue = Revenue::new();
    for declared in snapshot.columns.declarations() {
        let Some(property) = &declared.revenue else { continue };
        let names = match revenue.remove(property) {
            None => declared.event.clone(),
            Some(EventNames::Any) => EventNames::Any,
            Some(_) if declared.event == EventNames::Any => EventNames::Any,
            Some(others) => {
                let mut names = [others.names(), declared.event.names()].concat();
                names.sort_unstable();
                names.dedup();
                EventNames::Many(names)
            }
        };
        revenue.insert(property.clone(), names);
    }
    revenue
}

impl Engine {
    /// What everybody did by the sequence of the snapshot, and how that was found unless it was known.
    pub(crate) async fn totals(&self, snapshot: &QuerySnapshot) -> Result<(Arc<AllTotals>, Option<Explain>)> {
        let revenue = revenue_of(snapshot);
        if !self.takes_local_road() || snapshot.is_past() {
            let reservation = self.reserved(snapshot)?;
            let (totals, explain) = self.count(snapshot, revenue, None, Some(reservation)).await?;
            return Ok((Arc::new(totals), Some(explain)));
        }
        // A task of its own goes on to its end or is dropped: whoever waits for its turn never waits for somebody who does not go on.
        let mut task = JoinSet::new();
        let (engine, snapshot) = (self.clone(), snapshot.clone());
        task.spawn(async move { engine.kept_totals(&snapshot, revenue).await });
        joined(task.join_next().await.expect("invariant: one was spawned"))
    }

    async fn kept_totals(
        &self,
        snapshot: &QuerySnapshot,
        revenue: Revenue,
    ) -> Result<(Arc<AllTotals>, Option<Explain>)> {
        // Whoever else asks waits: it would count the same.
        let _turn = self.turns().counting.lock().await;
        let before = self.cache().find::<_, AllTotals>(&snapshot.subjects, Kept::Totals);
        let before = before.filter(|before| before.leads_to(snapshot, &revenue));
        if let Some(same) = before.as_ref().filter(|before| before.is_of(snapshot)) {
            return Ok((Arc::clone(same), None));
        }
        let reservation = self.reserved(snapshot)?;
        let (totals, explain) = self.count(snapshot, revenue, before, None).await?;
        let totals = Arc::new(totals);
        drop(reservation);
        let bytes = snapshot.subject_count as usize * size_of::<Totals>();
        self.cache().keep(&snapshot.subjects, Kept::Totals, &totals, bytes);
        Ok((totals, Some(explain)))
    }

    /// Memory for counting everybody.
    fn reserved(&self, snapshot: &QuerySnapshot) -> Result<MemoryReservation> {
        let reservation = MemoryConsumer::new("what people did").register(self.pool());
        reservation.try_grow(snapshot.subject_count as usize * (size_of::<Totals>() + COUNTING_BYTES))?;
        Ok(reservation)
    }

    /// What these few people did, ascending: of whom nothing is new it is known, if it was counted before; of the others events are read.
    pub(super) async fn totals_of(
        &self,
        snapshot: &QuerySnapshot,
        few: &[u32],
    ) -> Result<(Vec<(u32, Totals)>, Option<Explain>)> {
        let revenue = revenue_of(snapshot);
        let before = self.takes_local_road() && !snapshot.is_past();
        let before = before.then(|| self.cache().find::<_, AllTotals>(&snapshot.subjects, Kept::Totals)).flatten();
        let before = before.filter(|before| before.leads_to(snapshot, &revenue));
        let (mut known, unknown): (Vec<(u32, Totals)>, Vec<u32>) = match &before {
            Some(before) => {
                let others = match before.is_of(snapshot) {
                    true => Vec::new(),
                    false => self.changed_since(snapshot, before).await?,
                };
                let (changed, same): (Vec<u32>, Vec<u32>) =
                    few.iter().partition(|person| others.binary_search(person).is_ok());
                (same.into_iter().map(|person| (person, before.of(person))).collect(), changed)
            }
            None => (Vec::new(), few.to_vec()),
        };
        if unknown.is_empty() {
            return Ok((known, None));
        }
        let mut people = People::new(snapshot.subject_count, false);
        for person in unknown {
            let person = snapshot.persons.person_of(SubjectId::new(person));
            snapshot.persons.members(person).iter().for_each(|member| people.set(member.number(), true));
        }
        let (counted, explain) = self.counted(snapshot, &revenue, Some(Arc::new(people))).await?;
        known.extend(counted);
        known.sort_unstable_by_key(|(person, _)| *person);
        Ok((known, Some(explain)))
    }

    /// What everybody did, of whom only those are counted who did something since `before`, or were other persons then.
    async fn count(
        &self,
        snapshot: &QuerySnapshot,
        revenue: Revenue,
        before: Option<Arc<AllTotals>>,
        reservation: Option<MemoryReservation>,
    ) -> Result<(AllTotals, Explain)> {
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
        let (counted, explain) = self.counted(snapshot, &revenue, among).await?;
        for (person, totals) in counted {
            if let Some(row) = rows.get_mut(person as usize) {
                *row = totals;
            }
        }
        let totals = AllTotals {
            sequence: snapshot.sequence,
            persons: Arc::clone(&snapshot.persons),
            hidden: Arc::clone(&snapshot.hidden),
            revenue,
            rows,
            _reservation: reservation,
        };
        Ok((totals, explain))
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
        revenue: &Revenue,
        among: Option<Arc<People>>,
    ) -> Result<(Vec<(u32, Totals)>, Explain)> {
        let sessions = Sessions::new();
        let query = Query::from(sessions.clone());
        let asked = self.asked(snapshot, &query).await?;
        let any = Selector::any();
        let reading = Reading { among: among.clone(), ..reading(&asked, &sessions, &any) };
        let needs = Needs { bits: 1, sequences: false };
        let found = self.by_unit(&asked, &reading, needs, OPERATOR, |_| Counting::default()).await?;
        let explain = found.explain();
        let mut all: Vec<(u32, Totals)> = found.cores.into_iter().flat_map(|core| core.found).collect();
        all.sort_unstable_by_key(|(person, _)| *person);
        for (person, sum) in self.revenue_by_person(&asked, revenue, among).await? {
            if let Ok(at) = all.binary_search_by_key(&person, |(person, _)| *person) {
                all[at].1.revenue = sum.value();
            }
        }
        Ok((all, explain))
    }

    async fn revenue_by_person(
        &self,
        asked: &Asked<'_>,
        revenue: &Revenue,
        among: Option<Arc<People>>,
    ) -> Result<Vec<(u32, Sum)>> {
        let mut all: Vec<(u32, Sum)> = Vec::new();
        for (property, event) in revenue {
            let selector = Selector { event: event.clone(), filter: None };
            let wanted = Wanted { selector: &selector, path: "revenue".to_owned(), since_us: i64::MIN };
            let reading = Reading {
                numbers: vec![(property.as_str(), "revenue".to_owned())],
                among: among.clone(),
                ..Reading::new(vec![wanted], asked.scope(), i64::MAX)
            };
            let needs = Needs { bits: 1, sequences: false };
            let found = self.by_unit(asked, &reading, needs, OPERATOR, |_| Summing::default()).await?;
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
