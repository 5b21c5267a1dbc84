//! The answer of how many people are in a segment.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::spec::{Header, Listing};

/// The answer of [`Audience`](super::Audience); prints as a table and serialises as `docs/semantics.md`, section 6, says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AudienceResult {
    /// What every answer says first.
    #[serde(flatten)]
    pub header: Header,
    /// How many persons are in the segment.
    pub count: u64,
    /// Their names, in the order in which the store came to know them, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub people: Option<Vec<String>>,
}

impl AudienceResult {
    /// Flat rows: the people where they were asked for, else one with their number.
    pub fn to_table(&self) -> (Vec<String>, Vec<Vec<Value>>) {
        match &self.people {
            Some(people) => (vec!["person".to_owned()], people.iter().map(|name| vec![json!(name)]).collect()),
            None => (vec!["people".to_owned()], vec![vec![json!(self.count)]]),
        }
    }
}

impl fmt::Display for AudienceResult {
    /// How many they are, then a line for each where they were asked for.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut listing = Listing::new(["people"]);
        listing.row(vec![self.count.to_string()]);
        write!(f, "{listing}")?;
        if let Some(people) = &self.people {
            let mut listing = Listing::new(["person"]);
            people.iter().for_each(|name| listing.row(vec![name.clone()]));
            write!(f, "\n{listing}")?;
        }
        Ok(())
    }
}
