//! Who a leaf is: our own key and credential, and the check of everybody's.
//!
//! openmls looks into no credential. One function does, for every leaf that enters a group by whatever way: the tree at joining,
//! added key packages, the leaf of a commit, external or not. It depends on the leaf's bytes alone, so all members judge alike.

use std::collections::BTreeMap;

use ed25519_dalek::{Signer as _, SigningKey};
use openmls::prelude::{
    BasicCredential, Capabilities, CredentialType, CredentialWithKey, ExtensionType,
};
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;
use starling_wire::credential::{Credential, CredentialError, Member};

use super::CONTEXT_EXTENSION;
use super::suite::Suite;

/// Verified credentials that are remembered, so that a message costs one look instead of two signatures.
const REMEMBERED_MAX: usize = 4_096;

/// Why a device cannot act in groups, or a leaf cannot be in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Its credential.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// No credential of the type that Starling uses.
    #[error("a device in the group shows a proof of another kind")]
    Kind,
    /// A credential of another device than the one that signs.
    #[error("a device in the group shows the proof of another device")]
    OtherDevice,
}

/// This device in its groups.
pub(super) struct Identity {
    key: SigningKey,
    credential: Vec<u8>,
    member: Member,
}

impl Identity {
    pub fn new(key: &SigningKey, credential: &Credential) -> Result<Self, IdentityError> {
        let member = credential.verify()?;
        if key.verifying_key().to_bytes() != member.device.0 {
            return Err(IdentityError::OtherDevice);
        }
        Ok(Self {
            key: key.clone(),
            credential: credential.to_bytes(),
            member,
        })
    }

    pub const fn member(&self) -> Member {
        self.member
    }

    pub fn credential_with_key(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: BasicCredential::new(self.credential.clone()).into(),
            signature_key: self.member.device.0.to_vec().into(),
        }
    }
}

impl Signer for Identity {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.key.sign(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

/// What each leaf of ours says that it understands.
pub(super) fn capabilities() -> Capabilities {
    Capabilities::builder()
        .ciphersuites(Suite::ALL.map(Suite::ciphersuite).to_vec())
        .extensions(vec![
            ExtensionType::Unknown(CONTEXT_EXTENSION),
            ExtensionType::LastResort,
        ])
        .build()
}

/// Checks leaves, and remembers whom it has checked.
#[derive(Default)]
pub(super) struct Members {
    verified: BTreeMap<Vec<u8>, Member>,
}

impl Members {
    /// Who a leaf with this credential and this signature key is (`MLS-05`).
    pub fn verify(
        &mut self,
        credential: &openmls::prelude::Credential,
        signature_key: &[u8],
    ) -> Result<Member, IdentityError> {
        let member = self.read(credential)?;
        if member.device.0 != signature_key {
            return Err(IdentityError::OtherDevice);
        }
        Ok(member)
    }

    /// Whose credential of a leaf this is, whose key was compared when the leaf came in.
    pub fn read(
        &mut self,
        credential: &openmls::prelude::Credential,
    ) -> Result<Member, IdentityError> {
        if credential.credential_type() != CredentialType::Basic {
            return Err(IdentityError::Kind);
        }
        if let Some(member) = self.verified.get(credential.serialized_content()) {
            return Ok(*member);
        }
        let member = Credential::read(credential.serialized_content())?.verify()?;
        if self.verified.len() >= REMEMBERED_MAX {
            self.verified.clear();
        }
        let bytes = credential.serialized_content().to_vec();
        self.verified.insert(bytes, member);
        Ok(member)
    }
}
