//! What came of a scenario: the figures, and the file they are kept in.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The figures of one run. Milliseconds, bytes a second, shares of 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// Nodes that were there at the end.
    pub nodes: u32,
    /// Supernodes at the end.
    pub supernodes: u32,
    /// Machines that began to serve.
    pub promoted: u32,
    /// Share of the supernodes' lists that was right at the end.
    pub membership_right: f64,
    /// Clients at home at the end.
    pub at_home: f64,
    /// From finding each other again to one list of supernodes; 0 where nothing fell apart.
    pub one_again_ms: u64,
    /// Sent by a supernode for the list of supernodes.
    pub membership_bytes_s: f64,
    /// Sent by a node, in all.
    pub bytes_s: f64,
    /// Signatures a real network would have checked.
    pub signatures: u64,
    /// Machines that began to serve once more after they had ended.
    pub flapped: u32,
    /// From coming to being at home, before anything befell.
    pub start_ms: Spread,
    /// From losing its home, or coming with the storm, to being at home.
    pub back_ms: Spread,
    /// Clients of the supernodes.
    pub clients: Clients,
    /// What was looked up.
    pub lookups: Lookups,
    /// How the two of each look-up that was right would be connected.
    pub pairs: Pairs,
    /// Calls.
    pub calls: Calls,
}

/// Clients of the supernodes at the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clients {
    /// Median.
    pub p50: u32,
    /// The most that one has.
    pub most: u32,
    /// Supernodes that ever had more than they take.
    pub above_cap: u32,
}

/// Look-ups.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lookups {
    /// How many.
    pub asked: u32,
    /// Share answered with the right record.
    pub right: f64,
    /// From the client's question to its answer.
    pub ms: Spread,
    /// Waves of questions until the answer came, of those that were right.
    pub rounds: Spread,
}

/// Shares of the look-ups; what is missing to 1 is unreachable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairs {
    /// Directly.
    pub direct: f64,
    /// Through NATs that were punched.
    pub punched: f64,
    /// Through a relay.
    pub relayed: f64,
}

/// Calls in progress when something befell the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calls {
    /// How many.
    pub begun: u32,
    /// Ended by it.
    pub lost: u32,
    /// Silence in those whose relay went.
    pub gap_ms: Spread,
}

/// A distribution, in milliseconds, or in numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spread {
    /// How many.
    pub count: u32,
    /// Median.
    pub p50: u64,
    /// 19 of 20 are below.
    pub p95: u64,
    /// 99 of 100 are below.
    pub p99: u64,
    /// The longest.
    pub most: u64,
}

impl Spread {
    /// Of these times.
    pub fn of(times: &[Duration]) -> Self {
        let mut sorted: Vec<u64> = times
            .iter()
            .map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
            .collect();
        sorted.sort_unstable();
        let at = |share: usize| {
            let index = (sorted.len() * share / 100).min(sorted.len().saturating_sub(1));
            sorted.get(index).copied().unwrap_or(0)
        };
        Self {
            count: u32::try_from(sorted.len()).unwrap_or(u32::MAX),
            p50: at(50),
            p95: at(95),
            p99: at(99),
            most: at(100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let times: Vec<Duration> = (1..=200).map(Duration::from_millis).collect();
        let spread = Spread::of(&times);
        assert_eq!((spread.count, spread.p50, spread.p95), (200, 101, 191));
        assert_eq!((spread.p99, spread.most), (199, 200));
        assert_eq!(Spread::of(&[]), Spread::default());
    }
}
