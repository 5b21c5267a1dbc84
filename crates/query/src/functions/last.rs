//! What was made last of a literal argument, for the calls that follow with the same one.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::common::Result;

/// Keeps what was made last. It is no part of what a function is.
#[derive(Debug)]
pub(super) struct Last<T>(Mutex<Option<(String, Arc<T>)>>);

impl<T> Last<T> {
    /// What `make` makes of `text`.
    pub(super) fn of(&self, text: &str, make: impl FnOnce() -> Result<T>) -> Result<Arc<T>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_of, made)) = last.as_ref()
            && made_of == text
        {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(make()?);
        *last = Some((text.to_owned(), Arc::clone(&made)));
        Ok(made)
    }
}

impl<T> Default for Last<T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<T> PartialEq for Last<T> {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl<T> Eq for Last<T> {}

impl<T> Hash for Last<T> {
    fn hash<H: Hasher>(&self, _state: &mut H) {}
}
