//! What this supernode says about itself.

use ed25519_dalek::SigningKey;
use starling_wire::descriptor::{Descriptor, DescriptorError, Roles, VerifiedDescriptor};
use starling_wire::ids::NetworkId;
use starling_wire::supernode::SupernodeAddr;

use crate::clock::wall_s;

/// What this supernode is among the others.
#[derive(Debug)]
pub struct Membercard {
    /// Signs its description.
    pub key: SigningKey,
    /// Where others reach it.
    pub at: SupernodeAddr,
    /// The network it belongs to.
    pub network: Option<NetworkId>,
    /// What it does.
    pub roles: Roles,
    /// Clients it takes.
    pub clients_max: u32,
    /// Whom it was told of by the network file.
    pub listed: Vec<SupernodeAddr>,
}

impl Membercard {
    /// Signed now, and checked as others will check it.
    pub(super) fn describe(
        &self,
        udp_port: u16,
        load: u8,
    ) -> Result<VerifiedDescriptor, DescriptorError> {
        let now = wall_s();
        let descriptor = Descriptor {
            at: self.at.clone(),
            udp_port,
            network: self.network,
            roles: self.roles,
            clients_max: self.clients_max,
            load,
            issued: now,
        };
        descriptor.sign(&self.key).verify(self.network, now)
    }
}
