//! Groups of people, such as companies, and their profiles.

use pugmark_query::{Error, Group, QuerySnapshot, Result, change_group};
use pugmark_store::{Outcome, Sequence};
use serde_json::{Map, Value};

use crate::pugmark::Pugmark;

impl Pugmark {
    /// Sets traits of a group, which is a value of a property of events, and takes away those that are null. What they were before stays with the questions as of earlier sequences.
    /// `group_profile('company', 'plan')` reads them in SQL, filters and breakdowns, and the table `groups` lists them.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a property without a name or with `=` in it, a blank value, no traits, or more than the store takes (255 bytes of property and value, 8 MiB of traits); as [`track`](Self::track).
    ///
    /// # Example
    /// ```
    /// use pugmark::{Event, Pugmark, Trend};
    /// # let dir = tempfile::tempdir()?;
    /// let db = Pugmark::open(dir.path())?;
    /// db.track_many(vec![Event::new("view", "ann").property("company", "acme"), Event::new("view", "bob").property("company", "tiny")])?;
    /// db.set_group("company", "acme", serde_json::json!({"plan": "pro", "seats": 20}).as_object().expect("an object"))?;
    /// let views = db.blocking()?.trend(&Trend::of("view").filter("group_profile('company', 'plan') = 'pro'"))?;
    /// assert_eq!(views.series[0].total, 1);
    /// assert_eq!(db.group("company", "acme", None)?.map(|group| group.traits["seats"].clone()), Some(20.into()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_group(&self, property: &str, id: &str, traits: &Map<String, Value>) -> Result<()> {
        match self.one(change_group(property, id, traits)?.into())? {
            Outcome::Rejected(why) => {
                Err(Error::invalid(format!("the group \"{id}\" of \"{property}\" is refused: {why}")))
            }
            _ => Ok(()),
        }
    }

    /// What is known of a group, as of a sequence or as it stands; `None` for one without a profile.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a sequence that the store does not have.
    pub fn group(&self, property: &str, id: &str, as_of: Option<Sequence>) -> Result<Option<Group>> {
        Ok(self.snapshot_at(as_of)?.group(property, id))
    }

    /// The groups of a property that have a profile, ascending, as of a sequence or as they stand.
    ///
    /// # Errors
    /// As [`group`](Self::group).
    pub fn groups(&self, property: &str, as_of: Option<Sequence>) -> Result<Vec<Group>> {
        Ok(self.snapshot_at(as_of)?.groups(Some(property)).collect())
    }

    pub(crate) fn snapshot_at(&self, as_of: Option<Sequence>) -> Result<QuerySnapshot> {
        match as_of {
            Some(sequence) => QuerySnapshot::as_of(&self.store, sequence),
            None => self.query_snapshot(),
        }
    }
}
