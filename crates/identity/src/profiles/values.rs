//! Different values, each under a number for good.

use std::sync::{Arc, OnceLock, Weak};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use pugmark_store::{Value, ValueRef};
use std::hash::{BuildHasher, Hash, Hasher};

/// Values of the first chunk; each further one has twice as many.
const FIRST_CHUNK: usize = 256;

/// Values by number. Clones share them, also those that are added later.
#[derive(Debug, Clone, Default)]
pub(super) struct Values {
    chunks: Vec<Arc<[OnceLock<Value>]>>,
    len: u32,
}

impl Values {
    /// How many there were when this was cloned.
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// Tells them from others without holding them.
    pub(super) fn mark(&self) -> ValuesMark {
        ValuesMark { first: self.chunks.first().map(Arc::downgrade), len: self.len }
    }

    /// The value under a number.
    ///
    /// # Panics
    /// For a number that was not given when this was cloned.
    pub(super) fn value(&self, number: u32) -> ValueRef<'_> {
        let (chunk, place) = split(number);
        self.chunks[chunk][place].get().expect("invariant: a number is given with its value").borrowed()
    }

    fn set(&mut self, number: u32, value: Value) {
        let (chunk, place) = split(number);
        if chunk == self.chunks.len() {
            self.chunks.push((0..FIRST_CHUNK << chunk).map(|_| OnceLock::new()).collect());
        }
        self.chunks[chunk][place].set(value).expect("invariant: a number is given once");
        self.len = number + 1;
    }
}

/// Up to where values were seen, and of which: it holds none of them.
#[derive(Debug, Clone)]
pub struct ValuesMark {
    first: Option<Weak<[OnceLock<Value>]>>,
    len: u32,
}

impl ValuesMark {
    /// How many there were.
    pub fn seen(&self) -> u32 {
        self.len
    }

    /// Whether these are the same values, or fewer or more of them, under the same numbers.
    pub(super) fn is_of(&self, values: &Values) -> bool {
        let first = self.first.as_ref().zip(values.chunks.first());
        first.is_some_and(|(own, other)| std::ptr::addr_eq(own.as_ptr(), Arc::as_ptr(other)))
    }
}

fn split(number: u32) -> (usize, usize) {
    let from_first = number as usize + FIRST_CHUNK;
    let chunk = (from_first / FIRST_CHUNK).ilog2() as usize;
    (chunk, from_first - (FIRST_CHUNK << chunk))
}

/// Gives each different value a number.
#[derive(Debug, Default)]
pub(super) struct Interner {
    pub(super) values: Values,
    numbers: HashTable<u32>,
}

impl Interner {
    pub(super) fn number(&mut self, value: ValueRef<'_>) -> u32 {
        let Self { values, numbers } = self;
        if let Some(number) = numbers.find(hash(value), |number| is_same(values.value(*number), value)) {
            return *number;
        }
        let number = u32::try_from(numbers.len()).expect("invariant: 2^32 different values do not fit in memory");
        values.set(number, value.to_owned());
        numbers.insert_unique(hash(value), number, |number| hash(values.value(*number)));
        number
    }
}

fn hash(value: ValueRef<'_>) -> u64 {
    let mut hasher = FixedState::default().build_hasher();
    match value {
        ValueRef::Bool(v) => (0_u8, v).hash(&mut hasher),
        ValueRef::Int(v) => (1_u8, v).hash(&mut hasher),
        ValueRef::Float(v) => (2_u8, v.to_bits()).hash(&mut hasher),
        ValueRef::Text(v) => (3_u8, v).hash(&mut hasher),
        ValueRef::Number(v) => (4_u8, v).hash(&mut hasher),
        ValueRef::Json(v) => (5_u8, v).hash(&mut hasher),
    }
    hasher.finish()
}

fn is_same(a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    match (a, b) {
        // Two zeros are two values.
        (ValueRef::Float(a), ValueRef::Float(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_numbers_and_clones_their_values() {
        let mut interner = Interner::default();
        let kinds = [
            ValueRef::Bool(true),
            ValueRef::Int(1),
            ValueRef::Float(1.0),
            ValueRef::Text("1"),
            ValueRef::Number("1"),
            ValueRef::Json("1"),
            ValueRef::Float(0.0),
            ValueRef::Float(-0.0),
        ];
        let numbers = kinds.map(|value| interner.number(value));
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7]);
        let before = interner.values.clone();
        let mut others = Interner::default();
        others.number(ValueRef::Bool(true));
        assert!(before.mark().is_of(&before) && !before.mark().is_of(&others.values));
        assert!(!Values::default().mark().is_of(&before) && !before.mark().is_of(&Values::default()));
        for n in 0..5_000 {
            assert_eq!(interner.number(ValueRef::Int(n + 10)), 8 + n as u32);
        }
        assert_eq!(kinds.map(|value| interner.number(value)), numbers);
        for (number, value) in numbers.into_iter().zip(kinds) {
            assert_eq!((before.value(number), interner.values.value(number)), (value, value));
        }
        assert_eq!(interner.values.value(5_007), ValueRef::Int(5_009));
        assert_eq!((before.len(), interner.values.len()), (8, 5_008));
        assert!(before.mark().is_of(&interner.values) && interner.values.mark().is_of(&before));
        assert_eq!((before.mark().seen(), interner.values.mark().seen()), (8, 5_008));
    }
}
