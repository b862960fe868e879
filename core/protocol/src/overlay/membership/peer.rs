//! A member as the engine names it, and the engine's settings.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use foca::{Config, Identity, PeriodicParams};
use serde::{Deserialize, Serialize};
use starling_wire::ids::EndpointKey;

use super::{GOSSIP_MAX, PROBE_EVERY};

/// An answer comes within this, or others are asked to try.
const PROBE_WAIT: Duration = Duration::from_secs(3);
/// From a suspicion to the rumour of death.
const SUSPECTED_FOR: Duration = Duration::from_secs(30);
/// The dead are remembered, so that old news of them is no news.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);

/// Who comes back has a higher generation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    /// The supernode's key.
    pub key: EndpointKey,
    /// Counts its lives.
    pub generation: u32,
}

impl Identity for Peer {
    type Addr = EndpointKey;

    fn renew(&self) -> Option<Self> {
        Some(Self {
            key: self.key,
            generation: self.generation.wrapping_add(1),
        })
    }

    fn addr(&self) -> EndpointKey {
        self.key
    }

    fn win_addr_conflict(&self, adversary: &Self) -> bool {
        self.generation > adversary.generation
    }
}

/// SWIM's settings.
pub fn config() -> Config {
    let count = |n| NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN);
    Config {
        probe_period: PROBE_EVERY,
        probe_rtt: PROBE_WAIT,
        num_indirect_probes: count(3),
        max_transmissions: NonZeroU8::new(10).unwrap_or(NonZeroU8::MIN),
        suspect_to_down_after: SUSPECTED_FOR,
        remove_down_after: Some(REMEMBERED),
        max_packet_size: count(GOSSIP_MAX),
        notify_down_members: true,
        // Lists are compared instead, which costs less and misses nobody.
        periodic_announce: None,
        periodic_announce_to_down_members: Some(PeriodicParams {
            frequency: Duration::from_secs(20),
            num_members: count(1),
        }),
        periodic_gossip: None,
    }
}
