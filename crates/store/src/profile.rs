//! What a caller says of somebody's traits.

use crate::event::{Entry, Operation};
use crate::limits;
use crate::outcome::Rejection;
use crate::record::ProfileChange;
use crate::time::Timestamp;
use crate::value::{Value, ValueRef};
use crate::view::{check_distinct_id, check_instant, check_length, check_name, check_value, value_size};

/// A change of somebody's traits: what is known about a person beside what they did.
///
/// # Example
/// ```
/// use pugmark_store::ProfileUpdate;
/// let update = ProfileUpdate::set("user-42").with("plan", "pro").with("seats", 5);
/// assert_eq!(update.traits.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileUpdate {
    /// Who, as the sender knows them.
    pub distinct_id: String,
    /// How the values change what was there.
    pub change: ProfileChange,
    /// Names and values, 1 to [`limits::PROPERTIES_MAX`]; values of [`ProfileChange::Unset`] do not matter.
    pub traits: Vec<(String, Value)>,
    /// From when on it is so; the instant of receipt where the sender gave none.
    pub timestamp: Option<Timestamp>,
    /// The idempotency key, of the same space as those of events: without one, what is sent twice is said twice, which `add` and `append` show.
    pub message_id: Option<String>,
}

impl ProfileUpdate {
    fn new(change: ProfileChange, distinct_id: impl Into<String>) -> Self {
        Self { distinct_id: distinct_id.into(), change, traits: Vec::new(), timestamp: None, message_id: None }
    }

    /// Traits have these values from now on.
    pub fn set(distinct_id: impl Into<String>) -> Self {
        Self::new(ProfileChange::Set, distinct_id)
    }

    /// Traits that have no value get these.
    pub fn set_once(distinct_id: impl Into<String>) -> Self {
        Self::new(ProfileChange::SetOnce, distinct_id)
    }

    /// Numbers are added to traits, which begin at 0.
    pub fn add(distinct_id: impl Into<String>) -> Self {
        Self::new(ProfileChange::Add, distinct_id)
    }

    /// Values are added to the ends of lists.
    pub fn append(distinct_id: impl Into<String>) -> Self {
        Self::new(ProfileChange::Append, distinct_id)
    }

    /// Values are added to the ends of lists that do not have them.
    pub fn union(distinct_id: impl Into<String>) -> Self {
        Self::new(ProfileChange::Union, distinct_id)
    }

    /// These traits have no value from now on.
    pub fn unset(distinct_id: impl Into<String>, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let traits = names.into_iter().map(|name| (name.into(), Value::Bool(true))).collect();
        Self { traits, ..Self::new(ProfileChange::Unset, distinct_id) }
    }

    /// Adds a trait.
    #[must_use]
    pub fn with(mut self, name: impl Into<String>, value: impl Into<Value>) -> Self {
        self.traits.push((name.into(), value.into()));
        self
    }

    /// Sets from when on it is so.
    #[must_use]
    pub fn at(mut self, timestamp: Timestamp) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Sets the idempotency key.
    #[must_use]
    pub fn message_id(mut self, id: impl Into<String>) -> Self {
        self.message_id = Some(id.into());
        self
    }

    /// Names and values, as they are recorded.
    pub fn recorded(&self) -> impl Iterator<Item = (&str, ValueRef<'_>)> {
        self.traits.iter().map(|(name, value)| match self.change {
            // What is gone has no value; a record says so in one way.
            ProfileChange::Unset => (name.as_str(), ValueRef::Bool(true)),
            _ => (name.as_str(), value.borrowed()),
        })
    }

    pub(crate) fn size(&self) -> usize {
        let traits = self.traits.iter().map(|(name, value)| name.len() + value_size(value.borrowed()));
        self.distinct_id.len() + self.message_id.as_ref().map_or(0, String::len) + traits.sum::<usize>()
    }

    /// Says why this may not be stored, if so; `latest` is the last instant that it may carry.
    pub(crate) fn validate(&self, latest: Timestamp) -> std::result::Result<(), Rejection> {
        check_distinct_id("distinct_id", &self.distinct_id)?;
        check_instant(self.timestamp, latest)?;
        check_length("message_id", self.message_id.as_deref(), limits::MESSAGE_ID_MAX_BYTES)?;
        let count = self.traits.len();
        if !(1..=limits::PROPERTIES_MAX).contains(&count) {
            let most = limits::PROPERTIES_MAX;
            return Err(Rejection::new("traits", format!("{count} of them, expected 1 to {most}")));
        }
        for (name, value) in &self.traits {
            check_name("traits", name)?;
            check_value("traits", name, value.borrowed())?;
            if self.change == ProfileChange::Add && !is_number(value.borrowed()) {
                let why = format!("{} is no number, which add takes", value.borrowed().to_json());
                return Err(Rejection::new(format!("traits.{name}"), why));
            }
        }
        let size = self.size();
        if size > limits::EVENT_MAX_BYTES {
            let most = limits::EVENT_MAX_BYTES;
            return Err(Rejection::new("traits", format!("{size} bytes, at most {most} are allowed")));
        }
        Ok(())
    }
}

/// Whether it is a number within the range of doubles.
fn is_number(value: ValueRef<'_>) -> bool {
    match value {
        ValueRef::Int(_) | ValueRef::Float(_) => true,
        ValueRef::Number(text) => text.parse().is_ok_and(f64::is_finite),
        ValueRef::Bool(_) | ValueRef::Text(_) | ValueRef::Json(_) => false,
    }
}

impl From<ProfileUpdate> for Entry {
    fn from(update: ProfileUpdate) -> Self {
        Self::Operation(Operation::Profile(update))
    }
}
