//! The subjects that are asked for again and again.

use crate::runs::{Fingerprint, FingerprintMap};

/// A bounded cache in two generations: what is used moves to the young one, and when that is full it becomes the old
/// one, whose rest is forgotten.
pub(super) struct HotCache {
    young: FingerprintMap<u32>,
    old: FingerprintMap<u32>,
    half: usize,
    epoch: Epoch,
}

/// Counts how often what was true of ids has ceased to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Epoch(u64);

impl Epoch {
    pub(super) fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl HotCache {
    /// A cache of at most `entries`.
    pub(super) fn new(entries: usize) -> Self {
        Self {
            young: FingerprintMap::default(),
            old: FingerprintMap::default(),
            half: (entries / 2).max(1),
            epoch: Epoch::default(),
        }
    }

    pub(super) fn find(&mut self, fingerprint: &Fingerprint) -> Option<u32> {
        if let Some(subject) = self.young.get(fingerprint) {
            return Some(*subject);
        }
        let subject = self.old.remove(fingerprint)?;
        self.insert(*fingerprint, subject);
        Some(subject)
    }

    /// Takes in what was found on a disk as it was in `epoch`, unless it may be true no more.
    pub(super) fn learn(&mut self, fingerprint: Fingerprint, subject: u32, epoch: Epoch) {
        if epoch == self.epoch {
            self.insert(fingerprint, subject);
        }
    }

    fn insert(&mut self, fingerprint: Fingerprint, subject: u32) {
        if self.young.len() >= self.half {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        self.young.insert(fingerprint, subject);
    }

    /// Forgets everything; of what was found before `epoch`, which begins, it learns nothing.
    pub(super) fn begin(&mut self, epoch: Epoch) {
        self.young = FingerprintMap::default();
        self.old = FingerprintMap::default();
        self.epoch = epoch;
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
        let epoch = Epoch::default().next();
        cache.begin(epoch);
        assert_eq!(cache.find(&fingerprint(99)), None);
        cache.learn(fingerprint(99), 99, Epoch::default());
        assert_eq!(cache.find(&fingerprint(99)), None);
        cache.learn(fingerprint(99), 99, epoch);
        assert_eq!(cache.find(&fingerprint(99)), Some(99));
    }
}
