//! A directory: the names that are seen in it, and those that are durable.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::survival::{Loss, surviving_changes};
use super::world::NodeId;
use crate::entropy::SplitMix64;

pub(super) type Names = BTreeMap<Arc<str>, NodeId>;

/// A change of names. Each happens whole or not at all.
#[derive(Debug, Clone)]
pub(super) enum NameChange {
    Add { name: Arc<str>, node: NodeId },
    Rename { from: Arc<str>, to: Arc<str>, node: NodeId },
    Remove { name: Arc<str> },
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add { name, node } => {
                names.insert(Arc::clone(name), *node);
            }
            Self::Rename { from, to, node } => {
                // Where an earlier rename of the same file was lost, this one leaves no second name of it behind.
                names.retain(|name, other| other != node && name != from);
                names.insert(Arc::clone(to), *node);
            }
            Self::Remove { name } => {
                names.remove(name);
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct DirectoryState {
    pub(super) live: Names,
    pub(super) durable: Names,
    pending: Vec<NameChange>,
}

impl DirectoryState {
    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    pub(super) fn sync(&mut self) {
        self.durable.clone_from(&self.live);
        self.pending.clear();
    }

    /// The names that are found after the machine stopped.
    pub(super) fn after(&self, loss: Loss, row: &mut SplitMix64) -> Names {
        let mut found = self.durable.clone();
        for change in surviving_changes(&self.pending, loss, row) {
            change.apply(&mut found);
        }
        found
    }

    pub(super) fn settled(names: Names) -> Self {
        Self { live: names.clone(), durable: names, pending: Vec::new() }
    }
}
