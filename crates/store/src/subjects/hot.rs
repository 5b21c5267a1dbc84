//! The subjects that are asked for again and again.

use crate::runs::{Fingerprint, FingerprintMap};

/// A bounded cache in two generations: what is used moves to the young one, and when that is full it becomes the old
/// one, whose rest is forgotten.
pub(super) struct HotCache {
    young: FingerprintMap<u32>,
    old: FingerprintMap<u32>,
    half: usize,
}

impl HotCache {
    /// A cache of at most `entries`.
    pub(super) fn new(entries: usize) -> Self {
        Self { young: FingerprintMap::default(), old: FingerprintMap::default(), half: (entries / 2).max(1) }
    }

    pub(super) fn find(&mut self, fingerprint: &Fingerprint) -> Option<u32> {
        if let Some(subject) = self.young.get(fingerprint) {
            return Some(*subject);
        }
        let subject = self.old.remove(fingerprint)?;
        self.insert(*fingerprint, subject);
        Some(subject)
    }

    pub(super) fn insert(&mut self, fingerprint: Fingerprint, subject: u32) {
        if self.young.len() >= self.half {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(fingerprint, subject);
    }

    pub(super) fn clear(&mut self) {
        self.young = FingerprintMap::default();
        self.old = FingerprintMap::default();
    }

    /// Bytes of memory.
    pub(super) fn bytes(&self) -> usize {
        self.young.allocation_size() + self.old.allocation_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(number: u32) -> Fingerprint {
        Fingerprint::of(&number.to_string())
    }

    #[test]
    fn what_is_used_stays_and_the_rest_goes() {
        let mut cache = HotCache::new(8);
        cache.insert(fingerprint(0), 0);
        for number in 1..100 {
            cache.insert(fingerprint(number), number);
            assert_eq!(cache.find(&fingerprint(0)), Some(0), "after {number}");
            assert!(cache.young.len() + cache.old.len() <= 8);
        }
        assert_eq!(cache.find(&fingerprint(50)), None);
        assert_eq!(cache.find(&fingerprint(99)), Some(99));
        cache.clear();
        assert_eq!(cache.find(&fingerprint(99)), None);
    }
}
