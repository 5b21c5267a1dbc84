//! Which field of the input is which field of an event.

use std::str::FromStr;

use pugmark_registry::nearest;

use crate::error::{Error, Result};

/// A field of an event that a field of the input can be mapped to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Field {
    /// The event's name.
    Event,
    /// Who did it.
    DistinctId,
    /// When it happened.
    Timestamp,
    /// The idempotency key.
    MessageId,
    /// The sender's session.
    SessionId,
    /// A key of the sender's domain, from which a message id is made.
    Key,
    /// Where it was sent from, a JSON object.
    Context,
}

impl Field {
    /// Every field, in the order of their documentation.
    pub const ALL: [Self; 7] =
        [Self::Event, Self::DistinctId, Self::Timestamp, Self::MessageId, Self::SessionId, Self::Key, Self::Context];

    /// The field's name, which is also the name of the input's field unless a [`Mapping`] says otherwise.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::DistinctId => "distinct_id",
            Self::Timestamp => "timestamp",
            Self::MessageId => "message_id",
            Self::SessionId => "session_id",
            Self::Key => "key",
            Self::Context => "context",
        }
    }
}

impl FromStr for Field {
    type Err = Error;

    /// Reads a field's name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for any other text, with the nearest names.
    fn from_str(text: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str);
            Error::invalid(format!("\"{text}\" is no field of an event, expected one of {}", known.join(", ")))
                .nearest_names(nearest(text, known))
        })
    }
}

/// Which field of the input is which field of an event. Fields of the input that are no event's field become properties.
///
/// # Example
/// ```
/// use pugmark_query::files::{Field, Mapping};
/// let mapping: Mapping = "distinct_id=customer_id,timestamp=date".parse()?;
/// assert_eq!(mapping.field_of("customer_id"), Some(Field::DistinctId));
/// assert_eq!(mapping.field_of("distinct_id"), None);
/// assert_eq!(mapping.field_of("event"), Some(Field::Event));
/// let error = "distint_id=customer".parse::<Mapping>().unwrap_err();
/// assert_eq!(error.nearest(), ["distinct_id"]);
/// # Ok::<(), pugmark_query::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// By place in [`Field::ALL`]; `None` where another field took the name.
    sources: [Option<String>; Field::ALL.len()],
    given: [bool; Field::ALL.len()],
}

impl Default for Mapping {
    fn default() -> Self {
        Self { sources: Field::ALL.map(|field| Some(field.as_str().to_owned())), given: [false; Field::ALL.len()] }
    }
}

impl Mapping {
    /// The same mapping with `field` read from the input's field `source`, which then feeds no other.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) if `source` is blank, or if the field or the source is mapped already.
    pub fn with(mut self, field: Field, source: impl Into<String>) -> Result<Self> {
        let source = source.into();
        if source.trim().is_empty() {
            return Err(Error::invalid(format!("{} is mapped to a blank name", field.as_str())));
        }
        let at = field as usize;
        if self.given[at] {
            return Err(Error::invalid(format!("{} is mapped twice", field.as_str())));
        }
        for other in Field::ALL {
            let slot = other as usize;
            if self.sources[slot].as_deref() == Some(source.as_str()) {
                if self.given[slot] {
                    let names = (other.as_str(), field.as_str());
                    return Err(Error::invalid(format!("\"{source}\" is mapped to both {} and {}", names.0, names.1)));
                }
                self.sources[slot] = None;
            }
        }
        self.sources[at] = Some(source);
        self.given[at] = true;
        Ok(self)
    }

    /// The event's field that the input's field `source` feeds; `None` for a property.
    pub fn field_of(&self, source: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| self.source_of(*field) == Some(source))
    }

    /// The input's field that feeds `field`; `None` where its name was given to another.
    pub fn source_of(&self, field: Field) -> Option<&str> {
        self.sources[field as usize].as_deref()
    }

    /// Checks the names of a table's columns: those that the mapping names must be there, and those that every event needs.
    pub(super) fn check_columns(&self, columns: &[String], has_default_event: bool, place: &str) -> Result<()> {
        let present = |source: Option<&str>| source.is_some_and(|name| columns.iter().any(|column| column == name));
        for field in Field::ALL {
            let required = match field {
                Field::Event => !has_default_event,
                Field::DistinctId => true,
                _ => false,
            };
            let source = self.source_of(field);
            if (self.given[field as usize] || required) && !present(source) {
                let name = source.unwrap_or(field.as_str());
                let hint = match (self.given[field as usize], field) {
                    (true, _) => String::new(),
                    (false, Field::Event) => "; map event to a column, or give a name for all events".to_owned(),
                    (false, _) => format!("; map {} to one of its columns", field.as_str()),
                };
                return Err(Error::invalid(format!(
                    "{place} has no column \"{name}\"{hint}: it has {}",
                    listed(columns)
                ))
                .nearest_names(nearest(name, columns.iter().map(String::as_str))));
            }
        }
        Ok(())
    }
}

/// The first names of a list, as prose.
fn listed(columns: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = columns.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if columns.len() > SHOWN {
        text.push_str(&format!(" and {} more", columns.len() - SHOWN));
    }
    text
}

impl FromStr for Mapping {
    type Err = Error;

    /// Reads `field=source` pairs with commas between them; no text is the mapping of every field to its own name.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`](crate::ErrorKind::Invalid) for a pair without `=`, an unknown field (with the nearest), a blank source, or a name
    /// that is mapped twice.
    fn from_str(text: &str) -> Result<Self> {
        let mut mapping = Self::default();
        if text.trim().is_empty() {
            return Ok(mapping);
        }
        for pair in text.split(',') {
            let Some((field, source)) = pair.split_once('=') else {
                return Err(Error::invalid(format!(
                    "\"{pair}\" is no mapping, expected FIELD=SOURCE such as timestamp=ts"
                )));
            };
            mapping = mapping.with(field.trim().parse()?, source.trim())?;
        }
        Ok(mapping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_name_that_is_mapped_elsewhere_feeds_its_own_field_no_more() {
        let mapping: Mapping = "distinct_id=session_id".parse().unwrap();
        assert_eq!(mapping.field_of("session_id"), Some(Field::DistinctId));
        assert_eq!(mapping.source_of(Field::SessionId), None);
        let swapped: Mapping = "key=message_id, message_id = key".parse().unwrap();
        assert_eq!(swapped.field_of("key"), Some(Field::MessageId));
        assert_eq!(swapped.field_of("message_id"), Some(Field::Key));
    }

    #[test]
    fn wrong_mappings_say_what_is_wrong() {
        for (text, says) in [
            ("timestamp", "\"timestamp\" is no mapping"),
            ("time=ts", "\"time\" is no field of an event"),
            ("timestamp=", "timestamp is mapped to a blank name"),
            ("timestamp=a,timestamp=b", "timestamp is mapped twice"),
            ("timestamp=a,key=a", "\"a\" is mapped to both timestamp and key"),
        ] {
            let error = text.parse::<Mapping>().unwrap_err().to_string();
            assert!(error.starts_with(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_missing_column_is_named_with_the_nearest() {
        let columns = ["customer_id", "date", "amount"].map(str::to_owned);
        let mapping: Mapping = "distinct_id=custmer_id".parse().unwrap();
        let error = mapping.check_columns(&columns, true, "a.csv").unwrap_err();
        assert_eq!(error.nearest(), ["customer_id"]);
        let error = Mapping::default().check_columns(&columns, true, "a.csv").unwrap_err().to_string();
        assert_eq!(
            error,
            "a.csv has no column \"distinct_id\"; map distinct_id to one of its columns: it has customer_id, date, amount"
        );
        let mapping: Mapping = "distinct_id=customer_id".parse().unwrap();
        assert!(
            mapping.check_columns(&columns, false, "a.csv").unwrap_err().to_string().contains("no column \"event\"")
        );
        assert!(mapping.check_columns(&columns, true, "a.csv").is_ok());
    }
}
