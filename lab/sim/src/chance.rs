//! The world's only chance: one seeded generator.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// Random numbers.
#[derive(Debug)]
pub struct Chance(ChaCha8Rng);

impl Chance {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// Any number.
    pub fn number(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// One of `0..bound`, 0 for a bound of 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let product = u128::from(self.number()) * bound as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }

    /// Between 0 and 1.
    pub fn unit(&mut self) -> f64 {
        // 53 bits are what a f64 holds.
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True so often.
    pub fn is(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// `count` different ones of `from`, fewer if there are fewer.
    pub fn some<T: Copy>(&mut self, from: &[T], count: usize) -> Vec<T> {
        let mut rest: Vec<T> = from.to_vec();
        let count = count.min(rest.len());
        for at in 0..count {
            let other = at + self.below(rest.len() - at);
            rest.swap(at, other);
        }
        rest.truncate(count);
        rest
    }
}
