//! The tables that SQL and the analyses read, of one snapshot.

mod answers;
mod daily;
mod events;
mod exec;
mod few;
pub(crate) mod groups;
pub(crate) mod identities;
mod made;
mod persons;
mod prune;
mod reader;
pub(crate) mod registry;
mod sessions;
mod subjects;

pub(crate) use answers::AnswerFunction;
pub(crate) use daily::DailyTable;
pub(crate) use events::{EventsTable, PERSON, external, values_of};
pub(crate) use exec::EventsExec;
pub(crate) use persons::PersonsTable;
pub(crate) use sessions::SessionsTable;
