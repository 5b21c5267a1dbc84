//! Segments: people, by what they did and did not do.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::Value;

use super::{Fields, FromJson, Known, Later, Place, Selector, SpecError};
use crate::calendar::Range;

/// How many selectors a segment may have in all.
pub const MAX_SEGMENT_SELECTORS: usize = 32;
/// How deep segments may stand within segments.
const MAX_DEPTH: usize = 16;

/// Some of the people: a tree of what they did and did not do.
///
/// A segment is about persons, over all history unless a leaf has a range; a question about distinct ids takes the ids of its persons.
///
/// ```
/// use pugmark_query::spec::{Did, Segment};
///
/// let buyers = Segment::from(Did::event("purchase").at_least(5)) & !Segment::from(Did::event("refund"));
/// let json = serde_json::to_string(&buyers)?;
/// assert_eq!(json, r#"{"all":[{"did":{"event":"purchase"},"times":{"at_least":5}},{"not":{"did":{"event":"refund"}}}]}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Segment {
    /// Those who are in each of these.
    All(Vec<Self>),
    /// Those who are in one of these.
    Any(Vec<Self>),
    /// Those who are not in it.
    Not(Box<Self>),
    /// Those who had events so many times.
    #[serde(untagged)]
    Did(Did),
}

/// How many times certain events are to have happened to a person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Did {
    /// The events.
    pub selector: Selector,
    /// How many of them.
    pub times: Times,
    /// Which time they are counted in; by default all history.
    pub range: Range,
}

/// How many times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Times {
    /// So many or more.
    AtLeast(u64),
    /// So many or fewer, none included.
    AtMost(u64),
    /// So many, no more and no fewer.
    Exactly(u64),
}

impl Times {
    /// Whether `count` is so many.
    pub fn holds(self, count: u64) -> bool {
        match self {
            Self::AtLeast(least) => count >= least,
            Self::AtMost(most) => count <= most,
            Self::Exactly(exactly) => count == exactly,
        }
    }
}

impl Default for Times {
    fn default() -> Self {
        Self::AtLeast(1)
    }
}

impl Did {
    /// At least one of these events, ever.
    pub fn event(selector: impl Into<Selector>) -> Self {
        Self { selector: selector.into(), times: Times::default(), range: Range::default() }
    }

    /// So many of them or more.
    #[must_use]
    pub fn at_least(self, times: u64) -> Self {
        Self { times: Times::AtLeast(times), ..self }
    }

    /// So many of them or fewer, none included.
    #[must_use]
    pub fn at_most(self, times: u64) -> Self {
        Self { times: Times::AtMost(times), ..self }
    }

    /// So many of them, no more and no fewer.
    #[must_use]
    pub fn exactly(self, times: u64) -> Self {
        Self { times: Times::Exactly(times), ..self }
    }

    /// Counts those in this range alone.
    #[must_use]
    pub fn range(self, range: Range) -> Self {
        Self { range, ..self }
    }
}

impl From<Did> for Segment {
    fn from(did: Did) -> Self {
        Self::Did(did)
    }
}

impl std::ops::Not for Segment {
    type Output = Self;

    fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl std::ops::BitAnd for Segment {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self::All(vec![self, other])
    }
}

impl std::ops::BitOr for Segment {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self::Any(vec![self, other])
    }
}

impl Segment {
    /// What it asks of people, with the path of each, in the order in which they stand.
    pub(crate) fn leaves(&self) -> Vec<(&Did, String)> {
        let mut leaves = Vec::new();
        self.each_leaf("segment", &mut |did, path| leaves.push((did, path.to_owned())));
        leaves
    }

    fn each_leaf<'a>(&'a self, path: &str, leaf: &mut impl FnMut(&'a Did, &str)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                let name = if matches!(self, Self::All(_)) { "all" } else { "any" };
                for (at, part) in parts.iter().enumerate() {
                    part.each_leaf(&format!("{path}.{name}[{at}]"), leaf);
                }
            }
            Self::Not(part) => part.each_leaf(&format!("{path}.not"), leaf),
            Self::Did(did) => leaf(did, path),
        }
    }

    /// Whether a person is in it, of whom `counts` tells how often each leaf happened, in their order.
    pub(crate) fn holds(&self, counts: &mut impl Iterator<Item = u64>) -> bool {
        match self {
            // Every part takes its counts, whatever those before it say.
            Self::All(parts) => parts.iter().filter(|part| part.holds(counts)).count() == parts.len(),
            Self::Any(parts) => parts.iter().filter(|part| part.holds(counts)).count() > 0,
            Self::Not(part) => !part.holds(counts),
            Self::Did(did) => did.times.holds(counts.next().unwrap_or(0)),
        }
    }

    pub(crate) fn check(&self, place: &Place) -> Result<(), SpecError> {
        self.check_within(place, MAX_DEPTH)?;
        let leaves = self.leaves().len();
        if leaves > MAX_SEGMENT_SELECTORS {
            let complaint = format_args!("takes at most {MAX_SEGMENT_SELECTORS} selectors, found {leaves}");
            return Err(place.invalid(complaint));
        }
        Ok(())
    }

    fn check_within(&self, place: &Place, depth: usize) -> Result<(), SpecError> {
        let Some(depth) = depth.checked_sub(1) else {
            return Err(place.invalid(format_args!("stands too deep: at most {MAX_DEPTH} segments within each other")));
        };
        match self {
            Self::All(parts) | Self::Any(parts) => {
                let place = place.child(if matches!(self, Self::All(_)) { "all" } else { "any" });
                if parts.is_empty() {
                    return Err(place.invalid("must have at least one segment"));
                }
                parts.iter().enumerate().try_for_each(|(at, part)| part.check_within(&place.item(at), depth))
            }
            Self::Not(part) => part.check_within(&place.child("not"), depth),
            Self::Did(did) => {
                did.selector.event.check(&place.child("did").child("event"))?;
                did.range.check().map_err(|error| place.child("range").locate(error))
            }
        }
    }
}

impl Serialize for Did {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("did", &self.selector)?;
        if self.times != Times::default() {
            map.serialize_entry("times", &self.times)?;
        }
        if !self.range.is_default() {
            map.serialize_entry("range", &self.range)?;
        }
        map.end()
    }
}

const FORMS: [&str; 5] = ["all", "any", "not", "did", "did_not"];

impl FromJson for Segment {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        Self::read(value, place, MAX_DEPTH)
    }
}

impl Segment {
    /// The depth is counted while reading, too: what is nested without end would else be read without end.
    fn read(value: &Value, place: &Place, depth: usize) -> Result<Self, SpecError> {
        const KNOWN: Known = Known {
            built: &[&FORMS, &["times", "range"]],
            later: &[&[
                Later::new("first", "null"),
                Later::new("last", "null"),
                Later::new("profile", "null"),
                Later::new("funnel", "null"),
                Later::new("retention", "null"),
                Later::new("cohort", "null"),
            ]],
        };
        let Some(depth) = depth.checked_sub(1) else {
            return Err(place.invalid(format_args!("stands too deep: at most {MAX_DEPTH} segments within each other")));
        };
        if value.is_string() {
            return Err(place.unsupported(" by name"));
        }
        if value.is_array() {
            return Err(place.unsupported(" as a list"));
        }
        let fields = Fields::open(value, place, &KNOWN)?;
        let mut forms = FORMS.iter().filter_map(|name| fields.value(name).map(|(value, place)| (*name, value, place)));
        let (Some((form, given, own)), None) = (forms.next(), forms.next()) else {
            return Err(place.invalid(format_args!("must have exactly one of {}", FORMS.join(", "))));
        };
        if let Some((name, _, place)) = ["times", "range"]
            .into_iter()
            .filter_map(|name| fields.value(name).map(|(value, place)| (name, value, place)))
            .find(|(name, ..)| !form.starts_with("did") || (form == "did_not" && *name == "times"))
        {
            return Err(place.invalid(format_args!("does not go with {form}: {name} belongs to did")));
        }
        let parts = || -> Result<Vec<Self>, SpecError> {
            let Value::Array(parts) = given else { return Err(own.invalid("must be a list of segments")) };
            parts.iter().enumerate().map(|(at, part)| Self::read(part, &own.item(at), depth)).collect()
        };
        let segment = match form {
            "all" => Self::All(parts()?),
            "any" => Self::Any(parts()?),
            "not" => Self::Not(Box::new(Self::read(given, &own, depth)?)),
            _ => {
                let selector = Selector::from_json(given, &own)?;
                let times = fields.read("times")?.unwrap_or_default();
                let did = Self::Did(Did { selector, times, range: fields.read("range")?.unwrap_or_default() });
                if form == "did_not" { !did } else { did }
            }
        };
        Ok(segment)
    }
}

impl FromJson for Times {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        const KNOWN: Known = Known { built: &[&["at_least", "at_most", "exactly"]], later: &[] };
        let fields = Fields::open(value, place, &KNOWN)?;
        match (fields.read("at_least")?, fields.read("at_most")?, fields.read("exactly")?) {
            (Some(least), None, None) => Ok(Self::AtLeast(least)),
            (None, Some(most), None) => Ok(Self::AtMost(most)),
            (None, None, Some(exactly)) => Ok(Self::Exactly(exactly)),
            _ => Err(place.invalid("must have exactly one of at_least, at_most and exactly")),
        }
    }
}
