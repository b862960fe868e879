//! Where nodes are, and how long a packet takes from one to another.
//!
//! Three continents with the one-way delays between them that public looking glasses show (about 45, 75 and 110 ms), up to
//! 20 ms within one, and an access line of 3 to 25 ms at each end: median round trip about 100 ms, nineteen of twenty below
//! 300 ms. A simplification, the same for every scenario that names no delay of its own; no jitter, no loss (that is what the
//! network lab is for).

use std::time::Duration;

use crate::chance::Chance;

const BETWEEN_MS: [[f64; 3]; 3] = [[0.0, 45.0, 75.0], [45.0, 0.0, 110.0], [75.0, 110.0, 0.0]];
const WITHIN_MS: f64 = 20.0;
const ACCESS_MS: (f64, f64) = (3.0, 25.0);

/// One node's place.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    continent: usize,
    x: f64,
    y: f64,
    access_ms: f64,
}

impl Place {
    /// Somewhere.
    pub fn random(chance: &mut Chance) -> Self {
        let (least, most) = ACCESS_MS;
        Self {
            continent: chance.below(BETWEEN_MS.len()),
            x: chance.unit(),
            y: chance.unit(),
            access_ms: least + (most - least) * chance.unit().powi(2),
        }
    }

    /// One way.
    pub fn delay(&self, other: &Self) -> Duration {
        let distance = (self.x - other.x).hypot(self.y - other.y);
        let between = BETWEEN_MS[self.continent][other.continent] + WITHIN_MS * distance;
        Duration::from_secs_f64((between + self.access_ms + other.access_ms) / 1_000.0)
    }
}
