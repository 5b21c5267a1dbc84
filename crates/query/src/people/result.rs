//! The answer of who people are.

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{Cursor, Totals};
use crate::calendar::instant_text;
use crate::spec::{Header, Listing, Touches};

/// One of the people of a page.
#[derive(Debug, Clone, PartialEq)]
pub struct PersonRow {
    /// The id that names them.
    pub person: String,
    /// The number of the person, as in `events.person`.
    pub number: u32,
    /// How many ids they have.
    pub ids: u32,
    /// Whether one of them is known.
    pub known: bool,
    /// What they did.
    pub totals: Totals,
    /// Of what is shown, the traits that they have.
    pub traits: Map<String, Value>,
    /// Where they came from, where that was asked.
    pub touches: Option<Touches>,
    /// What they were found by, where that was asked.
    pub found: Option<Found>,
}

/// What somebody was found by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Found {
    /// This id of theirs.
    Id(String),
    /// A trait, and what it is.
    #[serde(untagged)]
    Trait {
        /// Its name.
        #[serde(rename = "trait")]
        name: String,
        /// The text that was found, of a list that element.
        value: String,
    },
}

/// The answer of [`People`](super::People); prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq)]
pub struct PeopleResult {
    /// What every answer says first.
    pub header: Header,
    /// How many there are on all pages; `None` with a search, of which only the page is gone through.
    pub count: Option<u64>,
    /// Those of this page.
    pub people: Vec<PersonRow>,
    /// Where the next page begins; `None` where this one is the last.
    pub next: Option<Cursor>,
    /// Whether anything is declared as revenue.
    pub has_revenue: bool,
    /// The traits that are shown.
    pub traits: Vec<String>,
    /// The properties that touches have.
    pub touch: Vec<String>,
}

impl PeopleResult {
    fn row(&self, row: &PersonRow) -> ToldPerson {
        let Totals { first_seen_us, last_seen_us, events, sessions, days_active, revenue } = row.totals;
        let instant = |us| (events > 0).then(|| instant_text(us));
        ToldPerson {
            person: row.person.clone(),
            number: row.number,
            ids: row.ids,
            known: row.known,
            first_seen: instant(first_seen_us),
            last_seen: instant(last_seen_us),
            events,
            sessions,
            days_active,
            revenue: self.has_revenue.then_some(revenue),
            traits: (!self.traits.is_empty()).then(|| row.traits.clone()),
            touches: row.touches.clone(),
            found: row.found.clone(),
        }
    }

    /// Flat rows, one for each of the people; a trait that is a list is JSON text.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        let traits = self.traits.iter().map(String::as_str);
        let headings = COLUMNS.iter().copied().chain(traits).map(str::to_owned);
        let headings = headings.chain(Touches::headings(&self.touch)).collect();
        let none = Touches::default();
        let rows = self.people.iter().map(|row| {
            let told = json!(self.row(row));
            let own = COLUMNS.iter().map(|column| told[*column].clone());
            let traits = self.traits.iter().map(|name| row.traits.get(name).map_or(Value::Null, as_text));
            own.chain(traits).chain(row.touches.as_ref().unwrap_or(&none).cells(&self.touch)).collect()
        });
        (headings, rows.collect())
    }
}

/// The columns of every row.
pub(crate) const COLUMNS: [&str; 10] =
    ["person", "number", "ids", "known", "first_seen", "last_seen", "events", "sessions", "days_active", "revenue"];

/// The values of a trait may be of several types.
fn as_text(value: &Value) -> Value {
    match value {
        Value::String(_) => value.clone(),
        other => other.to_string().into(),
    }
}

impl Serialize for PeopleResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let people = self.people.iter().map(|row| self.row(row)).collect();
        Told { header: self.header.clone(), count: self.count, people, next: self.next }.serialize(serializer)
    }
}

/// The answer of who people are.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub(crate) struct Told {
    #[serde(flatten)]
    header: Header,
    /// How many there are on all pages; null with a search, of which only the page is gone through.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    count: Option<u64>,
    people: Vec<ToldPerson>,
    /// Where the next page begins; null where this one is the last.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, required = true))]
    next: Option<Cursor>,
}

/// One of them.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[cfg_attr(feature = "openapi", schema(as = PersonRow))]
struct ToldPerson {
    /// The id that names them.
    person: String,
    /// The number of the person, as in `events.person`.
    number: u32,
    /// How many ids they have.
    ids: u32,
    /// Whether one of them is known.
    known: bool,
    #[cfg_attr(feature = "openapi", schema(format = DateTime, required = true))]
    first_seen: Option<String>,
    #[cfg_attr(feature = "openapi", schema(format = DateTime, required = true))]
    last_seen: Option<String>,
    events: u64,
    /// How many sessions, by the default rule.
    sessions: u32,
    /// On how many days of UTC there was an event.
    days_active: u32,
    /// Null where nothing is declared as revenue.
    #[cfg_attr(feature = "openapi", schema(required = true))]
    revenue: Option<f64>,
    /// Of those that are shown, the ones that they have.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    traits: Option<Map<String, Value>>,
    /// Where they came from, where that was asked.
    #[serde(flatten)]
    #[cfg_attr(feature = "openapi", schema(value_type = Touches))]
    touches: Option<Touches>,
    /// What they were found by, where that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    found: Option<Found>,
}

impl fmt::Display for PeopleResult {
    /// A line for each.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = ["person", "last_seen", "first_seen", "events", "sessions", "days_active"];
        let revenue = self.has_revenue.then_some("revenue");
        let has_found = self.people.iter().any(|row| row.found.is_some());
        let found = has_found.then_some("found");
        let traits = self.traits.iter().map(String::as_str);
        let headings = shown.into_iter().chain(revenue).chain(traits).chain(found);
        let mut listing = Listing::new(headings.map(|heading| heading.replace('_', " ")));
        for row in &self.people {
            let told = json!(self.row(row));
            let text = |value: &Value| match value {
                Value::Null => "-".to_owned(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            let mut cells: Vec<String> = shown.into_iter().chain(revenue).map(|name| text(&told[name])).collect();
            cells.extend(self.traits.iter().map(|name| text(row.traits.get(name).unwrap_or(&Value::Null))));
            cells.extend(row.found.as_ref().map(|found| match found {
                Found::Id(id) => id.clone(),
                Found::Trait { name, value } => format!("{name}={value}"),
            }));
            listing.row(cells);
        }
        write!(f, "{listing}")?;
        if let Some(count) = self.count {
            writeln!(f, "\n{count} in all")?;
        }
        self.next.map_or(Ok(()), |next| writeln!(f, "next: {next}"))
    }
}
