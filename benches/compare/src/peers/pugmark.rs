//! pugmark's store with the folds that the facade gives it, but for the columnar files, which are written in the background.

use std::path::Path;

use anyhow::Result;
use pugmark_identity::{IdentityFold, IdentityOptions};
use pugmark_registry::{RegistryFold, RegistryOptions};
use pugmark_store::{Entry, Fold, Options, Outcome, Store};

use crate::measure::Peer;
use crate::work::Batch;

pub fn open(dir: &Path) -> Result<Store> {
    let folds: Vec<Box<dyn Fold>> = vec![
        Box::new(RegistryFold::new(RegistryOptions::default())),
        Box::new(IdentityFold::new(IdentityOptions::default())),
    ];
    Ok(Store::open(dir, Options::default(), folds)?)
}

impl Peer for Store {
    type Prepared = Vec<Entry>;

    fn prepare(&self, batch: &Batch) -> Self::Prepared {
        batch.events.iter().cloned().map(Entry::from).collect()
    }

    fn append(&self, entries: Self::Prepared) -> Result<usize> {
        let outcomes = Store::append(self, entries)?;
        Ok(outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Accepted(_))).count())
    }
}
