//! The question of paths.

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    calendar::Span,
    spec::{
        EventNames, Fields, FromJson, Known, Place, SCOPE_FIELDS, Scope, Selector, SpecError, Word, scope_builders,
    },
};

/// How many nodes a path has unless the question says otherwise.
pub const DEFAULT_DEPTH: usize = 5;
/// How many nodes a path may have.
pub const MAX_DEPTH: usize = 20;
/// The expression whose value an event is a node by unless the question says otherwise.
const EVENT: &str = "event";
/// A hit says in 32 bits what it matches: anything, the anchor, the end, and each exclusion.
const MAX_EXCLUDED: usize = 29;

/// Which way a path runs from its anchor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Towards what came later.
    #[default]
    After,
    /// Towards what came earlier.
    Before,
}

impl Word for Direction {
    const WORDS: &'static [(&'static str, Self)] = &[("after", Self::After), ("before", Self::Before)];
}

/// What is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PathCount {
    /// Units, each once for an edge at its position and once for a path.
    #[default]
    Units,
    /// Paths, however many one unit has.
    Occurrences,
}

impl Word for PathCount {
    const WORDS: &'static [(&'static str, Self)] = &[("units", Self::Units), ("occurrences", Self::Occurrences)];
}

/// How far the events of a path may lie from its anchor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PathWithin {
    /// In one session: no more than half an hour lies between two of its events. Each session may have a path.
    #[default]
    Session,
    /// Anywhere in the range. A unit has one path at most.
    All,
    /// At most so far from the anchor, in the range or beyond it. A unit has one path at most.
    Span(Span),
}

impl From<Span> for PathWithin {
    fn from(span: Span) -> Self {
        Self::Span(span)
    }
}

impl Serialize for PathWithin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Session => serializer.serialize_str("session"),
            Self::All => serializer.serialize_str("all"),
            Self::Span(span) => span.serialize(serializer),
        }
    }
}

impl FromJson for PathWithin {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        match value.as_str() {
            Some("session") => Ok(Self::Session),
            Some("all") => Ok(Self::All),
            _ => match Span::from_json(value, place) {
                Ok(span) => Ok(Self::Span(span)),
                Err(error) if value.is_string() => {
                    let reason = error.message;
                    Err(place.invalid(format_args!("must be session, all or a duration: {reason}")))
                }
                Err(error) => Err(error),
            },
        }
    }
}

/// What people do one thing after the other.
///
/// Six events of two people, asked for `Paths::after("signup")`:
///
/// | person | event    | when             |
/// |--------|----------|------------------|
/// | ann    | signup   | 2025-01-01 09:00 |
/// | ann    | view     | 2025-01-01 09:01 |
/// | ann    | view     | 2025-01-01 09:02 |
/// | ann    | purchase | 2025-01-01 09:11 |
/// | bob    | signup   | 2025-01-01 10:00 |
/// | bob    | view     | 2025-01-01 11:00 |
///
/// answer the paths `signup, view, purchase` of ann, whose two views are one node, and `signup` of bob, whose view is of another
/// session. The edges at position 1 are from `signup` to `view`, to which ann took 60 seconds, and to null, where bob's session ended.
///
/// ```
/// use pugmark_query::{calendar::hours, paths::Paths};
///
/// let paths = Paths::before("purchase").depth(3).within(hours(1)).exclude("ping").from("2025-01-01");
/// let json = r#"{"anchor":{"event":"purchase"},"direction":"before","depth":3,"within":"1h","exclude":[{"event":"ping"}],"range":{"from":"2025-01-01"}}"#;
/// assert_eq!(serde_json::to_string(&paths)?, json);
/// assert_eq!(serde_json::from_str::<Paths>(json)?, paths);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Paths {
    /// The events that a path may begin with; by default any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anchor: Option<Selector>,
    /// Which way paths run from there.
    #[serde(skip_serializing_if = "is_default")]
    pub direction: Direction,
    /// The most nodes of a path, the anchor included: 2 to [`MAX_DEPTH`].
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub depth: usize,
    /// How far its events may lie from the anchor.
    #[serde(skip_serializing_if = "is_default")]
    pub within: PathWithin,
    /// Whether neighbouring nodes of one value are one node.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub collapse: bool,
    /// What is counted.
    #[serde(skip_serializing_if = "is_default")]
    pub count: PathCount,
    /// The SQL expression whose value an event is a node by; by default the name of the event.
    #[serde(skip_serializing_if = "is_event")]
    pub node: String,
    /// Events that are no nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Selector>,
    /// What a path ends with; one that does not is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<Selector>,
    /// What all analyses share; paths have no breakdown, and its limit is that of the edges at each position and of the paths.
    #[serde(flatten)]
    pub scope: Scope,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn is_event(node: &str) -> bool {
    node == EVENT
}

/// What the bits of a hit's matches mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bits {
    /// It may open a path.
    pub(crate) anchor: u32,
    /// It ends one.
    pub(crate) end: u32,
    /// It is no node.
    pub(crate) exclude: u32,
}

impl Paths {
    /// The word of the JSON form.
    pub const NAME: &'static str = "paths";

    /// What people do from the first event of each session on.
    pub fn new() -> Self {
        Self {
            anchor: None,
            direction: Direction::default(),
            depth: DEFAULT_DEPTH,
            within: PathWithin::default(),
            collapse: true,
            count: PathCount::default(),
            node: EVENT.to_owned(),
            exclude: Vec::new(),
            end: None,
            scope: Scope::default(),
        }
    }

    /// What people do from an event on.
    pub fn after(anchor: impl Into<Selector>) -> Self {
        Self { anchor: Some(anchor.into()), ..Self::new() }
    }

    /// What people do before an event.
    pub fn before(anchor: impl Into<Selector>) -> Self {
        Self { direction: Direction::Before, ..Self::after(anchor) }
    }

    /// Lets paths run this way.
    #[must_use]
    pub fn direction(mut self, direction: Direction) -> Self {
        self.direction = direction;
        self
    }

    /// Cuts paths after so many nodes, the anchor included.
    #[must_use]
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// Takes events so far from the anchor.
    #[must_use]
    pub fn within(mut self, within: impl Into<PathWithin>) -> Self {
        self.within = within.into();
        self
    }

    /// Keeps neighbouring nodes of one value apart.
    #[must_use]
    pub fn without_collapse(mut self) -> Self {
        self.collapse = false;
        self
    }

    /// Chooses what is counted.
    #[must_use]
    pub fn count(mut self, count: PathCount) -> Self {
        self.count = count;
        self
    }

    /// Takes the value of this SQL expression for the node of an event, such as `url`.
    #[must_use]
    pub fn node(mut self, sql: impl Into<String>) -> Self {
        self.node = sql.into();
        self
    }

    /// Makes nodes of no events of these any more.
    #[must_use]
    pub fn exclude(mut self, events: impl Into<Selector>) -> Self {
        self.exclude.push(events.into());
        self
    }

    /// Ends paths with these events, and leaves out those that never meet one.
    #[must_use]
    pub fn end(mut self, end: impl Into<Selector>) -> Self {
        self.end = Some(end.into());
        self
    }

    /// The selectors of the question with their paths in it, in the order of their bits; `any` takes every event.
    pub(crate) fn selectors<'a>(&'a self, any: &'a Selector) -> Vec<(&'a Selector, String)> {
        let excluded = self.exclude.iter().enumerate().map(|(at, own)| (own, format!("exclude[{at}]")));
        let anchor = self.anchor.as_ref().map(|own| (own, "anchor".to_owned()));
        let end = self.end.as_ref().map(|own| (own, "end".to_owned()));
        [(any, "filter".to_owned())].into_iter().chain(anchor).chain(end).chain(excluded).collect()
    }

    /// What the bits of those selectors mean.
    pub(crate) fn bits(&self) -> Bits {
        // Every event has the first bit.
        let anchor = if self.anchor.is_some() { 0b10 } else { 0b1 };
        let end_at = 1 + u32::from(self.anchor.is_some());
        let end = u32::from(self.end.is_some()) << end_at;
        let exclude_at = end_at + u32::from(self.end.is_some());
        let exclude = (0..self.exclude.len()).fold(0, |bits, at| bits | 1 << (exclude_at as usize + at));
        Bits { anchor, end, exclude }
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        if !(2..=MAX_DEPTH).contains(&self.depth) {
            let complaint = format_args!("must be from 2 to {MAX_DEPTH}, found {}", self.depth).to_string();
            return Err(place.child("depth").invalid(complaint));
        }
        if self.exclude.len() > MAX_EXCLUDED {
            let found = self.exclude.len();
            let complaint = format_args!("takes at most {MAX_EXCLUDED} selectors, found {found}").to_string();
            return Err(place.child("exclude").invalid(complaint));
        }
        let named = [("anchor", &self.anchor), ("end", &self.end)];
        for (name, selector) in named.into_iter().filter_map(|(name, own)| Some((name, own.as_ref()?))) {
            selector.event.check(&place.child(name).child("event"))?;
        }
        for (at, selector) in self.exclude.iter().enumerate() {
            let own = place.child("exclude").item(at);
            selector.event.check(&own.child("event"))?;
            if selector.event == EventNames::Any && selector.filter.is_none() {
                return Err(own.invalid("leaves no event out of all: name some, or add a filter"));
            }
        }
        if !self.scope.breakdown.is_empty() {
            let complaint = "is not for paths, which have no one value: ask with a filter for each";
            return Err(place.child("breakdown").invalid(complaint));
        }
        self.scope.check_alone(place)?;
        self.scope.check(place)
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self::new()
    }
}

impl Paths {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known = Known {
        names: &[
            &["anchor", "direction", "depth", "within", "collapse", "count", "node", "exclude", "end"],
            SCOPE_FIELDS,
        ],
    };
}

impl FromJson for Paths {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
        let paths = Self {
            anchor: fields.read("anchor")?,
            direction: fields.word("direction")?.unwrap_or_default(),
            depth: fields.read("depth")?.unwrap_or(DEFAULT_DEPTH),
            within: fields.read("within")?.unwrap_or_default(),
            collapse: fields.read("collapse")?.unwrap_or(true),
            count: fields.word("count")?.unwrap_or_default(),
            node: fields.read("node")?.unwrap_or_else(|| EVENT.to_owned()),
            exclude: fields.read("exclude")?.unwrap_or_default(),
            end: fields.read("end")?,
            scope: Scope::read(&fields)?,
        };
        paths.check(place)?;
        Ok(paths)
    }
}

scope_builders!(Paths);
