//! The values of one property in one chunk, in vectors of their own kind.

use datafusion::arrow::array::StringArray;
use datafusion::arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use pugmark_store::ValueRef;

/// Texts one after the other, while rows are still added.
#[derive(Debug, Clone)]
pub(crate) struct Texts {
    text: String,
    offsets: Vec<i32>,
}

impl Default for Texts {
    fn default() -> Self {
        Self { text: String::new(), offsets: vec![0] }
    }
}

impl Texts {
    pub(crate) fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.offsets.push(i32::try_from(self.text.len()).expect("invariant: a chunk is sealed long before 2 GiB"));
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    pub(crate) fn freeze(self) -> StringArray {
        let mut text = self.text.into_bytes();
        text.shrink_to_fit();
        let mut offsets = self.offsets;
        offsets.shrink_to_fit();
        StringArray::new(OffsetBuffer::new(ScalarBuffer::from(offsets)), Buffer::from_vec(text), None)
    }
}

/// A value of a property that has values of several kinds; texts are numbers of texts beside it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mixed {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(u32),
    Number(u32),
    Json(u32),
}

/// Values of one property in order of arrival. `T` is [`Texts`] while values are added, and an array afterwards.
#[derive(Debug, Clone)]
pub(crate) enum Values<T> {
    Bool(Vec<bool>),
    Int(Vec<i64>),
    Float(Vec<f64>),
    Text(T),
    Json(T),
    Mixed(Vec<Mixed>, T),
}

impl Values<Texts> {
    /// No values yet, in a vector of the kind of `first`.
    pub(crate) fn for_kind(first: ValueRef<'_>) -> Self {
        match first {
            ValueRef::Bool(_) => Self::Bool(Vec::new()),
            ValueRef::Int(_) => Self::Int(Vec::new()),
            ValueRef::Float(_) => Self::Float(Vec::new()),
            ValueRef::Text(_) => Self::Text(Texts::default()),
            ValueRef::Json(_) => Self::Json(Texts::default()),
            ValueRef::Number(_) => Self::Mixed(Vec::new(), Texts::default()),
        }
    }

    /// Adds `value` and answers with the bytes that it takes.
    pub(crate) fn push(&mut self, value: ValueRef<'_>) -> usize {
        match (&mut *self, value) {
            (Self::Bool(values), ValueRef::Bool(v)) => {
                values.push(v);
                1
            }
            (Self::Int(values), ValueRef::Int(v)) => {
                values.push(v);
                8
            }
            (Self::Float(values), ValueRef::Float(v)) => {
                values.push(v);
                8
            }
            (Self::Text(texts), ValueRef::Text(v)) | (Self::Json(texts), ValueRef::Json(v)) => {
                texts.push(v);
                v.len() + 4
            }
            (Self::Mixed(cells, texts), value) => push_mixed(cells, texts, value),
            (_, value) => {
                let (mut cells, mut texts) = std::mem::replace(self, Self::Bool(Vec::new())).into_mixed();
                let bytes = push_mixed(&mut cells, &mut texts, value);
                *self = Self::Mixed(cells, texts);
                bytes
            }
        }
    }

    fn into_mixed(self) -> (Vec<Mixed>, Texts) {
        let numbered =
            |texts: &Texts| 0..u32::try_from(texts.len()).expect("invariant: a chunk has fewer texts than 2^32");
        match self {
            Self::Bool(values) => (values.into_iter().map(Mixed::Bool).collect(), Texts::default()),
            Self::Int(values) => (values.into_iter().map(Mixed::Int).collect(), Texts::default()),
            Self::Float(values) => (values.into_iter().map(Mixed::Float).collect(), Texts::default()),
            Self::Text(texts) => (numbered(&texts).map(Mixed::Text).collect(), texts),
            Self::Json(texts) => (numbered(&texts).map(Mixed::Json).collect(), texts),
            Self::Mixed(cells, texts) => (cells, texts),
        }
    }

    pub(crate) fn freeze(self) -> Values<StringArray> {
        match self {
            Self::Bool(values) => Values::Bool(shrunk(values)),
            Self::Int(values) => Values::Int(shrunk(values)),
            Self::Float(values) => Values::Float(shrunk(values)),
            Self::Text(texts) => Values::Text(texts.freeze()),
            Self::Json(texts) => Values::Json(texts.freeze()),
            Self::Mixed(cells, texts) => Values::Mixed(shrunk(cells), texts.freeze()),
        }
    }
}

fn push_mixed(cells: &mut Vec<Mixed>, texts: &mut Texts, value: ValueRef<'_>) -> usize {
    let mut numbered = |text: &str| {
        texts.push(text);
        u32::try_from(texts.len() - 1).expect("invariant: a chunk has fewer texts than 2^32")
    };
    let (cell, bytes) = match value {
        ValueRef::Bool(v) => (Mixed::Bool(v), 0),
        ValueRef::Int(v) => (Mixed::Int(v), 0),
        ValueRef::Float(v) => (Mixed::Float(v), 0),
        ValueRef::Text(v) => (Mixed::Text(numbered(v)), v.len() + 4),
        ValueRef::Number(v) => (Mixed::Number(numbered(v)), v.len() + 4),
        ValueRef::Json(v) => (Mixed::Json(numbered(v)), v.len() + 4),
    };
    cells.push(cell);
    bytes + size_of::<Mixed>()
}

pub(crate) fn shrunk<T>(mut values: Vec<T>) -> Vec<T> {
    values.shrink_to_fit();
    values
}

impl Values<StringArray> {
    /// The value at a place.
    pub(crate) fn value(&self, place: usize) -> ValueRef<'_> {
        match self {
            Self::Bool(values) => ValueRef::Bool(values[place]),
            Self::Int(values) => ValueRef::Int(values[place]),
            Self::Float(values) => ValueRef::Float(values[place]),
            Self::Text(texts) => ValueRef::Text(texts.value(place)),
            Self::Json(texts) => ValueRef::Json(texts.value(place)),
            Self::Mixed(cells, texts) => match cells[place] {
                Mixed::Bool(v) => ValueRef::Bool(v),
                Mixed::Int(v) => ValueRef::Int(v),
                Mixed::Float(v) => ValueRef::Float(v),
                Mixed::Text(number) => ValueRef::Text(texts.value(number as usize)),
                Mixed::Number(number) => ValueRef::Number(texts.value(number as usize)),
                Mixed::Json(number) => ValueRef::Json(texts.value(number as usize)),
            },
        }
    }
}
