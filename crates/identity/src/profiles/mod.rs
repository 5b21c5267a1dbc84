//! What is known about persons beside what they did: every change of every trait, folded to values when they are asked for.
//!
//! Only the changes are kept. What a trait is follows from those of all ids of a person, and so from who is who: a link, and one that is revoked, changes it
//! for all times at once.

mod fold;
mod held;
mod history;
mod saved;
mod state;
mod timeline;
mod values;

pub use fold::ProfileFold;
pub use held::search_texts;
pub use history::TraitRun;
pub use state::{Profiles, Trait, TraitKind};
pub use timeline::{Seen, Timeline, View};
pub use values::ValuesMark;
