//! The engine: its cores and plans against an oracle, questions and statements over a store, files in and out.
//!
//! One program, since each links DataFusion anew: 300 MB and some seconds.
#![allow(clippy::unwrap_used, reason = "a test program fails by panicking")]

mod analyses;
#[path = "oracle/cases/mod.rs"]
mod cases;
mod common;
mod core;
#[cfg(feature = "openapi")]
mod document;
mod files;
mod filters;
#[path = "oracle/lowering.rs"]
mod lowering;
mod mutants;
mod oracle;
#[path = "oracle/pages.rs"]
mod pages;
mod portable;
mod profiles;
#[path = "oracle/sent.rs"]
mod sent;
mod snapshots;
mod spec;
mod sql;
