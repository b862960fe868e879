//! What befalls a group in [`super::world`], and what it is like afterwards. Times are those of the world.

use std::collections::BTreeMap;
use std::time::Duration;

use starling_wire::ids::EpochTag;

/// What befalls a group.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Everything follows from it.
    pub seed: u64,
    /// Members, at most 250.
    pub members: u8,
    /// Holders there are; the group begins with the first three.
    pub holders: u8,
    /// How long things go wrong.
    pub trouble: Duration,
    /// How often a packet is lost meanwhile, and how often it comes twice.
    pub loss: f64,
    /// Whether the last of the first three holders lies.
    pub liar: bool,
    /// Between two commits of one member on average.
    pub commits_every: Duration,
    /// Between two texts of one member on average.
    pub texts_every: Duration,
    /// Between two partings of the network on average; each lasts half as long.
    pub parts_every: Duration,
    /// Between two crashes of somebody on average.
    pub crashes_every: Duration,
}

/// What the world is like at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Epochs that the members are in, and how many commits led there.
    pub branches: BTreeMap<EpochTag, usize>,
    /// Settled epochs with two certificates for different commits.
    pub split: usize,
    /// Holders that were caught lying by some member.
    pub liars: usize,
    /// Members whose commit is still under way.
    pub pending: usize,
    /// Texts written.
    pub texts: usize,
    /// Texts that some member does not have.
    pub lost: usize,
    /// The most copies that a member ever kept.
    pub copies: usize,
    /// Epochs that were left for another branch, by all members together.
    pub overturned: usize,
    /// Settled ones among them.
    pub settled_overturned: usize,
    /// Members that had to be let in again.
    pub rejoined: usize,
}
