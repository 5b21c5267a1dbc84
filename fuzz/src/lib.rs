//! What the targets share.

pub mod model;

use pugmark_identity::{IdentityFold, IdentityOptions};
use pugmark_registry::{RegistryFold, RegistryOptions};
use pugmark_store::Fold;

/// Folds that need no query engine.
pub fn folds() -> Vec<Box<dyn Fold>> {
    vec![
        Box::new(RegistryFold::new(RegistryOptions::default())),
        Box::new(IdentityFold::new(IdentityOptions::default())),
    ]
}
