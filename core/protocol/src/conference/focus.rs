//! The focus: who may open a room, who is in it, and to whom a datagram goes. It never sees what is inside one.
//!
//! A member is a connection under a number of the driver's choice, never used twice. Whether a datagram that may go on fits
//! the caps of this machine is the driver's business; it counts what it drops here, too.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use starling_wire::conference::{FOCUS_DATAGRAM_MAX, JoinRefusal};
use starling_wire::ids::{AccountId, EndpointKey, RoomId};

use crate::machine::{Deadline, Outputs, Time};

/// Rooms at once.
pub const ROOMS_MAX: usize = 1_000;
/// Of one front door: a call has one, and for a moment another.
pub const ROOMS_OF_ONE: usize = 4;
/// Of one account, which may have several devices in calls.
pub const ROOMS_OF_ACCOUNT: usize = 8;
/// Of one block of addresses: an account costs nothing, an address does.
pub const ROOMS_OF_BLOCK: usize = 100;
/// Who forwards for a call forwards between two.
const MEMBERS_MAX: usize = 2;
/// A room in which nobody meets anybody ends.
const LONELY: Duration = Duration::from_secs(10);
/// So does one in which nothing is said: participants give a sign ten times a second.
const IDLE: Duration = Duration::from_secs(30);
/// Of one member: what a voice needs at its best, with repetition, three times over.
const PACKET_COST: Duration = Duration::from_micros(1_000_000 / 150);
const BYTES_A_SECOND: u64 = 24_000;
/// What a member saves up while it says nothing.
const BURST: Duration = Duration::from_millis(250);

/// A connection to the focus, numbered by the driver.
pub type MemberId = u64;

/// Who asks for a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The front door.
    pub door: EndpointKey,
    /// Whose it is.
    pub account: AccountId,
    /// The block of addresses in which it sits; nothing for this process itself.
    pub block: Option<IpAddr>,
}

/// There is no place for another room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no place for another room")]
pub struct NoPlace;

/// Why a datagram goes nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Dropped {
    /// Larger than a sealed packet of voice.
    #[error("too large")]
    TooLarge,
    /// More than a voice needs.
    #[error("too many")]
    TooFast,
    /// The other one is not there.
    #[error("nobody else there")]
    Alone,
    /// Whoever sent it is in no room.
    #[error("in no room")]
    NoMember,
    /// It would have had to wait too long for its turn under the caps.
    #[error("over the cap")]
    OverCap,
    /// This machine carries nothing for others any more.
    #[error("role off")]
    RoleOff,
}

/// What the driver is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FocusEvent {
    /// Close this member's connection.
    Close(MemberId, Closing),
}

/// Why a member's connection is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// The same participant came anew.
    Replaced,
    /// The room is over.
    Over,
}

/// Why the machine wants to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FocusReason {
    /// A room may be over.
    Room,
}

/// All rooms of this node.
#[derive(Debug, Default)]
pub struct Focus {
    rooms: BTreeMap<RoomId, Room>,
    members: BTreeMap<MemberId, Member>,
    dropped: BTreeMap<Dropped, u64>,
    events: Outputs<FocusEvent>,
}

#[derive(Debug)]
struct Room {
    opened_by: Asker,
    members: Vec<MemberId>,
    /// Since when there have not been two.
    lonely: Option<Time>,
    /// When something was forwarded last.
    used: Time,
}

#[derive(Debug)]
struct Member {
    room: RoomId,
    key: EndpointKey,
    packets: Allowance,
    bytes: Allowance,
}

/// What is left of a rate (GCRA, ITU-T I.371).
#[derive(Debug, Default)]
struct Allowance {
    /// When what has passed is worked off.
    free_at: Time,
}

impl Focus {
    /// A registered front door wants a room; `room` is chosen by chance.
    pub fn handle_open(&mut self, room: RoomId, by: Asker, now: Time) -> Result<(), NoPlace> {
        self.events.assert_drained();
        if !self.has_place(by) || self.rooms.contains_key(&room) {
            return Err(NoPlace);
        }
        self.rooms.insert(
            room,
            Room {
                opened_by: by,
                members: Vec::new(),
                lonely: Some(now),
                used: now,
            },
        );
        Ok(())
    }

    /// Somebody knows a room and wants to be in it. `FWD-03`: who comes anew takes his own place; there are two.
    pub fn handle_join(
        &mut self,
        member: MemberId,
        key: EndpointKey,
        room: RoomId,
        now: Time,
    ) -> Result<(), JoinRefusal> {
        self.events.assert_drained();
        let found = self.rooms.get_mut(&room).ok_or(JoinRefusal::NoRoom)?;
        let is_same = |id: &&MemberId| self.members.get(*id).is_some_and(|old| old.key == key);
        if let Some(old) = found.members.iter().find(is_same).copied() {
            found.members.retain(|one| *one != old);
            self.members.remove(&old);
            self.events.push(FocusEvent::Close(old, Closing::Replaced));
        }
        if found.members.len() >= MEMBERS_MAX {
            return Err(JoinRefusal::Full);
        }
        found.members.push(member);
        found.settle(now);
        self.members.insert(
            member,
            Member {
                room,
                key,
                packets: Allowance::default(),
                bytes: Allowance::default(),
            },
        );
        Ok(())
    }

    /// A datagram of so many bytes came: to whom it goes.
    pub fn handle_datagram(
        &mut self,
        from: MemberId,
        length: usize,
        now: Time,
    ) -> Result<MemberId, Dropped> {
        let to = self.route(from, length, now);
        if let Err(reason) = to {
            self.count(reason);
        }
        to
    }

    /// The driver dropped one.
    pub fn count(&mut self, reason: Dropped) {
        *self.dropped.entry(reason).or_default() += 1;
    }

    /// A member's connection ended.
    pub fn handle_left(&mut self, member: MemberId, now: Time) {
        self.events.assert_drained();
        let Some(left) = self.members.remove(&member) else {
            return;
        };
        if let Some(room) = self.rooms.get_mut(&left.room) {
            room.members.retain(|one| *one != member);
            room.settle(now);
        }
    }

    /// `FWD-07`: rooms that are over end.
    pub fn handle_timeout(&mut self, now: Time) {
        self.events.assert_drained();
        let over = self.rooms.extract_if(.., |_, room| room.ends_at() <= now);
        let members: Vec<MemberId> = over.flat_map(|(_, room)| room.members).collect();
        for member in members {
            self.members.remove(&member);
            self.events.push(FocusEvent::Close(member, Closing::Over));
        }
    }

    /// When to be woken.
    pub fn poll_timeout(&self) -> Option<Deadline<FocusReason>> {
        let next = self.rooms.values().map(Room::ends_at).min();
        next.map(|at| Deadline::new(at, FocusReason::Room))
    }

    /// The next thing to do.
    pub fn poll_event(&mut self) -> Option<FocusEvent> {
        self.events.pop()
    }

    /// Rooms in which two are.
    pub fn in_use(&self) -> usize {
        let rooms = self.rooms.values();
        rooms.filter(|room| room.lonely.is_none()).count()
    }

    /// What was dropped, by reason.
    pub const fn dropped(&self) -> &BTreeMap<Dropped, u64> {
        &self.dropped
    }

    /// `FWD-02`: a bound for each, and one for all.
    fn has_place(&self, by: Asker) -> bool {
        let fewer = |most: usize, own: &dyn Fn(&Asker) -> bool| {
            let rooms = self.rooms.values();
            rooms.filter(|room| own(&room.opened_by)).count() < most
        };
        self.rooms.len() < ROOMS_MAX
            && fewer(ROOMS_OF_ONE, &|other| other.door == by.door)
            && fewer(ROOMS_OF_ACCOUNT, &|other| other.account == by.account)
            && (by.block.is_none() || fewer(ROOMS_OF_BLOCK, &|other| other.block == by.block))
    }

    fn route(&mut self, from: MemberId, length: usize, now: Time) -> Result<MemberId, Dropped> {
        // FWD-04: of whom, how large, to whom; and nothing else is looked at.
        let member = self.members.get_mut(&from).ok_or(Dropped::NoMember)?;
        if length > FOCUS_DATAGRAM_MAX {
            return Err(Dropped::TooLarge);
        }
        if !member.may_send(length, now) {
            return Err(Dropped::TooFast);
        }
        let room = self.rooms.get_mut(&member.room).ok_or(Dropped::NoMember)?;
        let other = room.members.iter().find(|one| **one != from).copied();
        let other = other.ok_or(Dropped::Alone)?;
        room.used = now;
        Ok(other)
    }
}

impl Room {
    fn settle(&mut self, now: Time) {
        if self.members.len() >= MEMBERS_MAX {
            self.lonely = None;
            self.used = now;
        } else {
            self.lonely.get_or_insert(now);
        }
    }

    fn ends_at(&self) -> Time {
        let lonely = self.lonely.map(|since| since + LONELY);
        lonely.unwrap_or(Time::MAX).min(self.used + IDLE)
    }
}

impl Member {
    /// `FWD-05`
    fn may_send(&mut self, length: usize, now: Time) -> bool {
        let bytes = Duration::from_nanos(length as u64 * 1_000_000_000 / BYTES_A_SECOND);
        let may = self.packets.is_open(now) && self.bytes.is_open(now);
        if may {
            self.packets.charge(PACKET_COST, now);
            self.bytes.charge(bytes, now);
        }
        may
    }
}

impl Allowance {
    fn is_open(&self, now: Time) -> bool {
        self.free_at <= now + BURST
    }

    fn charge(&mut self, cost: Duration, now: Time) {
        self.free_at = self.free_at.max(now) + cost;
    }
}

#[cfg(test)]
mod tests;
