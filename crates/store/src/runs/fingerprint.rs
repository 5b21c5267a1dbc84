//! Fixed-width names for ids of any length: docs/format.md, Message id fingerprint.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{BuildHasherDefault, Hash, Hasher};

use sha2::{Digest, Sha256};

use crate::record::MessageId;

/// The first 16 bytes of the SHA-256 of an id's text; ordered as a big-endian number.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint([u8; 16]);

impl Fingerprint {
    pub(crate) const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    pub(crate) fn of(text: &str) -> Self {
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Self(*digest.first_chunk().expect("32 bytes begin with 16: constants"))
    }

    /// That of the id's text, in whichever form the record keeps it.
    pub(crate) fn of_message_id(id: &MessageId<'_>) -> Self {
        match id {
            MessageId::Text(text) => Self::of(text),
            MessageId::Uuid(bytes) => {
                let mut text = [0; uuid::fmt::Hyphenated::LENGTH];
                Self::of(uuid::Uuid::from_bytes(*bytes).hyphenated().encode_lower(&mut text))
            }
        }
    }

    /// The first 8 bytes as a big-endian number: what fences and filters hold.
    pub(crate) fn prefix(&self) -> u64 {
        u64::from_be_bytes(*self.0.first_chunk().expect("16 bytes begin with 8: constants"))
    }
}

impl Ord for Fingerprint {
    fn cmp(&self, other: &Self) -> Ordering {
        // The order of the bytes, in a comparison of two words.
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Fingerprint {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Fingerprint {
    /// Takes the last 8 bytes as they are: a part of a SHA-256 needs no mixing.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_le_bytes(*self.0.last_chunk().expect("16 bytes end with 8: constants")));
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

/// Hands a [`Fingerprint`]'s bytes through.
#[derive(Default)]
pub(crate) struct FingerprintHasher(u64);

impl Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }
}

/// A set of fingerprints.
pub(crate) type FingerprintSet = hashbrown::HashSet<Fingerprint, BuildHasherDefault<FingerprintHasher>>;

/// A map by fingerprint.
pub(crate) type FingerprintMap<V> = hashbrown::HashMap<Fingerprint, V, BuildHasherDefault<FingerprintHasher>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_the_first_half_of_sha_256() {
        // SHA-256 of "abc", FIPS 180-2 appendix B.1.
        assert_eq!(format!("{:?}", Fingerprint::of("abc")), "ba7816bf8f01cfea414140de5dae2223");
        assert_eq!(Fingerprint::of("abc").prefix(), 0xba78_16bf_8f01_cfea);
    }

    #[test]
    fn fingerprints_are_ordered_as_big_endian_numbers() {
        let low = Fingerprint::from_bytes([0, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 255]);
        let high = Fingerprint::from_bytes([1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert!(low < high);
        assert!(low.prefix() < high.prefix());
    }

    #[test]
    fn a_uuid_and_its_text_have_one_fingerprint() {
        let text = "0190c2a0-7b1e-7000-8000-000000000001";
        let id = MessageId::from_text(text);
        assert!(matches!(id, MessageId::Uuid(_)));
        assert_eq!(Fingerprint::of_message_id(&id), Fingerprint::of(text));
        assert_eq!(Fingerprint::of_message_id(&MessageId::Text("m1")), Fingerprint::of("m1"));
    }
}
