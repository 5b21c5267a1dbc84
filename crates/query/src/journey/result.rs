//! The answer of a question about a journey.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Cursor, JourneySession, Page};
use crate::calendar::instant_text;
use crate::spec::{Header, Listing};

/// The answer of a [`Journey`](super::Journey); prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct JourneyResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// The name of the person; `None` where the id was never seen.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    pub person: Option<String>,
    /// What the page shows, by session.
    pub sessions: Vec<JourneySession>,
    /// Where the next page begins; `None` where this one is the last.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, required = true))]
    pub next: Option<Cursor>,
}

impl JourneyResult {
    /// One page of a person.
    pub fn new(header: Header, person: Option<String>, page: Page) -> Self {
        let Page { sessions, next } = page;
        Self { header, person, sessions, next }
    }

    /// Flat rows, one for each event: sessions are numbered from 1, and properties are JSON text.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let headings = ["number", "session", "sequence", "event", "timestamp", "distinct_id", "properties"];
        let rows = self.sessions.iter().zip(1_u64..).flat_map(|(session, number)| {
            session.events.iter().map(move |event| {
                vec![
                    json!(number),
                    json!(session.session),
                    json!(event.sequence),
                    json!(event.event),
                    json!(instant_text(event.timestamp_us)),
                    json!(event.distinct_id),
                    json!(Value::Object(event.properties.clone()).to_string()),
                ]
            })
        });
        (headings.map(str::to_owned).to_vec(), rows.collect())
    }
}

impl fmt::Display for JourneyResult {
    /// A table for each session.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, session) in self.sessions.iter().enumerate() {
            if number > 0 {
                writeln!(f)?;
            }
            let JourneySession { session, from_us, to_us, events } = session;
            write!(f, "{} to {}", instant_text(*from_us), instant_text(*to_us))?;
            match session {
                Some(session) => writeln!(f, ", session {session}")?,
                None => writeln!(f)?,
            }
            let mut listing = Listing::new(["timestamp", "event", "distinct_id", "properties"]);
            for event in events {
                let distinct_id = event.distinct_id.clone().unwrap_or_else(|| "-".to_owned());
                let time = instant_text(event.timestamp_us);
                listing.row(vec![time, event.event.clone(), distinct_id, pairs(&event.properties)]);
            }
            write!(f, "{listing}")?;
        }
        self.next.map_or(Ok(()), |next| writeln!(f, "next: {next}"))
    }
}

fn pairs(properties: &Map<String, Value>) -> String {
    let pairs = properties.iter().map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        other => format!("{name}={other}"),
    });
    pairs.collect::<Vec<_>>().join(" ")
}
