//! Append-only event log.

mod clock;
mod error;
mod event;
mod format;
mod id;
pub mod limits;
mod outcome;
mod record;
mod time;
mod value;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Error, ErrorKind, Result};
pub use event::{Entry, Event, Operation, flatten};
pub use format::FORMAT_VERSION;
pub use id::{ImportId, Sequence, SubjectId};
pub use outcome::{Outcome, Rejection};
pub use record::*;
pub use time::Timestamp;
pub use value::{Value, ValueRef};
