//! What MLS keeps, as rows: opaque keys and values in memory, and a record of what changed since it was last asked for.
//!
//! A row belongs to the device (its key packages) or to one branch of one group. The driver writes the changes of one drain in
//! one transaction, together with the messages they belong to; what it reads back at the next start is the same state. Values are
//! CBOR (RFC 8949), because some of openmls' types can only be read from a format that describes itself.
//!
//! A row holds secrets. None is ever shown by `Debug`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use starling_wire::ids::{EpochTag, GroupId};

/// The format of the rows, written beside them. Rows of another format are refused; a newer Starling converts them.
pub const FORMAT: u16 = 1;

/// A row's value: shared, so that a copy of a group costs its keys.
pub type Value = Arc<[u8]>;

/// One state of a group. Copies for the repair of forks lie beside the one that counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Branch([u8; 16]);

impl Branch {
    /// The state that counts.
    pub const MAIN: Self = Self([0; 16]);
    /// A group that waits in its own external commit.
    pub(super) const REJOIN: Self = Self([0xff; 16]);

    /// The copy that was made in an epoch. Named by the tag: two branches have epochs of one number.
    pub const fn at(tag: EpochTag) -> Self {
        Self(tag.0)
    }
}

impl fmt::Debug for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MAIN => f.write_str("main"),
            Self::REJOIN => f.write_str("rejoin"),
            Self(tag) => write!(f, "at {:?}", EpochTag(tag)),
        }
    }
}

/// Where rows of a group lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub branch: Branch,
    pub group: GroupId,
}

/// What a row holds. The numbers are part of the stored format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    JoinConfig = 1,
    OwnLeafNode = 2,
    Proposal = 3,
    Tree = 4,
    Context = 5,
    InterimTranscriptHash = 6,
    ConfirmationTag = 7,
    State = 8,
    MessageSecrets = 9,
    ResumptionSecrets = 10,
    OwnLeafIndex = 11,
    EpochSecrets = 12,
    EpochKeyPairs = 13,
    OwnCommits = 14,
    Began = 15,
    Format = 64,
    KeyPackage = 65,
    SignatureKeyPair = 66,
    EncryptionKeyPair = 67,
    PreSharedKey = 68,
}

/// What has to be written, in one transaction.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that are new or have a new value.
    pub put: Vec<(Vec<u8>, Value)>,
    /// Keys of rows that are no more.
    pub delete: Vec<Vec<u8>>,
}

impl Changes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.delete.is_empty()
    }

    /// Bytes of all values.
    pub fn size(&self) -> usize {
        self.put.iter().map(|(_, value)| value.len()).sum()
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (put, delete, bytes) = (self.put.len(), self.delete.len(), self.size());
        write!(f, "Changes({put} rows, {bytes} bytes; {delete} gone)")
    }
}

/// Why stored rows cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Another version wrote them.
    #[error(
        "the keys of the conversations were stored by another version of Starling (format {found}, this one reads {FORMAT})"
    )]
    Format {
        /// What they say they are.
        found: u16,
    },
    /// No version wrote them.
    #[error(
        "the keys of the conversations are damaged; restore a backup, or let the conversations take this device in again"
    )]
    Damaged,
}

/// A value that is not what its key says, or that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stored key of a conversation cannot be read")]
pub(super) struct CodecError;

/// All rows.
#[derive(Default)]
pub(super) struct Rows {
    values: BTreeMap<Vec<u8>, Value>,
    changed: BTreeMap<Vec<u8>, Option<Value>>,
    undo: Option<Vec<Before>>,
}

/// What a key had before it was written.
struct Before {
    key: Vec<u8>,
    value: Option<Value>,
    changed: Option<Option<Value>>,
}

impl Rows {
    /// Rows of a new device: only the format is written.
    pub fn new() -> Self {
        let mut rows = Self::default();
        let format = FORMAT.to_be_bytes().to_vec();
        rows.set(own_key(Kind::Format, &[]), Some(format.into()));
        rows
    }

    /// What was stored. Nothing at all is a new device's.
    pub fn load(stored: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Self, LoadError> {
        let values: BTreeMap<_, Value> = stored
            .into_iter()
            .map(|(key, value)| (key, value.into()))
            .collect();
        if values.is_empty() {
            return Ok(Self::new());
        }
        // MLS-04: nothing is read before the format is known.
        let format = values.get(&own_key(Kind::Format, &[]));
        let format = format.and_then(|value| value.as_ref().try_into().ok());
        match format.map(u16::from_be_bytes) {
            Some(FORMAT) => {}
            Some(found) => return Err(LoadError::Format { found }),
            None => return Err(LoadError::Damaged),
        }
        Ok(Self {
            values,
            ..Self::default()
        })
    }

    /// What changed since the last time.
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for (key, value) in std::mem::take(&mut self.changed) {
            match value {
                Some(value) => changes.put.push((key, value)),
                None => changes.delete.push(key),
            }
        }
        changes
    }

    /// From here on what is written can be taken back.
    pub fn begin(&mut self) {
        self.undo = Some(Vec::new());
    }

    /// Ends what [`Rows::begin`] began, and takes everything back unless it is kept.
    pub fn end(&mut self, keep: bool) {
        let written = self.undo.take().unwrap_or_default();
        if keep {
            return;
        }
        for before in written.into_iter().rev() {
            put_back(&mut self.values, before.key.clone(), before.value);
            put_back(&mut self.changed, before.key, before.changed);
        }
    }

    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        self.values.get(key)
    }

    pub fn set(&mut self, key: Vec<u8>, value: Option<Value>) {
        if self.values.get(&key) == value.as_ref() {
            return;
        }
        let before = match &value {
            Some(value) => self.values.insert(key.clone(), value.clone()),
            None => self.values.remove(&key),
        };
        let changed = self.changed.insert(key.clone(), value);
        if let Some(undo) = &mut self.undo {
            undo.push(Before {
                key,
                value: before,
                changed,
            });
        }
    }

    /// Rows whose keys begin so, in order of their keys.
    pub fn starting_with<'a>(
        &'a self,
        start: &'a [u8],
    ) -> impl Iterator<Item = (&'a [u8], &'a Value)> {
        self.values
            .range(start.to_vec()..)
            .take_while(move |(key, _)| key.starts_with(start))
            .map(|(key, value)| (key.as_slice(), value))
    }

    /// Takes away all rows whose keys begin so.
    pub fn clear(&mut self, start: &[u8]) {
        let keys: Vec<_> = self
            .starting_with(start)
            .map(|(key, _)| key.to_vec())
            .collect();
        for key in keys {
            self.set(key, None);
        }
    }

    /// Makes one place what another is.
    pub fn copy(&mut self, from: Place, to: Place) {
        let (from, to) = (group_start(from), group_start(to));
        self.clear(&to);
        let copied: Vec<_> = self
            .starting_with(&from)
            .map(|(key, value)| ([&to, &key[from.len()..]].concat(), value.clone()))
            .collect();
        for (key, value) in copied {
            self.set(key, Some(value));
        }
    }

    /// Every place that has rows.
    pub fn places(&self) -> Vec<Place> {
        let mut places = Vec::new();
        for (key, _) in self.starting_with(&[GROUP_ROW]) {
            let place = place_of(key);
            if place.is_some() && places.last() != place.as_ref() {
                places.extend(place);
            }
        }
        places
    }
}

fn put_back<V>(map: &mut BTreeMap<Vec<u8>, V>, key: Vec<u8>, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

const OWN_ROW: u8 = 0;
const GROUP_ROW: u8 = 1;
const GROUP_START: usize = 1 + 16 + 32;

/// The key of a row of the device.
pub(super) fn own_key(kind: Kind, rest: &[u8]) -> Vec<u8> {
    [&[OWN_ROW, kind as u8], rest].concat()
}

/// How the keys of all rows of a place begin.
pub(super) fn group_start(place: Place) -> Vec<u8> {
    [&[GROUP_ROW], &place.branch.0[..], &place.group.0[..]].concat()
}

/// The key of a row of a place.
pub(super) fn group_key(place: Place, kind: Kind, rest: &[u8]) -> Vec<u8> {
    [&group_start(place), &[kind as u8][..], rest].concat()
}

fn place_of(key: &[u8]) -> Option<Place> {
    let start = key.get(1..GROUP_START)?;
    let (branch, group) = start.split_first_chunk::<16>()?;
    Some(Place {
        branch: Branch(*branch),
        group: GroupId(group.try_into().ok()?),
    })
}

pub(super) fn encode<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    ciborium::into_writer(value, &mut bytes).map_err(|_| CodecError)?;
    Ok(bytes)
}

pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    ciborium::from_reader(bytes).map_err(|_| CodecError)
}

#[cfg(test)]
mod tests;
