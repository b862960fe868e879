//! What two contacts' front doors say to each other (ALPN `starling/1/link`): where the inner endpoints are.
//!
//! The connection itself proves the front door's key; the receiver looks the key up among its contacts' cards and never
//! answers anybody else. One bidirectional stream carries one question and its answer, or else begins with a word that says
//! what it is for: own devices talk over this protocol, too.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::ids::EndpointKey;
use crate::limits::ADDRESSES_MAX;
use crate::supernode::SupernodeAddr;

/// Where a device's inner endpoint is. Told to accepted contacts only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerAddr {
    /// Its key, fresh for every binding.
    pub endpoint: EndpointKey,
    /// The supernode whose relay reaches it.
    pub home: Option<SupernodeAddr>,
    /// Direct addresses, at most [`ADDRESSES_MAX`].
    pub direct: Vec<SocketAddr>,
}

impl InnerAddr {
    /// `PEER-01`: as many addresses as a machine can have and no more, and a supernode where there can be one.
    pub fn fits(&self) -> bool {
        self.direct.len() <= ADDRESSES_MAX
            && self.home.as_ref().is_none_or(SupernodeAddr::is_usable)
    }
}

/// One frame of the link protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkFrame {
    /// "Please bind your inner endpoint and tell me where it is; mine is here."
    Meet {
        /// The asker's.
        inner: InnerAddr,
    },
    /// Answer to `Meet`.
    Met {
        /// The answerer's.
        inner: InnerAddr,
    },
    /// "I want to join your account": frames of [`crate::pairing`] follow on this stream.
    Pair,
    /// "I am another device of yours": frames of [`crate::sync`] follow.
    Sync,
    /// "About our profiles": frames of [`crate::profile`] follow.
    Profile,
}

/// Bound on one frame.
pub const LINK_FRAME_MAX: usize = 2 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame;

    #[test]
    fn peer_01_the_largest_address_list_fits_its_frame_and_a_larger_one_is_refused() {
        let address: SocketAddr = "[2001:db8:1234:5678:9abc:def0:1234:5678]:65535"
            .parse()
            .unwrap();
        let home = SupernodeAddr {
            id: EndpointKey([1; 32]),
            tcp: address,
            discovery_port: u16::MAX,
        };
        let mut inner = InnerAddr {
            endpoint: EndpointKey([2; 32]),
            home: Some(home),
            direct: vec![address; ADDRESSES_MAX],
        };
        assert!(inner.fits());
        assert!(
            frame::encode_body(&LinkFrame::Meet {
                inner: inner.clone()
            })
            .len()
                <= LINK_FRAME_MAX
        );
        inner.direct.push(address);
        assert!(!inner.fits());
        inner.direct.clear();
        if let Some(home) = &mut inner.home {
            home.tcp.set_ip("0.0.0.0".parse().unwrap());
        }
        assert!(!inner.fits());
    }
}
