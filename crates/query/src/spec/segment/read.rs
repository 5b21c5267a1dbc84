//! Segments in JSON.

use serde_json::Value;

use super::super::{Fields, FromJson, Known, Place, Selector, SpecError};
use super::leaf::{AtEnd, Did, End, OfFunnel, OfRetention, Times, period};
use super::{MAX_DEPTH, Segment, too_deep};
use crate::funnel::PeopleOf;

const FORMS: [&str; 11] =
    ["all", "any", "not", "did", "did_not", "first", "last", "profile", "funnel", "retention", "cohort"];

const SIDE_FIELDS: [&str; 6] = ["times", "range", "step", "outcome", "cohort", "period"];

/// The fields of a segment.
pub(crate) const SEGMENT_FIELDS: [&[&str]; 2] = [&FORMS, &SIDE_FIELDS];

/// The fields that go with a form.
fn beside(form: &str) -> &'static [&'static str] {
    match form {
        "did" => &["times", "range"],
        "did_not" | "first" | "last" => &["range"],
        "funnel" => &["step", "outcome"],
        "retention" => &["cohort", "period"],
        "cohort" => &["cohort"],
        _ => &[],
    }
}

impl FromJson for Segment {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        Self::read(value, place, MAX_DEPTH)
    }
}

impl Segment {
    /// Reads the JSON form, strictly: an object, or the name of a saved segment.
    ///
    /// # Errors
    /// `Invalid` for an unknown field, a missing or malformed value.
    pub fn from_value(value: &Value) -> Result<Self, SpecError> {
        let place = Place::root("segment");
        let segment = Self::from_json(value, &place)?;
        segment.check(&place)?;
        Ok(segment)
    }

    /// The depth is counted while reading, too: what is nested without end would else be read without end.
    fn read(value: &Value, place: &Place, depth: usize) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &SEGMENT_FIELDS };
        let Some(depth) = depth.checked_sub(1) else { return Err(too_deep(place)) };
        if let Some(name) = value.as_str() {
            return Ok(Self::Named(name.to_owned()));
        }
        Self::of_fields(&Fields::open(value, place, &KNOWN)?, place, depth)
    }

    /// Reads a segment whose object has fields of something else, too.
    pub(crate) fn read_beside<'v>(
        value: &'v Value,
        place: &Place,
        known: &Known,
    ) -> Result<(Self, Fields<'v>), SpecError> {
        let fields = Fields::open(value, place, known)?;
        Ok((Self::of_fields(&fields, place, MAX_DEPTH - 1)?, fields))
    }

    fn of_fields(fields: &Fields<'_>, place: &Place, depth: usize) -> Result<Self, SpecError> {
        // A retention has a cohort that is no form.
        let is_form = |name: &&&str| **name != "cohort" || fields.value("retention").is_none();
        let forms = FORMS.iter().filter(is_form);
        let mut forms = forms.filter_map(|name| fields.value(name).map(|(value, place)| (*name, value, place)));
        let (Some((form, given, own)), None) = (forms.next(), forms.next()) else {
            return Err(place.invalid(format_args!("must have exactly one of {}", FORMS.join(", "))));
        };
        let strange = |name: &&&str| !beside(form).contains(name) && fields.value(name).is_some();
        if let Some(name) = SIDE_FIELDS.iter().find(strange) {
            let of: Vec<&str> = FORMS.into_iter().filter(|form| beside(form).contains(name)).collect();
            let complaint = format!("does not go with {form}: {name} belongs to {}", of.join(", "));
            return Err(place.child(name).invalid(complaint));
        }
        let parts = || -> Result<Vec<Self>, SpecError> {
            let Value::Array(parts) = given else { return Err(own.invalid("must be a list of segments")) };
            parts.iter().enumerate().map(|(at, part)| Self::read(part, &own.item(at), depth)).collect()
        };
        let range = || Ok::<_, SpecError>(fields.read("range")?.unwrap_or_default());
        Ok(match form {
            "all" => Self::All(parts()?),
            "any" => Self::Any(parts()?),
            "not" => Self::Not(Box::new(Self::read(given, &own, depth)?)),
            "did" | "did_not" => {
                let selector = Selector::from_json(given, &own)?;
                let times = fields.read("times")?.unwrap_or_default();
                let did = Self::Did(Did { selector, times, range: range()? });
                if form == "did_not" { !did } else { did }
            }
            "first" | "last" => {
                let end = if form == "first" { End::First } else { End::Last };
                AtEnd { end, selector: Selector::from_json(given, &own)?, range: range()? }.into()
            }
            "profile" => Self::Profile(String::from_json(given, &own)?),
            "cohort" => Self::Cohort(String::from_json(given, &own)?),
            "funnel" => {
                let outcome = fields.word("outcome")?.ok_or_else(|| place.child("outcome").invalid("is missing"))?;
                let people = PeopleOf { step: fields.require("step")?, outcome };
                OfFunnel { funnel: FromJson::from_json(given, &own)?, people }.into()
            }
            _ => {
                let (given_period, at) =
                    fields.value("period").ok_or_else(|| place.child("period").invalid("is missing"))?;
                let (cohort, period) = (fields.require("cohort")?, period(given_period, &at)?);
                OfRetention { retention: FromJson::from_json(given, &own)?, cohort, period }.into()
            }
        })
    }
}

impl FromJson for Times {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { names: &[&["at_least", "at_most", "exactly"]] };
        let fields = Fields::open(value, place, &KNOWN)?;
        match (fields.read("at_least")?, fields.read("at_most")?, fields.read("exactly")?) {
            (Some(least), None, None) => Ok(Self::AtLeast(least)),
            (None, Some(most), None) => Ok(Self::AtMost(most)),
            (None, None, Some(exactly)) => Ok(Self::Exactly(exactly)),
            _ => Err(place.invalid("must have exactly one of at_least, at_most and exactly")),
        }
    }
}
