//! The question of how many people are in a segment.

use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::spec::{FromJson, Known, Place, SEGMENT_FIELDS, Scope, Segment, SpecError, json_form};

/// The most people that an answer names.
pub const MAX_NAMED: usize = 100_000;

/// How many people are in a segment, and on request who they are.
///
/// Everybody is asked whom the store knows, also those without events. Five events of three people, asked for
/// `Audience::of(Did::event("purchase").at_least(2))`:
///
/// | person | event    |
/// |--------|----------|
/// | ann    | purchase |
/// | ann    | purchase |
/// | bob    | view     |
/// | bob    | purchase |
/// | cid    | view     |
///
/// answer 1: ann.
///
/// ```
/// use pugmark_query::{audience::Audience, spec::{Did, Segment}};
///
/// let payers = Audience::of(Segment::from(Did::event("purchase").at_least(5)) & Segment::profile("country = 'US'")).people();
/// let json = r#"{"all":[{"did":{"event":"purchase"},"times":{"at_least":5}},{"profile":"country = 'US'"}],"people":true}"#;
/// assert_eq!(serde_json::to_string(&payers)?, json);
/// assert_eq!(serde_json::from_str::<Audience>(json)?, payers);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// Whether the answer has the names of the people; at most [`MAX_NAMED`].
    pub people: bool,
    /// The segment and the zone that its dates are of; the rest stays as it is by default.
    pub scope: Scope,
}

impl Audience {
    /// The word of the JSON form.
    pub const NAME: &'static str = "segment";

    /// How many people are in this segment.
    pub fn of(segment: impl Into<Segment>) -> Self {
        Self { people: false, scope: Scope { segment: Some(segment.into()), ..Scope::default() } }
    }

    /// Names the people.
    #[must_use]
    pub fn people(mut self) -> Self {
        self.people = true;
        self
    }

    /// Takes dates for those of this IANA zone.
    #[must_use]
    pub fn time_zone(mut self, name: impl Into<String>) -> Self {
        self.scope.time_zone = Some(name.into());
        self
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        let default = Scope { segment: None, segments: Vec::new(), time_zone: None, ..self.scope.clone() };
        if default != Scope::default() {
            return Err(place.invalid("has a segment and a time_zone, and nothing else of what questions share"));
        }
        if self.scope.segment.is_none() && self.scope.segments.is_empty() {
            return Err(place.invalid("needs a segment"));
        }
        self.scope.check_segments(place)?;
        self.scope.check_zone(place)
    }
}

impl Serialize for Audience {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.scope.segments.is_empty() {
            return self.scope.segments.serialize(serializer);
        }
        let mut own = serde_json::to_value(&self.scope.segment).map_err(serde::ser::Error::custom)?;
        // A name has room for nothing beside it.
        if own.is_string() && (self.people || self.scope.time_zone.is_some()) {
            own = json!({ "all": [own] });
        }
        if let Value::Object(fields) = &mut own {
            fields.extend(self.people.then(|| ("people".to_owned(), json!(true))));
            fields.extend(self.scope.time_zone.as_ref().map(|zone| ("time_zone".to_owned(), json!(zone))));
        }
        own.serialize(serializer)
    }
}

impl FromJson for Audience {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[SEGMENT_FIELDS[0], SEGMENT_FIELDS[1], &["people", "time_zone"]] };
        if value.is_string() || value.is_array() {
            let (segment, segments) = Scope::read_segments(Some((value, place.clone())))?;
            let audience = Self { people: false, scope: Scope { segment, segments, ..Scope::default() } };
            audience.check(place)?;
            return Ok(audience);
        }
        let (segment, fields) = Segment::read_beside(value, place, &KNOWN)?;
        let audience = Self {
            people: fields.read("people")?.unwrap_or(false),
            scope: Scope { time_zone: fields.read("time_zone")?, ..Self::of(segment).scope },
        };
        audience.check(place)?;
        Ok(audience)
    }
}

json_form!(Audience);
