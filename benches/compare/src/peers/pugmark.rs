//! pugmark's store with the folds that the facade gives it, but for the columnar files, which are written in the background.

use std::path::Path;

use anyhow::Result;
use pugmark_identity::{IdentityFold, IdentityOptions};
use pugmark_registry::{RegistryFold, RegistryOptions};
use pugmark_store::{Entry, EventBlock, Fold, Options, Outcome, Store};

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

/// The same, given events that are packed into few allocations, as an importer gives them.
pub struct Packed(pub Store);

impl Peer for Packed {
    type Prepared = Vec<Entry>;

    fn prepare(&self, batch: &Batch) -> Self::Prepared {
        let mut block = EventBlock::with_capacity(256 * batch.events.len());
        batch.events.iter().for_each(|event| block.push(event));
        block.into_events().map(Entry::from).collect()
    }

    fn append(&self, entries: Self::Prepared) -> Result<usize> {
        Peer::append(&self.0, entries)
    }
}
