//! Where a group stands on one device: its epoch, the copies beside it, and the generations of boxes in which its log lies. [`Lent`] is
//! this together with the device's keys, and what the order knows of a group.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use starling_wire::credential::Member;
use starling_wire::frame;
use starling_wire::group::{Holding, Record};
use starling_wire::ids::{EndpointKey, EntryId, EpochTag, GroupId};
use starling_wire::log::keys::Generation;
use starling_wire::log::seal::{Inside, SealError};
use starling_wire::ordering::{Holders, Seat};

use super::rules::{Asked, fits, judge};
use crate::mls::{
    Branch, Client, Commit as Read, Group as Mls, Leaf, Looked, MergeError, OpenError, StateError,
};
use crate::order::group::{Commit, Group, Look};

/// Generations that are remembered: what comes late into their boxes is still read.
const GENERATIONS_MAX: usize = 16;
/// What is kept of a group, without its keys, in bytes.
const GROUND_MAX: usize = 64 * 1024;
/// The label under which a generation's secret is exported.
const LOG_LABEL: &str = "starling log";

/// See the module's documentation.
#[derive(Debug, Clone)]
pub struct Ground {
    id: GroupId,
    epoch: EpochTag,
    /// By the tag of their first epoch.
    eras: BTreeMap<EpochTag, Era>,
    /// The first epoch of the generation in which an epoch is: of the present one, and of those with a copy.
    begun: BTreeMap<EpochTag, EpochTag>,
    /// Epochs with a copy.
    copies: BTreeSet<EpochTag>,
    /// Our external commit, while we are outside and come back by it.
    returning: Option<EntryId>,
}

/// A generation of boxes.
#[derive(Debug, Clone)]
struct Era {
    generation: Generation,
    holders: Holders,
}

/// A group and its device's keys, for as long as an input is handled.
#[derive(Debug)]
pub struct Lent<'a> {
    /// The device's keys.
    pub client: &'a mut Client,
    /// Where the group stands.
    pub ground: &'a mut Ground,
    /// What was merged, in its order.
    seen: Vec<Seen>,
}

/// What a commit did.
#[derive(Debug)]
pub struct Seen {
    /// By whom, if it was looked at now.
    pub by: Option<Member>,
    /// Devices that are there now and were not.
    pub added: Vec<Member>,
    /// Devices that were there and are not.
    pub removed: Vec<Member>,
    /// The group's record now.
    pub record: Record,
    /// The first epoch of the generation that it began, if it did.
    pub begun: Option<EpochTag>,
    /// Whether it was the external commit by which this device came back.
    pub came_back: bool,
}

/// As it lies on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    id: GroupId,
    epoch: EpochTag,
    eras: Vec<(u32, [u8; 32], EpochTag, Vec<EndpointKey>)>,
    begun: Vec<(EpochTag, EpochTag)>,
    copies: BTreeSet<EpochTag>,
    returning: Option<EntryId>,
}

/// What is kept of a group cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what this device has noted of a conversation cannot be read")]
pub struct Unreadable;

impl Ground {
    /// Of a group in its present epoch, which is in this generation.
    fn new(id: GroupId, epoch: EpochTag, generation: Generation) -> Self {
        let mut ground = Self {
            id,
            epoch,
            eras: BTreeMap::new(),
            begun: BTreeMap::from([(epoch, generation.first)]),
            copies: BTreeSet::new(),
            returning: None,
        };
        ground.add(generation);
        ground
    }

    /// The group.
    pub const fn id(&self) -> GroupId {
        self.id
    }

    /// The epoch that it is in.
    pub const fn epoch(&self) -> EpochTag {
        self.epoch
    }

    /// The generation that it is in.
    pub fn generation(&self) -> &Generation {
        &self.era(self.epoch).generation
    }

    /// All that are remembered, the oldest first.
    pub fn generations(&self) -> Vec<&Generation> {
        let mut all: Vec<_> = self.eras.values().map(|era| &era.generation).collect();
        all.sort_by_key(|generation| (generation.number, generation.first));
        all
    }

    /// The first epoch of the generation in which an epoch is, if there is a state of it here.
    pub fn begun_at(&self, epoch: EpochTag) -> Option<EpochTag> {
        self.begun.get(&epoch).copied()
    }

    /// The first epoch of the generation whose box this is.
    pub fn first_of(&self, seat: Seat) -> Option<EpochTag> {
        let mut all = self.eras.iter();
        let era = all.find(|(_, era)| era.holders.has(seat))?;
        Some(*era.0)
    }

    /// Whether there is a copy of an epoch.
    pub fn is_copied(&self, epoch: EpochTag) -> bool {
        self.copies.contains(&epoch)
    }

    /// The one that began with this epoch.
    pub fn generation_of(&self, first: EpochTag) -> Option<&Generation> {
        self.eras.get(&first).map(|era| &era.generation)
    }

    /// Begins to come back: outside, at an epoch whose end our external commit may be.
    pub fn come_back_at(&mut self, epoch: EpochTag, generation: Generation, by: EntryId) {
        self.epoch = epoch;
        self.begun = BTreeMap::from([(epoch, generation.first)]);
        self.copies.clear();
        self.returning = Some(by);
        self.add(generation);
    }

    /// Whether this device is outside and comes back.
    pub const fn is_returning(&self) -> bool {
        self.returning.is_some()
    }

    /// To be kept with the keys, in one transaction.
    pub fn write(&self) -> Vec<u8> {
        let eras = self.generations().into_iter();
        let eras = eras.map(|one| (one.number, *one.secret, one.first, one.holders.clone()));
        frame::encode_body(&Kept {
            id: self.id,
            epoch: self.epoch,
            eras: eras.collect(),
            begun: self
                .begun
                .iter()
                .map(|(epoch, first)| (*epoch, *first))
                .collect(),
            copies: self.copies.clone(),
            returning: self.returning,
        })
    }

    /// What was kept.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        let kept: Kept = frame::decode_body(bytes, GROUND_MAX).map_err(|_| Unreadable)?;
        let mut ground = Self {
            id: kept.id,
            epoch: kept.epoch,
            eras: BTreeMap::new(),
            begun: kept.begun.into_iter().collect(),
            copies: kept.copies,
            returning: kept.returning,
        };
        for (number, secret, first, holders) in kept.eras {
            let generation = Generation::new(number, secret, first, holders);
            ground.eras.insert(first, Era::of(generation));
        }
        let there = |first: &EpochTag| ground.eras.contains_key(first);
        let begun = |epoch: &EpochTag| ground.begun.contains_key(epoch);
        let whole = begun(&ground.epoch)
            && ground.copies.iter().all(begun)
            && ground.begun.values().all(there);
        whole.then_some(ground).ok_or(Unreadable)
    }

    fn era(&self, epoch: EpochTag) -> &Era {
        let first = self.begun.get(&epoch).copied();
        let era = first.and_then(|first| self.eras.get(&first));
        era.expect("the present epoch has a generation")
    }

    fn add(&mut self, generation: Generation) {
        self.eras.insert(generation.first, Era::of(generation));
        let idle = |first: &EpochTag| !self.begun.values().any(|used| used == first);
        while self.eras.len() > GENERATIONS_MAX {
            let old = self.eras.iter().filter(|(first, _)| idle(first));
            let oldest = old.min_by_key(|(first, era)| (era.generation.number, **first));
            let Some(first) = oldest.map(|(first, _)| *first) else {
                return;
            };
            self.eras.remove(&first);
        }
    }
}

impl Era {
    fn of(generation: Generation) -> Self {
        Self {
            holders: generation.plan().holders(),
            generation,
        }
    }
}

/// Why a device that was taken in does not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TakenInError {
    /// Its keys.
    #[error(transparent)]
    State(#[from] StateError),
    /// The group does not say that its log lies there.
    #[error("the invitation does not say where the conversation is kept as the conversation does")]
    OtherGeneration,
    /// A pair of others, or roles of those who are not there.
    #[error("the conversation is not one of those who are in it")]
    NotAsItSays,
}

/// Where a group stands that this device just made.
pub fn founded(client: &mut Client, id: GroupId) -> Result<Ground, StateError> {
    let group = client.group(id)?.ok_or(StateError::NotMember)?;
    let record = Record::read(group.context()?).map_err(|_| StateError::Unreadable)?;
    Ok(Ground::new(id, group.tag()?, begins(&group, &record)?))
}

/// Where a group stands into which this device just came by a Welcome; `told` is the generation that the invitation names (`BOX-26`).
///
/// If it is refused, nothing of the group stays here: another Welcome may be right.
pub fn taken_in(
    client: &mut Client,
    id: GroupId,
    told: &Generation,
) -> Result<Ground, TakenInError> {
    let ground = looked_at(client, id, told);
    if ground.is_err() {
        client.remove(id);
    }
    ground
}

fn looked_at(client: &mut Client, id: GroupId, told: &Generation) -> Result<Ground, TakenInError> {
    let mut group = client.group(id)?.ok_or(StateError::NotMember)?;
    let record = Record::read(group.context()?).map_err(|_| StateError::Unreadable)?;
    let epoch = group.tag()?;
    // MLS-27
    if !fits(&record, &group.members()?) {
        return Err(TakenInError::NotAsItSays);
    }
    if told.first == epoch {
        return Ok(Ground::new(id, epoch, begins(&group, &record)?));
    }
    let says = &record.generation;
    let same = says.check == Some(told.check())
        && says.number == told.number
        && says.holders == told.holders;
    match same {
        true => Ok(Ground::new(id, epoch, told.clone())),
        false => Err(TakenInError::OtherGeneration),
    }
}

/// The generation that begins with the epoch that a group is in.
fn begins(group: &Mls<'_>, record: &Record) -> Result<Generation, StateError> {
    let secret = group.export(LOG_LABEL, 32)?;
    let secret = secret.try_into().map_err(|_| StateError::Fault)?;
    let Holding {
        number, holders, ..
    } = &record.generation;
    Ok(Generation::new(
        *number,
        secret,
        group.tag()?,
        holders.clone(),
    ))
}

impl<'a> Lent<'a> {
    /// For one input.
    pub const fn new(client: &'a mut Client, ground: &'a mut Ground) -> Self {
        Self {
            client,
            ground,
            seen: Vec::new(),
        }
    }

    /// What was merged meanwhile.
    pub fn take_seen(self) -> Vec<Seen> {
        self.seen
    }

    /// The group as it counts.
    pub fn group(&mut self) -> Result<Mls<'_>, StateError> {
        let group = self.client.group(self.ground.id)?;
        group.ok_or(StateError::NotMember)
    }

    /// Its record.
    pub fn record(&mut self) -> Result<Record, StateError> {
        let group = self.group()?;
        Record::read(group.context()?).map_err(|_| StateError::Unreadable)
    }

    /// Its record and its devices.
    pub fn seen(&mut self) -> Result<(Record, Vec<Leaf>), StateError> {
        let members = self.group()?.members()?;
        Ok((self.record()?, members))
    }

    /// The devices in an epoch of which there is a copy.
    pub fn members_in(&mut self, epoch: EpochTag) -> Option<Vec<Leaf>> {
        let branch = self.branch_of(epoch);
        let mut group = self.client.branch(self.ground.id, branch).ok()??;
        group.members().ok()
    }

    fn branch_of(&self, epoch: EpochTag) -> Branch {
        match epoch == self.ground.epoch {
            true => Branch::MAIN,
            false => Branch::at(epoch),
        }
    }

    fn open(&mut self, commit: &Commit) -> Result<Looked, Look> {
        let generation = &self.ground.era(commit.slot.epoch).generation;
        let kind = commit.kind();
        let opened = generation
            .open_body(kind, commit.slot, &commit.body)
            .and_then(|plain| Inside::read(kind, &plain));
        let bytes = match opened {
            Ok(Inside::Mls(bytes)) => bytes,
            // Others may have a version that reads it.
            Err(SealError::Newer) => return Err(Look::Mine),
            Ok(_) | Err(_) => return Err(Look::Void),
        };
        let branch = self.branch_of(commit.slot.epoch);
        let group = self.client.branch(self.ground.id, branch);
        let mut group = group.ok().flatten().ok_or(Look::Mine)?;
        let looked = group.look(&bytes).map_err(|error| match error {
            // Of an epoch that is not the one of its slot: nothing, to everybody.
            OpenError::Void(_) | OpenError::Old | OpenError::Future | OpenError::Repeated => {
                Look::Void
            }
            OpenError::Mine(_) | OpenError::State(_) => Look::Mine,
        })?;
        let external = match &looked {
            Looked::Commit(read) => {
                let check = generation.check();
                allowed(&mut group, read, check)?;
                read.external
            }
            // It was looked at when it was made.
            Looked::Own(_) => false,
            Looked::OwnRejoin(_) => true,
        };
        let next = looked.next();
        let as_it_says = external == commit.external && next.is_none_or(|next| next == commit.next);
        as_it_says.then_some(looked).ok_or(Look::Void)
    }

    /// As [`Group::merge`]: the first epoch of the generation in which the group is then, and what was done.
    fn go_on(&mut self, commit: &Commit) -> Option<(EpochTag, Seen)> {
        let (id, next) = (self.ground.id, commit.next);
        let came_back = self.ground.returning == Some(commit.id);
        // Outside there is nothing before.
        let (number, first) = (
            self.ground.generation().number,
            self.ground.generation().first,
        );
        let before = self.seen().map(|(_, members)| members).unwrap_or_default();
        let mut by = None;
        let left = self.ground.copies.contains(&next);
        if left {
            let mut group = self.group().ok()?;
            group.restore(Branch::at(next)).ok()?;
            group.forget(Branch::at(next));
        } else if came_back {
            self.client.adopt_rejoin(id).ok().filter(|done| *done)?;
        } else {
            let looked = self.open(commit).ok()?;
            by = match &looked {
                Looked::Commit(read) => Some(read.by),
                Looked::Own(_) | Looked::OwnRejoin(_) => Some(self.client.member()),
            };
            self.group().ok()?.follow(looked).ok()?;
        }
        let (record, after) = self.seen().ok()?;
        let begins_one = record.generation.number != number;
        if begins_one && !left {
            let begun = begins(&self.group().ok()?, &record).ok()?;
            self.ground.add(begun);
        }
        let first = match (left, begins_one) {
            (true, _) => self.ground.begun.get(&next).copied()?,
            (false, true) => next,
            (false, false) => first,
        };
        let (added, removed) = match came_back {
            true => (Vec::new(), Vec::new()),
            false => (without(&after, &before), without(&before, &after)),
        };
        let seen = Seen {
            by,
            added,
            removed,
            record,
            begun: begins_one.then_some(first),
            came_back,
        };
        Some((first, seen))
    }
}

/// The devices of one list that are not in another.
fn without(one: &[Leaf], other: &[Leaf]) -> Vec<Member> {
    let other: BTreeSet<_> = other.iter().map(|leaf| leaf.member.device).collect();
    let one = one.iter().map(|leaf| leaf.member);
    one.filter(|member| !other.contains(&member.device))
        .collect()
}

impl Group for Lent<'_> {
    fn epoch(&self) -> EpochTag {
        self.ground.epoch
    }

    fn holders(&self) -> Holders {
        self.ground.era(self.ground.epoch).holders.clone()
    }

    fn look(&mut self, commit: &Commit) -> Option<Look> {
        let epoch = commit.slot.epoch;
        if self.ground.returning.is_some() && epoch == self.ground.epoch {
            let ours = self.ground.returning == Some(commit.id);
            return Some(if ours { Look::Fits } else { Look::Mine });
        }
        if epoch != self.ground.epoch && !self.ground.copies.contains(&epoch) {
            return None;
        }
        Some(match self.open(commit) {
            Ok(looked) if looked.next().is_none() => Look::Removes,
            Ok(_) => Look::Fits,
            Err(look) => look,
        })
    }

    fn merge(&mut self, commit: &Commit) -> bool {
        let (before, next) = (self.ground.epoch, commit.next);
        let Some((first, seen)) = self.go_on(commit) else {
            return false;
        };
        self.seen.push(seen);
        let ground = &mut *self.ground;
        ground.returning = None;
        ground.epoch = next;
        ground.copies.remove(&next);
        ground.begun.insert(next, first);
        if !ground.copies.contains(&before) {
            ground.begun.remove(&before);
        }
        true
    }

    fn keep(&mut self) {
        let epoch = self.ground.epoch;
        // Outside there is nothing to keep.
        let kept = !self.ground.is_returning()
            && self
                .group()
                .is_ok_and(|mut group| group.copy_to(Branch::at(epoch)).is_ok());
        if kept {
            self.ground.copies.insert(epoch);
        }
    }

    fn back_to(&mut self, epoch: EpochTag) -> bool {
        if !self.ground.copies.contains(&epoch) {
            return false;
        }
        let left = self.ground.epoch;
        let went = |group: &mut Mls<'_>| {
            group.copy_to(Branch::at(left))?;
            group.restore(Branch::at(epoch))?;
            group.forget(Branch::at(epoch));
            Ok::<_, MergeError>(())
        };
        if !self.group().is_ok_and(|mut group| went(&mut group).is_ok()) {
            return false;
        }
        self.ground.copies.insert(left);
        self.ground.copies.remove(&epoch);
        self.ground.epoch = epoch;
        true
    }

    fn forget(&mut self, epoch: EpochTag) {
        if self.ground.copies.remove(&epoch) {
            // The present one is where it is without a copy, too.
            if epoch != self.ground.epoch {
                self.ground.begun.remove(&epoch);
            }
            if let Ok(mut group) = self.group() {
                group.forget(Branch::at(epoch));
            }
        }
    }
}

/// Whether a member's commit is one that he may make.
fn allowed(group: &mut Mls<'_>, read: &Read, check: [u8; 32]) -> Result<(), Look> {
    let id = group.id();
    let members = group.members().map_err(|_| Look::Mine)?;
    let context = group.context().map_err(|_| Look::Mine)?;
    let before = Record::read(context).map_err(|_| Look::Mine)?;
    let asked = Asked {
        by: read.by,
        external: read.external,
        added: &read.added,
        removed: &read.removed,
        context: read.context.as_deref(),
        aad: &read.aad,
    };
    match judge(&before, &members, check, id, &asked) {
        Ok(_) => Ok(()),
        Err(denied) if denied.is_void() => Err(Look::Void),
        Err(_) => Err(Look::Mine),
    }
}
