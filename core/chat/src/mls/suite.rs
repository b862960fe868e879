//! Which algorithms a group uses. It is a field of the group and never changes: another suite is another group.

use openmls::prelude::Ciphersuite;
use serde::{Deserialize, Serialize};

/// A cipher suite of RFC 9420 or of draft-ietf-mls-pq-ciphersuites. Signatures are Ed25519 in both: what a group says stays secret
/// from whoever will have a quantum computer, who wrote it does not stay proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Suite {
    /// 0x004E: ML-KEM-768 with X25519, AES-256-GCM, SHA-384. The code point is the draft's and may change there; it is written
    /// nowhere but in the groups' own messages.
    Hybrid,
    /// 0x0001: X25519, AES-128-GCM, SHA-256. For groups in which about 2.8 kB a leaf are too much.
    Classic,
}

impl Suite {
    /// Leaves of a group up to which the hybrid suite is used.
    pub const HYBRID_LEAVES_MAX: usize = 100;

    /// The suite of a new group that will have so many leaves.
    pub const fn for_leaves(leaves: usize) -> Self {
        if leaves <= Self::HYBRID_LEAVES_MAX {
            Self::Hybrid
        } else {
            Self::Classic
        }
    }

    /// Its number in MLS.
    pub const fn code(self) -> u16 {
        match self {
            Self::Hybrid => 0x004e,
            Self::Classic => 0x0001,
        }
    }

    pub(super) const ALL: [Self; 2] = [Self::Hybrid, Self::Classic];

    pub(super) const fn ciphersuite(self) -> Ciphersuite {
        match self {
            Self::Hybrid => Ciphersuite::MLS_128_MLKEM768X25519_AES256GCM_SHA384_Ed25519,
            Self::Classic => Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519,
        }
    }

    pub(super) fn of(ciphersuite: Ciphersuite) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|suite| suite.ciphersuite() == ciphersuite)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_that_openmls_writes() {
        for suite in Suite::ALL {
            assert_eq!(u16::from(suite.ciphersuite()), suite.code());
            assert_eq!(Suite::of(suite.ciphersuite()), Some(suite));
        }
        assert_eq!(Suite::for_leaves(100), Suite::Hybrid);
        assert_eq!(Suite::for_leaves(101), Suite::Classic);
    }
}
