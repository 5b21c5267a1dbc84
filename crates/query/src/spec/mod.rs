//! What the analyses share: the JSON form of a question, selectors, breakdowns, and the parts common to all answers.
//!
//! Every spec is a Rust builder and a serde type at once. Reading is strict: an unknown field is an error of kind
//! `invalid` that names its path and the nearest known field. Nothing is ignored.

mod breakdown;
mod columns;
mod error;
mod group;
mod header;
mod hit;
mod listing;
mod nearest;
mod query;
mod reader;
mod scope;
mod segment;
mod selector;
mod touch;

pub use breakdown::{Breakdown, InSegment, Unit};
pub use error::{SpecError, SpecErrorKind};
pub use group::{GroupLabel, GroupValue, Groups, Split};
pub use header::Header;
pub use hit::{Hit, HitValue, SessionKey};
pub use nearest::nearest;
pub(crate) use query::ANALYSES;
pub use query::{Analysis, Query};
pub use scope::{DEFAULT_LIMIT, MAX_BREAKDOWNS, MAX_SEGMENTS, Scope};
pub use segment::{AtEnd, Did, End, MAX_SEGMENT_SELECTORS, NamedSegment, OfFunnel, OfRetention, Segment, Times};
pub use selector::{EventNames, Selector};
pub use touch::{MAX_TOUCH, Touches};

pub(crate) use columns::ColumnKind;
pub(crate) use listing::{Listing, human_seconds, percent};
pub(crate) use reader::{Fields, FromJson, Known, Place, Word};
pub(crate) use scope::{MAX_ITEMS, SCOPE_FIELDS, event_builders, json_form, scope_builders};
pub(crate) use segment::{Leaf, Logic, SEGMENT_FIELDS};
