//! What an event says about its sender: pure functions over what came with it.
//!
//! Nothing here knows a store or the network: each function takes what was sent and gives what it means, so that whoever takes events in applies those that are wanted before they
//! are appended, and each can be left out. Raw values are kept beside what was made of them, save the address of a visitor, which is kept only where that is asked for.

mod clock;
pub mod device;
mod enricher;
mod place;
mod site;
pub mod source;
pub mod visitor;

pub use clock::{Clock, Corrected, Correction};
pub use enricher::{Context, Enriched, Enricher, KeepAddress};
pub use place::{Place, Places, PlacesError};
pub use site::{Hosts, Site, Sites};
pub use visitor::{SALT_FILE, Visitor, Visitors, network_of};
