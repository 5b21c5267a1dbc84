//! Who is who: links between ids, their end, what is known of one person, and lists of people.

use std::io::Write;

use pugmark_identity::{IdentityFold, Persons};
use pugmark_query::person::{Person, PersonEvent, PersonLink, Suspect, SuspectLimits};
use pugmark_store::{Hidden, Note, Operation, Outcome, Sequence, SplitOf, SubjectId};

use crate::pugmark::mismatch;
use crate::{Error, Export, Exported, People, PeopleResult, Pugmark, Query, QueryResult, Result};

/// What a split would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitPreview {
    /// The ids of each person that there would be in place of the one that there is.
    pub persons: Vec<Vec<String>>,
    /// How many links would be revoked.
    pub links: u64,
}

impl Pugmark {
    /// Says that an anonymous id and a user id are one person: the past of the anonymous id becomes theirs.
    ///
    /// A shared device does not glue two people together: where the anonymous id's person is already known by another
    /// user id, the answer is [`Outcome::Refused`] and nothing changes. The rules are in `docs/semantics.md`, Identity.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Outcome, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// assert!(matches!(db.identify("anon-7", "ann")?, Outcome::Accepted(_)));
    /// assert!(matches!(db.identify("anon-7", "ann")?, Outcome::Already(_)));
    /// assert!(matches!(db.identify("anon-7", "bob")?, Outcome::Refused(..)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "login")]
    pub fn identify(&self, anonymous_id: impl Into<String>, user_id: impl Into<String>) -> Result<Outcome> {
        self.one(Operation::identify(anonymous_id, user_id).into())
    }

    /// Says that two ids are one person; refused where both are known, by different ids.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    pub fn alias(&self, id: impl Into<String>, to: impl Into<String>) -> Result<Outcome> {
        self.one(Operation::alias(id, to).into())
    }

    /// Makes one person of several ids, whoever they are known as and whatever was split before: somebody has looked, and says so in the note.
    ///
    /// Refused are well-known wrong ids and a person of more ids than [`IdentityOptions::ids_max`](crate::IdentityOptions).
    ///
    /// # Errors
    /// As [`track`](Self::track). Fewer than 2 ids, or more than 32,768, are no error but [`Outcome::Rejected`].
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Note, Outcome, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.identify("phone", "ann@home")?;
    /// db.identify("laptop", "ann@work")?;
    /// assert!(matches!(db.alias("ann@home", "ann@work")?, Outcome::Refused(..)));
    /// db.merge(["ann@home", "ann@work"], Note::by("support").because("she asked"))?;
    /// let ann = db.person("phone")?.expect("she was seen");
    /// assert_eq!((ann.name.as_str(), ann.ids.len()), ("ann@home", 4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn merge(&self, ids: impl IntoIterator<Item = impl Into<String>>, note: Note) -> Result<Outcome> {
        self.one(Operation::merge(ids).noted(note).into())
    }

    /// Takes an id away from everybody else: revokes every operation that linked it. What the rest is still linked by stands, all answers are as if the links had never been, and
    /// an identify or alias of the same pair is refused from now on, unless it is forced.
    ///
    /// [`Outcome::Already`] where no link of it stands; [`preview_split`](Self::preview_split) shows what would become of whom.
    ///
    /// # Errors
    /// As [`track`](Self::track). An id never seen is no error but [`Outcome::Rejected`].
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Note, Outcome, Pugmark, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "tablet"), Event::new("view", "ann")])?;
    /// db.identify("tablet", "ann")?;
    /// let uniques = || db.blocking()?.trend(&Trend::of("view").uniques()).map(|answer| answer.series[0].total);
    /// assert_eq!(uniques()?, 1);
    /// db.split("tablet", Note::by("support").because("the tablet is shared"))?;
    /// assert_eq!(uniques()?, 2);
    /// assert!(matches!(db.identify("tablet", "ann")?, Outcome::Refused(..)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "unmerge")]
    pub fn split(&self, id: impl Into<String>, note: Note) -> Result<Outcome> {
        self.one(Operation::split(id).noted(note).into())
    }

    /// Revokes the links of one operation, by its sequence, as [`person_links`](Self::person_links) tells it.
    ///
    /// # Errors
    /// As [`track`](Self::track). An operation without a link that stands is no error but [`Outcome::Rejected`].
    pub fn split_link(&self, sequence: Sequence, note: Note) -> Result<Outcome> {
        self.one(Operation::split_link(SplitOf::Sequence(sequence)).noted(note).into())
    }

    /// What a [`split`](Self::split) of this id would do; nothing changes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an id that was never seen; errors of the index.
    pub fn preview_split(&self, id: &str) -> Result<SplitPreview> {
        let subject = self.query_snapshot()?.subject(id)?;
        let subject = subject.ok_or_else(|| Error::invalid(format!("\"{id}\" was never seen")))?;
        let (persons, links) = self.store.look(|fold: &IdentityFold| fold.preview_split(subject))?;
        let snapshot = self.store.snapshot();
        let ids = |members: Vec<SubjectId>| -> Result<Vec<String>> {
            Ok(snapshot.subjects().distinct_ids(&members)?.into_iter().flatten().collect())
        };
        Ok(SplitPreview { persons: persons.into_iter().map(ids).collect::<Result<_>>()?, links })
    }

    /// Who has this id, and what else they are called; `None` for an id that was never seen or has been erased.
    ///
    /// # Errors
    /// Errors of the index.
    pub fn person(&self, distinct_id: &str) -> Result<Option<Person>> {
        self.query_snapshot()?.person(distinct_id)
    }

    /// The number of the person with this id, as in the column `person` of `events`; `None` for an id that was never seen or has been erased.
    ///
    /// # Errors
    /// Errors of the index.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "phone"), Event::new("view", "ann")])?;
    /// let kept = db.person_number("ann")?.expect("she was seen");
    /// db.identify("phone", "ann")?;
    /// // A number that was kept leads to the person of today.
    /// assert_eq!(Some(db.present_person(kept)?), db.person_number("ann")?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn person_number(&self, distinct_id: &str) -> Result<Option<u32>> {
        // Without what questions need besides.
        let snapshot = self.store.snapshot();
        let subject = snapshot.subjects().resolve(distinct_id)?;
        let subject = subject.filter(|subject| subject.number() < snapshot.subject_count());
        let Some(subject) = subject else { return Ok(None) };
        let hidden = snapshot.state::<Hidden>();
        if hidden.is_some_and(|hidden| hidden.is_erased(subject)) {
            return Ok(None);
        }
        let persons = snapshot.state::<Persons>();
        Ok(Some(persons.map_or(subject.number(), |persons| persons.person_of(subject).number())))
    }

    /// The present number of whoever had this one before they were linked to somebody else, or have it now: numbers that are kept elsewhere stay good.
    ///
    /// # Errors
    /// Errors of the index.
    pub fn present_person(&self, number: u32) -> Result<u32> {
        Ok(self.query_snapshot()?.present_person(number))
    }

    /// Every link that an id of this person has or had, with when, by whom and why, and what became of it.
    ///
    /// # Errors
    /// Errors of the index.
    pub fn person_links(&self, distinct_id: &str) -> Result<Vec<PersonLink>> {
        self.query_snapshot()?.person_links(distinct_id)
    }

    /// Everything that was decided about the ids of this person, refusals and splits included, in order.
    ///
    /// # Errors
    /// Errors of the index.
    pub fn person_history(&self, distinct_id: &str) -> Result<Vec<PersonEvent>> {
        self.query_snapshot()?.person_history(distinct_id)
    }

    /// Who people are and what they did in all, in pages: everybody, those in a segment, or those who are found by an id or a trait.
    ///
    /// What everybody did is counted at the first question, in about the time of reading all events once, and kept within [`EngineOptions::memory_bytes`](crate::EngineOptions);
    /// after that only those are counted again of whom something is new.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, People, ProfileUpdate, Pugmark, Search, SortBy};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "ann"), Event::new("buy", "ann"), Event::new("view", "bob")])?;
    /// db.update_profile(ProfileUpdate::set("ann").with("email", "Ann@Example.org"))?;
    ///
    /// let page = db.blocking()?.people(&People::new().sort(SortBy::Events).limit(1))?;
    /// assert_eq!((page.people[0].person.as_str(), page.people[0].totals.events), ("ann", 2));
    /// let next = page.next.ok_or("there is more")?;
    /// let page = db.blocking()?.people(&People::new().sort(SortBy::Events).limit(1).cursor(next))?;
    /// assert_eq!((page.people[0].person.as_str(), page.next), ("bob", None));
    ///
    /// let found = db.blocking()?.people(&People::new().search(Search::prefix("ann@")).show("email"))?;
    /// assert_eq!(found.people[0].traits["email"], "Ann@Example.org");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "users")]
    #[doc(alias = "search")]
    pub async fn people(&self, people: &People) -> Result<PeopleResult> {
        match self.query(&Query::from(people.clone())).await? {
            QueryResult::People(result) => Ok(result),
            _ => Err(mismatch()),
        }
    }

    /// Writes everything that is known of one person, as lines that [`import`](Self::import) reads: the events of all ids, every change of every trait, and the operations that made the ids one. What was
    /// refused or revoked names other people and is left out, as are events that were [kept aside](Self::quarantine).
    ///
    /// It reads the whole log. [`erase`](Self::erase) is what takes the person away.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an id that was never seen or has been erased; errors of reading the log and of writing to `out`.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, ProfileUpdate, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "phone"), Event::new("view", "ann"), Event::new("view", "bob")])?;
    /// db.identify("phone", "ann")?;
    /// db.update_profile(ProfileUpdate::set("ann").with("plan", "pro"))?;
    /// let mut lines = Vec::new();
    /// let exported = db.export_person("phone", &mut lines)?;
    /// assert_eq!((exported.events, exported.operations), (2, 2));
    /// assert!(!String::from_utf8(lines)?.contains("bob"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "gdpr")]
    pub fn export_person<W: Write + Send>(&self, distinct_id: &str, out: W) -> Result<Exported> {
        let person = self.person(distinct_id)?.ok_or_else(|| {
            Error::invalid(format!("\"{distinct_id}\" was never seen in this store, or has been erased"))
        })?;
        let ids = person.ids.into_iter().map(|id| id.id).collect();
        self.export(&Export { only_of: Some(ids), ..Export::default() }, out, |_| {})
    }

    /// The persons who may be several people: with many ids, several known ones, or many ids in use on one day.
    ///
    /// # Errors
    /// As [`sql`](Self::sql).
    pub async fn suspects(&self, limits: SuspectLimits) -> Result<Vec<Suspect>> {
        self.engine().suspects(&self.query_snapshot()?, limits).await
    }
}
