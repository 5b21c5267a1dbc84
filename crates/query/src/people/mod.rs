//! Who people are and what they did in all: a list in pages, sorted, of everybody, of a segment, or of those who are found by an id or a trait.
//!
//! Meaning: `docs/semantics.md`, section 5. [`People`] is the question, [`Tally`] the core, [`PeopleResult`] the answer.

mod index;
mod order;
mod result;
mod spec;
mod totals;

pub(crate) use index::{Adding, TextIndex, folded};
pub(crate) use order::Standing;
pub use order::{Cursor, Direction, SortBy};
pub(crate) use result::COLUMNS;
#[cfg(feature = "openapi")]
pub(crate) use result::Told;
pub use result::{Found, PeopleResult, PersonRow};
pub use spec::{DEFAULT_PEOPLE, MAX_PEOPLE, MAX_SEARCH_BYTES, MAX_TRAITS, Match, People, Search, SearchIn};
pub use totals::{Tally, Totals};
