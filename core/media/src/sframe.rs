//! SFrame (RFC 9605): seals every datagram of a call where a node in between forwards it, so that this node reads none. Cipher
//! suite 5, `AES_256_GCM_SHA512_128`, without metadata. Each direction has its own key id, and a base key is used for one room
//! and never again, so no nonce is used twice.

use aes_gcm::Aes256Gcm;
use aes_gcm::aead::{AeadInOut, KeyInit, Nonce, Tag};
use hkdf::Hkdf;
use sha2::Sha512;

const SUITE: u16 = 5;
const TAG: usize = 16;
const SALT: usize = 12;
/// By how many bytes a sealed datagram is longer at most: the header's first byte, the counter, the tag.
pub const OVERHEAD: usize = 1 + 8 + TAG;
/// How far behind the newest one a datagram may come.
const WINDOW: u64 = 128;

/// Key ids of the two who share a base key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// What the one sends who opened the room.
    Opener,
    /// What the one sends who was told of it.
    Guest,
}

impl Direction {
    const fn key_id(self) -> u64 {
        self as u64
    }
}

/// Why a datagram was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unsealed {
    /// Shorter than its header and tag.
    #[error("the datagram is no sealed frame")]
    Malformed,
    /// Sealed with another key than the sender's.
    #[error("the datagram names another key")]
    Foreign,
    /// Changed on its way, or made by somebody else.
    #[error("the datagram was not sealed with this key")]
    Forged,
    /// Seen before, or so old that nobody knows.
    #[error("the datagram came before")]
    Repeated,
}

/// Seals what one side sends.
#[derive(Debug)]
pub struct Sealer {
    keys: Keys,
    next: u64,
}

impl Sealer {
    /// Nothing has been sealed with this base key in this direction.
    pub fn new(base: &[u8; 32], direction: Direction) -> Self {
        Self {
            keys: Keys::derive(base, direction.key_id()),
            next: 0,
        }
    }

    /// The datagram to send.
    pub fn seal(&mut self, plain: &[u8]) -> Vec<u8> {
        let counter = self.next;
        self.next += 1;
        self.keys.seal(counter, &[], plain)
    }
}

/// Opens what the other side sends.
#[derive(Debug)]
pub struct Opener {
    keys: Keys,
    seen: Seen,
}

impl Opener {
    /// Nothing has come yet.
    pub fn new(base: &[u8; 32], direction: Direction) -> Self {
        Self {
            keys: Keys::derive(base, direction.key_id()),
            seen: Seen::default(),
        }
    }

    /// `FWD-08`: what was sealed, once.
    pub fn open(&mut self, sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let header = Header::read(sealed).ok_or(Unsealed::Malformed)?;
        if header.key_id != self.keys.key_id {
            return Err(Unsealed::Foreign);
        }
        if !self.seen.is_new(header.counter) {
            return Err(Unsealed::Repeated);
        }
        let plain = self.keys.open(header, &[], sealed)?;
        self.seen.note(header.counter);
        Ok(plain)
    }
}

/// Key and salt of one direction (section 4.4.2).
struct Keys {
    cipher: Aes256Gcm,
    salt: [u8; SALT],
    key_id: u64,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

impl Keys {
    fn derive(base: &[u8], key_id: u64) -> Self {
        let secret = Hkdf::<Sha512>::new(None, base);
        let (mut key, mut salt) = ([0; 32], [0; SALT]);
        for (purpose, out) in [("key", &mut key[..]), ("salt", &mut salt[..])] {
            let mut label = format!("SFrame 1.0 Secret {purpose} ").into_bytes();
            label.extend(key_id.to_be_bytes());
            label.extend(SUITE.to_be_bytes());
            secret
                .expand(&label, out)
                .expect("32 bytes are fewer than HKDF gives");
        }
        Self {
            cipher: Aes256Gcm::new(&key.into()),
            salt,
            key_id,
        }
    }

    fn seal(&self, counter: u64, metadata: &[u8], plain: &[u8]) -> Vec<u8> {
        let key_id = self.key_id;
        let mut sealed = Header::write(key_id, counter);
        let about = [&sealed, metadata].concat();
        let start = sealed.len();
        sealed.extend_from_slice(plain);
        let tag = self
            .cipher
            .encrypt_inout_detached(&self.nonce(counter), &about, (&mut sealed[start..]).into())
            .expect("a datagram is shorter than AES-GCM's limit");
        sealed.extend_from_slice(&tag);
        sealed
    }

    fn open(&self, header: Header, metadata: &[u8], sealed: &[u8]) -> Result<Vec<u8>, Unsealed> {
        let (head, rest) = sealed.split_at(header.length);
        let end = rest.len().checked_sub(TAG).ok_or(Unsealed::Malformed)?;
        let (cipher, tag) = rest.split_at(end);
        let tag: &Tag<Aes256Gcm> = tag.try_into().map_err(|_| Unsealed::Malformed)?;
        let about = [head, metadata].concat();
        let mut plain = cipher.to_vec();
        let nonce = self.nonce(header.counter);
        self.cipher
            .decrypt_inout_detached(&nonce, &about, plain.as_mut_slice().into(), tag)
            .map_err(|_| Unsealed::Forged)?;
        Ok(plain)
    }

    fn nonce(&self, counter: u64) -> Nonce<Aes256Gcm> {
        let mut nonce = self.salt;
        let counter = counter.to_be_bytes();
        for (byte, of_counter) in nonce[SALT - counter.len()..].iter_mut().zip(counter) {
            *byte ^= of_counter;
        }
        nonce.into()
    }
}

/// What stands before a frame (section 4.3): a byte with two fields of four bits, each a number below 8 or, with its first bit
/// set, by how many bytes less one the number is that follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    key_id: u64,
    counter: u64,
    length: usize,
}

impl Header {
    fn write(key_id: u64, counter: u64) -> Vec<u8> {
        let mut header = vec![0];
        let (high, low) = (
            Self::field(key_id, &mut header),
            Self::field(counter, &mut header),
        );
        header[0] = high << 4 | low;
        header
    }

    fn field(number: u64, header: &mut Vec<u8>) -> u8 {
        let bytes = number.to_be_bytes();
        if number < 8 {
            return bytes[7];
        }
        let unused = (number.leading_zeros() / 8) as usize;
        header.extend_from_slice(&bytes[unused..]);
        8 | (7 - unused) as u8
    }

    fn read(sealed: &[u8]) -> Option<Self> {
        let (first, mut rest) = sealed.split_first()?;
        let key_id = Self::number(first >> 4, &mut rest)?;
        let counter = Self::number(first & 15, &mut rest)?;
        Some(Self {
            key_id,
            counter,
            length: sealed.len() - rest.len(),
        })
    }

    fn number(field: u8, rest: &mut &[u8]) -> Option<u64> {
        let low = field & 7;
        if field & 8 == 0 {
            return Some(low.into());
        }
        let (bytes, tail) = rest.split_at_checked(usize::from(low) + 1)?;
        *rest = tail;
        let shift = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(bytes.iter().fold(0, shift))
    }
}

/// Which counters have come, of the newest and those before it (a replay window, RFC 3711 section 3.3.2).
#[derive(Debug, Default)]
struct Seen {
    newest: Option<u64>,
    /// The lowest bit is the newest one's.
    bits: u128,
}

impl Seen {
    fn is_new(&self, counter: u64) -> bool {
        match self.newest {
            Some(newest) if counter <= newest => {
                let behind = newest - counter;
                behind < WINDOW && self.bits >> behind & 1 == 0
            }
            _ => true,
        }
    }

    fn note(&mut self, counter: u64) {
        match self.newest {
            Some(newest) if counter <= newest => {
                let behind = (newest - counter).min(WINDOW - 1);
                self.bits |= 1 << behind;
            }
            newest => {
                let ahead = newest.map_or(WINDOW, |newest| counter - newest);
                let moved = u32::try_from(ahead).ok();
                let kept = moved.and_then(|ahead| self.bits.checked_shl(ahead));
                self.bits = kept.unwrap_or(0) | 1;
                self.newest = Some(counter);
            }
        }
    }
}

/// A fuzz body: any bytes as a sealed datagram, forged or repeated.
#[doc(hidden)]
pub mod fuzz {
    use super::{Direction, Header, Opener, Sealer, Unsealed};

    /// Opens them, and what is sealed of them once and not twice.
    pub fn fuzz_sframe(data: &[u8]) {
        let base = [7; 32];
        let mut opener = Opener::new(&base, Direction::Guest);
        if let Some(header) = Header::read(data) {
            assert!(header.length <= data.len());
        }
        let opened = opener.open(data);
        let sealed = Sealer::new(&base, Direction::Guest).seal(data);
        if opened.is_err() {
            assert_eq!(opener.open(&sealed).as_deref(), Ok(data));
            assert_eq!(opener.open(&sealed), Err(Unsealed::Repeated));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: [u8; 32] = [9; 32];

    fn bytes(hex: &str) -> Vec<u8> {
        let digit = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        (0..hex.len()).step_by(2).map(digit).collect()
    }

    #[test]
    fn the_standards_own_example_is_met() {
        // RFC 9605, appendix C.3, cipher suite 5.
        let keys = Keys::derive(&bytes("000102030405060708090a0b0c0d0e0f"), 0x123);
        assert_eq!(keys.salt.to_vec(), bytes("84991c167b8cd23c93708ec7"));
        let metadata = b"IETF SFrame WG";
        let sealed = keys.seal(0x4567, metadata, b"draft-ietf-sframe-enc");
        let expected =
            "990123456794f509d36e9beacb0e261d99c7d1e972f1fed787d4049f17ca21353c1cc24d56ceabced279";
        assert_eq!(sealed, bytes(expected));
        let header = Header::read(&sealed).unwrap();
        assert_eq!((header.key_id, header.counter), (0x123, 0x4567));
        let opened = keys.open(header, metadata, &sealed);
        assert_eq!(opened.as_deref(), Ok(&b"draft-ietf-sframe-enc"[..]));
        assert_eq!(keys.open(header, b"", &sealed), Err(Unsealed::Forged));
    }

    #[test]
    fn fwd_08_each_datagram_opens_once_with_the_key_of_its_direction() {
        let mut alice = Sealer::new(&BASE, Direction::Opener);
        let mut bob = Opener::new(&BASE, Direction::Opener);
        let sent: Vec<Vec<u8>> = (0..400_u32).map(|n| alice.seal(&n.to_be_bytes())).collect();
        assert!(sent.iter().all(|one| one.len() <= 4 + OVERHEAD));
        let mut own = Opener::new(&BASE, Direction::Guest);
        assert_eq!(own.open(&sent[0]), Err(Unsealed::Foreign));
        // Out of order, up to the window.
        for n in [3, 1, 2, 0, 100, 90, 300, 173] {
            let opened = bob.open(&sent[n]);
            assert_eq!(opened, Ok((n as u32).to_be_bytes().to_vec()), "{n}");
            assert_eq!(bob.open(&sent[n]), Err(Unsealed::Repeated), "{n}");
        }
        for old in [172, 4, 0] {
            assert_eq!(bob.open(&sent[old]), Err(Unsealed::Repeated), "{old}");
        }
        let mut other = Opener::new(&[8; 32], Direction::Opener);
        assert_eq!(other.open(&sent[5]), Err(Unsealed::Forged));
        for cut in 0..sent[9].len() {
            assert!(bob.open(&sent[9][..cut]).is_err());
            let mut changed = sent[399].clone();
            let at = cut.min(changed.len() - 1);
            changed[at] ^= 1;
            assert!(bob.open(&changed).is_err(), "{at}");
        }
        // A forged one with a high number has shut nobody out.
        assert!(bob.open(&sent[301]).is_ok());
    }

    proptest! {
        #[test]
        fn headers_round_trip(key_id: u64, counter: u64, tail: [u8; 3]) {
            let mut header = Header::write(key_id, counter);
            let length = header.len();
            header.extend(tail);
            prop_assert_eq!(Header::read(&header), Some(Header { key_id, counter, length }));
        }

        #[test]
        fn fwd_08_of_any_numbers_each_counts_once(numbers in prop::collection::vec(0..600_u64, 1..200)) {
            let mut seen = Seen::default();
            let mut counted = std::collections::BTreeSet::new();
            for number in numbers {
                if seen.is_new(number) {
                    seen.note(number);
                    prop_assert!(counted.insert(number), "{} twice", number);
                }
                prop_assert!(!seen.is_new(number));
            }
        }
    }
}
