//! Groups, such as companies: a value of a property of events, with a profile of its own.
//!
//! Meaning: `docs/semantics.md`, section 5. What a profile is, is all of its changes one after the other.

use pugmark_registry::{DefinitionKind, Version, group_name};
use pugmark_store::{Operation, Timestamp, limits};
use serde_json::{Map, Value};

use crate::engine::QuerySnapshot;
use crate::error::{Error, Result};

/// A group with a profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// The property whose values tell groups apart.
    pub property: String,
    /// The value, as text.
    pub id: String,
    /// What is known of it.
    pub traits: Map<String, Value>,
    /// How often its profile has changed.
    pub changes: usize,
    /// When it changed first.
    pub first_changed: Timestamp,
    /// When it changed last.
    pub last_changed: Timestamp,
}

impl Group {
    fn of(property: &str, id: &str, changes: &[Version]) -> Option<Self> {
        let (first, last) = changes.first().zip(changes.last())?;
        Some(Self {
            property: property.to_owned(),
            id: id.to_owned(),
            traits: traits_of(changes),
            changes: changes.len(),
            first_changed: first.received_at,
            last_changed: last.received_at,
        })
    }
}

/// What a profile is after these changes: each sets the traits that it names, and takes away those that it names as null.
pub(crate) fn traits_of(changes: &[Version]) -> Map<String, Value> {
    let mut traits = Map::new();
    for change in changes {
        let body = change.body.as_deref().and_then(|body| serde_json::from_str(body).ok());
        let Some(Value::Object(named)) = body else { continue };
        for (name, value) in named {
            match value {
                Value::Null => drop(traits.remove(&name)),
                value => drop(traits.insert(name, value)),
            }
        }
    }
    traits
}

/// The operation that changes the profile of a group: it sets these traits, and takes away those that are null.
///
/// # Errors
/// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a property without a name or with `=` in it, a blank value, no traits, and names that are together longer than the store takes.
///
/// # Example
/// ```
/// use pugmark_query::change_group;
/// let traits = serde_json::json!({"plan": "pro", "trial": null});
/// assert!(change_group("company", "acme", traits.as_object().expect("an object")).is_ok());
/// assert!(change_group("a=b", "acme", traits.as_object().expect("an object")).is_err());
/// ```
pub fn change_group(property: &str, id: &str, traits: &Map<String, Value>) -> Result<Operation> {
    if property.trim().is_empty() || property.contains('=') {
        let message = format!("\"{property}\" cannot tell groups apart: expected the name of a property, without =");
        return Err(Error::invalid(message).on("group"));
    }
    if id.trim().is_empty() {
        return Err(Error::invalid(format!("a group of \"{property}\" must not be blank")).on("id"));
    }
    if traits.is_empty() || traits.keys().any(String::is_empty) {
        return Err(Error::invalid("expected at least one trait, and none without a name").on("traits"));
    }
    let name = group_name(property, id);
    if name.len() > limits::NAME_MAX_BYTES {
        let message =
            format!("{} and its value have {} bytes, more than {}", property, name.len(), limits::NAME_MAX_BYTES);
        return Err(Error::invalid(message).on("id"));
    }
    let body = Some(Value::Object(traits.clone()).to_string());
    // Changes are counted by their order: each is a version by itself.
    Ok(Operation::Define { kind: DefinitionKind::Group.name().to_owned(), name, version: 1, body })
}

impl QuerySnapshot {
    /// A group, if it has a profile.
    pub fn group(&self, property: &str, id: &str) -> Option<Group> {
        Group::of(property, id, self.definitions.group(property, id, self.sequence))
    }

    /// The groups of a property that have a profile, or of all properties, ascending.
    pub fn groups(&self, property: Option<&str>) -> impl Iterator<Item = Group> {
        let all = self.definitions.groups(property, self.sequence);
        all.filter_map(|(property, id, changes)| Group::of(property, id, changes))
    }
}
