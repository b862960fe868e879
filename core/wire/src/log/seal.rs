//! What lies inside an entry's body, and how it is sealed: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with a key that follows
//! from the generation's secret. Its nonce of 24 bytes is chosen by chance, so members need not agree on who uses which. Kind and
//! slot are authenticated with it: a holder that shows an entry as something else shows nothing.
//!
//! MLS encrypts what members say besides. This layer hides from a holder what kind of MLS message it is, and covers what MLS
//! leaves in the clear: external commits, a group's state, the tree of its devices.

use chacha20poly1305::aead::{AeadInPlace as _, KeyInit as _};
use chacha20poly1305::{Tag, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keys::Generation;
use super::{COMMIT_BODY_MAX, Entry, Kind, VERSION, padding};
use crate::frame;
use crate::ordering::Slot;
use crate::ordering::choice::SignedCertificate;

const KEY_CONTEXT: &str = "starling 1 log body key";
/// Bytes of the nonce, which stands before what is sealed.
pub const NONCE: usize = 24;
const TAG: usize = 16;
/// By how many bytes a sealed body is longer than what it holds, padding not counted.
pub const OVERHEAD: usize = NONCE + TAG;

/// What a body holds. Its number on the wire is its place here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Inside {
    /// A message or a commit (`MLSMessage`, RFC 9420 section 6).
    Mls(Vec<u8>),
    /// What takes somebody in (RFC 9420 section 12.4.3.1).
    Welcome {
        /// The `MLSMessage` with the Welcome.
        welcome: Vec<u8>,
        /// The tree of the devices, if the Welcome does not carry it.
        tree: Option<Vec<u8>>,
    },
    /// What lets a member come back (RFC 9420 section 12.4.3.2).
    GroupInfo {
        /// The `MLSMessage` with the `GroupInfo`.
        info: Vec<u8>,
        /// The same.
        tree: Option<Vec<u8>>,
    },
    /// That a slot is settled.
    Certificate(Box<SignedCertificate>),
}

/// The numbers of [`Inside`] that this version knows; the next one has this one.
const KNOWN: u32 = 4;

/// Why what lies in an entry cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not sealed with this generation's key, or for another kind or slot.
    #[error(
        "an entry of this conversation does not open: it is damaged, or not of this conversation"
    )]
    NotSealed,
    /// It opens, and is not padded.
    #[error("an entry of this conversation is not written as it should be")]
    NotPadded,
    /// A number that this version does not know.
    #[error("an entry was written by a newer version of Starling; this one has to be updated")]
    Newer,
    /// Not a value of this type, or another one than belongs into an entry of its kind.
    #[error("what an entry of this conversation holds cannot be read")]
    Malformed,
}

impl Generation {
    /// `BOX-24`: a body for an entry of this kind at this slot. `nonce` is fresh randomness. `None` if it is longer than the kind
    /// may be.
    pub fn seal(
        &self,
        kind: Kind,
        slot: Slot,
        plain: Vec<u8>,
        nonce: [u8; NONCE],
    ) -> Option<Vec<u8>> {
        let mut text = padding::pad(plain, OVERHEAD)?;
        if text.len() + OVERHEAD > kind.body_max() {
            return None;
        }
        let nonce = XNonce::from(nonce);
        let told = told(kind, slot);
        let tag = self
            .cipher()
            .encrypt_in_place_detached(&nonce, &told, &mut text)
            .ok()?;
        Some([nonce.as_slice(), &text, &tag].concat())
    }

    /// `BOX-24`: what was sealed.
    pub fn open(&self, entry: &Entry) -> Result<Vec<u8>, SealError> {
        self.open_body(entry.head.kind, entry.head.slot, &entry.body)
    }

    /// `BOX-24`: the same, of an entry of this kind at this slot.
    pub fn open_body(&self, kind: Kind, slot: Slot, body: &[u8]) -> Result<Vec<u8>, SealError> {
        let (nonce, sealed) = body.split_at_checked(NONCE).ok_or(SealError::NotSealed)?;
        let at = sealed.len().checked_sub(TAG).ok_or(SealError::NotSealed)?;
        let (sealed, tag) = sealed.split_at(at);
        let told = told(kind, slot);
        let mut text = sealed.to_vec();
        let nonce = XNonce::from_slice(nonce);
        let opened =
            self.cipher()
                .decrypt_in_place_detached(nonce, &told, &mut text, Tag::from_slice(tag));
        opened.map_err(|_| SealError::NotSealed)?;
        let plain = padding::unpad(&text)
            .map_err(|_| SealError::NotPadded)?
            .len();
        text.truncate(plain);
        Ok(text)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        let key = Zeroizing::new(blake3::derive_key(KEY_CONTEXT, &*self.secret));
        XChaCha20Poly1305::new((&*key).into())
    }
}

impl Inside {
    /// Its bytes.
    pub fn write(&self) -> Vec<u8> {
        frame::encode_body(self)
    }

    /// `BOX-25`: what an entry of this kind holds.
    pub fn read(kind: Kind, bytes: &[u8]) -> Result<Self, SealError> {
        let (number, _) = frame::decode_start::<u32>(bytes).map_err(|_| SealError::Malformed)?;
        if number >= KNOWN {
            return Err(SealError::Newer);
        }
        let inside: Self =
            frame::decode_body(bytes, COMMIT_BODY_MAX).map_err(|_| SealError::Malformed)?;
        inside
            .belongs_to(kind)
            .then_some(inside)
            .ok_or(SealError::Malformed)
    }

    const fn belongs_to(&self, kind: Kind) -> bool {
        match self {
            Self::Mls(_) => matches!(
                kind,
                Kind::Message | Kind::Commit { .. } | Kind::ExternalCommit { .. }
            ),
            Self::Welcome { .. } => matches!(kind, Kind::Welcome),
            Self::GroupInfo { .. } => matches!(kind, Kind::GroupInfo),
            Self::Certificate(_) => matches!(kind, Kind::Certificate),
        }
    }
}

/// What is authenticated beside the text.
fn told(kind: Kind, slot: Slot) -> Vec<u8> {
    frame::encode_body(&(VERSION, kind, slot))
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::SigningKey;
    use proptest::prelude::*;

    use super::*;
    use crate::ids::{EndpointKey, EpochTag, MailboxId};
    use crate::log::BODY_MAX;

    const SLOT: Slot = Slot {
        epoch: EpochTag([2; 16]),
        attempt: 0,
    };
    const COMMIT: Kind = Kind::Commit {
        next: EpochTag([3; 16]),
    };

    fn generation(secret: u8) -> Generation {
        Generation {
            number: 2,
            secret: [secret; 32].into(),
            first: EpochTag([4; 16]),
            holders: vec![EndpointKey([1; 32])],
        }
    }

    fn entry(kind: Kind, slot: Slot, body: Vec<u8>) -> Entry {
        let key = SigningKey::from_bytes(&[1; 32]);
        Entry::new((kind, slot), body.into(), (MailboxId([1; 32]), &key)).unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        generation(1)
            .seal(COMMIT, SLOT, plain.to_vec(), [5; NONCE])
            .unwrap()
    }

    #[test]
    fn box_24_a_body_opens_with_its_generations_key_in_its_place_and_as_it_was() {
        let body = sealed(b"plain");
        assert_eq!(body.len(), padding::SHORTEST);
        let open = |kind, slot, body: &[u8]| generation(1).open(&entry(kind, slot, body.to_vec()));
        assert_eq!(open(COMMIT, SLOT, &body), Ok(b"plain".to_vec()));
        let another = generation(2).open(&entry(COMMIT, SLOT, body.clone()));
        assert_eq!(another, Err(SealError::NotSealed));
        let next = Slot { attempt: 1, ..SLOT };
        assert_eq!(open(COMMIT, next, &body), Err(SealError::NotSealed));
        let other = Kind::Commit {
            next: EpochTag([9; 16]),
        };
        for kind in [other, Kind::Message, Kind::Welcome] {
            assert_eq!(open(kind, SLOT, &body), Err(SealError::NotSealed));
        }
        for at in (0..body.len()).step_by(7) {
            let mut damaged = body.clone();
            damaged[at] ^= 1;
            assert_eq!(open(COMMIT, SLOT, &damaged), Err(SealError::NotSealed));
        }
    }

    #[test]
    fn box_24_nothing_shows_and_two_bodies_with_the_same_text_differ() {
        let one = generation(1)
            .seal(COMMIT, SLOT, vec![0; 400], [5; NONCE])
            .unwrap();
        let two = generation(1)
            .seal(COMMIT, SLOT, vec![0; 400], [6; NONCE])
            .unwrap();
        let same = one[NONCE..]
            .iter()
            .zip(&two[NONCE..])
            .filter(|(a, b)| a == b)
            .count();
        assert!(same < 20, "{same}");
        assert_eq!(
            one,
            generation(1)
                .seal(COMMIT, SLOT, vec![0; 400], [5; NONCE])
                .unwrap()
        );
    }

    #[test]
    fn box_24_nothing_longer_is_sealed_than_its_kind_may_be() {
        let seal = |kind, bytes| generation(1).seal(kind, SLOT, vec![1; bytes], [5; NONCE]);
        let most = BODY_MAX - OVERHEAD - 1;
        assert_eq!(seal(Kind::Message, most).unwrap().len(), BODY_MAX);
        assert!(seal(Kind::Message, most + 1).is_none());
        let most = COMMIT_BODY_MAX - OVERHEAD - 1;
        for kind in [COMMIT, Kind::Welcome, Kind::GroupInfo] {
            assert!(seal(kind, most).is_some() && seal(kind, most + 1).is_none());
        }
    }

    #[test]
    fn box_25_what_a_body_holds_belongs_into_its_kind() {
        let tree = Some(vec![2; 40]);
        let welcome = Inside::Welcome {
            welcome: vec![1],
            tree: tree.clone(),
        };
        let info = Inside::GroupInfo {
            info: vec![1],
            tree,
        };
        let mls = Inside::Mls(vec![1; 10]);
        let kinds = [
            Kind::Message,
            COMMIT,
            Kind::Welcome,
            Kind::GroupInfo,
            Kind::Certificate,
        ];
        for (inside, belongs) in [
            (&mls, [true, true, false, false, false]),
            (&welcome, [false, false, true, false, false]),
            (&info, [false, false, false, true, false]),
        ] {
            let read =
                kinds.map(|kind| Inside::read(kind, &inside.write()).ok().as_ref() == Some(inside));
            assert_eq!(read, belongs);
        }
        assert_eq!(
            Inside::read(Kind::Message, &[KNOWN as u8, 7]),
            Err(SealError::Newer)
        );
        assert_eq!(Inside::read(Kind::Message, &[]), Err(SealError::Malformed));
        let more = [mls.write(), vec![0]].concat();
        assert_eq!(
            Inside::read(Kind::Message, &more),
            Err(SealError::Malformed)
        );
    }

    proptest! {
        #[test]
        fn box_24_what_is_sealed_is_opened(
            plain in proptest::collection::vec(any::<u8>(), 0..4_000), nonce: [u8; NONCE]
        ) {
            let body = generation(1).seal(Kind::Message, SLOT, plain.clone(), nonce).unwrap();
            prop_assert_eq!(padding::class(body.len()), Some(body.len()));
            prop_assert_eq!(generation(1).open(&entry(Kind::Message, SLOT, body)), Ok(plain));
        }
    }
}
