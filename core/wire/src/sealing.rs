//! How everything here is sealed for a key: HPKE (RFC 9180) in base mode with X25519, HKDF-SHA256 and AES-256-GCM, one message a
//! context. A sealed message is the encapsulated key and the ciphertext with its tag.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256;
use hpke::{Deserializable, Kem, OpModeR, OpModeS, Serializable};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng;
use zeroize::Zeroizing;

/// What opens.
pub type PrivateKey = <X25519HkdfSha256 as Kem>::PrivateKey;

const ENCAPSULATED: usize = 32;
const TAG: usize = 16;
/// By how many bytes a sealed message is longer than what it holds.
pub const OVERHEAD: usize = ENCAPSULATED + TAG;

/// No key, not sealed for this one, or not in this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotSealed;

/// What a message is for, and what it stands beside: neither is sent, and with another one it does not open.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Which kind of message.
    pub info: &'a [u8],
    /// Whose.
    pub about: &'a [u8],
}

/// The keys that follow from a secret (RFC 9180 section 7.1.3): what opens, and what seals for it.
pub fn derive(secret: &[u8; 32]) -> (PrivateKey, [u8; 32]) {
    let (private, public) = X25519HkdfSha256::derive_keypair(secret);
    (private, public.to_bytes().into())
}

/// The secret that the key of `secret` and another's have together. `None` for a key with which everybody has the same.
pub fn agree(secret: &[u8; 32], public: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let (private, _) = X25519HkdfSha256::derive_keypair(secret);
    let scalar: Zeroizing<[u8; 32]> = Zeroizing::new(private.to_bytes().into());
    let shared = Zeroizing::new(x25519_dalek::x25519(*scalar, *public));
    shared.iter().any(|byte| *byte != 0).then_some(shared)
}

/// An X25519 scalar that is a key already.
pub fn private_key(scalar: &[u8; 32]) -> Result<PrivateKey, NotSealed> {
    PrivateKey::from_bytes(scalar).map_err(|_| NotSealed)
}

/// Seals for whoever has the private key of `public`. `seed` is fresh randomness.
pub fn seal(
    public: &[u8; 32],
    place: Place<'_>,
    plain: &[u8],
    seed: [u8; 32],
) -> Result<Vec<u8>, NotSealed> {
    let public = <X25519HkdfSha256 as Kem>::PublicKey::from_bytes(public).map_err(|_| NotSealed)?;
    let (encapsulated, sealed) =
        hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
            &OpModeS::Base,
            &public,
            place.info,
            plain,
            place.about,
            &mut ChaCha20Rng::from_seed(seed),
        )
        .map_err(|_| NotSealed)?;
    Ok([encapsulated.to_bytes().as_slice(), &sealed].concat())
}

/// What is inside.
pub fn open(private: &PrivateKey, place: Place<'_>, sealed: &[u8]) -> Result<Vec<u8>, NotSealed> {
    let (encapsulated, sealed) = sealed.split_at_checked(ENCAPSULATED).ok_or(NotSealed)?;
    let encapsulated =
        <X25519HkdfSha256 as Kem>::EncappedKey::from_bytes(encapsulated).map_err(|_| NotSealed)?;
    hpke::single_shot_open::<AesGcm256, HkdfSha256, X25519HkdfSha256>(
        &OpModeR::Base,
        private,
        &encapsulated,
        place.info,
        sealed,
        place.about,
    )
    .map_err(|_| NotSealed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'_> = Place {
        info: b"a kind",
        about: b"somebody",
    };

    #[test]
    fn it_opens_with_its_key_in_its_place_and_as_it_was() {
        let (private, public) = derive(&[1; 32]);
        let sealed = seal(&public, PLACE, b"plain", [2; 32]).unwrap();
        assert_eq!(sealed.len(), b"plain".len() + OVERHEAD);
        assert_eq!(open(&private, PLACE, &sealed), Ok(b"plain".to_vec()));
        let (other, _) = derive(&[3; 32]);
        assert_eq!(open(&other, PLACE, &sealed), Err(NotSealed));
        let elsewhere = Place {
            about: b"somebody else",
            ..PLACE
        };
        assert_eq!(open(&private, elsewhere, &sealed), Err(NotSealed));
        for cut in 0..sealed.len() {
            assert_eq!(open(&private, PLACE, &sealed[..cut]), Err(NotSealed));
            let mut damaged = sealed.clone();
            damaged[cut] ^= 1;
            assert_eq!(open(&private, PLACE, &damaged), Err(NotSealed));
        }
    }

    #[test]
    fn nothing_is_sealed_for_what_is_no_key() {
        assert_eq!(seal(&[0; 32], PLACE, b"plain", [2; 32]), Err(NotSealed));
    }
}
