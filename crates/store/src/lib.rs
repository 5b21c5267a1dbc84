//! The store under pugmark: an append-only segmented log, and an index of everything derived from it.
//!
//! - **Durable.** [`Store::append`] returns once the batch is written and synced. What is acknowledged survives a crash of the process and
//!   of the machine.
//! - **Exactly once, for good.** A message id is stored at most once in the life of a store. A retry is answered
//!   [`Outcome::Duplicate`], the same id with other content [`Outcome::Conflict`], which is kept aside
//!   until somebody decides about it.
//! - **Derived data is derived.** Everything beside the log is a [`Fold`] of it and can be deleted and rebuilt.
//!
//! It knows no person, no column and no query: those are folds that other crates bring. It is synchronous; its threads commit, sync and keep up what is sealed.
//! It is not a message queue and not a key-value store: events are not updated, and one process at a time may open a directory.
//!
//! The bytes on disk are defined in `docs/format.md`.

mod backup;
mod base;
mod block;
mod catalog;
mod clock;
mod entropy;
mod error;
mod event;
mod flight;
mod fold;
mod format;
#[doc(hidden)]
pub mod fuzzing;
mod hashes;
mod id;
mod index;
pub mod limits;
mod log;
mod maintain;
mod moment;
mod options;
mod outcome;
mod prepare;
mod profile;
mod quarantine;
mod queue;
mod record;
mod removal;
mod replay;
mod reprocess;
mod runs;
mod snapshot;
mod spare;
mod state;
mod storage;
mod store;
mod subjects;
mod subscribe;
mod time;
mod value;
mod verify;
mod view;

pub use backup::BackupReport;
pub use block::{EventBlock, EventDraft, PackedEvent};
pub use catalog::{SegmentSpan, TimeRange};
pub use clock::{Clock, ManualClock, SystemClock};
pub use entropy::{Entropy, SeededEntropy, SystemEntropy};
pub use error::{Error, ErrorKind, Result};
pub use event::{Entry, Event, Note, Operation, SplitOf, flatten};
pub use fold::{Asks, Committed, Decision, Fold, LinkKind, LinkOf, Proposal, Verifier, copy_table};
pub use format::FORMAT_VERSION;
pub use id::{ImportId, Sequence, SubjectId};
pub use log::{Frame, Scan, TimeScan};
pub use maintain::{Expired, SegmentInfo};
pub use moment::Moment;
pub use options::{AppendOptions, Durability, Options, WhenFull};
pub use outcome::{Outcome, Rejection};
pub use profile::ProfileUpdate;
pub use quarantine::{QuarantineStats, Quarantined, Settle};
pub use queue::Pending;
pub use record::*;
pub use redb;
pub use removal::{Hidden, OpenRemoval, Receipt};
pub use runs::RunStats;
pub use snapshot::Snapshot;
pub use storage::{
    DirEntry, Disk, FileReader, FileWriter, LockAttempt, OpenMode, SimulatedStorage, Storage, StorageFile, simulated,
};
pub use store::{LogStats, Store, StoreStats};
pub use subjects::{SubjectStats, Subjects};
pub use subscribe::{Received, Subscription};
pub use time::Timestamp;
pub use value::{Value, ValueRef};
pub use verify::{Finding, Findings, LogReport, VerifyProgress, VerifyReport};
pub use view::EventView;
