//! Conversations' logs at mailbox holders, over weeks: holders start anew, leave and die, members come and go, some are away for 29 days.
//! Holders, depositors and collectors are the real machines, with real signatures.
//!
//! Time goes by hours; what is said between two nodes takes none. That members agree on other holders is taken for granted: how
//! they do is [`crate::ordering`]'s. Whoever comes back learns of later generations at once.

mod member;
pub(crate) mod station;
mod world;

use serde::{Deserialize, Serialize};

pub use self::world::World;

/// What is simulated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, also its report's.
    pub name: String,
    /// The world's seed.
    pub seed: u64,
    /// Conversations.
    pub conversations: u32,
    /// Members of each, one device each.
    pub members: u32,
    /// Holders, two in each block of addresses.
    pub holders: u32,
    /// Days.
    pub days: u32,
    /// Messages of one conversation in a day.
    pub messages_a_day: f64,
    /// Share of the hours that a member is online.
    pub online: f64,
    /// Share of the members that are away from the second day on, for 29 days.
    pub away: f64,
    /// Share of the holders that die without a word, one after another.
    pub deaths: f64,
    /// Share of the holders that leave in order.
    pub leaving: f64,
    /// How often a holder starts anew in a day.
    pub restarts_a_day: f64,
}

/// What came of it. Bytes count each entry with its cost.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The scenario.
    pub scenario: String,
    /// Its seed.
    pub seed: u64,
    /// Messages written.
    pub messages: u64,
    /// Shown as held by 3, 2, 1 and 0 at the end of the hour in which they were written.
    pub held_by: [u64; 4],
    /// Looked at each day: a message at a holder that gave a receipt for it, lives, and does not have it.
    pub broken_receipts: u64,
    /// Likewise: shown as held by N, at no holder before its time, and fewer than N of those who gave receipts are gone.
    pub lost: u64,
    /// At no holder, and N or more of those are gone.
    pub gone_with_holders: u64,
    /// Collected by those who were away for 29 days, when they came back.
    pub collected: u64,
    /// Written meanwhile, shown as held, and not collected.
    pub missed: u64,
    /// Holders that started anew, left, died.
    pub fates: [u64; 3],
    /// Changes of holders.
    pub changes: u64,
    /// The most bytes that a holder stored at the end of a day: median and most of all holders.
    pub stored_bytes: Middle,
    /// Bytes that were copied to a holder in place of another one, all days together.
    pub repair_bytes: Middle,
}

/// Median and most.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Middle {
    /// Median.
    pub p50: u64,
    /// Most.
    pub most: u64,
}

impl Middle {
    /// Of these.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = values.into_iter().collect();
        sorted.sort_unstable();
        Self {
            p50: sorted.get(sorted.len() / 2).copied().unwrap_or(0),
            most: sorted.last().copied().unwrap_or(0),
        }
    }
}
