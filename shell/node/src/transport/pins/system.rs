//! Networks that open TLS: a firm's inspecting proxy shows a certificate of its own in the supernode's place, signed by an
//! authority that the operating system was told to trust. It is accepted, and never silently: all that matters is sealed
//! by QUIC to the peers' keys within (spec page `ladder.md`).

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

/// Addresses remembered.
const OPENED_MAX: usize = 256;

/// What the operating system trusts, and where that was needed. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct System(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// Read when it is first needed, which on most networks is never.
    verifier: OnceLock<Option<Arc<WebPkiServerVerifier>>>,
    opened: Mutex<BTreeSet<IpAddr>>,
}

impl System {
    /// `INSPECT-01`: whether an authority of the operating system says that this certificate is this address's.
    pub fn vouches(
        &self,
        chain: (&CertificateDer<'_>, &[CertificateDer<'_>]),
        ip: IpAddr,
        now: UnixTime,
        provider: &Arc<CryptoProvider>,
    ) -> bool {
        let verifier = self.0.verifier.get_or_init(|| verifier(provider));
        let Some(verifier) = verifier else {
            return false;
        };
        let (certificate, intermediates) = chain;
        let name = ServerName::from(ip);
        verifier
            .verify_server_cert(certificate, intermediates, &name, &[], now)
            .is_ok()
    }

    /// `INSPECT-02`: remembers whether TLS to an address is opened on the way.
    pub fn set_opened(&self, ip: IpAddr, is: bool) {
        let mut opened = self.0.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if !is {
            opened.remove(&ip);
        } else if opened.len() < OPENED_MAX {
            opened.insert(ip);
        }
    }

    /// Whether TLS to an address was opened on the way when it was last reached.
    pub fn is_opened(&self, ip: IpAddr) -> bool {
        let opened = self.0.opened.lock().unwrap_or_else(PoisonError::into_inner);
        opened.contains(&ip)
    }
}

/// `None` where the operating system trusts nobody.
fn verifier(provider: &Arc<CryptoProvider>) -> Option<Arc<WebPkiServerVerifier>> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    builder.build().ok()
}

#[cfg(test)]
pub(super) fn trusting(
    authority: CertificateDer<'static>,
    provider: &Arc<CryptoProvider>,
) -> System {
    let mut roots = RootCertStore::empty();
    roots.add(authority).unwrap();
    let builder =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let system = System::default();
    system.0.verifier.set(builder.build().ok()).unwrap();
    system
}
