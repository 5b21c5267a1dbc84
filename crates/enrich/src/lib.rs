//! What an event says about its sender: pure functions over what came with it.
//!
//! Nothing here knows a store or the network: each function takes what was sent and gives what it means, so that whoever takes events in applies those that are wanted before they
//! are appended, and each can be left out. Raw values are kept beside what was made of them.

mod clock;
pub mod source;

pub use clock::{Clock, Corrected, Correction};
