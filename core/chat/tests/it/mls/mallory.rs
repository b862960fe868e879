//! Somebody with another program: openmls as it comes, which does what our module would not.

use openmls::group::{
    GroupId, JoinBuilder, MlsGroup, MlsGroupJoinConfig, ProcessedWelcome, WireFormatPolicy,
};
use openmls::prelude::tls_codec::DeserializeBytes as _;
use openmls::prelude::{
    BasicCredential, Capabilities, Ciphersuite, CommitBuilder, Credential, CredentialWithKey,
    Extension, ExtensionType, Extensions, GroupContext, Initial, KeyPackage, LeafNodeParameters,
    Lifetime, MlsMessageBodyIn, MlsMessageIn, MlsMessageOut, RequiredCapabilitiesExtension,
    UnknownExtension,
};
use openmls_rust_crypto::OpenMlsRustCrypto;
use openmls_traits::OpenMlsProvider as _;
use openmls_traits::signatures::{Signer, SignerError};
use openmls_traits::types::SignatureScheme;

use ed25519_dalek::{Signer as _, SigningKey};
use starling_chat::mls::key_package;

use super::cast::{identity, now_s};

pub const SUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
/// The extension of the group context that Starling uses.
pub const CONTEXT_EXTENSION: u16 = 0xf574;

pub struct Mallory {
    pub provider: OpenMlsRustCrypto,
    pub key: Key,
    pub credential: Credential,
    pub group: Option<MlsGroup>,
}

pub struct Key(pub SigningKey);

impl Signer for Key {
    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, SignerError> {
        Ok(self.0.sign(payload).to_vec())
    }

    fn signature_scheme(&self) -> SignatureScheme {
        SignatureScheme::ED25519
    }
}

pub fn basic(bytes: Vec<u8>) -> Credential {
    BasicCredential::new(bytes).into()
}

pub fn capabilities() -> Capabilities {
    Capabilities::builder()
        .extensions(vec![
            ExtensionType::Unknown(CONTEXT_EXTENSION),
            ExtensionType::LastResort,
        ])
        .build()
}

/// What Starling puts into a group's context, with this record and perhaps more.
pub fn context(record: Vec<u8>, more: Option<Extension>) -> Extensions<GroupContext> {
    let mut required = vec![ExtensionType::Unknown(CONTEXT_EXTENSION)];
    required.extend(more.as_ref().map(Extension::extension_type));
    let mut all = vec![
        Extension::RequiredCapabilities(RequiredCapabilitiesExtension::new(&required, &[], &[])),
        Extension::Unknown(CONTEXT_EXTENSION, UnknownExtension(record)),
    ];
    all.extend(more);
    Extensions::from_vec(all).unwrap()
}

pub fn lifetime(from: i64, to: i64) -> Lifetime {
    let now = now_s() as i64;
    Lifetime::init((now + from) as u64, (now + to) as u64)
}

/// As our packages have it: made so many seconds ago.
pub fn made(before: i64) -> Lifetime {
    let at = (now_s() as i64 - before) as u64;
    Lifetime::init(0, key_package::ENDLESS_S + at)
}

impl Mallory {
    /// With an account and a device of her own.
    pub fn new(account: u8, device: u8) -> Self {
        let (key, credential) = identity(account, device);
        Self {
            provider: OpenMlsRustCrypto::default(),
            key: Key(key),
            credential: basic(credential.to_bytes()),
            group: None,
        }
    }

    pub fn with_key(&self) -> CredentialWithKey {
        CredentialWithKey {
            credential: self.credential.clone(),
            signature_key: self.key.0.verifying_key().to_bytes().to_vec().into(),
        }
    }

    pub fn package(&self, lifetime: Lifetime) -> KeyPackage {
        KeyPackage::builder()
            .key_package_lifetime(lifetime)
            .leaf_node_capabilities(capabilities())
            .build(SUITE, &self.provider, &self.key, self.with_key())
            .unwrap()
            .into_key_package()
    }

    pub fn package_bytes(&self, lifetime: Lifetime) -> Vec<u8> {
        MlsMessageOut::from(self.package(lifetime))
            .to_bytes()
            .unwrap()
    }

    /// A group of hers.
    pub fn create(&mut self, id: &[u8], extensions: Extensions<GroupContext>) {
        let group = MlsGroup::builder()
            .with_group_id(GroupId::from_slice(id))
            .ciphersuite(SUITE)
            .with_capabilities(capabilities())
            .with_group_context_extensions(extensions)
            .use_ratchet_tree_extension(true)
            .build(&self.provider, &self.key, self.with_key());
        self.group = Some(group.unwrap());
    }

    /// A Welcome to it.
    pub fn welcome(&mut self, package: KeyPackage) -> Vec<u8> {
        let Self {
            provider,
            key,
            group,
            ..
        } = self;
        let group = group.as_mut().unwrap();
        let (_, welcome, _) = group.add_members(provider, key, &[package]).unwrap();
        group.merge_pending_commit(provider).unwrap();
        welcome.to_bytes().unwrap()
    }

    pub fn join(&mut self, welcome: &[u8], policy: WireFormatPolicy) {
        let config = MlsGroupJoinConfig::builder()
            .wire_format_policy(policy)
            .build();
        let message = MlsMessageIn::tls_deserialize_exact_bytes(welcome).unwrap();
        let MlsMessageBodyIn::Welcome(welcome) = message.extract() else {
            panic!("no welcome");
        };
        let processed =
            ProcessedWelcome::new_from_welcome(&self.provider, &config, welcome).unwrap();
        let staged = JoinBuilder::new(&self.provider, processed).build().unwrap();
        self.group = Some(staged.into_group(&self.provider).unwrap());
    }

    /// A commit, made by hand.
    pub fn commit(
        &mut self,
        build: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
    ) -> Vec<u8> {
        let Self {
            provider,
            key,
            group,
            ..
        } = self;
        let group = group.as_mut().unwrap();
        let bundle = build(group.commit_builder())
            .load_psks(provider.storage())
            .unwrap()
            .build(provider.rand(), provider.crypto(), key, |_| true)
            .unwrap()
            .stage_commit(provider)
            .unwrap();
        bundle.commit().to_bytes().unwrap()
    }

    /// An external commit with what a member gave her.
    pub fn enter(&self, info: &[u8]) -> Vec<u8> {
        let message = MlsMessageIn::tls_deserialize_exact_bytes(info).unwrap();
        let MlsMessageBodyIn::GroupInfo(info) = message.extract() else {
            panic!("no group info");
        };
        let leaf = LeafNodeParameters::builder()
            .with_capabilities(capabilities())
            .build();
        let (_, bundle) = MlsGroup::external_commit_builder()
            .build_group(&self.provider, info, self.with_key())
            .unwrap()
            .leaf_node_parameters(leaf)
            .load_psks(self.provider.storage())
            .unwrap()
            .build(
                self.provider.rand(),
                self.provider.crypto(),
                &self.key,
                |_| true,
            )
            .unwrap()
            .finalize(&self.provider)
            .unwrap();
        bundle.commit().to_bytes().unwrap()
    }
}
