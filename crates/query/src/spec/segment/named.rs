//! A segment and what the question calls it.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use super::super::{FromJson, Known, Place, SpecError};
use super::{SEGMENT_FIELDS, Segment};

/// A segment, and what the question calls it.
///
/// ```
/// use pugmark_query::spec::{Did, NamedSegment};
///
/// let buyers = NamedSegment::from(Did::event("buy")).named("buyers");
/// assert_eq!(serde_json::to_string(&buyers)?, r#"{"did":{"event":"buy"},"name":"buyers"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSegment {
    /// What the question calls it.
    pub name: Option<String>,
    /// The segment.
    pub segment: Segment,
}

impl NamedSegment {
    /// Calls it by this name.
    #[must_use]
    pub fn named(self, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), ..self }
    }

    /// What the question calls it, or else the name under which it is saved.
    pub fn title(&self) -> Option<&str> {
        match (&self.name, &self.segment) {
            (Some(name), _) | (None, Segment::Named(name) | Segment::Cohort(name)) => Some(name),
            (None, _) => None,
        }
    }
}

impl<S: Into<Segment>> From<S> for NamedSegment {
    fn from(segment: S) -> Self {
        Self { name: None, segment: segment.into() }
    }
}

impl Serialize for NamedSegment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut own = serde_json::to_value(&self.segment).map_err(serde::ser::Error::custom)?;
        if let Some(name) = &self.name {
            // A name of its own has no room beside that of a saved one.
            if own.is_string() {
                own = json!({ "all": [own] });
            }
            own["name"] = json!(name);
        }
        own.serialize(serializer)
    }
}

impl FromJson for NamedSegment {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[SEGMENT_FIELDS[0], SEGMENT_FIELDS[1], &["name"]] };
        if let Some(name) = value.as_str() {
            return Ok(Segment::from(name).into());
        }
        let (segment, fields) = Segment::read_beside(value, place, &KNOWN)?;
        Ok(Self { name: fields.read("name")?, segment })
    }
}
