//! Persons who may be several people, or no people at all.

use std::collections::BTreeMap;

use datafusion::arrow::array::AsArray;
use datafusion::arrow::datatypes::{Int64Type, UInt32Type};
use pugmark_store::SubjectId;
use serde::Serialize;

use crate::engine::{Engine, QuerySnapshot};
use crate::error::Result;

/// What makes a person suspicious.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuspectLimits {
    /// As many ids as this, or more; 10 by default.
    pub ids: u32,
    /// Events under as many ids as this on one day of UTC, or more; 5 by default.
    pub ids_in_a_day: u32,
    /// As many known ids as this, or more; 2 by default, which only a merge makes, and an alias before one of them became known.
    pub known: u32,
}

impl Default for SuspectLimits {
    fn default() -> Self {
        Self { ids: 10, ids_in_a_day: 5, known: 2 }
    }
}

/// A person who may be several people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Suspect {
    /// The number of the person.
    pub person: u32,
    /// The id that names them.
    pub name: String,
    /// How many ids they have.
    pub ids: u32,
    /// How many of them are known.
    pub known: u32,
    /// Under how many ids they had events on one day of UTC, at most.
    pub ids_in_a_day: u32,
}

impl Engine {
    /// The persons of whom one of `limits` holds, those with the most ids first.
    ///
    /// # Errors
    /// As [`sql`](Self::sql).
    pub async fn suspects(&self, snapshot: &QuerySnapshot, limits: SuspectLimits) -> Result<Vec<Suspect>> {
        let persons = &snapshot.persons;
        let mut members: BTreeMap<u32, Vec<SubjectId>> = BTreeMap::new();
        for (subject, person) in persons.merged_subjects() {
            members.entry(person.number()).or_insert_with(|| vec![person.subject()]).push(subject);
        }
        let mut in_a_day: BTreeMap<u32, u32> = BTreeMap::new();
        if !members.is_empty() {
            let mut rows = self.sql_stream(snapshot, IDS_IN_A_DAY).await?;
            while let Some(batch) = rows.next().await? {
                let (person, ids) = (batch.column(0).as_primitive::<UInt32Type>(), batch.column(1));
                for (person, ids) in person.values().iter().zip(ids.as_primitive::<Int64Type>().values()) {
                    in_a_day.insert(*person, u32::try_from(*ids).unwrap_or(u32::MAX));
                }
            }
        }
        let mut found: Vec<(Suspect, SubjectId)> = Vec::new();
        for (person, members) in members {
            let ids = members.len() as u32;
            let known = members.iter().filter(|member| persons.is_known(**member)).count() as u32;
            let ids_in_a_day = in_a_day.get(&person).copied().unwrap_or(0);
            if ids >= limits.ids || known >= limits.known || ids_in_a_day >= limits.ids_in_a_day {
                let named_by = persons.name_subject(persons.person_of(SubjectId::new(person)));
                found.push((Suspect { person, name: String::new(), ids, known, ids_in_a_day }, named_by));
            }
        }
        found.sort_by_key(|(suspect, _)| (std::cmp::Reverse((suspect.ids, suspect.known)), suspect.person));
        let named_by: Vec<SubjectId> = found.iter().map(|(_, subject)| *subject).collect();
        let names = snapshot.subjects.distinct_ids(&named_by)?;
        let named = found.into_iter().zip(names);
        Ok(named.map(|((suspect, _), name)| Suspect { name: name.unwrap_or_default(), ..suspect }).collect())
    }
}

/// Of every person with events under several ids on one day, the most of a day.
const IDS_IN_A_DAY: &str = "SELECT person, max(ids) FROM (SELECT person, count(DISTINCT distinct_id) AS ids FROM events \
                            GROUP BY person, date_trunc('day', timestamp)) WHERE ids > 1 GROUP BY person";
