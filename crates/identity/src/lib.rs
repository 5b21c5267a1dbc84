//! Who is who: the identity operations of the log, folded into persons.
//!
//! A person is a connected component of the links that stand. [`IdentityFold`] decides each operation once,
//! when it is appended, and publishes [`Persons`]: an immutable map from subject to person that holds merged subjects
//! only. [`ProfileFold`] keeps every change of their traits, and publishes [`Profiles`].

mod chunks;
mod fold;
mod graph;
mod history;
mod overlay;
mod pages;
mod past;
mod person;
mod persons;
mod profiles;
mod rows;
mod saved;
mod wrong_id;

pub use fold::{IdentityFold, IdentityOptions};
pub use history::{Effect, History, IdentityOperation, LinkMade, Reason};
pub use past::Past;
pub use person::{PersonId, Refusals};
pub use persons::Persons;
pub use profiles::{ProfileFold, Profiles, Seen, Timeline, Trait, TraitKind, TraitRun, ValuesMark, View, search_texts};
pub use wrong_id::is_wrong_id;
