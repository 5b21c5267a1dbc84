//! Event selectors: which events an analysis is about.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::{Fields, FromJson, Known, Place, SpecError};

/// The event names that a selector takes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum EventNames {
    /// Every event, written `"*"`.
    Any,
    /// One name.
    One(String),
    /// Any of several names.
    Many(Vec<String>),
}

impl EventNames {
    /// Whether an event of this name is taken.
    pub fn contains(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::One(one) => one == name,
            Self::Many(many) => many.iter().any(|one| one == name),
        }
    }

    /// The names that it spells out; none for [`EventNames::Any`].
    pub fn names(&self) -> &[String] {
        match self {
            Self::Any => &[],
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl From<&str> for EventNames {
    fn from(name: &str) -> Self {
        Self::from(name.to_owned())
    }
}

impl From<String> for EventNames {
    fn from(name: String) -> Self {
        if name == "*" { Self::Any } else { Self::One(name) }
    }
}

impl fmt::Display for EventNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::One(one) => f.write_str(one),
            Self::Many(many) => f.write_str(&many.join(", ")),
        }
    }
}

impl Serialize for EventNames {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Any => serializer.serialize_str("*"),
            Self::One(one) => serializer.serialize_str(one),
            Self::Many(many) => many.serialize(serializer),
        }
    }
}

impl FromJson for EventNames {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let names = match value {
            Value::String(name) => Self::from(name.as_str()),
            Value::Array(_) => Self::Many(Vec::from_json(value, place)?),
            _ => return Err(place.invalid("must be an event name, a list of names, or \"*\"")),
        };
        names.check(place)?;
        Ok(names)
    }
}

impl EventNames {
    pub(crate) fn check(&self, place: &Place) -> Result<(), SpecError> {
        match self {
            Self::Any => Ok(()),
            Self::One(one) if one.is_empty() => Err(place.invalid("must not be empty")),
            Self::One(_) => Ok(()),
            Self::Many(many) if many.is_empty() => Err(place.invalid("must name at least one event")),
            Self::Many(many) if many.iter().any(|name| name == "*") => {
                Err(place.invalid("must hold names only: \"*\" stands alone"))
            }
            Self::Many(many) if many.iter().any(String::is_empty) => Err(place.invalid("must not hold an empty name")),
            Self::Many(_) => Ok(()),
        }
    }
}

/// Which events are meant: a name, several or any, and a filter on top.
///
/// ```
/// use pugmark_query::spec::Selector;
///
/// let carts = Selector::from("cart").filter("amount > 10");
/// assert_eq!(serde_json::to_string(&carts)?, r#"{"event":"cart","filter":"amount > 10"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Selector {
    /// The names that match.
    pub event: EventNames,
    /// A SQL boolean; NULL is not a match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

impl Selector {
    /// Every event.
    pub fn any() -> Self {
        Self { event: EventNames::Any, filter: None }
    }

    /// Any of several event names.
    pub fn any_of<N: Into<String>>(names: impl IntoIterator<Item = N>) -> Self {
        Self { event: EventNames::Many(names.into_iter().map(Into::into).collect()), filter: None }
    }

    /// The same events, as far as the SQL boolean holds for them.
    #[must_use]
    pub fn filter(mut self, sql: impl Into<String>) -> Self {
        self.filter = Some(sql.into());
        self
    }

    /// Reads the two fields of a selector from an object that may have more.
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, SpecError> {
        Ok(Self { event: fields.require("event")?, filter: fields.read("filter")? })
    }
}

impl<T: Into<EventNames>> From<T> for Selector {
    fn from(event: T) -> Self {
        Self { event: event.into(), filter: None }
    }
}

impl FromJson for Selector {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["event", "filter"]] };
        Self::read(&Fields::open(value, place, &KNOWN)?)
    }
}
