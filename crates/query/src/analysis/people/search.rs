//! Who is found by an id, or by what a trait of theirs is.

use std::sync::{Arc, PoisonError};

use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use pugmark_identity::{Trait, TraitRun, ValuesMark, search_texts};
use pugmark_store::{Hidden, SubjectId};

use super::super::run::joined;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::local::Kept;
use crate::people::{Adding, Found, Match, Search, SearchIn, TextIndex, folded};

/// Ids that are read at once.
const IDS_AT_ONCE: u32 = 8_192;

/// The ids of all subjects below a number.
struct Ids {
    index: TextIndex,
    subjects: u32,
    hidden: Arc<Hidden>,
}

/// The values that traits were given.
struct Values {
    index: TextIndex,
    /// Up to where they are in it.
    mark: ValuesMark,
}

/// Somebody who may be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    person: u32,
    /// By an id, or by the trait of this number less one.
    by: u32,
    /// Whose id it is.
    subject: u32,
}

/// Those who may be found: by an id, or because a trait was once given what is looked for.
pub(super) struct Candidates {
    all: Vec<Candidate>,
    traits: Vec<Arc<Trait>>,
    /// In lower case.
    text: String,
    by: Match,
    // Held as long as what it is for.
    _reservation: MemoryReservation,
}

impl Engine {
    /// Whoever may be found by this.
    pub(super) async fn candidates(&self, snapshot: &QuerySnapshot, search: &Search) -> Result<Candidates> {
        let (engine, snapshot, search) = (self.clone(), snapshot.clone(), search.clone());
        // The first search reads every text.
        joined(tokio::task::spawn_blocking(move || engine.find_candidates(&snapshot, &search)).await)
    }

    fn find_candidates(&self, snapshot: &QuerySnapshot, search: &Search) -> Result<Candidates> {
        let Search { text, by, within } = search;
        let reservation = MemoryConsumer::new("search").register(self.pool());
        let mut all: Vec<Candidate> = Vec::new();
        let person = |subject: SubjectId| snapshot.persons.person_of(subject).number();
        if !matches!(within, SearchIn::Trait(_)) {
            let ids = self.ids(snapshot)?;
            ids.index.find(text, *by, |subject, _| {
                let id = SubjectId::new(subject);
                if subject < snapshot.subject_count && !snapshot.hidden.is_erased(id) {
                    all.push(Candidate { person: person(id), by: 0, subject });
                }
            });
        }
        let profiles = &snapshot.profiles;
        let traits: Vec<Arc<Trait>> = match within {
            SearchIn::Ids => Vec::new(),
            SearchIn::Trait(name) => profiles.of(name, snapshot.sequence).into_iter().map(Arc::clone).collect(),
            SearchIn::Anywhere => {
                let names = profiles.names(snapshot.sequence);
                names.filter_map(|name| profiles.of(name, snapshot.sequence)).map(Arc::clone).collect()
            }
        };
        if !traits.is_empty() {
            let mut numbers: Vec<u32> = Vec::new();
            self.values(snapshot)?.index.find(text, *by, |number, _| numbers.push(number));
            numbers.sort_unstable();
            numbers.dedup();
            for (by, of) in (1..).zip(&traits) {
                for run in of.runs() {
                    let pairs = self.by_value(run)?;
                    let given = given_to(&pairs, &numbers).filter(|subject| subject.number() < snapshot.subject_count);
                    all.extend(given.map(|subject| Candidate { person: person(subject), by, subject: 0 }));
                    reservation.try_resize(all.capacity() * size_of::<Candidate>())?;
                }
            }
        }
        reservation.try_resize(all.capacity() * size_of::<Candidate>())?;
        all.sort_unstable();
        all.dedup();
        Ok(Candidates { all, traits, text: folded(text), by: *by, _reservation: reservation })
    }

    fn ids(&self, snapshot: &QuerySnapshot) -> Result<Arc<Ids>> {
        let _turn = self.turns().indexing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.cache().find::<_, Ids>(&snapshot.subjects, Kept::Ids);
        // What is erased is not to be found, and its text is not to stay.
        let before =
            before.filter(|before| Arc::ptr_eq(&before.hidden, &snapshot.hidden) || before.hidden == snapshot.hidden);
        if let Some(enough) = before.as_ref().filter(|before| before.subjects >= snapshot.subject_count) {
            return Ok(Arc::clone(enough));
        }
        let (index, first) = before.map_or_else(Default::default, |before| (before.index.clone(), before.subjects));
        let mut room = Room::of(self, &index)?;
        let mut adding = Adding::to(index);
        let mut at = first;
        while at < snapshot.subject_count {
            let end = at.saturating_add(IDS_AT_ONCE).min(snapshot.subject_count);
            let subjects: Vec<SubjectId> = (at..end).map(SubjectId::new).collect();
            let ids = snapshot.subjects.distinct_ids(&subjects)?;
            for (subject, id) in (at..end).zip(ids) {
                if let Some(id) = id.filter(|_| !snapshot.hidden.is_erased(SubjectId::new(subject))) {
                    room.take(id.len())?;
                    adding.add(subject, &id);
                }
            }
            at = end;
        }
        let hidden = Arc::clone(&snapshot.hidden);
        let ids = Arc::new(Ids { index: adding.done(), subjects: snapshot.subject_count, hidden });
        drop(room);
        self.cache().keep(&snapshot.subjects, Kept::Ids, &ids, ids.index.bytes());
        Ok(ids)
    }

    fn values(&self, snapshot: &QuerySnapshot) -> Result<Arc<Values>> {
        let profiles = &snapshot.profiles;
        let _turn = self.turns().indexing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.cache().find::<_, Values>(&snapshot.subjects, Kept::Values);
        let before = before.filter(|before| profiles.are_of(&before.mark));
        if let Some(enough) = before.as_ref().filter(|before| before.mark.seen() >= profiles.value_count()) {
            return Ok(Arc::clone(enough));
        }
        let (index, first) = before.map_or_else(Default::default, |before| (before.index.clone(), before.mark.seen()));
        let mut room = Room::of(self, &index)?;
        let mut adding = Adding::to(index);
        for number in first..profiles.value_count() {
            let mut full = Ok(());
            search_texts(profiles.value(number), |text| {
                if full.is_ok() {
                    full = room.take(text.len());
                    adding.add(number, text);
                }
            });
            full?;
        }
        let values = Arc::new(Values { index: adding.done(), mark: profiles.mark() });
        drop(room);
        self.cache().keep(&snapshot.subjects, Kept::Values, &values, values.index.bytes());
        Ok(values)
    }

    /// Who was given which value in some changes of a trait.
    fn by_value(&self, run: &Arc<TraitRun>) -> Result<Arc<Vec<(u32, SubjectId)>>> {
        self.cache().get(run, Kept::ByValue, || {
            let pairs = run.by_value();
            let bytes = pairs.capacity() * size_of::<(u32, SubjectId)>();
            Ok::<_, Error>((pairs, bytes))
        })
    }
}

/// Memory for texts on their way into an index: as they came, sorted, and merged with those that were in it.
struct Room {
    reservation: MemoryReservation,
    /// Bytes that are reserved and not taken yet.
    left: usize,
}

/// Bytes that are reserved at once.
const ROOM_BYTES: usize = 1 << 20;
/// What a text takes beside its bytes.
const ENTRY_BYTES: usize = 8;
/// How often a text is held at most.
const COPIES: usize = 3;

impl Room {
    fn of(engine: &Engine, index: &TextIndex) -> Result<Self> {
        let reservation = MemoryConsumer::new("texts to search").register(engine.pool());
        reservation.try_grow(index.bytes())?;
        Ok(Self { reservation, left: 0 })
    }

    fn take(&mut self, bytes: usize) -> Result<()> {
        let bytes = COPIES * (bytes + ENTRY_BYTES);
        if self.left < bytes {
            self.reservation.try_grow(ROOM_BYTES.max(bytes))?;
            self.left += ROOM_BYTES.max(bytes);
        }
        self.left -= bytes;
        Ok(())
    }
}

/// Whom one of these values was given to; both ascend, and the shorter is gone through.
fn given_to<'a>(pairs: &'a [(u32, SubjectId)], numbers: &'a [u32]) -> Box<dyn Iterator<Item = SubjectId> + 'a> {
    if pairs.len() < numbers.len() {
        return Box::new(pairs.iter().filter(|(value, _)| numbers.binary_search(value).is_ok()).map(|(_, by)| *by));
    }
    Box::new(numbers.iter().flat_map(move |number| {
        let own = &pairs[pairs.partition_point(|(value, _)| value < number)..];
        own.iter().take_while(move |(value, _)| value == number).map(|(_, by)| *by)
    }))
}

impl Candidates {
    /// The persons, ascending.
    pub(super) fn persons(&self) -> impl Iterator<Item = u32> {
        self.all.chunk_by(|a, b| a.person == b.person).filter_map(|own| Some(own.first()?.person))
    }

    /// What a person is found by, if that is so at present: an id before a trait.
    pub(super) fn found(&self, snapshot: &QuerySnapshot, person: u32) -> Result<Option<Found>> {
        let first = self.all.partition_point(|candidate| candidate.person < person);
        for candidate in self.all[first..].iter().take_while(|candidate| candidate.person == person) {
            match (candidate.by as usize).checked_sub(1) {
                None => {
                    let id = snapshot.subjects.distinct_id(SubjectId::new(candidate.subject))?;
                    if let Some(id) = id {
                        return Ok(Some(Found::Id(id)));
                    }
                }
                Some(of) => {
                    let Some(of) = self.traits.get(of) else { continue };
                    let Some(value) = snapshot.trait_of(of, person) else { continue };
                    let mut found = None;
                    search_texts(value.borrowed(), |text| {
                        if found.is_none() && self.holds(text) {
                            found = Some(text.to_owned());
                        }
                    });
                    if let Some(value) = found {
                        return Ok(Some(Found::Trait { name: of.name().to_owned(), value }));
                    }
                }
            }
        }
        Ok(None)
    }

    fn holds(&self, text: &str) -> bool {
        let text = folded(text);
        match self.by {
            Match::Exact => text == self.text,
            Match::Prefix => text.starts_with(&self.text),
            Match::Contains => text.contains(&self.text),
        }
    }
}
