//! One page of a person's events, by session.

use std::collections::HashMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Cursor, Journey, Order, Position};
use crate::calendar::serialize_instant;
use crate::sessions::{Cutter, Mark, Rule};

/// One event of a person.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JourneyEvent {
    /// Its place in the log.
    pub sequence: u64,
    /// Its name.
    pub event: String,
    /// When it happened, in microseconds UTC; serialises as an instant.
    #[serde(rename = "timestamp", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub timestamp_us: i64,
    /// The id under which it was sent; `None` where that has been erased.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub distinct_id: Option<String>,
    /// What it has, each with the type that it was sent with.
    pub properties: Map<String, Value>,
    /// The session that the sender gave; serialises with the session.
    #[serde(skip)]
    pub session_id: Option<String>,
}

impl JourneyEvent {
    /// Where it stands among all others.
    pub fn position(&self) -> Position {
        Position { timestamp_us: self.timestamp_us, sequence: self.sequence }
    }
}

/// What a page shows of one session.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JourneySession {
    /// The session that the sender gave; `None` for one that was cut.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub session: Option<String>,
    /// When the first of these events happened, in microseconds UTC; serialises as an instant.
    #[serde(rename = "from", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub from_us: i64,
    /// When the last of them did.
    #[serde(rename = "to", serialize_with = "serialize_instant")]
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub to_us: i64,
    /// In the order of the question.
    pub events: Vec<JourneyEvent>,
}

/// A page.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// In the order of the first event that each shows.
    pub sessions: Vec<JourneySession>,
    /// Where the next page begins; `None` where this one is the last.
    pub next: Option<Cursor>,
}

impl Page {
    /// The page that `journey` asks for, of events of the person in any order: all of them, or those from the cursor on, at least one more than the page shows
    /// where there are so many.
    ///
    /// ```
    /// use pugmark_query::journey::{Journey, JourneyEvent, Page};
    ///
    /// let at = |minute: i64, sequence| JourneyEvent {
    ///     sequence,
    ///     event: "view".to_owned(),
    ///     timestamp_us: minute * 60_000_000,
    ///     distinct_id: Some("ann".to_owned()),
    ///     properties: Default::default(),
    ///     session_id: None,
    /// };
    /// let events = vec![at(0, 1), at(30, 2), at(61, 3), at(61, 4)];
    /// let journey = Journey::of("ann").limit(3);
    /// let page = Page::of(&journey, events.clone());
    /// let sequences = |page: &Page| -> Vec<Vec<u64>> {
    ///     page.sessions.iter().map(|session| session.events.iter().map(|event| event.sequence).collect()).collect()
    /// };
    /// assert_eq!(sequences(&page), [vec![4, 3], vec![2]]);
    /// let next = page.next.expect("there is more");
    /// assert_eq!(sequences(&Page::of(&journey.cursor(next), events)), [[1]]);
    /// ```
    pub fn of(journey: &Journey, mut events: Vec<JourneyEvent>) -> Self {
        events.retain(|event| journey.goes_on_to(event.position()));
        events.sort_unstable_by_key(JourneyEvent::position);
        if journey.order == Order::Newest {
            events.reverse();
        }
        let has_more = events.len() > journey.limit;
        events.truncate(journey.limit);
        let last = events.last().filter(|_| has_more);
        let next = last.map(|last| Cursor::new(journey.order, last.position()));
        let mut sessions: Vec<JourneySession> = Vec::new();
        let mut places: HashMap<u32, usize> = HashMap::new();
        for (number, event) in numbers(journey.order, &events).into_iter().zip(events) {
            let place = *places.entry(number).or_insert(sessions.len());
            if place == sessions.len() {
                let (session, at) = (event.session_id.clone(), event.timestamp_us);
                sessions.push(JourneySession { session, from_us: at, to_us: at, events: Vec::new() });
            }
            let session = &mut sessions[place];
            session.from_us = session.from_us.min(event.timestamp_us);
            session.to_us = session.to_us.max(event.timestamp_us);
            session.events.push(event);
        }
        Self { sessions, next }
    }
}

/// The number of each event's session, by the rule that sessions have by default.
fn numbers(order: Order, events: &[JourneyEvent]) -> Vec<u32> {
    let mut keys: HashMap<&str, u128> = HashMap::new();
    let mut marks: Vec<Mark> = Vec::with_capacity(events.len());
    for event in events {
        let count = keys.len() as u128;
        let key = event.session_id.as_deref().map(|id| *keys.entry(id).or_insert(count));
        marks.push(Mark { timestamp: event.timestamp_us, key, ..Mark::default() });
    }
    // Sessions are cut forwards.
    let backwards = order == Order::Newest;
    if backwards {
        marks.reverse();
    }
    let mut numbers = Vec::new();
    Cutter::new(Rule::default()).cut(marks, &mut numbers);
    if backwards {
        numbers.reverse();
    }
    numbers
}
