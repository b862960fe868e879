//! TLS between a device and a supernode's relay. A supernode's certificate is self-signed with its Ed25519 key, and the
//! client accepts the keys it has learned for that address from links, cards, records or network files. A certificate
//! authority has a say only where the network itself opens TLS ([`system`]), and then `status` says so.
//!
//! TLS tells the verifier an address without its port, so what others say of an address could add a key to that of our
//! own home. There our home's key alone counts, unless the address is private: one machine or one house may well have
//! several supernodes. (What is said to a supernode is protected by QUIC to its own key, whatever the relay is.)

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::{SupernodeAddr, is_public, relay_ip};

mod system;

use self::system::System;

/// DER of a SubjectPublicKeyInfo that holds an Ed25519 key, up to the key (RFC 8410).
const ED25519_SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// DER of a PKCS #8 private key, up to the 32-byte seed (RFC 8410).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Keys of others remembered; the one used longest ago is forgotten first. Each is learned again when it is dialled.
const OTHERS_MAX: usize = 4_096;

/// The supernode keys known for each address. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pins {
    known: Arc<Mutex<Known>>,
    system: System,
}

#[derive(Debug, Default)]
struct Known {
    home: Option<(IpAddr, EndpointKey)>,
    /// The one learned longest ago first.
    others: VecDeque<(IpAddr, EndpointKey)>,
    /// The supernode of this very process, where this machine reaches it.
    own: Option<SupernodeAddr>,
}

impl Pins {
    /// From now on this key is accepted at this address.
    pub fn learn(&self, supernode: &SupernodeAddr) {
        let pin = (supernode.tcp.ip(), supernode.id);
        let mut known = self.table();
        if known.others.back() == Some(&pin) {
            return;
        }
        known.others.retain(|other| *other != pin);
        if known.others.len() >= OTHERS_MAX {
            known.others.pop_front();
        }
        known.others.push_back(pin);
    }

    /// This is our home: at its address no other key counts, if the address is a public one.
    pub fn set_home(&self, supernode: &SupernodeAddr) {
        self.learn(supernode);
        self.table().home = Some((supernode.tcp.ip(), supernode.id));
    }

    /// The supernode of this process is reached here from now on.
    pub fn serve_at(&self, own: &SupernodeAddr) {
        self.learn(own);
        self.table().own = Some(own.clone());
    }

    /// There is no supernode in this process any more: whoever listens where it was is somebody else.
    pub fn serve_no_more(&self) {
        self.table().own = None;
    }

    /// Where a supernode is dialled. That of this process is reached over loopback, whatever address others are told: it
    /// does not change with the network this machine is in.
    pub fn place(&self, supernode: &SupernodeAddr) -> SupernodeAddr {
        match &self.table().own {
            Some(own) if own.id == supernode.id => own.clone(),
            _ => supernode.clone(),
        }
    }

    /// Whether the supernode of this process is reached here.
    pub fn is_own(&self, tcp: SocketAddr) -> bool {
        let known = self.table();
        known.own.as_ref().is_some_and(|own| own.tcp == tcp)
    }

    /// Whether the network on the way opened the TLS to this supernode's relay when it was last reached.
    pub fn is_opened(&self, supernode: &SupernodeAddr) -> bool {
        self.system.is_opened(supernode.tcp.ip())
    }

    /// Whether any supernode's key was learned for this address.
    fn knows_some(&self, ip: IpAddr) -> bool {
        let known = self.table();
        let mut all = known.home.iter().chain(&known.others);
        all.any(|(at, _)| *at == ip)
    }

    fn knows(&self, ip: IpAddr, key: EndpointKey) -> bool {
        let known = self.table();
        match known.home {
            Some((home, own)) if home == ip && is_public(ip) => own == key,
            _ => known.home == Some((ip, key)) || known.others.contains(&(ip, key)),
        }
    }

    fn table(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For TLS of our own to a supernode.
    pub fn client_config(&self) -> Result<rustls::ClientConfig, Error> {
        let provider = crypto_provider();
        let config = rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(provider))
            .with_no_client_auth();
        Ok(config)
    }

    /// The verifier for all TLS that iroh does towards relays.
    pub fn verifier(&self, provider: Arc<CryptoProvider>) -> Arc<dyn ServerCertVerifier> {
        Arc::new(PinVerifier {
            pins: self.clone(),
            provider,
        })
    }
}

#[derive(Debug)]
struct PinVerifier {
    pins: Pins,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ip = address(name).ok_or_else(|| {
            Error::General("a supernode is reached by its IP address only".into())
        })?;
        let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let key = spki
            .as_ref()
            .strip_prefix(&ED25519_SPKI)
            .and_then(|key| <[u8; 32]>::try_from(key).ok());
        let system = &self.pins.system;
        if key.is_some_and(|key| self.pins.knows(ip, EndpointKey(key))) {
            system.set_opened(ip, false);
            return Ok(ServerCertVerified::assertion());
        }
        // INSPECT-01: where a supernode is expected, whoever the operating system trusts may stand in the way.
        let chain = (certificate, intermediates);
        if self.pins.knows_some(ip) && system.vouches(chain, ip, now, &self.provider) {
            system.set_opened(ip, true);
            return Ok(ServerCertVerified::assertion());
        }
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        // All, not only a supernode's: an authority's certificate may have any.
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The address that a TLS name stands for.
fn address(name: &ServerName<'_>) -> Option<IpAddr> {
    match name {
        ServerName::IpAddress(ip) => Some((*ip).into()),
        ServerName::DnsName(name) => relay_ip(name.as_ref()),
        _ => None,
    }
}

/// AES-256-GCM first, as DESIGN 3.1 asks; AES-128-GCM must stay because QUIC's Initial packets use it.
pub fn crypto_provider() -> Arc<CryptoProvider> {
    use rustls::crypto::ring::{cipher_suite, default_provider};
    let mut provider = default_provider();
    provider.cipher_suites = vec![
        cipher_suite::TLS13_AES_256_GCM_SHA384,
        cipher_suite::TLS13_AES_128_GCM_SHA256,
    ];
    Arc::new(provider)
}

/// Why a supernode's certificate could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CertificateMakeError {
    /// From the certificate library.
    #[error("the supernode's certificate could not be made: {0}")]
    Make(#[from] rcgen::Error),
    /// From TLS.
    #[error("the supernode's certificate could not be used: {0}")]
    Use(#[from] Error),
}

/// Server side of the pin: TLS with a certificate that is self-signed by the supernode's key.
pub fn server_config(seed: &[u8; 32]) -> Result<rustls::ServerConfig, CertificateMakeError> {
    let mut der = ED25519_PKCS8.to_vec();
    der.extend_from_slice(seed);
    let pkcs8 = PrivatePkcs8KeyDer::from(der);
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ED25519)?;
    let certificate =
        rcgen::CertificateParams::new(vec!["starling".to_owned()])?.self_signed(&key)?;
    let chain = vec![certificate.der().clone()];
    let config = rustls::ServerConfig::builder_with_provider(crypto_provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::Pkcs8(pkcs8))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ed25519_dalek::SigningKey;

    fn certificate(seed: [u8; 32]) -> CertificateDer<'static> {
        let mut der = ED25519_PKCS8.to_vec();
        der.extend_from_slice(&seed);
        let pkcs8 = PrivatePkcs8KeyDer::from(der);
        let key =
            rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &rcgen::PKCS_ED25519).unwrap();
        rcgen::CertificateParams::new(vec!["starling".to_owned()])
            .unwrap()
            .self_signed(&key)
            .unwrap()
            .der()
            .clone()
    }

    fn supernode(seed: u8, tcp: &str) -> SupernodeAddr {
        SupernodeAddr {
            id: EndpointKey(
                SigningKey::from_bytes(&[seed; 32])
                    .verifying_key()
                    .to_bytes(),
            ),
            tcp: tcp.parse().unwrap(),
            discovery_port: 0,
        }
    }

    fn accepts(pins: &Pins, seed: u8, name: &str) -> bool {
        accepts_this(pins, &certificate([seed; 32]), name)
    }

    #[test]
    fn only_the_learned_key_is_accepted_and_only_at_its_address() {
        let pins = Pins::default();
        pins.learn(&supernode(1, "192.0.2.1:27474"));
        assert!(accepts(&pins, 1, "192.0.2.1"));
        assert!(!accepts(&pins, 2, "192.0.2.1"), "another key");
        assert!(!accepts(&pins, 1, "192.0.2.2"), "another address");
        assert!(!accepts(&pins, 1, "example.org"), "a name");
    }

    /// An authority's certificate, and one that it signed for this address.
    fn issued(name: &str) -> (CertificateDer<'static>, CertificateDer<'static>) {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut authority = rcgen::CertificateParams::new(vec![]).unwrap();
        authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = authority.self_signed(&key).unwrap().der().clone();
        let issuer = rcgen::Issuer::new(authority, key);
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        (root, leaf.der().clone())
    }

    /// On a system that trusts this authority.
    fn trusting(root: CertificateDer<'static>) -> Pins {
        Pins {
            system: system::trusting(root, &crypto_provider()),
            ..Pins::default()
        }
    }

    fn accepts_this(pins: &Pins, certificate: &CertificateDer<'_>, name: &str) -> bool {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        pins.verifier(crypto_provider())
            .verify_server_cert(certificate, &[], &name, &[], UnixTime::now())
            .is_ok()
    }

    #[test]
    fn inspect_01_only_an_authority_of_the_system_may_stand_in_a_supernodes_place() {
        let (root, leaf) = issued("192.0.2.1");
        let (_, strange) = issued("192.0.2.1");
        let pins = trusting(root);
        assert!(!accepts_this(&pins, &leaf, "192.0.2.1"), "nobody is there");
        pins.set_home(&supernode(1, "192.0.2.1:27474"));
        assert!(accepts_this(&pins, &leaf, "192.0.2.1"));
        assert!(!accepts_this(&pins, &strange, "192.0.2.1"), "a stranger's");
        pins.learn(&supernode(2, "192.0.2.2:27474"));
        assert!(!accepts_this(&pins, &leaf, "192.0.2.2"), "another address");
    }

    #[test]
    fn inspect_02_that_the_network_opens_tls_is_known_until_it_does_not() {
        let (root, leaf) = issued("192.0.2.1");
        let (pins, home) = (trusting(root), supernode(1, "192.0.2.1:27474"));
        pins.set_home(&home);
        assert!(!pins.is_opened(&home));
        assert!(accepts_this(&pins, &leaf, "192.0.2.1"));
        assert!(pins.is_opened(&home));
        assert!(accepts_this(&pins, &certificate([1; 32]), "192.0.2.1"));
        assert!(!pins.is_opened(&home));
    }

    #[test]
    fn others_cannot_add_a_key_at_our_homes_address() {
        let pins = Pins::default();
        pins.set_home(&supernode(1, "192.0.2.1:27474"));
        pins.learn(&supernode(2, "192.0.2.1:443"));
        assert!(accepts(&pins, 1, "192.0.2.1"));
        assert!(!accepts(&pins, 2, "192.0.2.1"));
        // On one machine or in one house there are several.
        pins.set_home(&supernode(1, "127.0.0.1:27474"));
        pins.learn(&supernode(2, "127.0.0.1:443"));
        assert!(accepts(&pins, 1, "127.0.0.1") && accepts(&pins, 2, "127.0.0.1"));
    }

    #[test]
    fn the_own_supernode_is_reached_over_loopback_and_no_other() {
        let pins = Pins::default();
        let own = supernode(1, "127.0.0.1:27474");
        pins.serve_at(&own);
        assert_eq!(pins.place(&supernode(1, "192.168.1.9:27474")), own);
        let other = supernode(2, "192.168.1.9:27474");
        assert_eq!(pins.place(&other), other);
        assert!(accepts(&pins, 1, "127.0.0.1"));
        assert!(pins.is_own(own.tcp) && !pins.is_own(other.tcp));
        pins.serve_no_more();
        assert!(!pins.is_own(own.tcp));
    }

    #[test]
    fn pins_of_others_are_bounded_and_our_home_stays() {
        let pins = Pins::default();
        pins.set_home(&supernode(1, "192.0.2.1:27474"));
        for number in 0..=OTHERS_MAX {
            let mut other = supernode(2, "198.51.100.1:27474");
            other.id.0[..8].copy_from_slice(&number.to_be_bytes());
            pins.learn(&other);
        }
        assert_eq!(pins.table().others.len(), OTHERS_MAX);
        assert!(accepts(&pins, 1, "192.0.2.1"));
    }
}
