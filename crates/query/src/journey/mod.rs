//! Journeys: what one person did, session by session and page by page.
//!
//! Meaning: `docs/semantics.md`, section 4. [`Journey`] is the question, [`Page`] the pure computation, [`JourneyResult`] the
//! answer. A [`Cursor`] says where the next page begins.

mod cursor;
mod page;
mod result;
mod spec;

pub use cursor::{Cursor, Position};
pub use page::{JourneyEvent, JourneySession, Page};
pub use result::JourneyResult;
pub use spec::{DEFAULT_EVENTS, Journey, MAX_EVENTS, Order};
