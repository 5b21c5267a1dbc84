//! One person as the store knows them: ids, links, and everything that was decided about them.
//!
//! Meaning: `docs/semantics.md`, section 5. [`Person`] is who somebody is, [`PersonEvent`] what happened to who they are, [`Suspect`] who may be several people.

mod history;
mod suspects;

pub use history::{PersonEvent, PersonEventKind};
pub use suspects::{Suspect, SuspectLimits};

use std::fmt;

use pugmark_store::{Sequence, SubjectId, Timestamp};
use serde::{Serialize, Serializer};

use crate::engine::QuerySnapshot;
use crate::error::Result;

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Person {
    /// The number of the person: that of their first id. One that was told before a merge leads to the person of today.
    pub person: u32,
    /// The id that names them: the first that became known, else the first of all.
    pub name: String,
    /// All of their ids, in the order in which the store came to know them.
    pub ids: Vec<PersonId>,
    /// How many links stand between them.
    pub links: u64,
}

/// An id of a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersonId {
    /// The distinct id.
    pub id: String,
    /// Whether it has been the target of an identify.
    pub known: bool,
}

/// A link between two ids.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PersonLink {
    /// The sequence of the operation that made it, which names it to a split.
    pub sequence: u64,
    /// When it was made.
    #[serde(serialize_with = "as_text")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
    /// The operation.
    pub operation: &'static str,
    /// One id; null for one that has been erased since.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub id: Option<String>,
    /// The other.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub other_id: Option<String>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub by: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub why: Option<String>,
    /// The sequence of the operation that revoked it; nothing while it stands.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub revoked: Option<u64>,
}

impl QuerySnapshot {
    /// The person with a distinct id, whoever else they are; `None` for an id that was never seen or has been erased.
    ///
    /// # Errors
    /// Errors of the index and of the runs of distinct ids.
    pub fn person(&self, distinct_id: &str) -> Result<Option<Person>> {
        let Some(subject) = self.subject(distinct_id)? else { return Ok(None) };
        let person = self.persons.person_of(subject);
        let members = self.persons.members(person);
        let ids = self.subjects.distinct_ids(&members)?;
        let standing = self.persons.history().links(self.sequence).filter(|link| link.revoked_at.is_none());
        let links = standing.filter(|link| members.binary_search(&link.from).is_ok()).count() as u64;
        let ids = members
            .iter()
            .zip(ids)
            .filter_map(|(member, id)| Some(PersonId { id: id?, known: self.persons.is_known(*member) }));
        let name = self.subjects.distinct_id(self.persons.name_subject(person))?;
        Ok(Some(Person { person: person.number(), name: name.unwrap_or_default(), ids: ids.collect(), links }))
    }

    /// The number of the person with a distinct id, as in `events.person`; `None` for an id that was never seen or has been erased.
    ///
    /// # Errors
    /// As [`person`](Self::person).
    pub fn person_number(&self, distinct_id: &str) -> Result<Option<u32>> {
        Ok(self.subject(distinct_id)?.map(|subject| self.persons.person_of(subject).number()))
    }

    /// The present number of whoever had this one before they were linked to somebody else, or have it now.
    pub fn present_person(&self, number: u32) -> u32 {
        self.persons.person_of(SubjectId::new(number)).number()
    }

    /// Every link that one of the ids of this person has or had, in the order in which they were made.
    ///
    /// # Errors
    /// As [`person`](Self::person).
    pub fn person_links(&self, distinct_id: &str) -> Result<Vec<PersonLink>> {
        let members = self.members_of(distinct_id)?;
        let is_member = |subject| members.binary_search(&subject).is_ok();
        let history = self.persons.history();
        let links: Vec<_> =
            history.links(self.sequence).filter(|link| is_member(link.from) || is_member(link.to)).collect();
        let ends: Vec<SubjectId> = links.iter().flat_map(|link| [link.from, link.to]).collect();
        let mut ids = self.subjects.distinct_ids(&ends)?.into_iter();
        let mut next = || ids.next().flatten();
        let told = links.iter().map(|link| {
            let (by, why) = said(self, link.sequence);
            PersonLink {
                sequence: link.sequence.number(),
                at: link.received_at,
                operation: link.kind.as_str(),
                id: next(),
                other_id: next(),
                by,
                why,
                revoked: link.revoked_at.map(Sequence::number),
            }
        });
        Ok(told.collect())
    }

    /// The subject of a distinct id; `None` for one that was not seen by this sequence, or has been erased.
    ///
    /// # Errors
    /// Errors of the index and of the runs of distinct ids.
    pub fn subject(&self, distinct_id: &str) -> Result<Option<SubjectId>> {
        let subject = self.subjects.resolve(distinct_id)?;
        Ok(subject.filter(|subject| subject.number() < self.subject_count && !self.hidden.is_erased(*subject)))
    }

    /// The subjects of the person with an id, ascending; nobody for one never seen.
    fn members_of(&self, distinct_id: &str) -> Result<Vec<SubjectId>> {
        let subject = self.subject(distinct_id)?;
        Ok(subject.map(|subject| self.persons.members(self.persons.person_of(subject))).unwrap_or_default())
    }
}

fn as_text<S: Serializer>(at: &Timestamp, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

/// What was said of an operation.
fn said(snapshot: &QuerySnapshot, sequence: Sequence) -> (Option<String>, Option<String>) {
    let reason = snapshot.persons.history().reason(sequence);
    let text = |text: &Option<std::sync::Arc<str>>| text.as_deref().map(str::to_owned);
    reason.map_or((None, None), |reason| (text(&reason.by), text(&reason.why)))
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (person {})", self.name, self.person)?;
        for id in &self.ids {
            write!(f, "\n  {}{}", id.id, if id.known { ", known" } else { "" })?;
        }
        Ok(())
    }
}
