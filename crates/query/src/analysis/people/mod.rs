//! Lowering of the list of people.

mod search;
mod totals;

use std::sync::Arc;

use datafusion::execution::memory_pool::MemoryConsumer;
use pugmark_identity::Trait;
use pugmark_store::{SubjectId, Value};
use serde_json::Map;

pub(crate) use self::totals::AllTotals;
use self::totals::revenue_of;
use super::explain::Explain;
use super::run::Asked;
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::names::never_seen;
use crate::people::{Cursor, Direction, Found, People, PeopleResult, PersonRow, SearchIn, SortBy, Standing, Totals};

/// What `explain` calls it.
const OPERATOR: &str = "LocalPeople";
/// Of no more people than this is counted what they did, where it is not known of everybody.
const FEW_PEOPLE: usize = 1_000;
/// Among as many it is looked at once who comes first.
const AT_ONCE: usize = 1_024;

/// Those who come first, as many as are asked for; twice as many are kept until it is looked who they are.
struct First {
    most: usize,
    direction: Direction,
    kept: Vec<Standing>,
}

impl First {
    fn add(&mut self, standing: Standing) {
        self.kept.push(standing);
        if self.kept.len() / 2 >= self.most {
            self.kept.select_nth_unstable_by(self.most, |a, b| a.before(b, self.direction));
            self.kept.truncate(self.most);
        }
    }
}

/// Whoever is on a page.
struct Page {
    people: Vec<(Standing, Option<Found>)>,
    /// Whether nobody comes after them.
    is_last: bool,
}

/// What is known of what people did.
enum Known {
    Everybody(Arc<AllTotals>),
    /// Ascending.
    Some(Vec<(u32, Totals)>),
}

impl Known {
    fn of(&self, person: u32) -> Totals {
        match self {
            Self::Everybody(all) => all.of(person),
            Self::Some(some) => {
                some.binary_search_by_key(&person, |(person, _)| *person).map_or(Totals::NONE, |at| some[at].1)
            }
        }
    }
}

impl Engine {
    pub(super) async fn list_people(&self, asked: &Asked<'_>, people: &People) -> Result<PeopleResult> {
        let snapshot = asked.snapshot;
        let has_revenue = !revenue_of(snapshot).is_empty();
        if people.sort == SortBy::Revenue && !has_revenue {
            let message = "nothing is declared as revenue: declare which property of which event is, as \
                           `pugmark declare DIR income --event purchase --revenue amount` does";
            return Err(Error::invalid(message).on("sort"));
        }
        let warnings = self.unknown_traits(asked, people)?;
        let candidates = match &people.search {
            Some(search) => Some(self.candidates(snapshot, search).await?),
            None => None,
        };
        let segment = asked.people.as_ref().map(|found| &found.people);
        let is_shown =
            |person: &u32| segment.is_none_or(|segment| segment.contains(*person)) && snapshot.is_somebody(*person);
        // Of everybody those are kept who may be on the page, of those who were found all: some are not found after all.
        let most = if candidates.is_some() { usize::MAX } else { people.limit + 1 };
        let mut first = First { most, direction: people.direction, kept: Vec::new() };
        let mut count = 0_u64;
        let reservation = MemoryConsumer::new("people").register(self.pool());
        let (known, explain) = match &candidates {
            Some(candidates) => {
                let found: Vec<u32> = candidates.persons().filter(is_shown).collect();
                reservation.try_grow(found.len() * (size_of::<u32>() + size_of::<Standing>()))?;
                self.known(snapshot, Some(&found)).await?
            }
            None => self.known(snapshot, None).await?,
        };
        let mut add = |person: u32| {
            count += 1;
            let standing = Standing { key: people.sort.key(&known.of(person)), person };
            if people.cursor.is_none_or(|cursor| cursor.is_before(&standing)) {
                first.add(standing);
            }
        };
        match &candidates {
            Some(candidates) => candidates.persons().filter(is_shown).for_each(&mut add),
            None => {
                let is_in = |person: &u32| segment.is_none_or(|segment| segment.contains(*person));
                everybody(snapshot).filter(is_in).for_each(&mut add);
            }
        }
        let page = page(&mut first.kept, people, |person| match &candidates {
            Some(candidates) => Ok(candidates.found(snapshot, person)?.map(Some)),
            None => Ok(Some(None)),
        })?;
        let cursor_after = |last| Cursor::new(people.sort, people.direction, last);
        let explain = || explain.unwrap_or_else(|| Explain::of_local(&self.local(snapshot), OPERATOR));
        Ok(PeopleResult {
            header: asked.header(People::NAME, warnings, explain)?,
            count: candidates.is_none().then_some(count),
            next: page.people.last().filter(|_| !page.is_last).map(|(last, _)| cursor_after(*last)),
            people: self.with_touches(asked, people, rows(asked, people, &known, page.people)?).await?,
            has_revenue,
            traits: people.traits.clone(),
            touch: people.touch.clone(),
        })
    }

    /// What these people did, or everybody, and how that was found unless it was known.
    async fn known(&self, snapshot: &QuerySnapshot, only: Option<&[u32]>) -> Result<(Known, Option<Explain>)> {
        match only.filter(|only| only.len() <= FEW_PEOPLE) {
            Some(few) => {
                let (some, explain) = self.totals_of(snapshot, few).await?;
                Ok((Known::Some(some), explain))
            }
            None => {
                let (all, explain) = self.totals(snapshot).await?;
                Ok((Known::Everybody(all), explain))
            }
        }
    }

    async fn with_touches(
        &self,
        asked: &Asked<'_>,
        people: &People,
        mut rows: Vec<PersonRow>,
    ) -> Result<Vec<PersonRow>> {
        if !people.touch.is_empty() {
            let persons: Vec<u32> = rows.iter().map(|row| row.number).collect();
            let touches = self.touches_of_people(asked, &persons, &people.touch).await?;
            for (row, touches) in rows.iter_mut().zip(touches) {
                row.touches = Some(touches);
            }
        }
        Ok(rows)
    }

    /// What is said of traits that were never seen.
    fn unknown_traits(&self, asked: &Asked<'_>, people: &People) -> Result<Vec<String>> {
        let vocabulary = asked.snapshot.vocabulary();
        let searched = people.search.as_ref().and_then(|search| match &search.within {
            SearchIn::Trait(name) => Some(("search.trait".to_owned(), name)),
            SearchIn::Anywhere | SearchIn::Ids => None,
        });
        let shown = people.traits.iter().enumerate().map(|(at, name)| (format!("traits[{at}]"), name));
        let mut warnings = Vec::new();
        for (field, name) in searched.into_iter().chain(shown) {
            if vocabulary.profiles.kinds(name, vocabulary.through).is_some() {
                continue;
            }
            let nearest = pugmark_registry::nearest(name, vocabulary.profiles.names(vocabulary.through));
            if asked.query.strict_names {
                let error = Error::invalid(format!("the trait \"{name}\" was never seen"));
                return Err(error.nearest_names(nearest).on(field));
            }
            warnings.push(never_seen(vocabulary, "trait", name, &nearest));
        }
        for (at, name) in people.touch.iter().enumerate() {
            if asked.snapshot.registry.property(name).is_none() {
                let nearest = asked.snapshot.registry.nearest_properties(name);
                if asked.query.strict_names {
                    let error = Error::invalid(format!("the property \"{name}\" was never seen"));
                    return Err(error.nearest_names(nearest).on(format!("touch[{at}]")));
                }
                warnings.push(never_seen(vocabulary, "property", name, &nearest));
            }
        }
        Ok(warnings)
    }
}

/// Everybody who has not been erased, ascending.
fn everybody(snapshot: &QuerySnapshot) -> impl Iterator<Item = u32> {
    // Those who are another person ascend, too: looking each of them up takes longer than going through both.
    let mut others = snapshot.persons.merged_subjects().map(|(subject, _)| subject.number()).peekable();
    let is_person = move |subject: &u32| others.next_if_eq(subject).is_none();
    let nobody_erased = snapshot.hidden.nobody_erased();
    let persons = (0..snapshot.subject_count).filter(is_person);
    persons.filter(move |person| nobody_erased || snapshot.is_somebody(*person))
}

/// Whoever is on the page, with what they were found by. Who is not found after all is passed over.
fn page(
    standings: &mut [Standing],
    people: &People,
    found: impl Fn(u32) -> Result<Option<Option<Found>>>,
) -> Result<Page> {
    let mut page = Page { people: Vec::new(), is_last: true };
    let mut rest = standings;
    let at_once = AT_ONCE.max(people.limit + 1);
    while !rest.is_empty() {
        let count = rest.len().min(at_once);
        if count < rest.len() {
            rest.select_nth_unstable_by(count - 1, |a, b| a.before(b, people.direction));
        }
        let (first, others) = rest.split_at_mut(count);
        first.sort_unstable_by(|a, b| a.before(b, people.direction));
        for standing in first.iter() {
            let Some(found) = found(standing.person)? else { continue };
            if page.people.len() == people.limit {
                return Ok(Page { is_last: false, ..page });
            }
            page.people.push((*standing, found));
        }
        rest = others;
    }
    Ok(page)
}

fn rows(
    asked: &Asked<'_>,
    people: &People,
    known: &Known,
    page: Vec<(Standing, Option<Found>)>,
) -> Result<Vec<PersonRow>> {
    let snapshot = asked.snapshot;
    let persons: Vec<u32> = page.iter().map(|(standing, _)| standing.person).collect();
    let names = asked.names(&persons)?;
    let shown = people.traits.iter();
    let shown: Vec<Option<&Arc<Trait>>> = shown.map(|name| snapshot.profiles.of(name, snapshot.sequence)).collect();
    let row = |((standing, found), name): ((Standing, Option<Found>), Option<String>)| {
        let number = standing.person;
        let members = snapshot.persons.members(snapshot.persons.person_of(SubjectId::new(number)));
        let ids = members.iter().filter(|member| !snapshot.hidden.is_erased(**member)).count();
        let mut traits = Map::new();
        for (name, of) in people.traits.iter().zip(&shown) {
            if let Some(value) = of.and_then(|of| snapshot.trait_of(of, number)) {
                traits.insert(name.clone(), value.borrowed().to_json());
            }
        }
        PersonRow {
            person: name.unwrap_or_default(),
            number,
            ids: u32::try_from(ids).unwrap_or(u32::MAX),
            known: members.iter().any(|member| snapshot.persons.is_known(*member)),
            totals: known.of(number),
            traits,
            touches: None,
            found,
        }
    };
    Ok(page.into_iter().zip(names).map(row).collect())
}

impl QuerySnapshot {
    /// Whether a subject is one whose number a person bears who has not been erased.
    pub(crate) fn is_somebody(&self, subject: u32) -> bool {
        let (persons, hidden) = (&self.persons, &self.hidden);
        let person = persons.person_of(SubjectId::new(subject));
        person.number() == subject
            && (hidden.nobody_erased()
                || !hidden.is_erased(SubjectId::new(subject))
                || persons.members(person).iter().any(|member| !hidden.is_erased(*member)))
    }

    /// What a trait of a person is.
    pub(crate) fn trait_of(&self, of: &Trait, person: u32) -> Option<Value> {
        let person = self.persons.person_of(SubjectId::new(person));
        let hides = |subject, sequence| self.hidden.is_erased(subject) || self.hidden.hides(subject, sequence);
        self.profiles.value_of(of, person, (&self.persons, self.sequence), hides)
    }
}
