//! A scenario: how large the world is and what befalls it. TOML; times in seconds since the start.

use serde::Deserialize;

/// What is simulated.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name, also its report's.
    pub name: String,
    /// The world's seed.
    pub seed: u64,
    /// Nodes in all.
    pub nodes: u32,
    /// Supernodes of the network file, there from the start.
    pub founders: u32,
    /// Share of the other nodes that could serve.
    pub eligible: f64,
    /// Clients a supernode takes.
    pub clients_max: u32,
    /// Share of the supernodes that lie about records.
    #[serde(default)]
    pub liars: f64,
    /// The nodes come within this time.
    pub ramp_s: u64,
    /// Share of the nodes that come only with a storm.
    #[serde(default)]
    pub away: f64,
    /// A client's supernode does this with one registration: handshake, signatures, disk.
    pub registration_ms: f64,
    /// One way between each two nodes, in milliseconds; else as their places are.
    #[serde(default)]
    pub delay_ms: Option<u64>,
    /// Nodes come and go, with the online times that were measured of Skype.
    #[serde(default)]
    pub churn: bool,
    /// Bytes are counted from here on.
    #[serde(default)]
    pub measure_from_s: u64,
    /// The world ends.
    pub end_s: u64,
    /// What befalls it.
    #[serde(default)]
    pub event: Vec<Event>,
}

/// Something happens.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Event {
    /// When.
    pub at_s: u64,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// So many look-ups of random accounts by random clients, within a minute.
    Lookups(u32),
    /// This share of the supernodes dies at once; who is away comes within ten seconds.
    Storm(f64),
    /// This share of the supernodes dies without a word, one after another, within so many seconds.
    Fade(f64, u64),
    /// So many pairs call each other and go on talking.
    Calls(u32),
    /// The world falls into two halves.
    Part,
    /// They find each other again.
    Rejoin,
}
