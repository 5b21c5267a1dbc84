//! What the first and the last event say of where somebody came from.

use serde::Serialize;
use serde_json::{Map, Value};

use super::{Place, SpecError};

/// How many properties a touch may have.
pub const MAX_TOUCH: usize = 8;

/// What the first event, and the last, of a session or a person says that has any of the properties of a touch: those that it has, as texts. Both are empty where no event has one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Touches {
    /// Of the first such event.
    #[serde(rename = "first_touch")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub first: Map<String, Value>,
    /// Of the last.
    #[serde(rename = "last_touch")]
    #[cfg_attr(feature = "openapi", schema(required = false))]
    pub last: Map<String, Value>,
}

impl Touches {
    /// Headings of flat rows: of each property the first touch, then of each the last.
    pub(crate) fn headings(properties: &[String]) -> impl Iterator<Item = String> {
        let named = |end: &'static str| properties.iter().map(move |name| format!("{end}_{name}"));
        named("first").chain(named("last"))
    }

    /// The cells below them.
    pub(crate) fn cells<'a>(&'a self, properties: &'a [String]) -> impl Iterator<Item = Value> {
        let of = |touch: &'a Map<String, Value>| {
            properties.iter().map(move |name| touch.get(name).cloned().unwrap_or_default())
        };
        of(&self.first).chain(of(&self.last))
    }

    /// Checks the properties that a question names.
    pub(crate) fn check(properties: &[String], place: &Place) -> Result<(), SpecError> {
        if properties.len() > MAX_TOUCH {
            let found = properties.len();
            return Err(place.invalid(format_args!("takes at most {MAX_TOUCH} properties, found {found}")));
        }
        for (at, name) in properties.iter().enumerate() {
            if name.is_empty() {
                return Err(place.item(at).invalid("must not be empty"));
            }
            if properties[..at].contains(name) {
                return Err(place.item(at).invalid(format_args!("names \"{name}\" twice")));
            }
        }
        Ok(())
    }
}
