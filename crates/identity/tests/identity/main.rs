//! Who is who and what is known of them, against naive models and rule by rule.
#![allow(clippy::unwrap_used, reason = "a test program has no outside and fails by panicking")]

mod common;
mod expiry;
mod model;
mod profiles;
mod rules;
