//! Strict reading of JSON objects: one place that knows unknown fields and where it stands.

use std::fmt;

use serde_json::{Map, Value};

use super::{SpecError, SpecErrorKind, nearest};

/// Where a value stands: the analysis, and the path within it.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    root: &'static str,
    path: String,
}

impl Place {
    pub(crate) fn root(root: &'static str) -> Self {
        Self { root, path: String::new() }
    }

    pub(crate) fn child(&self, name: &str) -> Self {
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Self { root: self.root, path }
    }

    pub(crate) fn item(&self, index: usize) -> Self {
        Self { root: self.root, path: format!("{}[{index}]", self.path) }
    }

    /// Where it stands in the analysis, as errors name it.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn invalid(&self, complaint: impl fmt::Display) -> SpecError {
        SpecError::invalid(format!("{self} {complaint}")).on(self.path.clone())
    }

    /// Says of an error that came from the value itself where that value stands.
    pub(crate) fn locate(&self, error: SpecError) -> SpecError {
        if error.field.is_some() {
            return error;
        }
        let SpecError { kind, message, at, nearest, .. } = error;
        let placed = match kind {
            SpecErrorKind::Unsupported => SpecError::unsupported(format!("{self}: {message}")),
            SpecErrorKind::Invalid => SpecError::invalid(format!("{self}: {message}")),
        };
        SpecError { at, ..placed.on(self.path.clone()).nearest(nearest) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.root.is_empty(), self.path.is_empty()) {
            (true, true) => f.write_str("the query"),
            (true, false) => f.write_str(&self.path),
            (false, true) => f.write_str(self.root),
            (false, false) => write!(f, "{}.{}", self.root, self.path),
        }
    }
}

/// All fields that an object may have.
pub(crate) struct Known {
    pub(crate) names: &'static [&'static [&'static str]],
}

impl Known {
    pub(crate) fn has(&self, name: &str) -> bool {
        self.names.iter().flat_map(|names| names.iter()).any(|known| *known == name)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &'static str> {
        self.names.iter().flat_map(|names| names.iter().copied())
    }
}

/// A JSON object whose every field is known; an absent field and a `null` are the same.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    place: Place,
}

impl<'a> Fields<'a> {
    /// Opens an object after checking every one of its fields, so that a mistyped name is reported before anything else.
    pub(crate) fn open(value: &'a Value, place: &Place, known: &Known) -> Result<Self, SpecError> {
        let Value::Object(map) = value else {
            return Err(place.invalid(format_args!("must be an object, found {}", kind_of(value))));
        };
        for name in map.keys() {
            if !known.has(name) {
                let child = place.child(name);
                return Err(child.invalid("is not a known field").nearest(nearest(name, known.all())));
            }
        }
        Ok(Self { map, place: place.clone() })
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn value(&self, name: &str) -> Option<(&'a Value, Place)> {
        self.map.get(name).filter(|value| !value.is_null()).map(|value| (value, self.place.child(name)))
    }

    /// Whether the field is there and `null`, where that says something else than its absence.
    pub(crate) fn is_null(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(Value::is_null)
    }

    pub(crate) fn read<T: FromJson>(&self, name: &str) -> Result<Option<T>, SpecError> {
        self.value(name).map(|(value, place)| T::from_json(value, &place)).transpose()
    }

    pub(crate) fn require<T: FromJson>(&self, name: &str) -> Result<T, SpecError> {
        self.read(name)?.ok_or_else(|| self.place.child(name).invalid("is missing"))
    }

    /// Reads a word of an enumeration.
    pub(crate) fn word<T: Word>(&self, name: &str) -> Result<Option<T>, SpecError> {
        self.value(name).map(|(value, place)| word(value, &place)).transpose()
    }
}

/// An enumeration that is written as one word.
pub(crate) trait Word: Copy + 'static {
    /// Every word, and what it says.
    const WORDS: &'static [(&'static str, Self)];
}

pub(crate) fn word<T: Word>(value: &Value, place: &Place) -> Result<T, SpecError> {
    let given = String::from_json(value, place)?;
    if let Some((_, word)) = T::WORDS.iter().find(|(name, _)| *name == given) {
        return Ok(*word);
    }
    let known: Vec<&str> = T::WORDS.iter().map(|(name, _)| *name).collect();
    Err(unknown_word(&given, &known, place))
}

pub(crate) fn unknown_word(given: &str, known: &[&str], place: &Place) -> SpecError {
    let complaint = format!("must be one of {}, found \"{given}\"", known.join(", "));
    place.invalid(complaint).nearest(nearest(given, known.iter().copied()))
}

/// A value that can be read from JSON, complaining with its place.
pub(crate) trait FromJson: Sized {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError>;
}

impl FromJson for String {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let text = value.as_str();
        text.map(str::to_owned).ok_or_else(|| place.invalid(format_args!("must be text, found {}", kind_of(value))))
    }
}

impl FromJson for bool {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        value.as_bool().ok_or_else(|| place.invalid(format_args!("must be true or false, found {}", kind_of(value))))
    }
}

impl FromJson for u64 {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        value.as_u64().ok_or_else(|| place.invalid(format_args!("must be a whole number from 0, found {value}")))
    }
}

impl FromJson for usize {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let number = u64::from_json(value, place)?;
        Self::try_from(number).map_err(|_| place.invalid(format_args!("is too large: {number}")))
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: &Value, place: &Place) -> Result<Self, SpecError> {
        let Value::Array(items) = value else {
            return Err(place.invalid(format_args!("must be a list, found {}", kind_of(value))));
        };
        items.iter().enumerate().map(|(index, item)| T::from_json(item, &place.item(index))).collect()
    }
}

pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
