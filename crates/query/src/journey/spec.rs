//! The question of a journey.

use serde::Serialize;
use serde_json::Value;

use super::{Cursor, Position};
use crate::spec::{DEFAULT_LIMIT, Fields, FromJson, Known, Place, Scope, SpecError, Unit, Word, event_builders};

/// How many events a page shows unless the question says otherwise.
pub const DEFAULT_EVENTS: usize = 100;
/// How many a page shows at most.
pub const MAX_EVENTS: usize = 1_000;

/// Which events of a person come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The last one that happened.
    #[default]
    Newest,
    /// The first one.
    Oldest,
}

impl Word for Order {
    const WORDS: &'static [(&'static str, Self)] = &[("newest", Self::Newest), ("oldest", Self::Oldest)];
}

/// What one person did: the events of all of the person's ids, by session, in pages.
///
/// Five events, of which `ann` sent the first as `phone`, before that was known to be her:
///
/// | id    | event    | when             | session_id |
/// |-------|----------|------------------|------------|
/// | phone | view     | 2025-01-01 09:00 |            |
/// | ann   | view     | 2025-01-01 09:30 |            |
/// | ann   | view     | 2025-01-01 10:01 |            |
/// | bob   | view     | 2025-01-01 10:02 |            |
/// | ann   | purchase | 2025-01-02 12:00 | s1         |
///
/// asked for `Journey::of("phone").order(Order::Oldest).limit(3)`, answer two sessions: 09:00 and 09:30 belong together, and 10:01, more than half an hour
/// later, is another. `next` leads to the page with the purchase, in the session `s1`.
///
/// ```
/// use pugmark_query::journey::{Journey, Order};
///
/// let journey = Journey::of("ann").limit(20).order(Order::Oldest).from("2025-01-01");
/// let json = r#"{"distinct_id":"ann","limit":20,"order":"oldest","range":{"from":"2025-01-01"}}"#;
/// assert_eq!(serde_json::to_string(&journey)?, json);
/// assert_eq!(serde_json::from_str::<Journey>(json)?, journey);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Journey {
    /// Any id of the person.
    pub distinct_id: String,
    /// How many events a page shows, 1 to [`MAX_EVENTS`].
    #[serde(skip_serializing_if = "is_default_limit")]
    pub limit: usize,
    /// Which events come first.
    #[serde(skip_serializing_if = "is_default")]
    pub order: Order,
    /// Where the page begins: the `next` of the page before; by default the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub cursor: Option<Cursor>,
    /// What all analyses share, of which a journey has range, zone and filter.
    #[serde(flatten)]
    pub scope: Scope,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn is_default_limit(limit: &usize) -> bool {
    *limit == DEFAULT_EVENTS
}

impl Journey {
    /// The word of the JSON form.
    pub const NAME: &'static str = "journey";

    /// The newest events of the person who has this id.
    pub fn of(distinct_id: impl Into<String>) -> Self {
        Self {
            distinct_id: distinct_id.into(),
            limit: DEFAULT_EVENTS,
            order: Order::default(),
            cursor: None,
            scope: Scope::default(),
        }
    }

    /// Shows this many events on a page.
    #[must_use]
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// Chooses which events come first.
    #[must_use]
    pub fn order(mut self, order: Order) -> Self {
        self.order = order;
        self
    }

    /// Goes on after the page whose `next` this is.
    #[must_use]
    pub fn cursor(mut self, cursor: Cursor) -> Self {
        self.cursor = Some(cursor);
        self
    }

    /// Whether an event stands after the pages before this one.
    pub(super) fn goes_on_to(&self, position: Position) -> bool {
        self.cursor.is_none_or(|cursor| cursor.is_before(position))
    }

    fn check(&self, place: &Place) -> Result<(), SpecError> {
        if !(1..=MAX_EVENTS).contains(&self.limit) {
            let complaint = format!("must be from 1 to {MAX_EVENTS}, found {}", self.limit);
            return Err(place.child("limit").invalid(complaint));
        }
        if let Some(cursor) = self.cursor.filter(|cursor| cursor.order() != self.order) {
            let word = |order: Order| if order == Order::Newest { "newest" } else { "oldest" };
            let complaint = format!("is of the order {}, the question of {}", word(cursor.order()), word(self.order));
            return Err(place.child("cursor").invalid(complaint));
        }
        let Scope { segment, segments, unit, breakdown, limit, .. } = &self.scope;
        if segment.is_some() || !segments.is_empty() {
            return Err(place.child("segment").invalid("is not for a journey, which is of one person"));
        }
        if *unit != Unit::Person {
            return Err(place.child("unit").invalid("is not for a journey, which is of the person, under all ids"));
        }
        if !breakdown.is_empty() || *limit != DEFAULT_LIMIT {
            return Err(place.child("breakdown").invalid("is not for a journey, which counts nothing"));
        }
        self.scope.check(place)
    }
}

impl Journey {
    /// All that its reader knows.
    pub(crate) const FIELDS: Known = Known {
        names: &[
            &["distinct_id", "limit", "order", "cursor"],
            &["range", "time_zone", "filter", "segment", "unit", "breakdown"],
        ],
    };
}

impl FromJson for Journey {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let fields = Fields::open(value, place, &Self::FIELDS)?;
        let (segment, segments) = Scope::read_segments(fields.value("segment"))?;
        let scope = Scope {
            range: fields.read("range")?.unwrap_or_default(),
            time_zone: fields.read("time_zone")?,
            filter: fields.read("filter")?,
            segment,
            segments,
            unit: Unit::read(&fields)?,
            breakdown: fields.read("breakdown")?.unwrap_or_default(),
            limit: DEFAULT_LIMIT,
            compare: None,
        };
        let journey = Self {
            distinct_id: fields.require("distinct_id")?,
            limit: fields.read("limit")?.unwrap_or(DEFAULT_EVENTS),
            order: fields.word("order")?.unwrap_or_default(),
            cursor: fields.read("cursor")?,
            scope,
        };
        journey.check(place)?;
        Ok(journey)
    }
}

event_builders!(Journey);
