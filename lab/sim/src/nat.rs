//! What stands between a node and the rest (RFC 4787's words), and which rung of the ladder two of them reach.
//!
//! The shares are of the order that is told of home networks (three NATs in four can be punched); the rungs are a prediction,
//! the network lab measures them.

use crate::message::NodeId;

/// Kinds of networks, the friendliest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nat {
    /// None, or a forwarded port.
    Open,
    /// Endpoint-independent mapping: can be punched.
    Friendly,
    /// A mapping for each destination.
    Symmetric,
    /// No UDP at all.
    NoUdp,
}

impl Nat {
    /// Of a node: 15, 60, 20 and 5 of a hundred.
    pub fn of(node: NodeId) -> Self {
        match (node.wrapping_mul(2_246_822_519) >> 8) % 100 {
            0..15 => Self::Open,
            15..75 => Self::Friendly,
            75..95 => Self::Symmetric,
            _ => Self::NoUdp,
        }
    }

    /// 0 direct, 1 punched, 2 relayed.
    pub const fn rung(self, other: Self) -> usize {
        match (self, other) {
            (Self::NoUdp, _) | (_, Self::NoUdp) => 2,
            (Self::Open, _) | (_, Self::Open) => 0,
            (Self::Symmetric, Self::Symmetric) => 2,
            (Self::Friendly | Self::Symmetric, Self::Friendly | Self::Symmetric) => 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_symmetric_ones_are_relayed_and_an_open_one_is_reached_by_everybody_with_udp() {
        assert_eq!(Nat::Symmetric.rung(Nat::Symmetric), 2);
        assert_eq!(Nat::Symmetric.rung(Nat::Friendly), 1);
        assert_eq!(Nat::Open.rung(Nat::Symmetric), 0);
        assert_eq!(Nat::Open.rung(Nat::NoUdp), 2);
        let open = (0..10_000).filter(|node| Nat::of(*node) == Nat::Open);
        assert!((1_300..1_700).contains(&open.count()));
    }
}
