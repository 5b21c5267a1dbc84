//! What an answer is cut by, and whom it counts.

use serde::Serialize;
use serde_json::Value;

use super::{Fields, FromJson, Known, Later, Place, SpecError, Word};

/// One item of a breakdown: an event property, or a SQL expression over the event.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Breakdown {
    /// The value of a property of the event; NULL where the event lacks it.
    Property(String),
    /// A SQL expression over the event.
    Expression(String),
}

impl Breakdown {
    /// The property or the expression, as a column heading.
    pub fn title(&self) -> &str {
        match self {
            Self::Property(text) | Self::Expression(text) => text,
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
        const KNOWN: Known = Known {
            built: &[&["property", "expression"]],
            later: &[&[Later::new("segment", "null"), Later::new("profile", "null")]],
        };
        let fields = Fields::open(value, place, &KNOWN)?;
        match (fields.read("property")?, fields.read("expression")?) {
            (Some(property), None) => Ok(Self::Property(property)),
            (None, Some(expression)) => Ok(Self::Expression(expression)),
            _ => Err(place.invalid("must have exactly one of property and expression")),
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
