//! The set of entries by itself: what counts, what is later, what the other side lacks.
//!
//! An entry counts if the device in its stamp is one of the account's. What does not count was left by a device that was revoked; it is
//! shown here until it was taken over or is dropped ([`super`]), is told to nobody, and gives way to any entry that counts.

use std::collections::{BTreeMap, BTreeSet};

use starling_wire::ids::DeviceId;
use starling_wire::sync::{
    AHEAD_MAX_MS, Author, BUCKETS, BYTES_MAX, ENTRIES_MAX, Entry, Have, Key, LISTED_MAX, Place,
    Stamp, Version, digest,
};

use super::{Change, Refusal, SyncRefused};

/// One account's entries.
#[derive(Debug)]
pub struct Set {
    author: Author,
    devices: BTreeSet<DeviceId>,
    entries: BTreeMap<Place, Kept>,
    bytes: usize,
    /// The latest stamp's time that was seen.
    latest: u64,
}

#[derive(Debug)]
struct Kept {
    entry: Entry,
    version: Version,
    size: usize,
}

impl Set {
    /// This device's, as it was stored.
    pub fn new(author: Author, stored: impl IntoIterator<Item = Entry>) -> Self {
        let mut set = Self {
            author,
            devices: BTreeSet::new(),
            entries: BTreeMap::new(),
            bytes: 0,
            latest: 0,
        };
        for entry in stored {
            set.put(entry);
        }
        set
    }

    /// Who signs here.
    pub const fn author(&self) -> &Author {
        &self.author
    }

    /// From now on these are the account's devices.
    pub fn set_devices(&mut self, devices: BTreeSet<DeviceId>) {
        self.devices = devices;
    }

    /// Whether this is one of them.
    pub fn lists(&self, device: DeviceId) -> bool {
        self.devices.contains(&device)
    }

    /// This device.
    pub fn own(&self) -> DeviceId {
        self.author.device()
    }

    /// `SYNC-01`, `SYNC-09`: whether changes of our own can be made, all of them.
    pub fn may_change(&self, changes: &[Change]) -> Result<(), SyncRefused> {
        let (mut count, mut bytes) = (self.entries.len(), self.bytes);
        let mut sizes: BTreeMap<Place, usize> = BTreeMap::new();
        let mut grows = false;
        for (key, value) in changes {
            let entry = self.unsigned(key.clone(), value.clone());
            if !entry.fits() {
                return Err(SyncRefused::TooLarge);
            }
            let (place, size) = (key.place(), entry.size());
            let here = || self.entries.get(&place).map(|kept| kept.size);
            let known = sizes.insert(place, size).or_else(here);
            if known.is_none() && value.is_none() {
                sizes.remove(&place);
                continue;
            }
            count += usize::from(known.is_none());
            bytes = bytes - known.unwrap_or(0) + size;
            grows |= value.is_some();
        }
        if grows && (count > ENTRIES_MAX || bytes > BYTES_MAX) {
            return Err(SyncRefused::Full);
        }
        Ok(())
    }

    /// As large as it can be.
    fn unsigned(&self, key: Key, value: Option<Vec<u8>>) -> Entry {
        let stamp = Stamp {
            time: u64::MAX,
            device: self.own(),
        };
        Entry {
            key,
            value,
            stamp,
            signature: ([0; 32], [0; 32]),
        }
    }

    /// Makes a change of our own, unless that is how it stands.
    pub fn change(&mut self, key: Key, value: Option<Vec<u8>>, clock: u64) -> Option<Entry> {
        let known = self.entries.get(&key.place()).map(|kept| &kept.entry);
        let same = known.map_or(value.is_none(), |known| {
            known.value == value && self.lists(known.stamp.device)
        });
        if same {
            return None;
        }
        let before = known.map_or(0, |known| known.stamp.time);
        let time = self.next_time(clock).max(before.saturating_add(1));
        let entry = self.stamped(key, value, time);
        self.put(entry.clone());
        Some(entry)
    }

    /// SYNC-02: the device's clock, but never before what was seen already.
    fn next_time(&self, clock: u64) -> u64 {
        clock.max(self.latest.saturating_add(1))
    }

    fn stamped(&self, key: Key, value: Option<Vec<u8>>, time: u64) -> Entry {
        self.author.sign(key, value, time)
    }

    /// Takes an entry of another device's if it is later than what is here; whether it was.
    pub fn offer(&mut self, entry: &Entry, clock: u64) -> Result<bool, Refusal> {
        if !entry.fits() {
            return Err(Refusal::TooLarge);
        }
        // SYNC-04: nothing of a device that is none of ours.
        if !self.lists(entry.stamp.device) {
            return Err(Refusal::Foreign);
        }
        // SYNC-03: a clock that is far ahead would win for as long.
        if entry.stamp.time > clock.saturating_add(AHEAD_MAX_MS) {
            return Err(Refusal::Ahead);
        }
        let known = self.entries.get(&entry.key.place());
        let later = known.is_none_or(|known| {
            !self.lists(known.entry.stamp.device) || known.version < entry.version()
        });
        if !later {
            return Ok(false);
        }
        if !self.has_room(entry) {
            return Err(Refusal::Full);
        }
        // SYNC-13: whoever passes it on, its device has said so itself.
        if !entry.is_signed(self.author.account()) {
            return Err(Refusal::Forged);
        }
        self.put(entry.clone());
        Ok(true)
    }

    /// SYNC-09: the set has bounds.
    fn has_room(&self, entry: &Entry) -> bool {
        let known = self.entries.get(&entry.key.place());
        let count = self.entries.len() + usize::from(known.is_none());
        let bytes = self.bytes - known.map_or(0, |known| known.size) + entry.size();
        count <= ENTRIES_MAX && bytes <= BYTES_MAX
    }

    fn put(&mut self, entry: Entry) {
        self.latest = self.latest.max(entry.stamp.time);
        let kept = Kept {
            version: entry.version(),
            size: entry.size(),
            entry,
        };
        self.bytes += kept.size;
        if let Some(before) = self.entries.insert(kept.entry.key.place(), kept) {
            self.bytes -= before.size;
        }
    }

    /// What counts, of these places.
    fn counting(&self, first: Place, last: Place) -> impl Iterator<Item = (&Place, &Kept)> {
        let some = (first <= last).then(|| self.entries.range(first..=last));
        let counts = |kept: &Kept| self.devices.contains(&kept.entry.stamp.device);
        some.into_iter()
            .flatten()
            .filter(move |(_, kept)| counts(kept))
    }

    /// One digest for each bucket.
    pub fn digests(&self) -> Vec<[u8; 8]> {
        let of = |bucket| {
            let (first, last) = bounds(bucket);
            let entries = self.counting(first, last);
            digest(entries.map(|(place, kept)| (place, kept.version)))
        };
        (0..BUCKETS).map(of).collect()
    }

    /// What is here of the buckets whose digests differ; nothing if none does.
    pub fn differing(&self, theirs: &[[u8; 8]]) -> Vec<Have> {
        let own = self.digests();
        let differ = (0..BUCKETS).filter(|bucket| theirs.get(*bucket) != own.get(*bucket));
        ended(
            differ
                .flat_map(|bucket| self.listing(bounds(bucket)))
                .collect(),
        )
    }

    /// In as many parts as hold it; together they cover every place in between.
    fn listing(&self, (first, last): (Place, Place)) -> Vec<Have> {
        let counting = self.counting(first, last);
        let all: Vec<_> = counting
            .map(|(place, kept)| (*place, kept.version))
            .collect();
        let mut parts = Vec::new();
        let mut begins = first;
        for listed in all.chunks(LISTED_MAX) {
            let ends = listed.last().map_or(last, |(place, _)| *place);
            parts.push(part(begins, ends, listed));
            begins = after(ends);
        }
        match parts.last_mut() {
            Some(end) => end.last = last,
            None => parts.push(part(first, last, &[])),
        }
        parts
    }

    /// What whoever said this lacks.
    pub fn lacking(&self, have: &Have) -> Vec<Entry> {
        let theirs: BTreeMap<_, _> = have.listed.iter().copied().collect();
        let counting = self.counting(have.first, have.last);
        counting
            .filter(|(place, kept)| theirs.get(*place) < Some(&kept.version))
            .map(|(_, kept)| kept.entry.clone())
            .collect()
    }

    /// SYNC-05: what revoked devices left becomes ours, with the time of its last change, and is signed anew.
    pub fn take_over(&mut self) -> Vec<Entry> {
        let left = self.left().into_iter();
        let ours = left.map(|left| self.stamped(left.key, left.value, left.stamp.time));
        let ours: Vec<Entry> = ours.collect();
        for entry in &ours {
            self.put(entry.clone());
        }
        ours
    }

    /// SYNC-05: what they left and nobody took over goes.
    pub fn drop_left(&mut self) -> Vec<Key> {
        let left = self.left();
        for entry in &left {
            if let Some(gone) = self.entries.remove(&entry.key.place()) {
                self.bytes -= gone.size;
            }
        }
        left.into_iter().map(|entry| entry.key).collect()
    }

    fn left(&self) -> Vec<Entry> {
        let entries = self.entries.values().map(|kept| &kept.entry);
        let left = entries.filter(|entry| !self.lists(entry.stamp.device));
        left.cloned().collect()
    }

    /// SYNC-08: a device whose clock was far ahead and is right again stamps its changes anew; nobody has taken them.
    pub fn mend(&mut self, clock: u64) -> Vec<Entry> {
        let limit = clock.saturating_add(AHEAD_MAX_MS);
        if self.latest <= limit {
            return Vec::new();
        }
        let entries = self.entries.values().map(|kept| &kept.entry);
        let (ahead, right): (Vec<_>, Vec<_>) = entries.partition(|e| e.stamp.time > limit);
        let mut own: Vec<_> = ahead
            .into_iter()
            .filter(|entry| entry.stamp.device == self.own())
            .cloned()
            .collect();
        own.sort_by_key(|entry| entry.stamp);
        self.latest = right.iter().map(|e| e.stamp.time).max().unwrap_or(0);
        let mut mended = Vec::new();
        for entry in own {
            let entry = self.stamped(entry.key, entry.value, self.next_time(clock));
            self.put(entry.clone());
            mended.push(entry);
        }
        mended
    }
}

fn part(first: Place, last: Place, listed: &[(Place, Version)]) -> Have {
    Have {
        first,
        last,
        listed: listed.to_vec(),
        more: true,
    }
}

/// The last one says so.
fn ended(mut parts: Vec<Have>) -> Vec<Have> {
    if let Some(last) = parts.last_mut() {
        last.more = false;
    }
    parts
}

/// First and last place of a bucket: those that begin with its number.
fn bounds(bucket: usize) -> (Place, Place) {
    let number = u8::try_from(bucket).unwrap_or(u8::MAX);
    let (mut first, mut last) = ([0; 16], [u8::MAX; 16]);
    first[0] = number;
    last[0] = number;
    (first, last)
}

fn after(place: Place) -> Place {
    u128::from_be_bytes(place).saturating_add(1).to_be_bytes()
}

#[cfg(test)]
mod tests;
