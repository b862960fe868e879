//! `starling:` links. All a newcomer needs: account, network, up to three supernode addresses, in 91 to 389 characters
//! that also fit a QR code's alphanumeric mode (upper case is accepted).
//!
//! Form: `starling:` + base32 (RFC 4648, lower case, no padding) of version byte, postcard body, and the first four bytes
//! of the BLAKE3 hash of both. A link is text from outside: opening one only ever shows a question.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};

use crate::frame;
use crate::ids::{AccountId, NetworkId};
use crate::limits::{LINK_MAX, SUPERNODES_MAX};
use crate::supernode::SupernodeAddr;

/// What a link begins with.
pub const SCHEME: &str = "starling:";
/// A new device's link: [`crate::pairing`].
pub(crate) const DEVICE_SCHEME: &str = "starling-device:";
const VERSION: u8 = 1;
const CHECK_BYTES: usize = 4;

/// What a link names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// A person.
    Account(AccountId),
    /// A network to join.
    Network,
}

/// A link's content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it leads to.
    pub target: Target,
    /// The network, if it has an owner.
    pub network: Option<NetworkId>,
    /// Where to ask.
    pub supernodes: Vec<SupernodeAddr>,
}

/// Why a text is no link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// Another scheme.
    #[error("this is not a Starling link; a Starling link begins with \"starling:\"")]
    Scheme,
    /// Too long.
    #[error("this link is longer than a Starling link can be")]
    TooLong,
    /// Damaged.
    #[error("this link is damaged or cut off; copy it again, whole")]
    Damaged,
    /// From a newer Starling.
    #[error("this link was made by a newer version of Starling; update to open it")]
    Version,
    /// Names no supernode, or one where nobody can answer.
    #[error("this link names no supernode to ask, so nobody can be reached by it")]
    NoSupernode,
    /// One for a new device ([`crate::pairing::PairingLink`]), where one to a person or a network belongs.
    #[error("this link adds a new device to an account; open it where you set Starling up")]
    Device,
    /// None for a new device, where one belongs.
    #[error(
        "this link adds no device; choose \"add a device\" on one that you have, and use the link it shows"
    )]
    NotDevice,
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&write_text(SCHEME, &frame::encode_body(self)))
    }
}

/// A link as text: scheme, then version, body and check bytes in base32.
pub(crate) fn write_text(scheme: &str, body: &[u8]) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(body);
    let check = blake3::hash(&bytes);
    bytes.extend_from_slice(&check.as_bytes()[..CHECK_BYTES]);
    format!(
        "{scheme}{}",
        BASE32_NOPAD.encode(&bytes).to_ascii_lowercase()
    )
}

/// The body of a link of this scheme (`LINK-01` to `LINK-03`).
pub(crate) fn read_text(scheme: &str, text: &str) -> Result<Vec<u8>, LinkError> {
    let text = text.trim();
    // LINK-01: bound and scheme.
    if text.len() > LINK_MAX {
        return Err(LinkError::TooLong);
    }
    let body = body_after(scheme, text).ok_or(LinkError::Scheme)?;
    let bytes = BASE32_NOPAD
        .decode(body.to_ascii_uppercase().as_bytes())
        .map_err(|_| LinkError::Damaged)?;
    // LINK-02: a newer version is named before anything else is read.
    if bytes.first().is_some_and(|version| *version > VERSION) {
        return Err(LinkError::Version);
    }
    // LINK-03: check bytes.
    let split = bytes
        .len()
        .checked_sub(CHECK_BYTES)
        .ok_or(LinkError::Damaged)?;
    let (content, check) = bytes.split_at(split);
    if blake3::hash(content).as_bytes()[..CHECK_BYTES] != *check {
        return Err(LinkError::Damaged);
    }
    match content.split_first() {
        Some((&VERSION, content)) => Ok(content.to_vec()),
        _ => Err(LinkError::Damaged),
    }
}

/// What follows the scheme, if the text begins with it.
fn body_after<'a>(scheme: &str, text: &'a str) -> Option<&'a str> {
    let (begins, body) = text.split_at_checked(scheme.len())?;
    begins.eq_ignore_ascii_case(scheme).then_some(body)
}

impl FromStr for Link {
    type Err = LinkError;

    /// `LINK-01` to `LINK-04`.
    fn from_str(text: &str) -> Result<Self, LinkError> {
        if body_after(DEVICE_SCHEME, text.trim()).is_some() {
            return Err(LinkError::Device);
        }
        Self::read_body(&read_text(SCHEME, text)?)
    }
}

impl Link {
    /// What stands between version and check bytes. Outside of parsing only for fuzzing, since no mutated link gets past
    /// its check bytes.
    pub(crate) fn read_body(content: &[u8]) -> Result<Self, LinkError> {
        // LINK-03: whole.
        let link: Self = frame::decode_body(content, LINK_MAX).map_err(|_| LinkError::Damaged)?;
        check_supernodes(&link.supernodes)?;
        Ok(link)
    }
}

/// `LINK-04`: one to three supernodes, each where somebody can answer.
pub(crate) fn check_supernodes(supernodes: &[SupernodeAddr]) -> Result<(), LinkError> {
    if supernodes.len() > SUPERNODES_MAX {
        return Err(LinkError::Damaged);
    }
    if supernodes.is_empty() || !supernodes.iter().all(SupernodeAddr::is_usable) {
        return Err(LinkError::NoSupernode);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::EndpointKey;
    use proptest::prelude::*;

    fn link(count: usize) -> Link {
        let supernode = SupernodeAddr {
            id: EndpointKey([3; 32]),
            tcp: "[2001:db8::1234]:27474".parse().unwrap(),
            discovery_port: 27476,
        };
        Link {
            target: Target::Account(AccountId([1; 32])),
            network: Some(NetworkId([2; 32])),
            supernodes: vec![supernode; count],
        }
    }

    proptest! {
        #[test]
        fn link_01_no_text_makes_it_panic(text in "(starling:)?[a-zA-Z2-7]{0,300}") {
            let _ = text.parse::<Link>();
        }

        #[test]
        fn link_03_one_changed_letter_is_noticed(at in 9usize..200, letter in 0u8..26) {
            let text = link(2).to_string();
            let at = at % (text.len() - 9) + 9;
            let mut damaged = text.clone().into_bytes();
            damaged[at] = b'a' + letter;
            let damaged = String::from_utf8(damaged).unwrap();
            if damaged != text {
                prop_assert!(damaged.parse::<Link>().is_err());
            }
        }
    }

    #[test]
    fn link_01_it_round_trips_in_both_cases_and_stays_short() {
        for count in 1..=SUPERNODES_MAX {
            let text = link(count).to_string();
            assert!(text.len() <= LINK_MAX, "{}", text.len());
            assert_eq!(text.parse(), Ok(link(count)));
            assert_eq!(text.to_uppercase().parse(), Ok(link(count)));
            assert_eq!(format!("  {text}\n").parse(), Ok(link(count)));
        }
        assert_eq!("skype:echo123".parse::<Link>(), Err(LinkError::Scheme));
        assert_eq!(
            format!("starling:{}", "a".repeat(600)).parse::<Link>(),
            Err(LinkError::TooLong)
        );
    }

    #[test]
    fn link_02_a_newer_version_says_so() {
        let newer = format!(
            "starling:{}",
            BASE32_NOPAD.encode(&[2, 0, 0, 0, 0, 0]).to_lowercase()
        );
        assert_eq!(newer.parse::<Link>(), Err(LinkError::Version));
    }

    #[test]
    fn link_04_it_names_one_to_three_supernodes() {
        assert_eq!(
            link(0).to_string().parse::<Link>(),
            Err(LinkError::NoSupernode)
        );
        assert!(link(4).to_string().parse::<Link>().is_err());
        let mut nowhere = link(1);
        nowhere.supernodes[0].tcp = "0.0.0.0:27474".parse().unwrap();
        assert_eq!(
            nowhere.to_string().parse::<Link>(),
            Err(LinkError::NoSupernode)
        );
    }
}
