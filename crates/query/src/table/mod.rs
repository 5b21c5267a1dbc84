//! The tables that SQL and the analyses read: `events` and `persons` of one snapshot.

mod events;
mod exec;
mod persons;
mod prune;
mod reader;
mod subjects;

pub(crate) use events::EventsTable;
pub(crate) use exec::EventsExec;
pub(crate) use persons::PersonsTable;
