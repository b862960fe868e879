//! Whole conversations: devices with real keys (MLS), the order of their commits, real holders with what they keep, and connections that
//! break. Devices are taken in and out, holders change, processes end and go on with what is on disk.

use std::collections::BTreeSet;
use std::time::Duration;

use starling_chat::group::outputs::Unreadable;
use starling_wire::ids::{DeviceId, EpochTag};

mod device;
mod world;

pub use world::World;

/// What befalls a conversation.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Everything but the keys follows from it; those come from the operating system.
    pub seed: u64,
    /// Devices, each of another account. The first one makes the group and takes the others in.
    pub devices: u8,
    /// Holders there are; the group begins with the first three.
    pub holders: u32,
    /// How long things go wrong.
    pub trouble: Duration,
    /// Between two changes by one device on average.
    pub changes_every: Duration,
    /// Between two messages of one device on average.
    pub says_every: Duration,
    /// Between two ends of some connection.
    pub cuts_every: Duration,
    /// Between two ends of some process, a device's or a holder's.
    pub crashes_every: Duration,
}

/// What it is like at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Epochs that those who are in the group are in.
    pub epochs: BTreeSet<EpochTag>,
    /// How many devices are in it.
    pub devices: usize,
    /// Members by what each of them sees.
    pub views: BTreeSet<BTreeSet<DeviceId>>,
    /// Messages said.
    pub said: usize,
    /// Messages that somebody does not have who was in the group all the time.
    pub lost: usize,
    /// Entries that could not be read, and why.
    pub unreadable: Vec<(u8, Unreadable)>,
    /// Changes made and settled, refused.
    pub changes: [usize; 2],
    /// Generations that began.
    pub generations: usize,
    /// Devices that could not follow by themselves.
    pub outside: usize,
    /// Messages read by somebody who had been taken out before.
    pub leaked: usize,
}
