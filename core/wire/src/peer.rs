//! What two contacts' front doors say to each other (ALPN `starling/1/link`): who is here, where the inner endpoint is.
//!
//! The connection itself proves the front door's key; the receiver looks the key up among its contacts' cards and closes
//! the connection of anybody else.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::card::SignedCard;
use crate::ids::EndpointKey;
use crate::limits::ADDRESSES_MAX;
use crate::supernode::SupernodeAddr;

/// Where a device's inner endpoint is. Told to accepted contacts only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InnerAddr {
    /// Its key.
    pub endpoint: EndpointKey,
    /// The supernode whose relay reaches it.
    pub home: Option<SupernodeAddr>,
    /// Direct addresses, at most [`ADDRESSES_MAX`].
    pub direct: Vec<SocketAddr>,
}

impl InnerAddr {
    /// Bound (`LINK-P1` in spec page "peer").
    pub fn fits(&self) -> bool {
        self.direct.len() <= ADDRESSES_MAX
    }
}

/// One frame of the link protocol.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LinkFrame {
    /// First frame each way: this is my newest card. The sequence tells whether anything changed.
    Hello {
        /// The sender's card.
        card: Box<SignedCard>,
    },
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
    /// "I go offline."
    Bye,
}

/// Bound on one frame.
pub const LINK_FRAME_MAX: usize = 16 * 1024;
