//! What an answer is cut by, and whom it counts.

use serde::{Serialize, Serializer};
use serde_json::Value;

use super::reader::unknown_word;
use super::{Fields, FromJson, Known, Place, Segment, SpecError};

/// One item of a breakdown: an event property, a SQL expression over the event, a trait of the person, or whether the person is in a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Breakdown {
    /// The value of a property of the event; NULL where the event lacks it.
    Property(String),
    /// A SQL expression over the event.
    Expression(String),
    /// A trait of the person, as it is in the snapshot; `profile_at('…')` as an expression is what it was when the event happened. NULL where the value is of
    /// another type than the first that the trait was given.
    Profile(String),
    /// Whether the person is in a segment: true or false.
    #[serde(untagged)]
    Segment(Box<InSegment>),
}

/// A segment that an answer is cut by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InSegment {
    /// The segment.
    pub segment: Segment,
    /// What the question calls it; by default the name under which it is saved, else `segment`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Breakdown {
    /// The property, the expression or the trait, as a column heading.
    pub fn title(&self) -> &str {
        match self {
            Self::Property(text) | Self::Expression(text) | Self::Profile(text) => text,
            Self::Segment(of) => match (&of.name, &of.segment) {
                (Some(name), _) | (None, Segment::Named(name) | Segment::Cohort(name)) => name,
                (None, _) => "segment",
            },
        }
    }

    /// The segment that it asks for.
    pub(crate) fn segment(&self) -> Option<&Segment> {
        match self {
            Self::Segment(of) => Some(&of.segment),
            Self::Property(_) | Self::Expression(_) | Self::Profile(_) => None,
        }
    }

    pub(crate) fn check(&self, place: &Place) -> Result<(), SpecError> {
        self.segment().map_or(Ok(()), |segment| segment.check(&place.child("segment")))
    }
}

impl From<Segment> for Breakdown {
    fn from(segment: Segment) -> Self {
        Self::Segment(Box::new(InSegment { segment, name: None }))
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
        const KNOWN: Known = Known { names: &[&["property", "expression", "profile", "segment", "name"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        let texts = (fields.read("property")?, fields.read("expression")?, fields.read("profile")?);
        match (texts, fields.read("segment")?, fields.read("name")?) {
            ((Some(property), None, None), None, None) => Ok(Self::Property(property)),
            ((None, Some(expression), None), None, None) => Ok(Self::Expression(expression)),
            ((None, None, Some(name)), None, None) => Ok(Self::Profile(name)),
            ((None, None, None), Some(segment), name) => Ok(Self::Segment(Box::new(InSegment { segment, name }))),
            (_, None, Some(_)) => Err(place.child("name").invalid("belongs to segment")),
            _ => Err(place.invalid("must have exactly one of property, expression, profile and segment")),
        }
    }
}

/// Whom an analysis counts.
///
/// In JSON it is `"person"`, `"distinct_id"`, `"session"` or `"group:<property>"`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum Unit {
    /// Persons, as the identity graph of the snapshot joins their ids.
    #[default]
    Person,
    /// Distinct ids as the senders gave them, links left aside.
    DistinctId,
    /// Sessions of persons, as the default rule of [`Sessions`](crate::sessions::Sessions) cuts them among the events that the question's filter lets through.
    Session,
    /// The values of a property, such as a company: who lacks it is nobody's.
    Group(String),
}

/// How a unit that is the value of a property begins.
const GROUP: &str = "group:";

impl Serialize for Unit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Person => serializer.serialize_str("person"),
            Self::DistinctId => serializer.serialize_str("distinct_id"),
            Self::Session => serializer.serialize_str("session"),
            Self::Group(property) => serializer.collect_str(&format_args!("{GROUP}{property}")),
        }
    }
}

impl Unit {
    pub(crate) fn read(fields: &Fields<'_>) -> Result<Self, SpecError> {
        const WORDS: [&str; 4] = ["person", "distinct_id", "session", "group:<property>"];
        let Some((value, place)) = fields.value("unit") else { return Ok(Self::default()) };
        let given = String::from_json(value, &place)?;
        match (given.as_str(), given.strip_prefix(GROUP)) {
            ("person", _) => Ok(Self::Person),
            ("distinct_id", _) => Ok(Self::DistinctId),
            ("session", _) => Ok(Self::Session),
            (_, Some("")) => Err(place.invalid("must name the property of the group, as in \"group:company\"")),
            (_, Some(property)) => Ok(Self::Group(property.to_owned())),
            _ => Err(unknown_word(&given, &WORDS, &place)),
        }
    }

    /// Whether each of these units is one subject or several, so that what is kept by subject tells of them.
    pub(crate) fn is_of_subjects(&self) -> bool {
        matches!(self, Self::Person | Self::DistinctId)
    }
}
