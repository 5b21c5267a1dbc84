//! The value of a property.

use serde_json::Value as Json;

/// The value of a property, as the sender gave it.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number that fits 64 bits.
    Int(i64),
    /// A finite number with a fraction or an exponent.
    Float(f64),
    /// A string.
    Text(String),
    /// A number that neither [`Value::Int`] nor [`Value::Float`] holds without loss, as its text.
    Number(String),
    /// An array, or an object nested deeper than is flattened, as JSON text.
    Json(String),
}

impl Value {
    /// The same value, borrowed.
    pub fn borrowed(&self) -> ValueRef<'_> {
        match self {
            Self::Bool(v) => ValueRef::Bool(*v),
            Self::Int(v) => ValueRef::Int(*v),
            Self::Float(v) => ValueRef::Float(*v),
            Self::Text(v) => ValueRef::Text(v),
            Self::Number(v) => ValueRef::Number(v),
            Self::Json(v) => ValueRef::Json(v),
        }
    }
}

/// A [`Value`] whose text is borrowed, as it lies in a frame.
#[derive(Debug, Clone, Copy, PartialEq, wincode::SchemaWrite, wincode::SchemaRead)]
pub enum ValueRef<'a> {
    /// See [`Value::Bool`].
    Bool(bool),
    /// See [`Value::Int`].
    Int(i64),
    /// See [`Value::Float`].
    Float(f64),
    /// See [`Value::Text`].
    Text(&'a str),
    /// See [`Value::Number`].
    Number(&'a str),
    /// See [`Value::Json`].
    Json(&'a str),
}

impl ValueRef<'_> {
    /// The same value, owned.
    pub fn to_owned(self) -> Value {
        match self {
            Self::Bool(v) => Value::Bool(v),
            Self::Int(v) => Value::Int(v),
            Self::Float(v) => Value::Float(v),
            Self::Text(v) => Value::Text(v.to_owned()),
            Self::Number(v) => Value::Number(v.to_owned()),
            Self::Json(v) => Value::Json(v.to_owned()),
        }
    }

    /// The value as JSON.
    ///
    /// # Example
    /// ```
    /// use pugmark_store::ValueRef;
    /// assert_eq!(ValueRef::Json("[1,2]").to_json(), serde_json::json!([1, 2]));
    /// assert_eq!(ValueRef::Number("12345678901234567890").to_json().to_string(), "12345678901234567890");
    /// ```
    pub fn to_json(self) -> Json {
        match self {
            Self::Bool(v) => Json::from(v),
            Self::Int(v) => Json::from(v),
            Self::Float(v) => Json::from(v),
            Self::Text(v) => Json::from(v),
            // Both were JSON when they were stored; text that is not is still shown rather than lost.
            Self::Number(v) | Self::Json(v) => serde_json::from_str(v).unwrap_or_else(|_| Json::from(v)),
        }
    }
}

impl From<bool> for Value {
    fn from(v: bool) -> Self {
        Self::Bool(v)
    }
}

impl From<i64> for Value {
    fn from(v: i64) -> Self {
        Self::Int(v)
    }
}

impl From<i32> for Value {
    fn from(v: i32) -> Self {
        Self::Int(i64::from(v))
    }
}

impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Self::Int(i64::from(v))
    }
}

impl From<u64> for Value {
    fn from(v: u64) -> Self {
        i64::try_from(v).map_or_else(|_| Self::Number(v.to_string()), Self::Int)
    }
}

impl From<f64> for Value {
    fn from(v: f64) -> Self {
        Self::Float(v)
    }
}

impl From<&str> for Value {
    fn from(v: &str) -> Self {
        Self::Text(v.to_owned())
    }
}

impl From<String> for Value {
    fn from(v: String) -> Self {
        Self::Text(v)
    }
}
