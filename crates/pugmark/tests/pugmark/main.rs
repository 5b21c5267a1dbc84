//! Whole stores through the facade: their answers against an oracle and recounts, their life, their damage, their end.
//!
//! One program, since each links DataFusion anew: 300 MB and some seconds.
#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test program has no outside and fails by panicking")]

#[path = "../../../query/tests/query/oracle/cases/mod.rs"]
mod cases;
mod compatibility;
mod damage;
mod declared;
mod definitions;
mod export;
mod groups;
mod identity;
mod one_snapshot;
#[path = "../../../query/tests/query/oracle/mod.rs"]
mod oracle;
#[path = "../../../query/tests/query/oracle/pages.rs"]
mod pages;
mod people;
mod removal;
#[path = "../../../query/tests/query/oracle/sent.rs"]
mod sent;
mod stops;
mod through_a_store;
mod verify;
