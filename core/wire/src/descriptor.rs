//! A supernode's description of itself, signed by its own key: what the list of all supernodes consists of. Whoever passes
//! one on cannot change it, and an old one does not come back (`MEMBER-01` to `MEMBER-04`). Times are Unix seconds.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::{EndpointKey, NetworkId};
use crate::placement::Position;
use crate::supernode::SupernodeAddr;

const CONTEXT: &[u8] = b"starling 1 supernode";

/// A description counts for so long after it was signed; half of that later it is signed anew.
pub const DESCRIPTOR_TTL: Duration = Duration::from_secs(24 * 3600);
/// A clock may be ahead by so much.
const CLOCK_AHEAD_S: u64 = 600;
/// The largest has 172 bytes; there is room for a field.
pub const DESCRIPTOR_MAX: usize = 192;

/// What a supernode does for others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roles {
    /// Carries index, presence and rendezvous.
    pub supernode: bool,
    /// Carries packets.
    pub relay: bool,
    /// Keeps envelopes.
    pub mailbox: bool,
}

/// What a supernode says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// Where it is. Its key signs.
    pub at: SupernodeAddr,
    /// The UDP port at the same address where other supernodes reach it directly; 0 where they do not.
    pub udp_port: u16,
    /// The UDP port at the same address that takes short words as [packets](crate::packet); 0 where none does.
    pub packet_port: u16,
    /// The network it belongs to.
    pub network: Option<NetworkId>,
    /// What it does.
    pub roles: Roles,
    /// Clients it takes.
    pub clients_max: u32,
    /// Clients it has, in percent of those it takes.
    pub load: u8,
    /// When it was signed. Higher replaces lower.
    pub issued: u64,
}

/// A description as it travels: not verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedDescriptor {
    /// The description.
    pub descriptor: Descriptor,
    /// By the supernode's key.
    pub signature: ([u8; 32], [u8; 32]),
}

/// A description whose bounds, dates and signature were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedDescriptor(SignedDescriptor);

/// Why a description was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Larger than one may be, or a load above 100 %.
    #[error("the supernode's description breaks its bounds")]
    Bounds,
    /// No supernode can be there.
    #[error("the supernode names an address that cannot be one")]
    Address,
    /// Too old, or signed in the future.
    #[error("the supernode's description is out of date, or a clock is wrong")]
    Date,
    /// Another network's.
    #[error("the supernode belongs to another network")]
    Network,
    /// Not signed by that supernode.
    #[error("the supernode did not sign its description")]
    Signature,
}

impl Descriptor {
    /// Signs it with the supernode's key.
    pub fn sign(self, key: &SigningKey) -> SignedDescriptor {
        let signature = sign(key, &self.signed_bytes());
        SignedDescriptor {
            descriptor: self,
            signature,
        }
    }

    /// Whether it is time to sign it anew.
    pub const fn is_half_over(&self, now: u64) -> bool {
        self.issued + DESCRIPTOR_TTL.as_secs() / 2 <= now
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.extend_from_slice(&frame::encode_body(self));
        bytes
    }
}

impl SignedDescriptor {
    /// Checks everything it claims, for a member of `network`.
    pub fn verify(
        &self,
        network: Option<NetworkId>,
        now: u64,
    ) -> Result<VerifiedDescriptor, DescriptorError> {
        let told = &self.descriptor;
        // MEMBER-01: bounds and address.
        if frame::encode_body(self).len() > DESCRIPTOR_MAX || told.load > 100 {
            return Err(DescriptorError::Bounds);
        }
        if !told.at.is_usable() {
            return Err(DescriptorError::Address);
        }
        // MEMBER-02: dates.
        let old = now.saturating_sub(DESCRIPTOR_TTL.as_secs());
        if told.issued < old || told.issued > now.saturating_add(CLOCK_AHEAD_S) {
            return Err(DescriptorError::Date);
        }
        // MEMBER-03: of our network.
        if told.network != network {
            return Err(DescriptorError::Network);
        }
        // MEMBER-04: signed by itself.
        if !signed_by(told.at.id.as_bytes(), &told.signed_bytes(), self.signature) {
            return Err(DescriptorError::Signature);
        }
        Ok(VerifiedDescriptor(self.clone()))
    }
}

impl VerifiedDescriptor {
    /// The supernode's key.
    pub const fn id(&self) -> EndpointKey {
        self.0.descriptor.at.id
    }

    /// What it says.
    pub const fn get(&self) -> &Descriptor {
        &self.0.descriptor
    }

    /// With its signature, to pass on.
    pub const fn signed(&self) -> &SignedDescriptor {
        &self.0
    }

    /// Where it stands among the keys.
    pub fn position(&self) -> Position {
        Position::of(self.id(), self.get().at.tcp)
    }

    /// Whether it replaces another description of the same supernode.
    pub const fn is_newer_than(&self, other: &Self) -> bool {
        self.get().issued > other.get().issued
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn key() -> SigningKey {
        SigningKey::from_bytes(&[5; 32])
    }

    fn described() -> Descriptor {
        Descriptor {
            at: SupernodeAddr {
                id: EndpointKey(key().verifying_key().to_bytes()),
                tcp: "[2001:db8::1]:65535".parse().unwrap(),
                discovery_port: u16::MAX,
            },
            udp_port: u16::MAX,
            packet_port: u16::MAX,
            network: Some(NetworkId([9; 32])),
            roles: Roles {
                supernode: true,
                relay: true,
                mailbox: true,
            },
            clients_max: u32::MAX,
            load: 100,
            issued: NOW,
        }
    }

    fn verify(descriptor: Descriptor, now: u64) -> Result<VerifiedDescriptor, DescriptorError> {
        descriptor
            .sign(&key())
            .verify(Some(NetworkId([9; 32])), now)
    }

    #[test]
    fn member_01_the_largest_fits_and_a_place_where_nobody_is_is_refused() {
        let signed = described().sign(&key());
        assert_eq!(frame::encode_body(&signed).len(), 172);
        const { assert!(172 <= DESCRIPTOR_MAX) };
        assert!(verify(described(), NOW).is_ok());
        let mut nowhere = described();
        nowhere.at.tcp.set_port(0);
        assert_eq!(verify(nowhere, NOW), Err(DescriptorError::Address));
        let loaded = Descriptor {
            load: 101,
            ..described()
        };
        assert_eq!(verify(loaded, NOW), Err(DescriptorError::Bounds));
    }

    #[test]
    fn member_02_yesterdays_and_tomorrows_are_refused() {
        let day = DESCRIPTOR_TTL.as_secs();
        assert!(verify(described(), NOW + day).is_ok());
        assert_eq!(
            verify(described(), NOW + day + 1),
            Err(DescriptorError::Date)
        );
        assert!(verify(described(), NOW - CLOCK_AHEAD_S).is_ok());
        assert_eq!(
            verify(described(), NOW - CLOCK_AHEAD_S - 1),
            Err(DescriptorError::Date)
        );
    }

    #[test]
    fn member_03_another_networks_is_refused() {
        let signed = described().sign(&key());
        assert_eq!(signed.verify(None, NOW), Err(DescriptorError::Network));
    }

    #[test]
    fn member_04_only_the_supernode_itself_describes_itself() {
        let mut signed = described().sign(&key());
        signed.descriptor.load = 0;
        let checked = signed.verify(Some(NetworkId([9; 32])), NOW);
        assert_eq!(checked, Err(DescriptorError::Signature));
        let forged = described().sign(&SigningKey::from_bytes(&[6; 32]));
        let checked = forged.verify(Some(NetworkId([9; 32])), NOW);
        assert_eq!(checked, Err(DescriptorError::Signature));
    }
}
