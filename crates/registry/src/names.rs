//! Names and their numbers. Names are only added, so that one map serves the fold and every state it publishes.

use std::sync::{Arc, PoisonError, RwLock};

use foldhash::fast::RandomState;
use hashbrown::HashMap;

/// Numbers of names. A state that knows the first `n` names ignores numbers from `n` on.
#[derive(Debug, Default)]
pub(crate) struct Names {
    numbers: RwLock<HashMap<Arc<str>, u32, RandomState>>,
}

impl Names {
    pub(crate) fn find(&self, name: &str) -> Option<u32> {
        // A map whose writer panicked is whole: an insertion is its only change.
        self.numbers.read().unwrap_or_else(PoisonError::into_inner).get(name).copied()
    }

    /// Gives `name` the number; `false` when it has one already, which it then keeps.
    pub(crate) fn add(&self, name: Arc<str>, number: u32) -> bool {
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        numbers.try_insert(name, number).is_ok()
    }
}
