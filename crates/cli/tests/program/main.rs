//! The program from outside: what it says, what it writes, and how it ends.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod answers;
mod bad_input;
mod bench;
mod demo;
#[cfg(feature = "serve")]
mod health;
mod person;
mod quarantine;
#[cfg(feature = "serve")]
mod serve;
mod verify;
