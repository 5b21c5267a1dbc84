//! The store as its callers see it, on real files and on simulated ones.

#![allow(unreachable_pub, clippy::unwrap_used, reason = "a test program has no outside and fails by panicking")]

mod append;
mod backup;
mod common;
mod damage;
mod expiry;
mod kills;
mod profiles;
mod quarantine;
mod recovery;
mod removal;
mod segments;
mod stops;
mod subscribe;
mod verify;
