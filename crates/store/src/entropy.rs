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
pub struct SeededEntropy(Mutex<u64>);

impl SeededEntropy {
    /// The row of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(Mutex::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn bytes(&self) -> [u8; 16] {
        let mut state = lock(&self.0);
        // SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014.
        let mut next = || {
            *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            mixed ^ (mixed >> 31)
        };
        ((u128::from(next()) << 64) | u128::from(next())).to_le_bytes()
    }
}
