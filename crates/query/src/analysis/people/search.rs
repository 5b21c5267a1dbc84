//! Who is found by an id, or by what a trait of theirs is.

use std::sync::Arc;

use pugmark_identity::{Profiles, Trait, TraitRun, search_texts};
use pugmark_store::{Hidden, SubjectId};

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
    profiles: Arc<Profiles>,
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
}

impl Engine {
    /// Whoever may be found by this.
    pub(super) async fn candidates(&self, snapshot: &QuerySnapshot, search: &Search) -> Result<Candidates> {
        let Search { text, by, within } = search;
        let mut all: Vec<Candidate> = Vec::new();
        let person = |subject: SubjectId| snapshot.persons.person_of(subject).number();
        if !matches!(within, SearchIn::Trait(_)) {
            let ids = self.ids(snapshot).await?;
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
            self.values(snapshot).await?.index.find(text, *by, |number, _| numbers.push(number));
            numbers.sort_unstable();
            numbers.dedup();
            for (by, of) in (1..).zip(&traits) {
                for run in of.runs() {
                    let pairs = self.by_value(run)?;
                    let mut rest = pairs.as_slice();
                    for number in &numbers {
                        rest = &rest[rest.partition_point(|(other, _)| other < number)..];
                        let own = rest.iter().take_while(|(other, _)| other == number);
                        let own = own.filter(|(_, subject)| subject.number() < snapshot.subject_count);
                        all.extend(own.map(|(_, subject)| Candidate { person: person(*subject), by, subject: 0 }));
                    }
                }
            }
        }
        all.sort_unstable();
        all.dedup();
        Ok(Candidates { all, traits, text: folded(text), by: *by })
    }

    async fn ids(&self, snapshot: &QuerySnapshot) -> Result<Arc<Ids>> {
        let anchor = self.anchor();
        let _turn = anchor.indexing.lock().await;
        let before = self.cache().find::<_, Ids>(anchor, Kept::Ids);
        // What is erased is not to be found, and its text is not to stay.
        let before =
            before.filter(|before| Arc::ptr_eq(&before.hidden, &snapshot.hidden) || before.hidden == snapshot.hidden);
        if let Some(enough) = before.as_ref().filter(|before| before.subjects >= snapshot.subject_count) {
            return Ok(Arc::clone(enough));
        }
        let (index, first) = before.map_or_else(Default::default, |before| (before.index.clone(), before.subjects));
        let mut adding = Adding::to(index);
        let mut at = first;
        while at < snapshot.subject_count {
            let end = at.saturating_add(IDS_AT_ONCE).min(snapshot.subject_count);
            let subjects: Vec<SubjectId> = (at..end).map(SubjectId::new).collect();
            let ids = snapshot.subjects.distinct_ids(&subjects)?;
            for (subject, id) in (at..end).zip(ids) {
                if let Some(id) = id.filter(|_| !snapshot.hidden.is_erased(SubjectId::new(subject))) {
                    adding.add(subject, &id);
                }
            }
            at = end;
        }
        let hidden = Arc::clone(&snapshot.hidden);
        let ids = Arc::new(Ids { index: adding.done(), subjects: snapshot.subject_count, hidden });
        self.cache().keep(anchor, Kept::Ids, &ids, ids.index.bytes());
        Ok(ids)
    }

    async fn values(&self, snapshot: &QuerySnapshot) -> Result<Arc<Values>> {
        let profiles = &snapshot.profiles;
        let anchor = self.anchor();
        let _turn = anchor.indexing.lock().await;
        let before = self.cache().find::<_, Values>(anchor, Kept::Values);
        if let Some(enough) = before.as_ref().filter(|before| profiles.are_continued_by(&before.profiles)) {
            return Ok(Arc::clone(enough));
        }
        let before = before.filter(|before| before.profiles.are_continued_by(profiles));
        let (index, first) = match &before {
            Some(before) => (before.index.clone(), before.profiles.value_count()),
            None => (TextIndex::default(), 0),
        };
        let mut adding = Adding::to(index);
        for number in first..profiles.value_count() {
            search_texts(profiles.value(number), |text| adding.add(number, text));
        }
        let values = Arc::new(Values { index: adding.done(), profiles: Arc::clone(profiles) });
        self.cache().keep(anchor, Kept::Values, &values, values.index.bytes());
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
