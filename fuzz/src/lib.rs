//! What the targets share.

pub mod model;

use pugmark_identity::{IdentityFold, IdentityOptions, ProfileFold};
use pugmark_registry::{DefinitionFold, RegistryFold, RegistryOptions};
use pugmark_store::Fold;

/// Folds that need no query engine.
pub fn folds() -> Vec<Box<dyn Fold>> {
    vec![
        Box::new(RegistryFold::new(RegistryOptions::default())),
        Box::new(IdentityFold::new(IdentityOptions::default())),
        Box::new(ProfileFold::default()),
        Box::new(DefinitionFold::default()),
    ]
}

/// Lets panics of the reader of Parquet pass, which are caught and then are errors of a file. Any other, and any that is not caught, ends the fuzzer.
pub fn let_parquet_panic() {
    let end = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_of = |name: &str| panic.location().is_some_and(|place| place.file().contains(name));
        if !["/parquet-", "/arrow-", "/bytes-"].into_iter().any(is_of) {
            end(panic);
        }
    }));
}
