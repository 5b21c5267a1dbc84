//! What an answer is cut by, and whom it counts.

use serde::Serialize;
use serde_json::Value;

use super::{Fields, FromJson, Known, Later, Place, SpecError, Word};

/// One item of a breakdown: an event property, a SQL expression over the event, or a trait of the person.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Breakdown {
    /// The value of a property of the event; NULL where the event lacks it.
    Property(String),
    /// A SQL expression over the event.
    Expression(String),
    /// A trait of the person, as it is in the snapshot; `profile_at('…')` as an expression is what it was when the event happened. NULL where the value is of
    /// another type than the first that the trait was given.
    Profile(String),
}

impl Breakdown {
    /// The property, the expression or the trait, as a column heading.
    pub fn title(&self) -> &str {
        match self {
            Self::Property(text) | Self::Expression(text) | Self::Profile(text) => text,
        }
    }
}

impl From<&str> for Breakdown {
    fn from(property: &str) -> Self {
        Self::Property(property.to_owned())
    }
}

impl From<String> for Breakdown {
    fn from(property: String) -> Self {
        Self::Property(property)
    }
}

impl FromJson for Breakdown {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known =
            Known { built: &[&["property", "expression", "profile"]], later: &[&[Later::new("segment", "null")]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        match (fields.read("property")?, fields.read("expression")?, fields.read("profile")?) {
            (Some(property), None, None) => Ok(Self::Property(property)),
            (None, Some(expression), None) => Ok(Self::Expression(expression)),
            (None, None, Some(name)) => Ok(Self::Profile(name)),
            _ => Err(place.invalid("must have exactly one of property, expression and profile")),
        }
    }
}

/// Whom an analysis counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Persons, as the identity graph of the snapshot joins their ids.
    #[default]
    Person,
    /// Distinct ids as the senders gave them, links left aside.
    DistinctId,
}

impl Word for Unit {
    const BUILT: &'static [(&'static str, Self)] = &[("person", Self::Person), ("distinct_id", Self::DistinctId)];
    const LATER: &'static [&'static str] = &["session"];
}

impl Unit {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, SpecError> {
        if let Some((Value::String(given), place)) = fields.value("unit")
            && given.starts_with("group:")
        {
            return Err(place.unsupported(format_args!(" {given}")));
        }
        Ok(fields.word("unit")?.unwrap_or_default())
    }
}
