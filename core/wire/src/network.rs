//! The network file (TOML): which supernodes make a network, signed by its owner. `starling network init` writes one,
//! `starling network join` reads one. A newcomer may have it from a stranger, so every field is checked.

use std::net::SocketAddr;

use ed25519_dalek::{Signature, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

use crate::frame;
use crate::ids::NetworkId;
use crate::limits::{NAME_MAX, NETWORK_FILE_MAX};
use crate::supernode::SupernodeAddr;

const CONTEXT: &[u8] = b"starling 1 network file";
const FORMAT: u32 = 1;
pub const SUPERNODES_IN_FILE_MAX: usize = 100;

/// A network as its owner describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The owner's public key.
    pub id: NetworkId,
    /// What its owner calls it.
    pub name: String,
    /// Its listed supernodes.
    pub supernodes: Vec<SupernodeAddr>,
}

/// Why a network file was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NetworkError {
    /// Too large or not TOML of this shape.
    #[error("this is not a Starling network file: {0}")]
    Malformed(String),
    /// A newer format.
    #[error("this network file was made by a newer version of Starling; update to read it")]
    Format,
    /// The owner did not sign it.
    #[error("this network file was changed after its owner signed it; ask the owner for it again")]
    Signature,
    /// No supernode.
    #[error("this network file names no supernode")]
    NoSupernode,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: u32,
    id: String,
    name: String,
    signature: String,
    supernode: Vec<FileSupernode>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSupernode {
    id: String,
    tcp: SocketAddr,
    discovery_port: u16,
}

impl Network {
    /// The file, signed by the owner's key.
    pub fn to_file(&self, owner: &SigningKey) -> String {
        use ed25519_dalek::Signer;
        let signature = owner.sign(&self.signed_bytes());
        let file = File {
            format: FORMAT,
            id: self.id.to_string(),
            name: self.name.clone(),
            signature: data_encoding::HEXLOWER.encode(&signature.to_bytes()),
            supernode: self
                .supernodes
                .iter()
                .map(|s| FileSupernode {
                    id: s.id.to_string(),
                    tcp: s.tcp,
                    discovery_port: s.discovery_port,
                })
                .collect(),
        };
        toml::to_string(&file).expect("strings, numbers and one list are always TOML")
    }

    /// Reads a file and checks its signature (`NETWORK-01` to `NETWORK-03`).
    pub fn from_file(text: &str) -> Result<Self, NetworkError> {
        // NETWORK-01: bounds and shape.
        if text.len() > NETWORK_FILE_MAX {
            return Err(NetworkError::Malformed(format!(
                "it is larger than {NETWORK_FILE_MAX} bytes"
            )));
        }
        let file: File =
            toml::from_str(text).map_err(|e| NetworkError::Malformed(e.message().to_owned()))?;
        if file.format != FORMAT {
            return Err(NetworkError::Format);
        }
        if file.name.len() > NAME_MAX || file.supernode.len() > SUPERNODES_IN_FILE_MAX {
            return Err(NetworkError::Malformed(
                "its name or its list is too long".to_owned(),
            ));
        }
        // NETWORK-02: somebody to ask.
        if file.supernode.is_empty() {
            return Err(NetworkError::NoSupernode);
        }
        let malformed = |_| NetworkError::Malformed("an id in it is not valid".to_owned());
        let id: NetworkId = file.id.parse().map_err(malformed)?;
        let mut supernodes = Vec::new();
        for entry in &file.supernode {
            let supernode = SupernodeAddr {
                id: entry.id.parse().map_err(malformed)?,
                tcp: entry.tcp,
                discovery_port: entry.discovery_port,
            };
            if !supernode.is_usable() {
                return Err(NetworkError::Malformed(format!(
                    "nobody can answer at {}",
                    supernode.tcp
                )));
            }
            supernodes.push(supernode);
        }
        let network = Self {
            id,
            name: file.name,
            supernodes,
        };
        // NETWORK-03: the owner's signature over all of it.
        let signature = data_encoding::HEXLOWER_PERMISSIVE
            .decode(file.signature.as_bytes())
            .ok()
            .and_then(|bytes| Signature::from_slice(&bytes).ok())
            .ok_or(NetworkError::Signature)?;
        VerifyingKey::from_bytes(id.as_bytes())
            .and_then(|owner| owner.verify_strict(&network.signed_bytes(), &signature))
            .map_err(|_| NetworkError::Signature)?;
        Ok(network)
    }

    fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = CONTEXT.to_vec();
        bytes.extend_from_slice(&frame::encode_body(&(
            &self.id,
            &self.name,
            &self.supernodes,
        )));
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EndpointKey;
    use proptest::prelude::*;

    fn family() -> (SigningKey, Network) {
        let owner = SigningKey::from_bytes(&[1; 32]);
        let supernode = SupernodeAddr {
            id: EndpointKey([2; 32]),
            tcp: "192.0.2.1:27474".parse().unwrap(),
            discovery_port: 27476,
        };
        let id = NetworkId(owner.verifying_key().to_bytes());
        (
            owner,
            Network {
                id,
                name: "Family \"Müller\"".into(),
                supernodes: vec![supernode],
            },
        )
    }

    proptest! {
        #[test]
        fn network_01_no_text_makes_it_panic(text in "(format = 1\n)?.{0,300}") {
            let _ = Network::from_file(&text);
        }
    }

    #[test]
    fn network_01_a_file_round_trips_and_a_newer_one_says_so() {
        let (owner, network) = family();
        let text = network.to_file(&owner);
        assert_eq!(Network::from_file(&text), Ok(network));
        assert_eq!(
            Network::from_file(&text.replace("format = 1", "format = 2")),
            Err(NetworkError::Format)
        );
    }

    #[test]
    fn network_01_a_supernode_nowhere_is_refused() {
        let (owner, mut network) = family();
        network.supernodes[0].tcp = "0.0.0.0:27474".parse().unwrap();
        assert!(matches!(
            Network::from_file(&network.to_file(&owner)),
            Err(NetworkError::Malformed(_))
        ));
    }

    #[test]
    fn network_02_it_names_a_supernode() {
        let (owner, mut network) = family();
        network.supernodes.clear();
        let text = network.to_file(&owner);
        assert!(Network::from_file(&text).is_err());
    }

    #[test]
    fn network_03_a_changed_address_is_noticed() {
        let (owner, network) = family();
        let text = network.to_file(&owner).replace("192.0.2.1", "192.0.2.66");
        assert_eq!(Network::from_file(&text), Err(NetworkError::Signature));
    }
}
