//! What an event hashes to, before it has a subject.

use crate::runs::{Fingerprint, PropertiesHash};
use crate::view::EventView;

/// The hashes of one event. They are made while its texts are at hand: by whoever packs it, else by whoever hands it over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hashes {
    /// That of the message id, if one was sent.
    pub(crate) message_id: Option<Fingerprint>,
    /// That of the distinct id.
    pub(crate) sender: Fingerprint,
    pub(crate) properties: PropertiesHash,
}

impl Hashes {
    /// `hashed` is room to work in.
    pub(crate) fn of(event: EventView<'_>, hashed: &mut Vec<u8>) -> Self {
        Self {
            message_id: event.message_id.map(Fingerprint::of),
            sender: Fingerprint::of(event.distinct_id),
            properties: PropertiesHash::of(event.properties(), hashed),
        }
    }
}
