//! A definition and its JSON form.

use pugmark_registry::DefinitionKind;
use pugmark_store::SubjectId;
use serde_json::{Map, Value, json};

use crate::spec::{Fields, FromJson, Known, Place, Query, Segment, SpecError};

/// The most persons that a cohort may have.
pub const MAX_COHORT: usize = 700_000;

/// What is saved under a name.
///
/// ```
/// use pugmark_query::{saved::Definition, spec::{Did, Segment}};
///
/// let payers = Definition::segment("payers", Did::event("purchase").at_least(5)).description("bought five times");
/// assert_eq!(payers.body(), r#"{"description":"bought five times","segment":{"did":{"event":"purchase"},"times":{"at_least":5}}}"#);
/// assert_eq!(Definition::from_body("payers", &payers.body())?, payers);
/// # Ok::<(), pugmark_query::spec::SpecError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// What it is for, in the words of who saved it.
    pub description: Option<String>,
    /// What it is.
    pub saved: Saved,
}

/// What stands under a name.
#[derive(Debug, Clone, PartialEq)]
pub enum Saved {
    /// People by a rule, found anew by every question.
    Segment(Segment),
    /// A subject of each person, ascending. Erasure forgets whose they are.
    Cohort(Vec<SubjectId>),
    /// A question.
    Question(Box<Query>),
}

impl Definition {
    /// Saves a segment.
    pub fn segment(name: impl Into<String>, segment: impl Into<Segment>) -> Self {
        Self { name: name.into(), description: None, saved: Saved::Segment(segment.into()) }
    }

    /// Saves a question.
    pub fn question(name: impl Into<String>, question: impl Into<Query>) -> Self {
        Self { name: name.into(), description: None, saved: Saved::Question(Box::new(question.into())) }
    }

    /// Saves people, each as one subject.
    pub fn cohort(name: impl Into<String>, mut subjects: Vec<SubjectId>) -> Self {
        subjects.sort_unstable();
        subjects.dedup();
        Self { name: name.into(), description: None, saved: Saved::Cohort(subjects) }
    }

    /// Says what it is for.
    #[must_use]
    pub fn description(self, description: impl Into<String>) -> Self {
        Self { description: Some(description.into()), ..self }
    }

    /// What it is.
    pub fn kind(&self) -> DefinitionKind {
        match self.saved {
            Saved::Segment(_) => DefinitionKind::Segment,
            Saved::Cohort(_) => DefinitionKind::Cohort,
            Saved::Question(_) => DefinitionKind::Question,
        }
    }

    /// It in JSON, without its name, as the log keeps it (`docs/format.md`, Definitions).
    ///
    /// # Panics
    /// Never: what is built of text and numbers has a JSON form.
    pub fn body(&self) -> String {
        let mut body = Map::new();
        body.extend(self.description.as_ref().map(|text| ("description".to_owned(), json!(text))));
        let json = match &self.saved {
            Saved::Segment(segment) => serde_json::to_value(segment),
            Saved::Cohort(subjects) => Ok(subjects.iter().map(|subject| subject.number()).collect()),
            Saved::Question(query) => serde_json::to_value(query),
        };
        body.insert(self.kind().name().to_owned(), json.expect("invariant: texts and numbers have a JSON form"));
        Value::Object(body).to_string()
    }

    /// Reads what [`body`](Self::body) wrote.
    ///
    /// # Errors
    /// `Invalid` for what is not JSON or has an unknown field; `Unsupported` for what a later version wrote.
    pub fn from_body(name: &str, body: &str) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["description", "segment", "cohort", "question"]] };
        let value: Value = serde_json::from_str(body)
            .map_err(|error| SpecError::invalid(format!("the definition \"{name}\" is not JSON: {error}")))?;
        let fields = Fields::open(&value, &Place::root("definition"), &KNOWN)?;
        let saved = match (fields.value("segment"), fields.value("cohort"), fields.value("question")) {
            (Some((segment, place)), None, None) => Saved::Segment(Segment::from_json(segment, &place)?),
            (None, Some((subjects, place)), None) => {
                let subjects: Vec<u64> = Vec::from_json(subjects, &place)?;
                let subject = |number| u32::try_from(number).map(SubjectId::new);
                let subjects: Result<_, _> = subjects.into_iter().map(subject).collect();
                Saved::Cohort(subjects.map_err(|_| place.invalid("must hold numbers of subjects"))?)
            }
            (None, None, Some((query, _))) => Saved::Question(Box::new(Query::from_value(query)?)),
            _ => return Err(fields.place().invalid("must have exactly one of segment, cohort and question")),
        };
        Ok(Self { name: name.to_owned(), description: fields.read("description")?, saved })
    }
}
