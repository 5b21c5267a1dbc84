//! What is saved under a name: segments, cohorts and questions.

use std::sync::PoisonError;

use pugmark_query::audience::Audience;
use pugmark_query::saved::{Definition, MAX_COHORT};
use pugmark_query::{Error, QueryResult, QuerySnapshot, Result, Sampling};
use pugmark_store::{Operation, Outcome, Sequence, SubjectId, Timestamp};

use crate::Query;
use crate::pugmark::Pugmark;

/// A definition as it stands, and since when.
#[derive(Debug, Clone, PartialEq)]
pub struct Defined {
    /// What is saved.
    pub definition: Definition,
    /// Its version under its name, from 1.
    pub version: u32,
    /// The sequence that saved it.
    pub sequence: Sequence,
    /// When that was.
    pub at: Timestamp,
}

impl Pugmark {
    /// Saves a segment, a cohort or a question under its name, and returns its version: 1, or one more than the name had. Every question from then on takes this version; one
    /// as of an earlier sequence takes that of then.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for one that contradicts itself, names what is not saved (with the nearest names) or is made of itself; as
    /// [`track`](Self::track).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Definition, Did, Event, Funnel, Pugmark, Segment};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "ann"), Event::new("buy", "ann"), Event::new("view", "bob")])?;
    /// db.define(&Definition::segment("buyers", Did::event("buy")).description("bought anything, ever"))?;
    /// let viewers = db.blocking()?.funnel(&Funnel::steps(["view"]).segment("buyers"))?;
    /// assert_eq!(viewers.groups[0].steps[0].count, 1);
    /// assert_eq!(db.define(&Definition::segment("buyers", Did::event("buy").at_least(2)))?, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn define(&self, definition: &Definition) -> Result<u32> {
        let _one = self.defining.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.query_snapshot()?;
        snapshot.check_definition(definition)?;
        let version = snapshot.last_version(&definition.name) + 1;
        self.put(definition.kind().name(), &definition.name, version, Some(definition.body()))?;
        Ok(version)
    }

    /// Takes away what is saved under a name; what it was stays with the questions as of earlier sequences.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if nothing is saved under it, with the nearest names; as [`track`](Self::track).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Definition, Did, Pugmark};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.define(&Definition::segment("buyers", Did::event("buy")))?;
    /// db.undefine("buyers")?;
    /// assert!(db.definitions()?.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn undefine(&self, name: &str) -> Result<()> {
        let _one = self.defining.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = self.query_snapshot()?;
        let kind = snapshot.defined(name)?.kind.name();
        self.put(kind, name, snapshot.last_version(name) + 1, None)
    }

    /// What is saved, by name.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for what a later version of pugmark saved.
    pub fn definitions(&self) -> Result<Vec<Defined>> {
        let snapshot = self.query_snapshot()?;
        let defined = snapshot.definitions().map(|(name, version)| {
            let definition = Definition::from_body(name, version.body.as_deref().unwrap_or_default())?;
            Ok(Defined { definition, version: version.version, sequence: version.sequence, at: version.received_at })
        });
        defined.collect()
    }

    /// Saves the persons who are known by these ids as a cohort: it stays as it is, however they come to be known. Returns its version.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for an id that was never seen, and for more than [`MAX_COHORT`] persons; as [`define`](Self::define).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark, Segment, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "ann"), Event::new("view", "bob")])?;
    /// db.define_cohort("testers", &["bob"])?;
    /// let views = db.blocking()?.trend(&Trend::of("view").uniques().segment(Segment::cohort("testers")))?;
    /// assert_eq!(views.series[0].total, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn define_cohort(&self, name: &str, distinct_ids: &[impl AsRef<str>]) -> Result<u32> {
        let ids: Vec<&str> = distinct_ids.iter().map(AsRef::as_ref).collect();
        let persons = self.query_snapshot()?.persons_known_as(&ids)?;
        self.define(&cohort(name, persons)?)
    }

    /// Saves those who are in a segment now as a cohort: the people of a step of a funnel, of a cell of a retention table, or of any rule. Returns its version.
    ///
    /// # Errors
    /// As [`query`](Self::query), and [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for more than [`MAX_COHORT`] persons.
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pugmark::{Audience, Event, Funnel, OfFunnel, Pugmark, Segment};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "ann"), Event::new("view", "bob"), Event::new("buy", "bob")])?;
    /// db.save_people("left", &Audience::of(OfFunnel::dropped(Funnel::steps(["view", "buy"]), 2))).await?;
    /// db.track(Event::new("buy", "ann"))?;
    /// let left = db.audience(&Audience::of(Segment::cohort("left")).people()).await?;
    /// assert_eq!(left.people, Some(vec!["ann".to_owned()]));
    /// # Ok(()) }
    /// ```
    pub async fn save_people(&self, name: &str, people: &Audience) -> Result<u32> {
        let persons = self.engine().members(&self.query_snapshot()?, people).await?;
        self.define(&cohort(name, persons)?)
    }

    /// The question that is saved under a name, as of a sequence or as it stands; of a segment or a cohort, how many people are in it. One as of a sequence asks as of it.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if nothing is saved under it, with the nearest names, and for a sequence that the store does not have.
    ///
    /// # Example
    /// ```
    /// use pugmark::{Definition, Pugmark, Query, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.define(&Definition::question("views", Trend::of("view")))?;
    /// assert_eq!(db.question("views", None)?, Query::from(Trend::of("view")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn question(&self, name: &str, as_of: Option<Sequence>) -> Result<Query> {
        let Some(sequence) = as_of else { return self.query_snapshot()?.question(name) };
        let question = QuerySnapshot::as_of(&self.store, sequence)?.question(name)?;
        Ok(Query { as_of: Some(sequence.number()), ..question })
    }

    /// Answers the question that is saved under a name; of a segment or a cohort, how many people are in it.
    ///
    /// # Errors
    /// As [`question`](Self::question) and [`query`](Self::query).
    ///
    /// # Example
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use pugmark::{Definition, Event, Pugmark, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track(Event::new("view", "ann"))?;
    /// db.define(&Definition::question("views", Trend::of("view")))?;
    /// assert_eq!(serde_json::to_value(db.ask("views").await?)?["series"][0]["total"], 1);
    /// # Ok(()) }
    /// ```
    pub async fn ask(&self, name: &str) -> Result<QueryResult> {
        self.query(&self.question(name, None)?).await
    }

    /// As [`ask`](Self::ask), as of a sequence: with what was saved under the name then.
    ///
    /// # Errors
    /// As [`question`](Self::question) and [`query`](Self::query).
    pub async fn ask_as_of(&self, name: &str, sequence: Sequence) -> Result<QueryResult> {
        self.query(&self.question(name, Some(sequence))?).await
    }

    /// Records that from now on the events of this share of the distinct ids are stored, and whether that is another than before. Answers warn of it, now and for ever: numbers are of what is stored. Nothing is left out by it: whoever stores events asks [`Sampling::keeps`] first.
    ///
    /// # Errors
    /// As [`track`](Self::track).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark, Sampling, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// let half = Sampling::per_million(500_000)?;
    /// assert!(db.set_sampling(half)?);
    /// assert!(!db.set_sampling(half)?);
    /// let events = ["ann", "bob", "eve"].into_iter().filter(|id| half.keeps(id)).map(|id| Event::new("view", id));
    /// db.track_many(events.collect())?;
    /// let views = db.blocking()?.trend(&Trend::of("view"))?;
    /// assert!(views.header.warnings[0].contains("50 % of the distinct ids"), "{:?}", views.header.warnings);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_sampling(&self, sampling: Sampling) -> Result<bool> {
        let _one = self.defining.lock().unwrap_or_else(PoisonError::into_inner);
        let (is, version) = self.query_snapshot()?.sampling();
        if is == Some(sampling) {
            return Ok(false);
        }
        match self.one(sampling.operation(version + 1).into())? {
            Outcome::Rejected(why) => Err(Error::invalid(format!("the sampling is refused: {why}"))),
            _ => Ok(true),
        }
    }

    /// Of how many distinct ids the events are stored, as was last recorded; `None` where a later version of pugmark recorded it otherwise.
    ///
    /// # Errors
    /// As [`definitions`](Self::definitions).
    pub fn sampling(&self) -> Result<Option<Sampling>> {
        Ok(self.query_snapshot()?.sampling().0)
    }

    /// What every answer warns of, also one of SQL, which has no place to say it: that events of a share of the distinct ids alone were stored.
    ///
    /// # Errors
    /// As [`definitions`](Self::definitions).
    pub fn warnings(&self) -> Result<Vec<String>> {
        Ok(self.query_snapshot()?.sampling_warnings().collect())
    }

    fn put(&self, kind: &str, name: &str, version: u32, body: Option<String>) -> Result<()> {
        let operation = Operation::Define { kind: kind.to_owned(), name: name.to_owned(), version, body };
        match self.one(operation.into())? {
            Outcome::Rejected(why) => Err(Error::invalid(format!("the definition \"{name}\" is refused: {why}"))),
            _ => Ok(()),
        }
    }
}

fn cohort(name: &str, persons: Vec<SubjectId>) -> Result<Definition> {
    if persons.len() > MAX_COHORT {
        let found = persons.len();
        return Err(Error::invalid(format!(
            "the cohort \"{name}\" would have {found} persons, more than {MAX_COHORT}: save the segment instead, or narrow it"
        )));
    }
    Ok(Definition::cohort(name, persons))
}
