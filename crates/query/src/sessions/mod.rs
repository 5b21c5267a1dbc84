//! Sessions: what one person does in one go.
//!
//! Meaning: `docs/semantics.md`, section 4. [`Sessions`] is the question, [`Counter`] the pure computation,
//! [`SessionsResult`] the answer. [`Cutter`] says which session each event of a person belongs to, and knows nothing of
//! where the events come from.

mod counter;
mod cut;
mod result;
mod spec;

pub use counter::{Counted, Counter, MAX_ROWS, Session, SessionEvent};
pub use cut::{Cutter, GapAt, MAX_SPLITS, Mark, Rule};
pub use result::{SessionRow, SessionsResult};
pub use spec::{By, Sessions};
