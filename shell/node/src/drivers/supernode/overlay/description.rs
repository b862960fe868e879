//! What this supernode says about itself.

use ed25519_dalek::SigningKey;
use starling_wire::descriptor::{Descriptor, DescriptorError, Roles, VerifiedDescriptor};
use starling_wire::ids::{EndpointKey, NetworkId};
use starling_wire::supernode::SupernodeAddr;

use crate::clock::wall_s;
use crate::roles::Role;
use crate::roles::carrier::Carrier;

/// What this supernode is among the others.
#[derive(Debug)]
pub struct Membercard {
    /// Signs its description.
    pub key: SigningKey,
    /// Where others reach it.
    pub at: SupernodeAddr,
    /// The network it belongs to.
    pub network: Option<NetworkId>,
    /// Knows which roles are on.
    pub carrier: Carrier,
    /// Clients it takes.
    pub clients_max: u32,
    /// Whom it was told of by the network file.
    pub listed: Vec<SupernodeAddr>,
    /// Whether nobody else is trusted.
    pub listed_only: bool,
}

impl Membercard {
    /// Whether a supernode may be a member.
    pub(super) fn trusts(&self, other: EndpointKey) -> bool {
        !self.listed_only || self.listed.iter().any(|listed| listed.id == other)
    }

    /// What it does now.
    pub(super) fn roles(&self) -> Roles {
        Roles {
            supernode: true,
            relay: self.carrier.is_on(Role::Relay),
            mailbox: self.carrier.is_on(Role::Mailbox),
        }
    }

    /// Signed now, and checked as others will check it.
    pub(super) fn describe(
        &self,
        (udp_port, packet_port): (u16, u16),
        load: u8,
    ) -> Result<VerifiedDescriptor, DescriptorError> {
        let now = wall_s();
        let descriptor = Descriptor {
            at: self.at.clone(),
            udp_port,
            packet_port,
            network: self.network,
            roles: self.roles(),
            clients_max: self.clients_max,
            load,
            issued: now,
        };
        descriptor.sign(&self.key).verify(self.network, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    #[test]
    fn member_20_where_only_the_network_file_counts_others_are_no_members() {
        let at = |id: u8| SupernodeAddr {
            id: EndpointKey([id; 32]),
            tcp: ([192, 0, 2, id], 443).into(),
            discovery_port: 0,
        };
        let mut card = Membercard {
            key: SigningKey::from_bytes(&[1; 32]),
            at: at(1),
            network: None,
            carrier: Carrier::new(Clock::start()),
            clients_max: 1,
            listed: vec![at(1), at(2)],
            listed_only: false,
        };
        assert!(card.trusts(EndpointKey([3; 32])));
        card.listed_only = true;
        assert!(card.trusts(EndpointKey([2; 32])));
        assert!(!card.trusts(EndpointKey([3; 32])));
    }
}
