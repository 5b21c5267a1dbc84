//! Definitions: what is saved under a name, as a fold of the log.

mod fold;
mod saved;
mod state;

pub use fold::DefinitionFold;
pub use state::{DefinitionKind, Definitions, SAMPLING, Version, group_name};
