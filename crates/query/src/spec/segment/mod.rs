//! Segments: people, by what they did and did not do, who they are, and how far they got.

mod leaf;
mod named;
mod read;

use serde::Serialize;

use super::{Place, SpecError};
pub use leaf::{AtEnd, Did, End, OfFunnel, OfRetention, Times};
pub use named::NamedSegment;
pub(crate) use read::SEGMENT_FIELDS;

/// How many selectors and questions a segment may have in all, those of the segments of its questions included.
pub const MAX_SEGMENT_SELECTORS: usize = 32;
/// How deep segments may stand within segments.
const MAX_DEPTH: usize = 16;

/// Some of the people: a tree of what they did and did not do, who they are, and how far they got.
///
/// A segment is about persons, over all history unless a leaf has a range; a question about distinct ids takes the ids of its persons.
///
/// ```
/// use pugmark_query::spec::{Did, Segment};
///
/// let buyers = Segment::from(Did::event("purchase").at_least(5)) & !Segment::from(Did::event("refund"));
/// let json = serde_json::to_string(&buyers)?;
/// assert_eq!(json, r#"{"all":[{"did":{"event":"purchase"},"times":{"at_least":5}},{"not":{"did":{"event":"refund"}}}]}"#);
/// let american = buyers & Segment::profile("country = 'US'");
/// # let _ = american;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Segment {
    /// Those who are in each of these.
    All(Vec<Self>),
    /// Those who are in one of these.
    Any(Vec<Self>),
    /// Those who are not in it.
    Not(Box<Self>),
    /// Those of whom a SQL boolean over traits is true; NULL is not.
    Profile(String),
    /// Those of a cohort that is saved under this name.
    Cohort(String),
    /// Those who had events so many times.
    #[serde(untagged)]
    Did(Did),
    /// Those whose first or last event is a certain one.
    #[serde(untagged)]
    AtEnd(AtEnd),
    /// Those who did a step of a funnel, or stopped before it.
    #[serde(untagged)]
    Funnel(Box<OfFunnel>),
    /// Those who count in a cell of a retention table.
    #[serde(untagged)]
    Retention(Box<OfRetention>),
    /// Those of the segment or the cohort that is saved under this name.
    #[serde(untagged)]
    Named(String),
}

impl From<&str> for Segment {
    fn from(name: &str) -> Self {
        Self::Named(name.to_owned())
    }
}

impl From<Did> for Segment {
    fn from(did: Did) -> Self {
        Self::Did(did)
    }
}

impl From<AtEnd> for Segment {
    fn from(at_end: AtEnd) -> Self {
        Self::AtEnd(at_end)
    }
}

impl From<OfFunnel> for Segment {
    fn from(of: OfFunnel) -> Self {
        Self::Funnel(Box::new(of))
    }
}

impl From<OfRetention> for Segment {
    fn from(of: OfRetention) -> Self {
        Self::Retention(Box::new(of))
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

/// What stands at the end of a branch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Leaf<'a> {
    Did(&'a Did),
    AtEnd(&'a AtEnd),
    Profile(&'a str),
    Funnel(&'a OfFunnel),
    Retention(&'a OfRetention),
    Cohort(&'a str),
    Named(&'a str),
}

/// What a segment can be put together in: a verdict, or whatever says one.
pub(crate) trait Logic: Sized {
    /// What is true of everybody, or of nobody.
    fn constant(is_true: bool) -> Self;
    fn and(self, other: Self) -> Self;
    fn or(self, other: Self) -> Self;
    fn not(self) -> Self;
}

impl Logic for bool {
    fn constant(is_true: bool) -> Self {
        is_true
    }

    fn and(self, other: Self) -> Self {
        self & other
    }

    fn or(self, other: Self) -> Self {
        self | other
    }

    fn not(self) -> Self {
        !self
    }
}

impl Segment {
    /// Those of whom a SQL boolean over traits is true, such as `country = 'US'`.
    pub fn profile(sql: impl Into<String>) -> Self {
        Self::Profile(sql.into())
    }

    /// Those of a cohort that is saved under this name.
    pub fn cohort(name: impl Into<String>) -> Self {
        Self::Cohort(name.into())
    }

    /// What it asks of people, with the path of each, in the order in which they stand.
    pub(crate) fn leaves(&self, place: &Place) -> Vec<(Leaf<'_>, Place)> {
        let mut leaves = Vec::new();
        self.add_leaves(place.clone(), &mut leaves);
        leaves
    }

    fn add_leaves<'a>(&'a self, place: Place, to: &mut Vec<(Leaf<'a>, Place)>) {
        let leaf = match self {
            Self::All(parts) | Self::Any(parts) => {
                let place = place.child(if matches!(self, Self::All(_)) { "all" } else { "any" });
                return parts.iter().enumerate().for_each(|(at, part)| part.add_leaves(place.item(at), to));
            }
            Self::Not(part) => return part.add_leaves(place.child("not"), to),
            Self::Profile(sql) => Leaf::Profile(sql),
            Self::Did(did) => Leaf::Did(did),
            Self::AtEnd(at_end) => Leaf::AtEnd(at_end),
            Self::Funnel(of) => Leaf::Funnel(of),
            Self::Retention(of) => Leaf::Retention(of),
            Self::Cohort(name) => Leaf::Cohort(name),
            Self::Named(name) => Leaf::Named(name),
        };
        to.push((leaf, place));
    }

    /// Whether somebody is in it who did nothing; `None` where that depends on who it is.
    pub(crate) fn of_nobody(&self) -> Option<bool> {
        let said = |(leaf, _): (Leaf<'_>, _)| match leaf {
            Leaf::Did(did) => Some(did.times.holds(0)),
            Leaf::AtEnd(_) => Some(false),
            Leaf::Profile(_) | Leaf::Funnel(_) | Leaf::Retention(_) | Leaf::Cohort(_) | Leaf::Named(_) => None,
        };
        let said: Option<Vec<bool>> = self.leaves(&Place::root("")).into_iter().map(said).collect();
        said.map(|said| self.judge(&mut said.into_iter()))
    }

    /// What the whole says, of what each leaf says, in their order.
    pub(crate) fn judge<L: Logic>(&self, leaves: &mut impl Iterator<Item = L>) -> L {
        match self {
            // Every part takes its leaves, whatever those before it say.
            Self::All(parts) => parts.iter().fold(L::constant(true), |all, part| all.and(part.judge(leaves))),
            Self::Any(parts) => parts.iter().fold(L::constant(false), |any, part| any.or(part.judge(leaves))),
            Self::Not(part) => part.judge(leaves).not(),
            _ => leaves.next().unwrap_or_else(|| L::constant(false)),
        }
    }

    /// Whether it, or a segment of its questions, has a name that something else is to be put in place of.
    pub(crate) fn has_names(&self) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(Self::has_names),
            Self::Not(part) => part.has_names(),
            Self::Profile(_) | Self::Did(_) | Self::AtEnd(_) => false,
            Self::Funnel(of) => of.funnel.scope.has_names(),
            Self::Retention(of) => of.retention.scope.has_names(),
            Self::Cohort(_) | Self::Named(_) => true,
        }
    }

    /// How much it asks: its leaves, and those of the segments of its questions.
    pub(crate) fn weight(&self) -> usize {
        let inner = |scope: &super::Scope| scope.segment.as_ref().map_or(0, Self::weight);
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(Self::weight).sum(),
            Self::Not(part) => part.weight(),
            Self::Profile(_) | Self::Did(_) | Self::AtEnd(_) | Self::Cohort(_) | Self::Named(_) => 1,
            Self::Funnel(of) => 1 + inner(&of.funnel.scope),
            Self::Retention(of) => 1 + inner(&of.retention.scope),
        }
    }

    pub(crate) fn check(&self, place: &Place) -> Result<(), SpecError> {
        self.check_within(place, MAX_DEPTH)?;
        // The first or last of all events takes one more, which every such leaf shares.
        let at_end = self.leaves(place).iter().any(|(leaf, _)| matches!(leaf, Leaf::AtEnd(_)));
        let weight = self.weight() + usize::from(at_end);
        if weight > MAX_SEGMENT_SELECTORS {
            let complaint = format_args!("takes at most {MAX_SEGMENT_SELECTORS} selectors, found {weight}");
            return Err(place.invalid(complaint));
        }
        Ok(())
    }

    fn check_within(&self, place: &Place, depth: usize) -> Result<(), SpecError> {
        let Some(depth) = depth.checked_sub(1) else { return Err(too_deep(place)) };
        let range = |range: &crate::calendar::Range| range.check().map_err(|error| place.child("range").locate(error));
        match self {
            Self::All(parts) | Self::Any(parts) => {
                let place = place.child(if matches!(self, Self::All(_)) { "all" } else { "any" });
                if parts.is_empty() {
                    return Err(place.invalid("must have at least one segment"));
                }
                parts.iter().enumerate().try_for_each(|(at, part)| part.check_within(&place.item(at), depth))
            }
            Self::Not(part) => part.check_within(&place.child("not"), depth),
            Self::Profile(_) => Ok(()),
            Self::Cohort(name) | Self::Named(name) => match name.is_empty() {
                true => Err(place.invalid("must not be an empty name")),
                false => Ok(()),
            },
            Self::Did(did) => {
                did.selector.event.check(&place.child("did").child("event"))?;
                range(&did.range)
            }
            Self::AtEnd(at_end) => {
                at_end.selector.event.check(&place.child(at_end.end.name()).child("event"))?;
                range(&at_end.range)
            }
            Self::Funnel(of) => of.check(place),
            Self::Retention(of) => of.check(place),
        }
    }
}

fn too_deep(place: &Place) -> SpecError {
    place.invalid(format_args!("stands too deep: at most {MAX_DEPTH} segments within each other"))
}
