//! Lowering of the question of who is in a segment.

use super::run::{Asked, resolved};
use super::segment::FoundPeople;
use crate::audience::{Audience, AudienceResult, MAX_NAMED};
use crate::engine::{Engine, QuerySnapshot};
use crate::error::{Error, Result};
use crate::local::People;
use crate::spec::{Header, Query};
use pugmark_store::SubjectId;

impl Engine {
    pub(super) fn audience(&self, asked: &Asked<'_>, audience: &Audience) -> Result<AudienceResult> {
        let found = the_people(asked)?;
        let explain = found.explain.clone();
        let header = asked.header(Audience::NAME, Vec::new(), || explain)?;
        let header = Header { explain: header.explain.map(without_segment), ..header };
        answered(asked, audience, header, &found.people)
    }
}

impl Engine {
    /// The persons who are in the segment of a question, each as one subject, ascending.
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    pub async fn members(&self, snapshot: &QuerySnapshot, audience: &Audience) -> Result<Vec<SubjectId>> {
        let query = Query::from(audience.clone());
        let query = resolved(snapshot, &query)?;
        let asked = self.asked(snapshot, &query).await?;
        Ok(persons(snapshot, &the_people(&asked)?.people).into_iter().map(SubjectId::new).collect())
    }
}

/// Those of the one segment that the question is about.
fn the_people<'a>(asked: &'a Asked<'_>) -> Result<&'a FoundPeople> {
    asked.people.as_ref().ok_or_else(|| {
        let found = asked.scope().segments.len();
        Error::invalid(format!("the people of one segment are asked for, found a list of {found}")).on("segment")
    })
}

/// How the people were found is all that there is to say.
fn without_segment(mut explain: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = explain.as_object_mut() {
        fields.remove("segment");
    }
    explain
}

/// The answer of who is in the segment.
pub(super) fn answered(
    asked: &Asked<'_>,
    audience: &Audience,
    header: Header,
    people: &People,
) -> Result<AudienceResult> {
    let persons = persons(asked.snapshot, people);
    let people = match audience.people {
        true if persons.len() > MAX_NAMED => {
            let found = persons.len();
            let message = format!(
                "the segment has {found} people, more than the {MAX_NAMED} that an answer names: narrow it, or ask without their names"
            );
            return Err(Error::invalid(message).on("people"));
        }
        true => Some(asked.names(&persons)?.into_iter().flatten().collect()),
        false => None,
    };
    Ok(AudienceResult { header, count: persons.len() as u64, people })
}

/// The persons among them whom the snapshot knows, ascending; whoever has been erased is none.
fn persons(snapshot: &QuerySnapshot, people: &People) -> Vec<u32> {
    let is_in = |subject: &u32| people.contains(*subject) && snapshot.is_somebody(*subject);
    (0..snapshot.subject_count).filter(is_in).collect()
}
