//! How often watch lists may be sent or kept on (`PRESENCE-29`). Those who are registered here have their own account of it, so
//! that no crowd of others takes their turns.

use std::net::IpAddr;
use std::time::Duration;

use starling_wire::ids::EndpointKey;

use super::Watcher;
use crate::machine::Time;
use crate::pace::Pace;

/// Of one key at once: ten lists when its home changes, and some more.
const BURST: u32 = 40;
/// And then one in so long: ten lists in five minutes take half of that.
const EVERY: Duration = Duration::from_secs(5);
/// Of all strangers in one block of addresses at once: another supernode's clients come from its address.
const BURST_OF_BLOCK: u32 = 5_000;
/// And then one in so long.
const EVERY_OF_BLOCK: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Turns {
    registered: Pace<EndpointKey>,
    strangers: Pace<EndpointKey>,
    of_block: Pace<IpAddr>,
}

impl Default for Turns {
    fn default() -> Self {
        Self {
            registered: Pace::new(BURST, EVERY),
            strangers: Pace::new(BURST, EVERY),
            of_block: Pace::new(BURST_OF_BLOCK, EVERY_OF_BLOCK),
        }
    }
}

impl Turns {
    /// Whether it is somebody's turn; it counts if so.
    pub(super) fn take(&mut self, watcher: &Watcher, now: Time) -> bool {
        if watcher.registered {
            return self.registered.take(watcher.key, now);
        }
        // The key's own first: who has no turn takes none of the neighbours'.
        self.strangers.has_room(watcher.key, now)
            && watcher
                .block
                .is_none_or(|block| self.of_block.take(block, now))
            && self.strangers.take(watcher.key, now)
    }
}
