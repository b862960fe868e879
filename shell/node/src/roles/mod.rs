//! The three roles a node may have for others (DESIGN: supernode, relay, mailbox holder): switches, caps, what they carry.

pub mod candidacy;
pub mod carrier;
pub mod holding;
pub mod machine_policy;
pub mod meter;
pub mod serve;
pub mod settings;
pub mod show;
pub mod volume;

/// A role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Registrations, look-ups, presence, rendezvous.
    Supernode,
    /// Other people's packets.
    Relay,
    /// Letters for devices that are away.
    Mailbox,
}

impl Role {
    /// In the order they are shown.
    pub const ALL: [Self; 3] = [Self::Supernode, Self::Relay, Self::Mailbox];

    /// As in commands and in the policy file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Supernode => "supernode",
            Self::Relay => "relay",
            Self::Mailbox => "mailbox",
        }
    }
}
