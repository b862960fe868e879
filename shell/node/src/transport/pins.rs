//! TLS between a device and a supernode's relay. A supernode's certificate is self-signed with its Ed25519 key, and the
//! client accepts exactly the keys it has learned for that address from links, cards, records or network files. No
//! certificate authority has a say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, SignatureScheme};
use starling_wire::ids::EndpointKey;
use starling_wire::supernode::SupernodeAddr;

/// DER of a SubjectPublicKeyInfo that holds an Ed25519 key, up to the key (RFC 8410).
const ED25519_SPKI: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// DER of a PKCS #8 private key, up to the 32-byte seed (RFC 8410).
const ED25519_PKCS8: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The supernode keys known for each address. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Pins(Arc<Mutex<BTreeMap<IpAddr, BTreeSet<EndpointKey>>>>);

impl Pins {
    /// From now on this key is accepted at this address.
    pub fn learn(&self, supernode: &SupernodeAddr) {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.entry(supernode.tcp.ip())
            .or_default()
            .insert(supernode.id);
    }

    fn knows(&self, ip: IpAddr, key: EndpointKey) -> bool {
        let pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.get(&ip).is_some_and(|keys| keys.contains(&key))
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
        _intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let ServerName::IpAddress(ip) = name else {
            return Err(Error::General(
                "a supernode is reached by its IP address only".into(),
            ));
        };
        let spki = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let key = spki
            .as_ref()
            .strip_prefix(&ED25519_SPKI)
            .and_then(|key| <[u8; 32]>::try_from(key).ok());
        match key {
            Some(key) if self.pins.knows((*ip).into(), EndpointKey(key)) => {
                Ok(ServerCertVerified::assertion())
            }
            _ => Err(Error::InvalidCertificate(
                CertificateError::ApplicationVerificationFailure,
            )),
        }
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
        vec![SignatureScheme::ED25519]
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

    #[test]
    fn only_the_learned_key_is_accepted_and_only_at_its_address() {
        let pins = Pins::default();
        let id = EndpointKey(SigningKey::from_bytes(&[1; 32]).verifying_key().to_bytes());
        pins.learn(&SupernodeAddr {
            id,
            tcp: "192.0.2.1:27474".parse().unwrap(),
            discovery_port: 0,
        });
        let verifier = pins.verifier(crypto_provider());
        let check = |seed: u8, name: &str| {
            let name = ServerName::try_from(name.to_owned()).unwrap();
            verifier
                .verify_server_cert(&certificate([seed; 32]), &[], &name, &[], UnixTime::now())
                .is_ok()
        };
        assert!(check(1, "192.0.2.1"));
        assert!(!check(2, "192.0.2.1"), "another key");
        assert!(!check(1, "192.0.2.2"), "another address");
        assert!(!check(1, "example.org"), "a name");
    }
}
