//! What own devices tell each other (ALPN `starling/1/link`): one set of entries, each with the stamp of its last change.
//!
//! Of two entries with one key the later stamp counts. What is lacking is found by digests of the whole set, not by "everything of yours up to
//! there": a set changes behind such a mark, too, when a device is revoked, a backup is restored or a stamp was refused, and digests notice
//! whatever happened. Values are bytes here, and [`item`] says what is in them, so that a device passes on what a newer one made.

use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::account::{ChainHead, sign, signed_by};
use crate::card::SignedCard;
use crate::frame;
use crate::ids::{AccountId, DeviceId};
use crate::limits::FRAME_MAX;

pub mod item;

const ENTRY_CONTEXT: &[u8] = b"starling 1 own entry";
/// The name of an entry's field.
pub const FIELD_MAX: usize = 80;
/// An entry's value.
pub const VALUE_MAX: usize = 32 * 1024;
/// Entries of an account, deleted ones too.
pub const ENTRIES_MAX: usize = 20_000;
/// Their bytes together.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Milliseconds that a stamp may be ahead of the clock of whoever is told it.
pub const AHEAD_MAX_MS: u64 = 24 * 3600 * 1000;
/// Parts of the set with a digest each.
pub const BUCKETS: usize = 256;
/// Entries listed in one frame.
pub const LISTED_MAX: usize = 800;
/// Bound on one frame.
pub const SYNC_FRAME_MAX: usize = FRAME_MAX;
/// Room in a frame of entries beside the entries themselves.
const ENTRIES_BYTES: usize = SYNC_FRAME_MAX - 16;

/// When an entry was changed, and by which device. The order is that of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stamp {
    /// Unix milliseconds, and later than every stamp that the device had seen.
    pub time: u64,
    /// The device.
    pub device: DeviceId,
}

/// What an entry is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// About whom, if about somebody.
    pub about: Option<AccountId>,
    /// What of them, or of us; at most [`FIELD_MAX`] bytes.
    pub field: String,
}

/// One entry. `SYNC-11`: whatever was deleted keeps one without a value, so that no other device brings it back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is about.
    pub key: Key,
    /// At most [`VALUE_MAX`] bytes; none: deleted.
    pub value: Option<Vec<u8>>,
    /// Its last change.
    pub stamp: Stamp,
    /// By the device in the stamp, over account, key, the value's hash and stamp.
    pub signature: ([u8; 32], [u8; 32]),
}

/// Where an entry stands in the set: the start of its key's hash.
pub type Place = [u8; 16];

/// Which of the states of an entry: the later one counts. Two with one stamp, which a restored backup can make, are
/// told apart by their values, so that all devices choose the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Version {
    /// Its last change.
    pub stamp: Stamp,
    /// The start of its value's hash.
    pub value: [u8; 8],
}

/// Who signs what is changed on this device.
#[derive(Debug, Clone)]
pub struct Author {
    account: AccountId,
    key: SigningKey,
}

impl Author {
    /// A device of this account, with its key.
    pub const fn new(account: AccountId, key: SigningKey) -> Self {
        Self { account, key }
    }

    /// The account.
    pub const fn account(&self) -> AccountId {
        self.account
    }

    /// The device.
    pub fn device(&self) -> DeviceId {
        DeviceId(self.key.verifying_key().to_bytes())
    }

    /// An entry as this device changes it.
    pub fn sign(&self, key: Key, value: Option<Vec<u8>>, time: u64) -> Entry {
        let stamp = Stamp {
            time,
            device: self.device(),
        };
        let mut entry = Entry {
            key,
            value,
            stamp,
            signature: ([0; 32], [0; 32]),
        };
        entry.signature = sign(&self.key, &entry.signed_bytes(self.account));
        entry
    }
}

impl Key {
    /// Where its entry stands.
    pub fn place(&self) -> Place {
        start(blake3::hash(&frame::encode_body(self)))
    }
}

impl Entry {
    /// `SYNC-13`: whether the device in its stamp changed it so, in this account.
    pub fn is_signed(&self, account: AccountId) -> bool {
        let device = self.stamp.device.as_bytes();
        signed_by(device, &self.signed_bytes(account), self.signature)
    }

    fn signed_bytes(&self, account: AccountId) -> Vec<u8> {
        let value = blake3::hash(&frame::encode_body(&self.value));
        let fields = (account, &self.key, value.as_bytes(), self.stamp);
        [ENTRY_CONTEXT, &frame::encode_body(&fields)].concat()
    }

    /// Which state of it this is.
    pub fn version(&self) -> Version {
        Version {
            stamp: self.stamp,
            value: start(blake3::hash(&frame::encode_body(&self.value))),
        }
    }

    /// `SYNC-01`: whether field and value are within their bounds.
    pub fn fits(&self) -> bool {
        let value = self.value.as_ref().map_or(0, Vec::len);
        self.key.field.len() <= FIELD_MAX && value <= VALUE_MAX
    }

    /// Its bytes in a frame.
    pub fn size(&self) -> usize {
        frame::encode_body(self).len()
    }
}

fn start<const N: usize>(hash: blake3::Hash) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.copy_from_slice(&hash.as_bytes()[..N]);
    bytes
}

/// A digest of one bucket, of all its entries in order.
pub fn digest<'a>(entries: impl Iterator<Item = (&'a Place, Version)>) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    for listed in entries {
        hasher.update(&frame::encode_body(&listed));
    }
    start(hasher.finalize())
}

/// A signing key's seed on its way to another owner's device.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seed(pub [u8; 32]);

impl std::fmt::Debug for Seed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Seed")
    }
}

impl Drop for Seed {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A part of the set, as it stands at the sender: whoever reads it sends what is later there or missing here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Have {
    /// Where the part begins.
    pub first: Place,
    /// And the last place in it.
    pub last: Place,
    /// All entries in between, at most [`LISTED_MAX`].
    pub listed: Vec<(Place, Version)>,
    /// Whether another part follows.
    pub more: bool,
}

/// One frame. The dialling device opens the stream, as `LinkFrame::Sync` says what it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SyncFrame {
    /// First on each side, and whenever it has changed: the account as this device knows it.
    Card {
        /// The newest of each half and door.
        card: Box<SignedCard>,
        /// This device's clock, Unix milliseconds.
        clock: u64,
        /// "I am an owner's device and have not got the signing key."
        wants_key: bool,
    },
    /// What the set looks like here.
    Digests {
        /// One for each of the [`BUCKETS`].
        digests: Vec<[u8; 8]>,
        /// As in `Done`.
        settled: Option<ChainHead>,
    },
    /// What of it is here, where the digests differ.
    Have(Have),
    /// Entries that the other side lacks, or that have just changed.
    Entries(Vec<Entry>),
    /// "These were all that you lacked."
    Done {
        /// The end of the account's history by which the set here is complete: what revoked devices left was taken over.
        settled: Option<ChainHead>,
    },
    /// For an owner's device that asked.
    SigningKey(Seed),
}

/// Entries in as few frames as hold them.
pub fn frames(entries: impl IntoIterator<Item = Entry>) -> Vec<SyncFrame> {
    let mut frames = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    for entry in entries {
        let size = entry.size();
        if bytes + size > ENTRIES_BYTES && !part.is_empty() {
            frames.push(SyncFrame::Entries(std::mem::take(&mut part)));
            bytes = 0;
        }
        bytes += size;
        part.push(entry);
    }
    if !part.is_empty() {
        frames.push(SyncFrame::Entries(part));
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(field: &str, value: Option<usize>, time: u64) -> Entry {
        Entry {
            key: Key {
                about: Some(AccountId([1; 32])),
                field: field.into(),
            },
            value: value.map(|size| vec![7; size]),
            stamp: Stamp {
                time,
                device: DeviceId([2; 32]),
            },
            signature: ([3; 32], [4; 32]),
        }
    }

    #[test]
    fn sync_01_fields_and_values_have_bounds() {
        assert!(entry(&"f".repeat(FIELD_MAX), Some(VALUE_MAX), 1).fits());
        assert!(!entry(&"f".repeat(FIELD_MAX + 1), None, 1).fits());
        assert!(!entry("note", Some(VALUE_MAX + 1), 1).fits());
    }

    #[test]
    fn sync_02_the_later_stamp_counts_then_the_device_then_the_value() {
        let version = |time, device, value| {
            let mut entry = entry("note", value, time);
            entry.stamp.device = DeviceId([device; 32]);
            entry.version()
        };
        let rising = [
            version(1, 9, Some(1)),
            version(2, 1, None),
            version(2, 2, None),
        ];
        assert!(rising.is_sorted_by(|a, b| a < b));
        assert_ne!(version(2, 2, None), version(2, 2, Some(0)));
        assert_eq!(version(2, 2, Some(5)), version(2, 2, Some(5)));
    }

    #[test]
    fn sync_13_nothing_that_an_entry_says_can_be_changed_by_another_than_its_device() {
        let (alice, bob) = (AccountId([1; 32]), AccountId([2; 32]));
        let author = Author::new(alice, SigningKey::from_bytes(&[5; 32]));
        let key = entry("note", None, 1).key;
        let signed = |value| author.sign(key.clone(), value, 7);
        let entry = signed(Some(vec![1]));
        assert!(entry.is_signed(alice) && signed(None).is_signed(alice));
        assert!(!entry.is_signed(bob), "of another account");
        let changed = |change: &dyn Fn(&mut Entry)| {
            let mut changed = entry.clone();
            change(&mut changed);
            changed.is_signed(alice)
        };
        assert!(!changed(&|entry| entry.key.field.push('s')));
        assert!(!changed(&|entry| entry.key.about = None));
        assert!(!changed(&|entry| entry.value = Some(vec![2])));
        assert!(!changed(&|entry| entry.value = None));
        assert!(!changed(&|entry| entry.stamp.time += 1));
        assert!(!changed(&|entry| entry.stamp.device = DeviceId([2; 32])));
        assert!(!changed(&|entry| entry.signature.0[0] ^= 1));
    }

    #[test]
    fn sync_01_the_largest_frames_fit() {
        let largest = entry(&"f".repeat(FIELD_MAX), Some(VALUE_MAX), u64::MAX);
        let small = entry("note", Some(10), 1);
        let all = vec![
            largest.clone(),
            small.clone(),
            largest.clone(),
            small.clone(),
        ];
        let frames = frames(all.clone());
        let entries = frames.iter().flat_map(|frame| match frame {
            SyncFrame::Entries(entries) => entries.clone(),
            _ => Vec::new(),
        });
        assert_eq!(entries.collect::<Vec<_>>(), all);
        assert_eq!(frames.len(), 2, "two of the largest do not go together");
        let listed = vec![([255; 16], largest.version()); LISTED_MAX];
        let have = Have {
            first: [0; 16],
            last: [255; 16],
            listed,
            more: true,
        };
        let digests = SyncFrame::Digests {
            digests: vec![[255; 8]; BUCKETS],
            settled: Some(ChainHead {
                length: u32::MAX,
                hash: [255; 32],
            }),
        };
        for frame in frames.into_iter().chain([SyncFrame::Have(have), digests]) {
            let size = frame::encode_body(&frame).len();
            assert!(size <= SYNC_FRAME_MAX, "{size}");
        }
    }

    #[test]
    fn a_signing_key_does_not_show_in_a_log() {
        let shown = format!("{:?}", SyncFrame::SigningKey(Seed([8; 32])));
        assert!(!shown.contains('8'), "{shown}");
    }
}
