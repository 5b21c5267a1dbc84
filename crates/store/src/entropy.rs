//! Randomness, injected.

use std::sync::Mutex;

use crate::queue::lock;

/// Gives a store the random bytes that it makes ids of.
pub trait Entropy: Send + Sync + std::fmt::Debug {
    /// Sixteen bytes that nobody can guess or repeat.
    fn bytes(&self) -> [u8; 16];
}

/// The operating system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn bytes(&self) -> [u8; 16] {
        uuid::Uuid::new_v4().into_bytes()
    }
}

/// A row of numbers that a seed decides, for tests and simulations: never for ids that must be unique.
#[derive(Debug)]
pub struct SeededEntropy(Mutex<SplitMix64>);

impl SeededEntropy {
    /// The row of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(SplitMix64::new(seed)))
    }
}

impl Entropy for SeededEntropy {
    fn bytes(&self) -> [u8; 16] {
        let mut row = lock(&self.0);
        ((u128::from(row.next()) << 64) | u128::from(row.next())).to_le_bytes()
    }
}

/// SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
#[derive(Debug, Clone)]
pub(crate) struct SplitMix64(u64);

impl SplitMix64 {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 up to and without `end`; 0 if `end` is 0. Low numbers come a little more often, by 2^-64 of the range.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // The high half of a product of two 64-bit numbers fits 64 bits.
        u64::try_from((u128::from(self.next()) * u128::from(end)) >> 64).unwrap_or(0)
    }

    /// Yes `yes` times of `of`.
    pub(crate) fn chance(&mut self, yes: u64, of: u64) -> bool {
        self.below(of) < yes
    }
}
