//! What lets somebody open a box: a supernode, or the holder's own owner, grants it to people it serves. The holder learns which
//! supernode granted it, and not to whom.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::account::{sign, signed_by};
use crate::frame;
use crate::ids::EndpointKey;

const CONTEXT: &[u8] = b"starling 1 log grant";
/// Days from a grant's making to its end.
pub const GRANT_DAYS: u32 = 35;

/// "Whoever shows this may open one box at each holder."
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Grant {
    /// Who grants it.
    pub issuer: EndpointKey,
    /// By chance: at each holder it counts once.
    pub serial: [u8; 16],
    /// The last day it counts.
    pub until_day: u32,
}

/// A grant nobody has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedGrant {
    /// What is granted.
    pub grant: Grant,
    /// Ed25519 by the issuer over context and grant.
    pub signature: ([u8; 32], [u8; 32]),
}

/// What is shown to open a box. Another variant may come that does not tell the grant's serial to its issuer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Token {
    /// A grant.
    Granted(SignedGrant),
}

/// Why a grant does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// Of somebody whose word does not count here.
    #[error("the grant to open a box is of somebody whom this holder does not serve")]
    Issuer,
    /// Over, or for longer than grants are made.
    #[error("the grant to open a box is out of date, or a clock is wrong")]
    Date,
    /// Not signed.
    #[error("the grant to open a box was not signed by whoever it names")]
    NotSigned,
}

impl SignedGrant {
    /// Signed by whoever grants it.
    pub fn new(serial: [u8; 16], until_day: u32, issuer: &SigningKey) -> Self {
        let grant = Grant {
            issuer: EndpointKey(issuer.verifying_key().to_bytes()),
            serial,
            until_day,
        };
        let signature = sign(issuer, &signed_bytes(&grant));
        Self { grant, signature }
    }

    /// `BOX-04`: of one of those whose word counts, for today, signed.
    pub fn verify(
        &self,
        today: u32,
        counts: impl FnOnce(EndpointKey) -> bool,
    ) -> Result<Grant, GrantError> {
        let latest = today.saturating_add(GRANT_DAYS);
        if !(today..=latest).contains(&self.grant.until_day) {
            return Err(GrantError::Date);
        }
        if !counts(self.grant.issuer) {
            return Err(GrantError::Issuer);
        }
        let issuer = self.grant.issuer.as_bytes();
        match signed_by(issuer, &signed_bytes(&self.grant), self.signature) {
            true => Ok(self.grant),
            false => Err(GrantError::NotSigned),
        }
    }
}

fn signed_bytes(grant: &Grant) -> Vec<u8> {
    [CONTEXT, &frame::encode_body(grant)].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: u32 = 20_800;

    #[test]
    fn box_04_a_grant_counts_for_a_while_and_from_those_who_may() {
        let supernode = SigningKey::from_bytes(&[1; 32]);
        let grant = SignedGrant::new([2; 16], TODAY + 1, &supernode);
        let issuer = grant.grant.issuer;
        let verify = |grant: &SignedGrant, today| grant.verify(today, |one| one == issuer);
        assert_eq!(verify(&grant, TODAY), Ok(grant.grant));
        assert_eq!(verify(&grant, TODAY + 1), Ok(grant.grant));
        assert_eq!(verify(&grant, TODAY + 2), Err(GrantError::Date));
        let early = TODAY + 1 - GRANT_DAYS - 1;
        assert_eq!(verify(&grant, early), Err(GrantError::Date));
        assert_eq!(grant.verify(TODAY, |_| false), Err(GrantError::Issuer));
        let mut changed = grant;
        changed.grant.serial = [3; 16];
        assert_eq!(verify(&changed, TODAY), Err(GrantError::NotSigned));
    }
}
