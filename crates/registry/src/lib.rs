//! What a store has seen: events, properties, their types, as a fold of the log.
//!
//! [`RegistryFold`] counts every event name and every property of the log and gives properties their columns.
//! [`DefinitionFold`] keeps what is saved under a name: segments, cohorts and questions.
//! What a [`RegistryFold`] publishes is a [`Registry`]: an immutable state that a query keeps from start to end, whose
//! [`Schema`] says which property has which column.

mod column;
mod definitions;
mod fold;
mod names;
mod nearest;
mod registry;
mod rows;
mod saved;
mod schema;
mod tally;

pub use column::{ColumnType, Placement, SYSTEM_COLUMNS, column_name};
pub use definitions::{DefinitionFold, DefinitionKind, Definitions, SAMPLING, Version, group_name};
pub use fold::{RegistryFold, RegistryOptions};
pub use nearest::nearest;
pub use registry::{KindCounts, ObservedEvent, ObservedProperty, Registry};
pub use schema::{PropertyId, PropertyRef, Schema};
