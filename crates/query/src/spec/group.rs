//! Breakdown values: their identity, their order, and the folding of the rest into *other*.

use std::{cmp::Ordering, hash::Hash, hash::Hasher, sync::Arc};

use hashbrown::HashMap;
use serde::{Serialize, Serializer, ser::SerializeSeq};

/// One value of a breakdown, of whatever type the event had.
///
/// Values are ordered NULL first, then booleans (false before true), then numbers by value, then texts by their bytes.
/// `"0"` and `0` are two values; a whole number is one value whether it was stored as an integer or as a float, as
/// long as it is made by [`GroupValue::from`].
#[derive(Debug, Clone)]
pub enum GroupValue {
    /// The event lacks the property, or the expression is NULL.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number that is not whole, or too large for an exact integer.
    Float(f64),
    /// A text.
    Text(Arc<str>),
}

/// Beyond this, neighbouring floats are more than one apart and say nothing about the integer that was meant.
const EXACT_FLOAT: f64 = 9_007_199_254_740_992.0;

impl From<bool> for GroupValue {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<i64> for GroupValue {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<f64> for GroupValue {
    #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
    fn from(value: f64) -> Self {
        if value.trunc() == value && value.abs() < EXACT_FLOAT { Self::Int(value as i64) } else { Self::Float(value) }
    }
}

impl From<&str> for GroupValue {
    fn from(value: &str) -> Self {
        Self::Text(Arc::from(value))
    }
}

impl<T: Into<GroupValue>> From<Option<T>> for GroupValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

impl GroupValue {
    /// As a text by itself: texts as they are, everything else as in JSON.
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Text(text) => text.to_string(),
            other => serde_json::to_string(other).unwrap_or_default(),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Bool(_) => 1,
            Self::Int(_) | Self::Float(_) => 2,
            Self::Text(_) => 3,
        }
    }
}

impl Ord for GroupValue {
    #[expect(clippy::cast_precision_loss, reason = "equal after rounding is settled by the second comparison")]
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => a.total_cmp(b),
            (Self::Int(a), Self::Float(b)) => (*a as f64).total_cmp(b).then(Ordering::Less),
            (Self::Float(a), Self::Int(b)) => a.total_cmp(&(*b as f64)).then(Ordering::Greater),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for GroupValue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for GroupValue {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for GroupValue {}

impl Hash for GroupValue {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::Null => state.write_u8(0),
            Self::Bool(value) => value.hash(state),
            Self::Int(value) => value.hash(state),
            Self::Float(value) => value.to_bits().hash(state),
            Self::Text(value) => value.hash(state),
        }
    }
}

impl Serialize for GroupValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

/// Gives dense numbers to the combinations of breakdown values, in order of first sight.
///
/// ```
/// use pugmark_query::spec::{GroupValue, Groups};
///
/// let mut groups = Groups::default();
/// assert_eq!(groups.intern(&["DE".into(), GroupValue::Null]), 0);
/// assert_eq!(groups.intern(&["US".into(), GroupValue::Null]), 1);
/// assert_eq!(groups.intern(&["DE".into(), GroupValue::Null]), 0);
/// assert_eq!(groups.values(1), ["US".into(), GroupValue::Null]);
/// ```
#[derive(Debug, Clone, Default)]
pub struct Groups {
    numbers: HashMap<Arc<[GroupValue]>, u32, foldhash::fast::RandomState>,
    values: Vec<Arc<[GroupValue]>>,
}

impl Groups {
    /// The number of these values, given out now if they are new.
    ///
    /// # Panics
    /// If there are 2³² combinations already.
    pub fn intern(&mut self, values: &[GroupValue]) -> u32 {
        if let Some(number) = self.numbers.get(values) {
            return *number;
        }
        let number = u32::try_from(self.values.len()).expect("fewer than 2^32 groups: each takes more than one byte");
        let shared: Arc<[GroupValue]> = values.into();
        self.numbers.insert(Arc::clone(&shared), number);
        self.values.push(shared);
        number
    }

    /// The values behind a number.
    ///
    /// # Panics
    /// If the number was not given out by this interner.
    pub fn values(&self, number: u32) -> &[GroupValue] {
        self.values.get(number as usize).expect("group numbers come from this interner")
    }

    /// The number of these values, if they have one.
    pub(crate) fn find(&self, values: &[GroupValue]) -> Option<u32> {
        self.numbers.get(values).copied()
    }

    /// How many combinations have a number.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether no combination has a number.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Takes over the combinations of another interner; element *n* is the number here of its number *n*.
    pub fn absorb(&mut self, other: &Self) -> Vec<u32> {
        other.values.iter().map(|values| self.intern(values)).collect()
    }
}

/// How an answer is cut: the interned values, and how many of them are shown.
#[derive(Debug, Clone, Copy)]
pub struct Split<'a> {
    /// The values behind the group numbers.
    pub groups: &'a Groups,
    /// How many to show before folding the rest.
    pub limit: usize,
}

/// Which groups are shown, in order, and which are folded.
#[derive(Debug)]
pub(crate) struct Folded {
    pub(crate) kept: Vec<u32>,
    pub(crate) rest: Vec<u32>,
}

impl Split<'_> {
    /// Ranks groups by their first number, the largest first, ties by value ascending, and cuts at the limit.
    pub(crate) fn fold<N: Ord>(&self, first_numbers: impl IntoIterator<Item = (u32, N)>) -> Folded {
        let mut ranked: Vec<(u32, N)> = first_numbers.into_iter().collect();
        ranked
            .sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| self.groups.values(a.0).cmp(self.groups.values(b.0))));
        let mut kept: Vec<u32> = ranked.into_iter().map(|(number, _)| number).collect();
        let rest = kept.split_off(self.limit.min(kept.len()));
        Folded { kept, rest }
    }

    pub(crate) fn label(&self, number: u32) -> GroupLabel {
        GroupLabel::Values(self.groups.values(number).to_vec())
    }
}

/// The breakdown values that a part of an answer is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupLabel {
    /// These values, one for each item of the breakdown.
    Values(Vec<GroupValue>),
    /// All values beyond the limit.
    Other,
}

impl GroupLabel {
    /// One text for each of `columns` items: `(none)` for NULL, `(other)` for the folded rest.
    pub(crate) fn cells(label: Option<&Self>, columns: usize) -> Vec<String> {
        Self::values(label, columns)
            .into_iter()
            .map(|value| match value {
                serde_json::Value::Null => "(none)".to_owned(),
                serde_json::Value::String(text) => text,
                other => other.to_string(),
            })
            .collect()
    }

    /// One value for each of `columns` items; the folded rest is the text `(other)` in each.
    pub(crate) fn values(label: Option<&Self>, columns: usize) -> Vec<serde_json::Value> {
        match label {
            Some(Self::Values(values)) => {
                values.iter().map(|value| serde_json::to_value(value).unwrap_or(serde_json::Value::Null)).collect()
            }
            Some(Self::Other) => vec!["(other)".into(); columns],
            None => vec![serde_json::Value::Null; columns],
        }
    }
}

impl Serialize for GroupLabel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Other {
            other: bool,
        }
        match self {
            Self::Values(values) => values.serialize(serializer),
            Self::Other => {
                let mut list = serializer.serialize_seq(Some(1))?;
                list.serialize_element(&Other { other: true })?;
                list.end()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_ordered_null_booleans_numbers_texts() {
        let sorted: Vec<GroupValue> = vec![
            GroupValue::Null,
            false.into(),
            true.into(),
            (-1.5).into(),
            0.into(),
            0.5.into(),
            2.into(),
            "".into(),
            "0".into(),
            "a".into(),
        ];
        let mut shuffled = sorted.clone();
        shuffled.reverse();
        shuffled.sort();
        assert_eq!(shuffled, sorted);
    }

    #[test]
    fn whole_floats_and_integers_are_one_value_and_texts_another() {
        let mut groups = Groups::default();
        assert_eq!(groups.intern(&[0.into()]), groups.intern(&[GroupValue::from(-0.0)]));
        assert_ne!(groups.intern(&[0.into()]), groups.intern(&["0".into()]));
    }

    #[test]
    fn absorbing_translates_numbers() {
        let (mut here, mut there) = (Groups::default(), Groups::default());
        here.intern(&["a".into()]);
        there.intern(&["b".into()]);
        there.intern(&["a".into()]);
        assert_eq!(here.absorb(&there), [1, 0]);
    }

    #[test]
    fn folding_cuts_by_number_then_value() {
        let mut groups = Groups::default();
        let [b, a, c] = ["b", "a", "c"].map(|name| groups.intern(&[name.into()]));
        let folded = Split { groups: &groups, limit: 2 }.fold([(b, 5), (a, 5), (c, 9)]);
        assert_eq!((folded.kept, folded.rest), (vec![c, a], vec![b]));
    }
}
